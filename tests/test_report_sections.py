"""The report's sections one by one: confidence, confusions, the map, origin, and what must not be in a page."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from _reported import N, made_run, rows_of, write_json

from discern_vqa.errors import RunError
from discern_vqa.report.clean import without_paths
from discern_vqa.report.confusion import confusions
from discern_vqa.report.feature_map import feature_map, silhouette
from discern_vqa.report.page import write_report
from discern_vqa.report.provenance import beside_literature, facts
from discern_vqa.report.read import read_run
from discern_vqa.report.trust import trust
from discern_vqa.report.view import view
from discern_vqa.scoring import kept_states, metrics, predictions
from discern_vqa.scoring.page_tables import said
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.trust.calibration import Calibration
from discern_vqa.trust.confidence import SHARPEST


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """See _reported."""
    return made_run(tmp_path / "run")


def test_an_uncalibrated_run_says_so_and_shows_its_scores_as_they_are(run: Path) -> None:
    found = trust(read_run(run), "r1")
    assert "not calibrated" in found.missing
    surer = "As given, the model is 69.5 % sure and 75.0 % right: 5.5 percentage points too modest"
    assert found.sentences[0].startswith(surer)
    assert [drawing["title"] for drawing in found.drawings] == ["Reliability", "If it answers only what it is sure of"]
    assert list(found.tables[0].columns) == ["", "as given"]
    assert len(found.tables) == 1


def test_a_calibrated_run_shows_stated_and_measured_coverage(run: Path) -> None:
    held = [
        Prediction(**{**row.__dict__, "id": f"v{row.id}", "image": f"v{row.image}"}) for row in rows_of(set(range(28)))
    ]
    held += [Prediction(**{**row.__dict__, "id": f"w{row.id}"}) for row in held]
    Calibration.fit(held, about={"what": "validation"}).write(run / "calibration.json")
    opened = read_run(run)
    found = trust(opened, "r1")
    assert found.missing == ""
    assert list(found.tables[0].columns) == ["", "as given", "calibrated"]
    sets = found.tables[1]
    assert sets.name == "answer_sets"
    assert {row[1] for row in sets.rows} >= {"90", "50"}
    assert opened.calibration is not None
    measured = opened.calibration.measure(opened.rows)
    overall = next(row for row in sets.rows if row[0] == "all questions" and row[1] == "90")
    assert overall[2].value == pytest.approx(100 * measured["sets"]["all"]["accuracy"])  # type: ignore[union-attr]
    for temperature, at_bound in ((SHARPEST, True), (1.5, False)):
        other = replace(opened, calibration=replace(opened.calibration, temperature=temperature))
        assert ("stopped at its bound" in trust(other, "r1").sentences[0]) is at_bound
    shutil.copy(run / "predictions.test.jsonl", run / "predictions.validation.jsonl")
    shutil.copy(run / "scores.test.json", run / "scores.validation.json")
    own = trust(read_run(run, "validation"), "r1")
    assert "these very questions" in own.missing
    assert len(own.tables) == 1


def test_confusions_count_every_question_of_their_rows(run: Path) -> None:
    opened = read_run(run)
    closed, opened_ = confusions(opened)
    assert (closed.title, closed.asked, closed.covered, closed.kinds) == ("Closed questions", 30, 30, 2)
    assert closed.answers == ["no", "yes"]
    assert closed.counts == [[10, 0, 5], [0, 10, 5]]
    assert closed.shares[0] == pytest.approx([2 / 3, 0, 1 / 3])
    assert sum(map(sum, opened_.counts)) == 10
    assert closed.table().name == "confusion_closed"


def test_the_map_is_the_same_twice_and_silhouettes_know_structure_from_none(run: Path) -> None:
    opened = read_run(run)
    first, second = feature_map(opened, "r1"), feature_map(opened, "r1")
    assert first is not None
    assert first == second
    assert (first["n"], first["width"], first["perplexity"]) == (N, 6, 9.75)
    assert [drawing["title"] for drawing in first["drawings"]] == ["By question type"], "there is one organ only"
    rng = np.random.default_rng(0)
    labels = ["a", "b"] * 30
    apart = rng.normal(size=(60, 4)) + 20 * np.array([label == "a" for label in labels])[:, None]
    own, dealt = silhouette(apart, labels) or (0.0, 1.0)
    assert own > 0.8
    assert abs(dealt) < 0.1
    assert silhouette(apart, ["a"] * 60) is None


def test_kept_states_come_back_and_broken_ones_are_said(run: Path) -> None:
    path = run / "features.test.safetensors"
    states = np.linspace(-3, 3, 24, dtype=np.float32).reshape(4, 6)
    kept_states.write(path, ["a", "b", "c", "d"], states)
    kept = kept_states.read(path)
    assert kept.ids == ["a", "b", "c", "d"]
    assert np.abs(kept.states - states).max() < 2e-3
    kept_states.write(path, ["a"], states)
    with pytest.raises(RunError, match="4 rows, and 1 ids"):
        read_run(run)
    path.write_bytes(b"no tensors")
    with pytest.raises(RunError, match=r"features\.test\.safetensors is broken"):
        read_run(run)
    many = kept_states.chosen(range(5 * kept_states.MOST))
    assert len(set(many)) == kept_states.MOST
    assert kept_states.chosen([1, 2]) == [1, 2]


def test_controls_that_were_left_out_and_heat_map_scores_are_shown(run: Path, tmp_path: Path) -> None:
    scores = json.loads((run / "scores.test.json").read_text())
    scores["controls"]["noise_image"] = scores["controls"]["blank_image"]
    scores["controls_left_out"] = {"wrong_organ_image": "there is one organ"}
    scores["baselines"]["thumbnail"] = scores["baselines"]["image_identity"]
    write_json(run / "scores.test.json", scores)
    write_json(
        run / "explanation_scores.test.json", {"rollout": {"pointing_game": 0.5}, "random": {"pointing_game": 0.1}}
    )
    shown = view(read_run(run))
    sections = {row["name"]: row["section"] for row in shown["rows"]}
    assert sections["noise_image"].startswith("Controls")
    assert sections["image_identity"] == "Baselines that see no pixels"
    assert sections["thumbnail"] == "Baselines that see pixels"
    assert sections["ours_too"] == "Baselines of the user's own"
    text = write_report(run, tmp_path / "out").read_text(encoding="utf-8")
    for words in (
        "there is one organ",
        "rollout",
        "pointing game",
    ):
        assert words in text
    written = {path.name for path in (tmp_path / "out" / "tables").iterdir()}
    assert {"results.csv", "results.tex", "explanations.csv", "controls_left_out.tex", "by_organ.csv"} <= written


def test_reliance_is_said_in_points_with_its_interval(run: Path, tmp_path: Path) -> None:
    scores = json.loads((run / "scores.test.json").read_text())
    one = {"n": 40, "images": 40, "accuracy": 0.75, "against": "blank_image", "without": 0.25, "points": 0.5}
    one |= {"ci95": [0.3, 0.7], "share": 2 / 3, "share_ci95": [0.5, 0.8]}
    empty = {"n": 0, "images": 0} | dict.fromkeys(
        ("accuracy", "against", "without", "points", "ci95", "share", "share_ci95")
    )
    scores["reliance"] = {
        "overall": one,
        "open": empty,
        "by": {"organ": {"chest": one}},
        "controls": {"blank_image": one},
    }
    figure = {"n": 9, "correct": 3, "accuracy": 1 / 3, "ci95": [0.1, 0.6]}
    figures = dict.fromkeys(("plain", "mirrored", "both", "followed"), figure)
    scores["mirror"] = {"answer_names_side": {"n": 9, "left_out": 2, "in_table": 9} | figures}
    write_json(run / "scores.test.json", scores)
    opened = read_run(run)
    shown = view(opened)
    assert "The right image adds +50.0 percentage points [+30.0, +70.0]" in " ".join(shown["summary"])
    tables = {table.name: table for table in shown["tables"]}
    assert [row[0] for row in tables["reliance"].rows] == ["overall", "organ: chest"]
    assert said(tables["reliance"].rows[0][5]) == "+50.0 [+30.0, +70.0]"
    assert list(tables["mirror"].columns) == ["", "n", "left out", "in table", "plain", "mirrored", "both", "followed"]
    assert said(tables["mirror"].rows[0][4]) == "33.3 [10.0, 60.0]"
    assert "The mirror test" in write_report(run, tmp_path / "out").read_text(encoding="utf-8")


def test_an_audit_of_another_version_is_said_and_does_not_stop_the_report(run: Path, tmp_path: Path) -> None:
    write_json(run / "audit.json", {"verdict": ["a flaw."], "sides": {"train": {}}, "counts": {"odd": 3}})
    text = write_report(run, tmp_path / "out").read_text(encoding="utf-8")
    assert "A flaw." in text
    assert "figures of another version" in text


def test_bars_are_marked_with_the_baseline_on_the_same_questions(run: Path) -> None:
    opened = read_run(run)
    (group,) = [group for group in view(opened)["by"] if group["key"] == "organ"]
    (bar,) = group["bars"]
    theirs = metrics.score(opened.baselines["image_identity"])["by"]["organ"]["chest"]
    assert bar["beside"] == pytest.approx(100 * theirs["accuracy"])


def test_literature_stands_beside_the_usual_split_alone_and_with_its_caveat(run: Path, tmp_path: Path) -> None:
    assert beside_literature(read_run(run)) is None, "nothing is printed on phantoms"
    config = json.loads((run / "config.json").read_text())
    config["data"]["dataset"] = "vqa_rad"
    write_json(run / "config.json", config)
    table = beside_literature(read_run(run))
    assert table is not None
    names = [str(row[0]) for row in table.rows]
    assert names[0] == "this run (lung <run>)"
    assert names[1].startswith("no pixels: ")
    assert {"CMDPI", "M3AE"} <= set(names)
    assert "cannot be ranked" in write_report(run, tmp_path / "out").read_text(encoding="utf-8")
    scores = json.loads((run / "scores.test.json").read_text())
    write_json(run / "scores.test.json", scores | {"protocol": "image_disjoint fold 0"})
    assert beside_literature(read_run(run)) is None


def test_origin_says_machine_class_seed_and_time(run: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    config |= {"run": {"seed": 7, "epochs": 3}}
    config["environment"] |= {"system": "Linux", "machine": "x86_64", "threads": 1, "python": "3.11"}
    write_json(run / "config.json", config)
    lines = [{"step": step, "split": "train", "loss": 1.0, "seconds": 2.0} for step in (50, 100)]
    (run / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    told = dict(facts(read_run(run)))
    assert told["seed"] == "7"
    assert told["machine"] == "Linux, x86_64, 1 thread"
    assert "this training about 3 min" in told["time"]
    assert told["packages"] == "torch 2.13"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('root = "/home/Anna Beispiel/data/x"', 'root = ".../x"'),
        ("/home/anna/runs/one learned from every question", ".../one learned from every question"),
        ("discern calibrate /tmp/a/run --on O.jsonl", "discern calibrate .../run --on O.jsonl"),
        ("~/data/rad", ".../rad"),
        (r"C:\Users\anna\rad", ".../rad"),
        ("left/right, and/or, 1/2, w/ contrast / mri", "left/right, and/or, 1/2, w/ contrast / mri"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("images/synpic1.jpg (trainset.json:item 3)", "images/synpic1.jpg (trainset.json:item 3)"),
    ],
)
def test_of_a_path_the_last_part_is_left(text: str, left: str) -> None:
    assert without_paths(text) == left
    assert without_paths({"a": [text]}) == {"a": [left]}


def test_nothing_of_the_machine_or_the_image_files_is_in_any_file_of_the_report(run: Path, tmp_path: Path) -> None:
    scores = json.loads((run / "scores.test.json").read_text())
    scores["calibration"] = {"missing": f"{run} held none out", "hint": f"discern calibrate {run}"}
    write_json(run / "scores.test.json", scores)
    (run / "recipe.toml").write_text(f'[data]\nroot = "{tmp_path}/secret-place/data"\n', encoding="utf-8")
    write_report(run, tmp_path / "out")
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert "secret-place" not in text, path
        assert str(tmp_path) not in text, path
        assert str(Path.home()) not in text, path
        assert not re.search(r"(img|mask)/\d+\.png", text), "an image's file name may be a patient's"


def test_multiple_choice_is_confused_by_text_and_by_letter(tmp_path: Path) -> None:
    offered = [("CT", "MR", "PET"), ("MR", "CT"), ("CT", "MR"), ("CT", "MR"), ()]
    given = [("CT", "CT"), ("CT", "MR"), ("MR", "CT"), ("MR", "X-ray"), ("PET", "CT")]  # true, given
    rows = [
        Prediction(id=str(i), image=f"{i}", gold=true, answer_type="choice", prediction=answer, options=options)
        for i, (options, (true, answer)) in enumerate(zip(offered, given, strict=True))
    ]
    folder = made_run(tmp_path / "run")
    predictions.write(folder / "predictions.test.jsonl", rows)
    write_json(folder / "scores.test.json", {"split": "test"} | metrics.score(rows))
    texts, letters = confusions(read_run(folder))
    assert (texts.title, texts.asked, texts.covered) == ("Multiple-choice questions", 5, 5)
    assert (texts.answers, texts.counts[0]) == (["CT", "MR", "PET"], [1, 1, 0, 0])
    # True A, given A; true B ("CT" of MR, CT), given A; true B, given A; true B, given what is not offered.
    assert (letters.answers, letters.counts) == (["A", "B"], [[1, 0, 0], [2, 0, 1]])
    assert (letters.asked, letters.covered, letters.table().name) == (5, 4, "confusion_letters")
