"""The figures of an experiment hold the report's own numbers: they are read back from what is drawn."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from discern_vqa.experiments import figures, groups, main_table, pretraining_sizes, state_map
from discern_vqa.experiments.curve_chart import Point, draw_curves
from discern_vqa.experiments.figure_files import COLORS, GREY, MARKERS, canvas, foot, heading
from discern_vqa.scoring.literature import literature
from discern_vqa.scoring.pretraining_sizes import read, sizes

FIGURE = {"mean": 0.6, "sd": 0.1, "values": [0.5, 0.7], "ci95": [0.55, 0.66]}
PARTS = {"overall": FIGURE, "open": FIGURE | {"mean": 0.4, "ci95": [0.3, 0.5]}}


def row(name, parts=PARTS, **more):
    return {"name": name, "at": None, "printed": None, "changes": {}, "figures": parts, **more}


def report(*rows, **more):
    return {"title": "Tiny", "source": "CMDPI Fig. 8", "recipe": "cmdpi/ablation", "split": "test", "n": 20,
            "seeds": [0, 1], "note": "", "rows": list(rows), **more}  # fmt: skip


@pytest.fixture
def saved(monkeypatch):
    """The figures that were to be saved; nothing is written."""
    kept = []

    def keep(self, partial, **more):
        partial.write_bytes(b"x")
        kept.append(self)

    monkeypatch.setattr(Figure, "savefig", keep)
    return kept


def ends(container):
    """The intervals of an error bar container as (low, high)."""
    return [tuple(segment[:, 1]) for segment in container.lines[2][0].get_segments()]


CURVES = {
    "CMDPI": [Point(450, 70.0, 66.0, 75.0), Point(45, 50.0, 45.0, 54.0)],
    "ridge": [Point(45, 52.0, 50.0, 53.0), Point(450, 66.0, 64.0, 67.0)],
    "plain transformer": [Point(45, 40.0, 40.0, 40.0)],
}


def test_every_method_is_a_line_over_a_logarithmic_axis_with_its_intervals():
    axes = canvas(4, 3).add_subplot()
    draw_curves(axes, CURVES, {"printed": [(450, 78.7)], "another": [(450, 60.0), (45, 30.0)]}, log=True)
    assert axes.get_xscale() == "log"
    assert [container.get_label() for container in axes.containers] == list(CURVES)
    first, second, third = axes.containers
    assert list(first.lines[0].get_ydata()) == [50.0, 70.0], "in the order of the sizes"
    assert ends(first) == [(45, 54), (66, 75)]
    assert ends(second) == [(50, 53), (64, 67)]
    assert ends(third) == [(40, 40)]
    places = [container.lines[0].get_xdata()[0] for container in axes.containers]
    assert places == sorted(places), "neighbours stand apart, in their order"
    assert places[1] == pytest.approx(45), "the middle one stands at its size"
    assert places[0] * places[2] == pytest.approx(45**2), "the others as far to either side, on this axis"
    assert 0.9 * 45 < places[0] < 45
    marks = {(to_hex(one.lines[0].get_color()), one.lines[0].get_marker()) for one in axes.containers}
    assert len(marks) == 3
    across, joined = (line for line in axes.get_lines() if line.get_label() in ("printed", "another"))
    assert list(across.get_ydata()) == [78.7, 78.7]
    assert list(across.get_xdata()) == [0, 1], "from one side of the chart to the other"
    assert (list(joined.get_xdata()), list(joined.get_ydata())) == ([45, 450], [30.0, 60.0])
    assert {line.get_linestyle() for line in (across, joined)} == {"--", ":"}
    assert [text.get_text() for text in axes.get_xticklabels()] == ["45", "450"]


def test_a_size_of_nothing_has_a_place_on_the_logarithmic_axis():
    axes = canvas(4, 3).add_subplot()
    points = [Point(0, 40, 39, 41), Point(1000, 50, 49, 51), Point(4000, 60, 59, 61), Point(4100, 61, 60, 62)]
    draw_curves(axes, {"CMDPI": points}, log=True)
    assert axes.get_xscale() == "symlog"
    assert list(axes.containers[0].lines[0].get_xdata()) == pytest.approx([0, 1000, 4000, 4100])
    shown = [text.get_text() for text in axes.get_xticklabels()]
    assert shown == ["0", "1,000", "4,100"], "numbers that would cover each other are left out, never the largest"


def test_shares_are_on_a_plain_axis_with_their_unit():
    axes = canvas(4, 3).add_subplot()
    draw_curves(axes, {"CMDPI": [Point(0, 40, 39, 41), Point(100, 50, 49, 51)]}, unit=" %")
    assert axes.get_xscale() == "linear"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0 %", "100 %"]


def test_no_two_of_many_lines_look_alike():
    axes = canvas(4, 3).add_subplot()
    draw_curves(axes, {f"method {number}": [Point(1, number, number, number)] for number in range(20)})
    marks = [(one.lines[0].get_color(), one.lines[0].get_marker()) for one in axes.containers]
    assert len(set(marks)) == 20


DICHROMACY = {  # Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
    "none": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                            [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                              [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                            [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def as_seen(color, vision):
    """L*a*b* of a colour, as somebody with that vision sees it."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = XYZ @ (vision @ linear).clip(0, 1) / XYZ.sum(axis=1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", DICHROMACY)
