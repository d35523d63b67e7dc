"""A run that is judged on several splits: each split's audit is its own, and the card publishes test's figures."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from _reported import made_run, rows_of, write_json
from huggingface_hub import ModelCard

from discern_vqa.card import CARD
from discern_vqa.evaluation.evaluate import evaluate
from discern_vqa.report.card import write_judged_card
from discern_vqa.report.read import audit_file, read_run
from discern_vqa.report.terminal import as_table
from discern_vqa.scoring import metrics


def judged_too(run: Path, split: str, accuracy: float) -> None:
    """The run's files of test once more as those of another split, with another accuracy."""
    scores = json.loads((run / "scores.test.json").read_text()) | {"split": split}
    part = {"n": 40, "correct": round(40 * accuracy), "accuracy": accuracy, "ci95": [0.0, 1.0]}
    empty = {"n": 0, "correct": 0, "accuracy": None, "ci95": None}
    write_json(run / f"scores.{split}.json", scores | {"overall": part, "open": part, "closed": empty})
    shutil.copy(run / "predictions.test.jsonl", run / f"predictions.{split}.jsonl")


def published(run: Path) -> dict[str, float]:
    """split -> accuracy, as the hub reads it."""
    results = ModelCard((run / CARD).read_text(encoding="utf-8")).data.eval_results or []
    return {one.dataset_split: one.metric_value for one in results if one.metric_name == "accuracy"}


def test_each_split_has_the_audit_of_its_own_questions(tmp_path):
    run = made_run(tmp_path / "run")
    judged_too(run, "validation", 0.5)
    assert read_run(run, "validation").audit["verdict"] == ["every test image is a <training> image."], "an older run"
    write_json(audit_file(run, "validation"), {"verdict": ["of validation."]})
    assert audit_file(run, "validation").name == "audit.validation.json"
    assert read_run(run, "validation").audit["verdict"] == ["of validation."]
    assert read_run(run).audit["verdict"] == ["every test image is a <training> image."]


def test_the_card_publishes_test_else_validation_and_never_train(tmp_path):
    run = made_run(tmp_path / "run")
    for split, accuracy in (("validation", 0.5), ("train", 1.0)):
        judged_too(run, split, accuracy)
        assert write_judged_card(run, split)
        assert published(run) == {"test": 0.75}
    (run / "scores.test.json").unlink()
    write_judged_card(run, "train")
    assert published(run) == {"validation": 0.5}
    (run / "predictions.validation.jsonl").unlink()  # nothing to be shown of it any more
    write_judged_card(run, "train")
    assert published(run) == {}
    assert "It was not evaluated yet" in (run / CARD).read_text(encoding="utf-8")
    judged_too_late = made_run(tmp_path / "other")
    (judged_too_late / "scores.test.json").rename(judged_too_late / "scores.extra.json")
    (judged_too_late / "predictions.test.jsonl").rename(judged_too_late / "predictions.extra.jsonl")
    write_judged_card(judged_too_late, "extra")
    assert published(judged_too_late) == {"extra": 0.75}


def test_judging_another_split_leaves_what_was_said_of_test(tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run", ignore=shutil.ignore_patterns("audit*", "README.md"))
    evaluate(run, baselines=False)
    audit, figures = (run / "audit.json").read_bytes(), published(run)
    evaluate(run, split="train", baselines=False)
    assert (run / "audit.json").read_bytes() == audit
    assert (run / "audit.train.json").is_file()
    assert published(run) == figures


def test_rows_of_sets_without_answer_types_keep_their_figures():
    rows = [replace(row, answer_type="") for row in rows_of(set(range(30)))]
    brief = metrics.brief(rows, "m3ae")
    assert (brief["unknown"]["n"], brief["unknown"]["accuracy"]) == (40, 0.75)
    table = as_table({"split": "test"} | metrics.score(rows) | {"baselines": {"majority": brief}})
    line = next(line for line in table.splitlines() if "majority" in line)
    assert line.count("75.0") == 2, "overall and twins: a column unknown would say nothing else than overall"
