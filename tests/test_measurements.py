"""Measurements and baselines are found by their files, and a page says one thing about each of them."""

import sys

import pytest
from _reported import made_run, rows_of, write_json

from discern_vqa import baselines, measurements, registry
from discern_vqa.measurements.baselines import Sees, sees
from discern_vqa.report.page import write_report
from discern_vqa.report.read import read_run
from discern_vqa.report.terminal import as_table
from discern_vqa.report.view import view
from discern_vqa.scoring import metrics

NAMES = (
    "baselines controls reliance mirror modes vocabulary unread imitates confidence calibration out_of_distribution "
    "protocols"
)

MEASUREMENT = """
from discern_vqa.scoring.page_tables import Table

ORDER = 45


def measure(context):
    return {"words": {"mean": sum(len(row.prediction.split()) for row in context.rows) / len(context.rows)}}


def lines(scores):
    return [f"answers have {scores['words']['mean']:.1f} words"] if scores.get("words") else []


def tables(scores):
    return [Table("words", "Words of an answer", ["", "mean"], [["answers", scores["words"]["mean"]]])]
"""
BASELINE = """
SEES = "the length of the question"
SEES_PIXELS = False
RANK = 2
"""


@pytest.fixture
def found_too(tmp_path, monkeypatch):
    """found_too(room, name, text) puts a module next to those of a room."""

    def put(room, name, text):
        folder = tmp_path / room.__name__
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
        monkeypatch.setattr(room, "__path__", [*room.__path__, str(folder)])
        monkeypatch.delitem(sys.modules, f"{room.__name__}.{name}", raising=False)

    return put


def scores_of(**more):
    return {"split": "test"} | metrics.score(rows_of(set(range(30)))) | more


def test_measurements_stand_in_their_order():
    names = [one.__name__.rpartition(".")[2] for one in measurements.every()]
    assert [name for name in names if name in NAMES.split()] == NAMES.split()  # others may stand between them


def test_a_new_measurement_is_one_file(found_too, tmp_path):
    found_too(measurements, "words_of_an_answer", MEASUREMENT)
    names = [one.__name__.rpartition(".")[2] for one in measurements.every()]
    place = names.index("words_of_an_answer")
    assert names.index("mirror") < place < names.index("modes")
    module = measurements.every()[place]
    rows = rows_of(set(range(30)))
    scores = scores_of(**module.measure(type("Context", (), {"rows": rows})))
    assert scores["words"] == {"mean": 1.0}
    assert "answers have 1.0 words" in as_table(scores).splitlines()
    run = made_run(tmp_path / "run")
    write_json(run / "scores.test.json", scores)
    page = write_report(run, tmp_path / "report")
    assert "Words of an answer" in page.read_text(encoding="utf-8")
    assert (tmp_path / "report" / "tables" / "words.csv").is_file()


def test_a_new_baseline_says_itself_what_it_sees(found_too):
    found_too(baselines, "length", BASELINE)
    assert sees("length") == Sees(
        what="the length of the question", pixels=False, rank=2, subject="a model that sees no pixels"
    )
    figures = metrics.brief(rows_of(set(range(10))), "m3ae")
    older = {name: figures for name in ("majority", "length", "thumbnail", "mine", "image_identity", "prior_alone")}
    titles = {group.title: list(group.members) for group in measurements.groups(scores_of(baselines=older))}
    assert titles == {
        "baselines that see no pixels": ["image_identity", "length", "majority"],
        "baselines that see pixels": ["prior_alone", "thumbnail"],
        "baselines of the user's own": ["mine"],
    }


def test_what_a_baseline_sees_is_read_from_the_scores_where_it_has_no_file_here():
    seen = {"what": "the patient's age", "pixels": False, "rank": 1, "subject": "a model that sees the age"}
    figures = metrics.brief(rows_of(set(range(35))), "m3ae") | {"sees": seen}
    scores = scores_of(baselines={"age": figures})
    assert measurements.groups(scores)[0].sees == {"age": "the patient's age"}
    assert measurements.warnings(scores)[0].startswith(
        "the model is not shown to be better than a model that sees the age: age reaches 87.5 ["
    )


@pytest.mark.parametrize("name", registry.names("baselines"))
def test_every_baseline_says_what_it_sees(name):
    seen = sees(name)
    assert seen.what
    assert seen.pixels == (name in ("kernel_ridge", "plain_transformer", "retrieval", "thumbnail"))
    assert 0 < seen.rank < 10


def test_the_paired_test_decides_what_is_said_of_the_image():
    """An unpaired interval said that the image hardly matters where the paired one said that it does."""
    gap = {"n": 40, "points": 0.11, "against": "blank_image", "ci95": [0.01, 0.2], "share": None}
    scores = scores_of(controls={"blank_image": {"overall": {"accuracy": 0.7}}}, reliance={"overall": gap})
    assert measurements.warnings(scores) == []
    scores["reliance"]["overall"] = gap | {"ci95": [-0.01, 0.2]}
    assert [text[:38] for text in measurements.warnings(scores)] == ["the right image is not shown to matter"]
    scores["reliance"]["overall"] = gap | {"ci95": None}  # too few images for a paired interval
    assert measurements.warnings(scores)[0].startswith("the image hardly matters to this model: blank_image")


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("better", None),
        ("worse", "a model that sees no pixels does better: lookup reaches 87.5, the model 75.0 (p = 0.14)"),
        (
            "not distinguishable",
            "the model is not shown to be better than a model that sees no pixels: lookup reaches 87.5, the model 75.0"
            " (p = 0.14)",
        ),
    ],
)
def test_the_paired_test_decides_what_is_said_of_a_baseline(verdict, said):
    test = {"verdict": verdict, "p": 0.14, "tests": 1, "points": -0.125, "ci95": [-0.2, 0.04]}
    rows = {"lookup": metrics.brief(rows_of(set(range(35))), "m3ae")}
    scores = scores_of(baselines=rows, paired={"lookup": test})
    assert measurements.warnings(scores) == ([said] if said else [])
    if verdict == "not distinguishable":
        assert measurements.sentences(scores)[0].endswith("[-20.0, +4.0]: not distinguishable (p = 0.14).")


def test_an_older_run_is_shown_with_its_baselines_in_their_groups(tmp_path):
    run = made_run(tmp_path / "run")
    assert "sees" not in (run / "scores.test.json").read_text(encoding="utf-8")
    shown = view(read_run(run))
    sections = {row["name"]: (row["section"], row["sees"]) for row in shown["rows"]}
    assert sections["image_identity"] == (
        "Baselines that see no pixels",
        "the question and which image it is, no pixels",
    )
    assert sections["ours_too"] == ("Baselines of the user's own", "")