def test_colours_differ_for_people_with_any_kind_of_colour_vision(vision):
    assert len(MARKERS) == len(COLORS) == len(set(MARKERS))
    for pair in combinations([*COLORS, "#ffffff"], 2):
        one, other = (as_seen(color, DICHROMACY[vision]) for color in pair)
        assert np.linalg.norm(one - other) > 15, pair


def test_a_name_stands_once_in_the_legend_and_a_long_caption_neither_covers_it_nor_leaves_the_figure():
    figure = canvas(8, 3)
    for panel in figure.subplots(1, 2):
        panel.plot([0, 1], [0, 1], "x", label="printed")
        panel.errorbar([0, 1], [0, 1], yerr=0.1, label="measured")
    foot(figure, figure.axes, "A sentence that goes on about what is not drawn, and why it is not. " * 4)
    heading(figure, "A title", "and what it is about " * 12)
    assert figure.get_figheight() > 3.5, "the caption has lines of its own"
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["measured", "printed"]
    renderer = FigureCanvasAgg(figure).get_renderer()
    title = legend.get_title().get_window_extent(renderer)
    assert not any(title.overlaps(text.get_window_extent(renderer)) for text in legend.get_texts())
    for text in (legend.get_title(), figure._suptitle):
        box = text.get_window_extent(renderer)
        assert 0 <= box.x0
        assert box.x1 <= figure.bbox.x1


def test_the_printed_sizes_are_those_of_the_paper_and_nothing_is_guessed():
    words = {size.model: size.words for size in read()}
    assert words["CMDPI"] == "114,000"
    assert words["MEVF"] == "over 10,000"
    assert words["BiomedCLIP"] == "15,000,000"
    assert words["MUMC"] == "nearly 400,000"
    told = sizes("vqa_rad")
    assert {size.model: overall for size, overall in told.placed} == {
        "MEVF": 63.2, "WSRP": 76.7, "VB-MVQA": 71.3, "CMDPI": 78.7, "LLaVA-Med": 75.2, "PeFoMed": 77.4,
        "BiomedCLIP": 72.7,
    }  # fmt: skip
    assert [size.samples for size, _ in told.placed] == sorted(size.samples for size, _ in told.placed)
    assert {"M3AE", "UniMed-LVLM", "VQA-MIX", "MITER"} <= set(told.no_size)
    assert {size.model for size in told.no_accuracy} == {"CMSA", "CPRD", "M2I2", "PubMedCLIP", "MUMC"}
    models = {line.model for line in literature("vqa_rad") if line.sees_image}
    assert models == {size.model for size, _ in told.placed} | set(told.no_size), "every printed model is told of"


def of_sizes(dataset, ours):
    told = sizes(dataset)
    return {
        "dataset": dataset,
        "placed": [
            {"model": size.model, "samples": size.samples, "printed_size": size.words, "overall": overall}
            for size, overall in told.placed
        ],
        "ours": ours,
        "no_size": list(told.no_size),
        "no_accuracy": [f"{size.model} ({size.words})" for size in told.no_accuracy],
    }


