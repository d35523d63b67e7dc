"""The chart of an experiment draws what is in its report: means, intervals, seeds, printed figures."""

from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure
from PIL import Image

from discern_vqa.experiments import chart

FIGURE = {"mean": 0.6, "sd": 0.1, "values": [0.5, 0.7], "ci95": [0.55, 0.66]}


def row(name, at=None, printed=None, changes=None, **figures):
    return {"name": name, "at": at, "printed": printed, "changes": changes or {}, "figures": figures}


def report(*rows):
    return {"title": "Mechanisms", "source": "CMDPI Fig. 8", "recipe": "cmdpi/ablation", "split": "test", "n": 20,
            "seeds": [0, 1], "note": "", "rows": list(rows)}  # fmt: skip


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *given, **more: figures.append(self) or save(self, *given, **more)
    )
    return figures


def lines_of(axes, label):
    return [line for line in axes.get_lines() if str(line.get_label()).strip("_") == label]


def test_rows_are_drawn_with_mean_interval_seeds_and_the_printed_figure(tmp_path, drawn):
    other = FIGURE | {"mean": 0.4, "values": [0.4, 0.4], "ci95": [0.3, 0.5]}
    made = report(
        row("full", printed={"open": 50.0, "overall": 61.5}, overall=FIGURE, open=FIGURE), row("without", overall=other)
    )
    assert [file.name for file in chart.draw(made, tmp_path)] == ["chart.png", "chart.svg"]
    overall, open_ = drawn[0].axes
    assert (overall.get_title(), open_.get_title()) == ("overall", "open")
    assert [text.get_text() for text in overall.get_yticklabels()] == ["full", "without"]
    means = [(line.get_xdata()[0], line.get_ydata()[0]) for line in lines_of(overall, "measured here")]
    assert means == [(pytest.approx(60), 0), (pytest.approx(40), 1)]
    spans = [list(line.get_xdata()) for line in overall.get_lines() if line.get_linestyle() == "-"]
    assert spans == [pytest.approx([55, 66]), pytest.approx([30, 50])]
    seeds = [list(line.get_xdata()) for line in lines_of(overall, "one seed")]
    assert seeds == [pytest.approx([50, 70]), pytest.approx([40, 40])]
    assert [line.get_xdata()[0] for line in lines_of(overall, "printed in the paper")] == [61.5]
    assert [line.get_xdata()[0] for line in lines_of(open_, "printed in the paper")] == [50.0]
    assert len(lines_of(open_, "measured here")) == 1, "a row without that part has no mark there"
    top, bottom = overall.get_ylim()
    assert top > bottom, "the first row is the uppermost"


def test_rows_with_a_place_are_a_curve_for_each_way_of_beginning(tmp_path, drawn):
    small, whole = FIGURE | {"mean": 0.3, "ci95": [0.2, 0.35]}, FIGURE
    none = {"before": "none"}
    made = report(
        row("full", at=1.0, printed={"overall": 78.7}, overall=whole),
        row("10 %", at=0.1, overall=small),
        row("10 %, without pre-training", at=0.1, changes=none, overall=small),
        row("100 %, without pre-training", at=1.0, changes=none, overall=whole),
    )
    chart.draw(made, tmp_path)
    (axes,) = drawn[0].axes
    with_, without = axes.containers
    assert [container.get_label() for container in (with_, without)] == ["with pre-training", "without pre-training"]
    for container in (with_, without):
        line = container.lines[0]
        assert list(line.get_xdata()) == pytest.approx([10, 100], abs=1), "in the order of the places"
        assert list(line.get_ydata()) == pytest.approx([30, 60])
        (bars,) = container.lines[2]
        ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
        assert ends == [pytest.approx([20, 35]), pytest.approx([55, 66])]
    assert [line.get_ydata()[0] for line in lines_of(axes, "printed in the paper")] == [78.7]


def test_rows_of_several_methods_are_lines_over_the_number_of_images(tmp_path, drawn):
    small, whole = FIGURE | {"mean": 0.3, "ci95": [0.2, 0.35]}, FIGURE
    rows = [
        row("ridge, 10 %", at=0.1, overall=small) | {"line": "ridge", "images": 45.0},
        row("ridge, 100 %", at=1.0, overall=whole) | {"line": "ridge", "images": 450.0},
        row("CMDPI, 100 %", at=1.0, printed={"overall": 78.7}, overall=small) | {"line": "CMDPI", "images": 450.0},
    ]
    chart.draw(report(*rows) | {"axis": "pre-training", "note": "A share is part of every larger one."}, tmp_path)
    (axes,) = drawn[0].axes
    ridge, cmdpi = axes.containers
    assert [ridge.get_label(), cmdpi.get_label()] == ["ridge", "CMDPI"]
    assert (axes.get_xscale(), axes.get_xlabel()) == ("log", "images of pre-training")
    assert list(ridge.lines[0].get_xdata()) == pytest.approx([45, 450], rel=0.03)
    assert list(ridge.lines[0].get_ydata()) == pytest.approx([30, 60])
    assert list(cmdpi.lines[0].get_ydata()) == pytest.approx([30])
    (printed,) = lines_of(axes, "printed in the paper")
    assert (list(printed.get_ydata()), printed.get_linestyle()) == ([78.7, 78.7], "--")
    assert drawn[0].legends[0].get_title().get_text() == "A share is part of every larger one."
    chart.draw(report(rows[0], rows[1] | {"images": None}), tmp_path)
    (axes,) = drawn[-1].axes
    assert (axes.get_xscale(), axes.get_xlabel()) == ("linear", "share of the images")
    assert list(axes.containers[0].lines[0].get_xdata()) == pytest.approx([10, 100])


def test_the_files_are_images_of_one_content_and_the_same_again(tmp_path):
    made = report(row("full", overall=FIGURE), row("without", overall=FIGURE))
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        chart.draw(made, tmp_path / folder)
    with Image.open(tmp_path / "a" / "chart.png") as image:
        assert image.size[0] > 500
    for kind in ("png", "svg"):
        assert (tmp_path / "a" / f"chart.{kind}").read_bytes() == (tmp_path / "b" / f"chart.{kind}").read_bytes()
    assert ElementTree.parse(tmp_path / "a" / "chart.svg").getroot().tag.endswith("svg")
    assert "without" in (tmp_path / "a" / "chart.svg").read_text(encoding="utf-8")


def test_nothing_is_drawn_of_nothing(tmp_path):
    broken = row("full") | {"figures": {}}
    assert chart.draw(report(broken), tmp_path) == []
    assert not list(tmp_path.iterdir())
