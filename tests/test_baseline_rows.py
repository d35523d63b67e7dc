"""The baselines beside a run: they learn from no question that is judged, and their kept answers belong to these very
questions."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from discern_vqa.baselines import lookup
from discern_vqa.data.sample import Sample
from discern_vqa.datasets import phantom
from discern_vqa.evaluation import baseline_rows
from discern_vqa.evaluation.evaluate import evaluate
from discern_vqa.report.terminal import as_table
from discern_vqa.run import WEIGHTS, Run, save_weights
from discern_vqa.scoring import predictions


def configured(folder: Path, **data: object) -> Path:
    """The run, with `lookup` as its baseline and these keys of [data] changed."""
    config = json.loads((folder / "config.json").read_text())
    config["data"] |= data
    config["run"]["baselines"] = ["lookup"]
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    left_out = shutil.ignore_patterns("*.test.*", "*.validation.*", "baselines", "ood.*", "calibration.json")
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


def test_an_answer_of_the_test_split_may_be_corrected_between_two_evaluations(
    run: Path, tmp_path: Path, learned: list[list[Sample]]
) -> None:
    root = Path(shutil.copytree(Run.open(run).root, tmp_path / "set"))
    evaluate(run, data=root)
    lines = [json.loads(line) for line in (root / "samples.jsonl").read_text().splitlines()]
    line = next(one for one in lines if one["split"] == "test" and one.get("question"))
    line |= {"answer": "zebra", "answer_type": "open"}
    (root / "samples.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    kept = run / "baselines" / "lookup.test.jsonl"
    evaluate(run, data=root, baselines=False)
    assert not kept.exists(), "it is of other true answers, and the report would stop at it"
    assert evaluate(run, data=root)["baselines"]["lookup"]["overall"]["n"] > 0
    evaluate(run, data=root, baselines=False)
    for file in (run / "predictions.test.jsonl", kept):
        (row,) = [row for row in predictions.read(file) if row.id == line["id"]]
        assert (row.gold, row.answer_type) == ("zebra", "open")
    assert len(learned) == 2


def rows(run: Run, samples: list[Sample], name: str = "lookup") -> list[predictions.Prediction]:
    train = [one for one in phantom.read(run.root, "train") if not one.is_caption]
    return baseline_rows.row(name, train, samples, "test", run, run.load_model())


def test_kept_answers_belong_to_these_very_questions_this_vocabulary_and_this_seed(
    run: Path, learned: list[list[Sample]]
) -> None:
    opened = Run.open(run)
    first, *others = [one for one in phantom.read(opened.root, "test") if not one.is_caption]
    kept = rows(opened, [first, *others])
    assert rows(opened, [replace(first, path=Path("moved.png")), *others]) == kept
    assert len(learned) == 1, "nothing has changed but the place"
    changes: list[dict[str, Any]] = [
        {"answer": "zebra"}, {"answer_type": ""}, {"question": "What else?"}, {"image": others[-1].image},
        {"extra": {"accepted": ["a zebra"]}},
    ]  # fmt: skip
    for change in changes:
        found = rows(opened, [replace(first, **change), *others])
        assert found[0] != kept[0]
        assert [row.id for row in found] == [row.id for row in kept]
    assert len(learned) == 1 + len(changes)
    table, seed = opened.vocabulary, opened.recipe.run.model_copy(update={"seed": 1})
    rows(replace(opened, vocabulary=replace(table, answers=table.answers[::-1], kinds=table.kinds[::-1])), others)
    rows(opened, others)
    rows(replace(opened, recipe=opened.recipe.model_copy(update={"run": seed})), others)
    assert len(learned) == 1 + len(changes) + 3


def test_a_baseline_that_sees_answers_anew_where_an_image_was_replaced(run: Path, tmp_path: Path) -> None:
    opened = Run.open(run)
    root = Path(shutil.copytree(opened.root, tmp_path / "set"))
    samples = [one for one in phantom.read(root, "test") if not one.is_caption]
    mark = run / "baselines" / "thumbnail.test.learned"
    rows(opened, samples, "thumbnail")
    before = mark.read_text()
    Image.new("L", (64, 64), 200).save(samples[0].path)
    rows(opened, samples, "thumbnail")
    assert mark.read_text() != before


def test_a_baseline_that_learns_from_features_answers_anew_where_the_weights_are_others(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted, real = [], lookup.answer

    def answer(*given: Any, batcher: object, learn: object, **more: Any) -> object:
        fitted.append(batcher)
        return real(*given, **more)

    monkeypatch.setattr(lookup, "answer", answer)
    monkeypatch.setattr(lookup, "NEEDS_STATES", True, raising=False)
    opened = Run.open(run)
    samples = [one for one in phantom.read(opened.root, "test") if not one.is_caption]
    for _ in range(2):
        rows(opened, samples)
    assert len(fitted) == 1
    weights = opened.load_model()
    with torch.no_grad():
        next(weights.image.parameters()).add_(1)
    save_weights(weights, run / WEIGHTS)
    rows(opened, samples)
    assert len(fitted) == 2
