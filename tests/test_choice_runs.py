"""Sets that are only asked (no training part, multiple choice, linked re-phrasings), by somebody else's model."""

import json
from pathlib import Path
from typing import Any

import pytest

from discern_vqa.datasets import omnimedvqa, romed
from discern_vqa.evaluation.evaluate_outside import evaluate_outside
from discern_vqa.evaluation.opening import open_run
from discern_vqa.report.page import write_report

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "outside" / "function.toml"
FUNCTIONS = """
def second(batch):
    assert all("\\nA. " in question and "\\nB. " in question for _, question in batch)
    return ["B." for _ in batch]

def words(batch):
    return ["the lung" if "W" in question else "yes" if "mass" in question else "no" for _, question in batch]
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "choice_answering.py").write_text(FUNCTIONS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def ask(name: str, function: str) -> dict[str, Any]:
        changes = [f"data.dataset={name}", f"model.function=choice_answering:{function}"]
        return evaluate_outside(tmp_path / "run", RECIPE, overrides=changes, data=tmp_path / "set")

    return ask


def test_a_set_that_is_only_asked_is_scored_by_option_and_shown_by_letter(asked: Any, tmp_path: Path) -> None:
    omnimedvqa.write_tiny(tmp_path / "set")
    scores = asked("omnimedvqa", "second")
    assert (scores["choice"]["correct"], scores["choice"]["n"]) == (4, 6), "four of six true options are the second"
    assert scores["overall"]["correct"] == 4
    assert scores["open"]["n"] == scores["closed"]["n"] == 0
    assert scores["baselines_left_out"] == "the data have no training part from which they could learn"
    assert open_run(tmp_path / "run").run.vocabulary.answers == ()
    page = write_report(tmp_path / "run", tmp_path / "out").read_text(encoding="utf-8")
    for text in (
        "Multiple-choice questions, by letter",
        "6 multiple-choice",
        "66.7 % of the multiple-choice questions",
    ):
        assert text in page
    audited = json.loads((tmp_path / "run" / "audit.json").read_text())
    assert audited["counts"]["test"]["choice"] == 6


def test_linked_wordings_are_compared_whoever_answers(asked: Any, tmp_path: Path) -> None:
    romed.write_tiny(tmp_path / "set")
    found = asked("romed", "words")["rephrased"]
    counts = {key: (found[key]["correct"], found[key]["n"]) for key in ("same", "always", "ever")}
    assert counts == {"same": (1, 2), "always": (1, 2), "ever": (2, 2)}, "a lump is not taken for a mass"
    changed = {level: (one["correct"], one["n"]) for level, one in found["changed"].items()}
    assert changed == {"word": (1, 2), "sentence": (0, 1), "semantic": (0, 1)}
    page = write_report(tmp_path / "run", tmp_path / "out").read_text(encoding="utf-8")
    assert "The same question in other words" in page
