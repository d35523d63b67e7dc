"""The baselines beside a run: they learn from no question that is judged, and their kept answers belong to these very
questions."""

import json
import shutil
from pathlib import Path

import pytest

from discern_vqa.baselines import lookup
from discern_vqa.data.sample import Sample
from discern_vqa.evaluation import predictions
from discern_vqa.evaluation.evaluate import evaluate
from discern_vqa.evaluation.scoring import as_table


def configured(folder: Path, **data: object) -> Path:
    """The run, with `lookup` as its baseline and these keys of [data] changed."""
    config = json.loads((folder / "config.json").read_text())
    config["data"] |= data
    config["run"]["baselines"] = ["lookup"]
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    left_out = shutil.ignore_patterns("*.test.*", "*.validation.*", "baselines", "scope.*", "calibration.json")
    return configured(Path(shutil.copytree(tiny_run, tmp_path / "run", ignore=left_out)))


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> list[list[Sample]]:
    """What `lookup` learned from, each time that it was fitted."""
    found: list[list[Sample]] = []
    real = lookup.answer

    def answer(train: list[Sample], *given: object, **more: object) -> object:
        found.append(list(train))
        return real(train, *given, **more)

    monkeypatch.setattr(lookup, "answer", answer)
    return found


@pytest.mark.parametrize(("split", "faults"), [("validation", []), ("test", ["D13"]), ("test", ["D7", "D13"])], ids=str)
def test_no_baseline_learns_from_a_question_that_is_judged(
    run: Path, learned: list[list[Sample]], split: str, faults: list[str]
) -> None:
    scores = evaluate(configured(run, imitate=faults), split=split)
    asked = {row.id for row in predictions.read(run / f"predictions.{split}.jsonl")}
    assert len(asked) == scores["baselines"]["lookup"]["overall"]["n"]
    assert not asked & {sample.id for sample in learned[0]}
    assert {sample.split for sample in learned[0]} == {"train"}, "of the questions left over by D7 none either"
    assert scores["baselines"]["lookup"]["overall"]["accuracy"] < scores["vocabulary"]["coverage"]


def test_what_is_not_judged_is_learned_from_validation_included(run: Path, learned: list[list[Sample]]) -> None:
    evaluate(run)
    assert {sample.split for sample in learned[0]} == {"train", "validation"}


def test_where_everything_is_judged_there_are_no_baselines_and_it_is_said(
    run: Path, learned: list[list[Sample]]
) -> None:
    configured(run, validation_from="train")
    stale = run / "baselines" / "lookup.train.jsonl"
    stale.parent.mkdir()
    stale.write_text("of an earlier evaluation")
    said: list[str] = []
    scores = evaluate(run, split="train", say=said.append)
    assert (scores["baselines"], learned) == ({}, [])
    (line,) = [line for line in said if "no baselines" in line]
    assert line == "no baselines: every question that they could learn from is judged here"
    assert line in as_table(scores)
    assert not stale.exists(), "the report shows what lies there"