@pytest.mark.parametrize(("dataset", "cmdpi"), [("vqa_rad", 78.7), ("slake", 83.5)])
def test_accuracy_stands_over_the_size_of_the_pre_training(dataset, cmdpi, tmp_path, saved):
    made = report(row("full"), row("without pre-training"), row("broken", parts={}))
    ours = {"full": 5000, "without pre-training": 0, "broken": 5000}
    files = pretraining_sizes.draw(made, of_sizes(dataset, ours), tmp_path)
    assert [file.name for file in files] == ["pretraining_sizes.png", "pretraining_sizes.svg"]
    figure = saved[0]
    (axes,) = figure.axes
    printed = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.get_lines() if line.get_marker() in "x*"]
    assert (114_000, cmdpi) in printed
    assert len(printed) == 7
    measured = [(one.lines[0].get_xdata()[0], one.lines[0].get_ydata()[0]) for one in axes.containers]
    assert measured == [(5000, pytest.approx(60)), (0, pytest.approx(60))], "a row without an answer is not drawn"
    assert ends(axes.containers[0]) == [(pytest.approx(55), pytest.approx(66))]
    assert axes.get_xscale() == "symlog"
    assert axes.get_xlim()[1] > 15_000_000
    caption = figure.legends[0].get_title().get_text().replace("\n", " ")
    assert "no size of their pre-training is printed: VQA-MIX, MLPs-Base" in caption
    assert "MUMC (nearly 400,000)" in caption
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    names = {text.get_text(): text.get_window_extent(renderer) for text in axes.texts}
    assert set(names) >= {"CMDPI (114,000)", "MEVF (over 10,000)", "BiomedCLIP (15,000,000)"}
    assert len(names) == 7
    for one, other in combinations(names, 2):
        assert not names[one].overlaps(names[other]), (one, other)
    for x, y in printed:
        mark = axes.transData.transform((x, y))
        assert not any(box.contains(*mark) for box in names.values())


def test_without_a_row_of_ours_the_sizes_are_on_a_logarithmic_axis(tmp_path, saved):
    pretraining_sizes.draw(report(row("full")), of_sizes("vqa_rad", {}), tmp_path)
    (axes,) = saved[0].axes
    assert axes.get_xscale() == "log"
    assert not axes.containers
    assert [text.get_text() for text in axes.get_xticklabels()][:2] == ["10,000", "100,000"]


def test_the_main_table_has_our_rows_with_intervals_the_baselines_and_the_printed_models(tmp_path, saved):
    baselines = {
        "majority": {"overall": {"n": 20, "accuracy": 0.3, "ci95": [0.2, 0.4]}, "open": {"n": 0, "accuracy": None}}
    }
    printed = [
        {"model": "CMDPI", "open": 74.3, "closed": 85.7, "overall": 78.7},
        {"model": "CMI-MTL", "open": None, "closed": None, "overall": 84.8},
    ]
    made = report(row("full", printed={"overall": 78.7}), row("broken", parts={}), baselines=baselines)
    main_table.draw(made, {"printed": printed}, tmp_path)
    overall, open_, closed = saved[0].axes
    names = [text.get_text() for text in overall.get_yticklabels()]
    assert names == ["full", "majority (baseline)", "CMDPI", "CMI-MTL"]
    lines = overall.get_lines()
    means = [(line.get_xdata()[0], line.get_ydata()[0]) for line in lines if line.get_label() == "measured here"]
    assert means == [(pytest.approx(60), 0), (pytest.approx(30), 1)]
    spans = [tuple(line.get_xdata()) for line in lines if line.get_linestyle() == "-"]
    assert spans == [pytest.approx((55, 66)), pytest.approx((20, 40))]
    crosses = [(line.get_xdata()[0], line.get_ydata()[0]) for line in lines if line.get_marker() == "x"]
    assert crosses == [(78.7, 0), (78.7, 2), (84.8, 3)]
    assert [line.get_ydata()[0] for line in open_.get_lines() if line.get_marker() == "x"] == [2]
    assert closed.get_title() == "closed"
    assert "cannot be ranked" in saved[0].legends[0].get_title().get_text()


def test_nothing_is_drawn_where_nothing_is_printed(tmp_path, saved):
    assert main_table.draw(report(row("full")), {"printed": []}, tmp_path) == []
    assert state_map.draw(report(row("full")), {"full": {"silhouette": FIGURE}}, tmp_path) == []
    assert groups.draw(report(row("full")), "organ", {"chest": {"n": 3, "rows": {"full": FIGURE}}}, tmp_path) == []
    assert not saved
    assert not list(tmp_path.iterdir())


def test_the_map_of_states_colours_each_question_type_and_says_how_far_they_are_apart(tmp_path, saved):
    kinds = ["PRES"] * 5 + ["POS"] * 4 + ["SIZE"] * 3 + ["COLOR", "PLANE", "ORGAN", "COUNT", "ABN", "ATTRIB"] * 2
    points = [[float(number), 2.0 * number] for number in range(len(kinds))]
    one = {"seed": 3, "points": points, "question_types": kinds, "silhouette": 0.125, "purity": 0.5, "chance": 0.25}
    other = one | {"points": [[-x, y] for x, y in points], "silhouette": -0.04}
    state_map.draw(report(row("full")), {"full": {"map": one}, "without head mixup": {"map": other}}, tmp_path)
    first, second = saved[0].axes
    assert first.get_title() == "full\nsilhouette +0.125, purity 0.500 (0.250)"
    assert second.get_title().splitlines() == ["without head mixup", "silhouette -0.040, purity 0.500 (0.250)"]
    groups_drawn = {made.get_label(): made for made in first.collections}
    assert groups_drawn["PRES"].get_offsets().tolist() == points[:5]
    assert groups_drawn["POS"].get_offsets().tolist() == points[5:9]
    assert len(groups_drawn) == 8
    rest = groups_drawn["other types"]
    assert sum(len(made.get_offsets()) for made in groups_drawn.values()) == len(kinds)
    assert len(rest.get_offsets()) == 4, "two types of two questions each"
    assert to_hex(rest.get_facecolor()[0][:3]) == GREY
    assert [to_hex(made.get_facecolor()[0][:3]) for made in first.collections][:7] == [c.lower() for c in COLORS]
    assert {m.get_label(): m.get_offsets().tolist()[0][0] for m in second.collections}["POS"] == -5
    assert Counter(text.get_text() for text in saved[0].legends[0].get_texts()) == Counter([*groups_drawn])
    assert "seed 3" in saved[0]._suptitle.get_text()


def test_groups_are_bars_with_the_intervals_of_every_row(tmp_path, saved):
    by_organ = {
        "head": {"n": 12, "images": 6, "rows": {"full": FIGURE, "without": FIGURE | {"mean": 0.4, "ci95": [0.3, 0.5]}}},
        "chest": {"n": 8, "images": 4, "rows": {"full": FIGURE | {"mean": 0.2, "ci95": [0.2, 0.2]}, "without": FIGURE}},
    }
    files = groups.draw(report(row("full"), row("without")), "organ", by_organ, tmp_path)
    assert [file.name for file in files] == ["by_organ.png", "by_organ.svg"]
    (axes,) = saved[0].axes
    full, without = (
        container for container in axes.containers if len(container) and hasattr(container[0], "get_width")
    )
    assert [bar.get_width() for bar in full] == pytest.approx([60, 20])
    assert [bar.get_width() for bar in without] == pytest.approx([40, 60])
    assert all(0 <= bar.get_y() + bar.get_height() / 2 - place + 0.4 <= 0.8 for place, bar in enumerate(full))
    assert full[0].get_y() < without[0].get_y()
    segments = full.errorbar.lines[2][0].get_segments()
    assert [tuple(segment[:, 0]) for segment in segments] == [pytest.approx((55, 66)), pytest.approx((20, 20))]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["head\n12 questions", "chest\n8 questions"]
    top, bottom = axes.get_ylim()
    assert top > bottom, "the first group is the uppermost"


def test_every_part_of_a_report_gets_its_figure_and_says_what_it_shows(tmp_path, saved):
    by = {"organ": {name: {"n": 3, "images": 1, "rows": {"full": FIGURE}} for name in ("head", "chest")}}
    extra = [
        {"name": "sizes", "figures": of_sizes("vqa_rad", {})},
        {"name": "curve", "figures": {}},
        {"name": "literature", "figures": {"printed": []}},
    ]
    drawn = figures.draw(report(row("full"), by=by, extra=extra), tmp_path)
    assert drawn == {"rows": "chart.png", "organ": "by_organ.png", "sizes": "pretraining_sizes.png"}
    assert all((tmp_path / name).with_suffix(kind).is_file() for name in drawn.values() for kind in (".png", ".svg"))
    assert figures.shown("sizes", drawn)[0].endswith("(pretraining_sizes.png)")
    assert figures.shown("curve", drawn) == []
    assert set(figures.OF_SECTIONS) <= set(figures.WORDS)
