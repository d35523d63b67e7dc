"""The report of several runs: tests with correction, words, questions on which they disagree."""

import json
from pathlib import Path

import pytest
from _reported import N, made_run, write_json

from discern_vqa.report.cases import disagreements
from discern_vqa.report.compare import comparison, unique_names
from discern_vqa.report.page import write_reports
from discern_vqa.report.read import read_run
from discern_vqa.scoring import metrics, predictions


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Three of the same questions: the first has 30 right, the second 28 others and mostly the same, the third 4."""
    return [
        made_run(tmp_path / "a" / "run"),
        made_run(tmp_path / "b" / "run", range(2, 32)),
        made_run(tmp_path / "c" / "run", range(4)),
    ]


def test_verdicts_are_said_in_words_and_corrected(runs: list[Path]) -> None:
    read = [read_run(run) for run in runs]
    names = unique_names(read)
    assert names == ["lung <run> (1)", "lung <run> (2)", "lung <run> (3)"]
    found = comparison(read, names)
    words = " ".join(found["words"])
    assert f"overall: {names[1]} and {names[0]} are not distinguishable: +0.0 percentage points" in words
    assert f"overall: {names[2]} is worse than {names[0]}: -65.0 percentage points" in words
    assert "after correction for 6 tests" in words
    models, tests, *by = found["tables"]
    assert [row[0] for row in models.rows] == names
    assert tests.columns[-1] == "verdict"
    assert {row[-1] for row in tests.rows if row[0] == names[2] and row[1] == "overall"} == {"worse"}
    assert {table.name for table in by} == {"comparison_by_organ", "comparison_by_question_type"}


def test_disagreements_are_questions_that_just_one_has_right(runs: list[Path]) -> None:
    read = [read_run(run) for run in runs]
    first, second = disagreements(read, ["a", "b", "c"])
    assert (first.title, second.title) == ("a is right, b is not", "b is right, a is not")
    assert "2 of 40 questions" in first.rule
    for group, winner in ((first, 0), (second, 1)):
        for cards in group.sets:
            assert [card.by for card in cards] == ["a", "b", "c"]
            assert len({card.row.id for card in cards}) == 1
            assert cards[winner].right
            assert not cards[1 - winner].right


def test_the_page_of_several_runs_has_words_tests_and_cards_first(runs: list[Path], tmp_path: Path) -> None:
    page = write_reports(runs, tmp_path / "out").read_text(encoding="utf-8")
    assert "<title>3 runs compared" in page
    assert page.index("not distinguishable") < page.index("Where they disagree</h2>") < page.index('id="r1"')
    assert page.count('id="heat-on"') == 1
    for key in ("r1", "r2", "r3"):
        assert page.count(f'id="{key}"') == 1
    assert "sets-3" in page
    written = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert len(written["runs"]) == 3
    assert [table["name"] for table in written["comparison"]][:2] == ["comparison", "tests"]
    tables = tmp_path / "out" / "tables"
    assert (tables / "tests.tex").is_file()
    assert len([folder for folder in tables.iterdir() if folder.is_dir()]) == 3
    assert "not distinguishable" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_identifiers_occur_once_on_a_page(runs: list[Path], tmp_path: Path) -> None:
    import re

    page = write_reports(runs[:2], tmp_path / "out").read_text(encoding="utf-8")
    found = re.findall(r'\bid="([^"]+)"', page)
    assert len(found) > 50
    assert len(found) == len(set(found))
    used = set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page))
    assert used <= set(found)


def test_a_run_of_other_questions_is_shown_and_not_tested(runs: list[Path], tmp_path: Path) -> None:
    rows = predictions.read(runs[1] / "predictions.test.jsonl")[: N // 2]
    predictions.write(runs[1] / "predictions.test.jsonl", rows)
    write_json(runs[1] / "scores.test.json", {"split": "test"} | metrics.score(rows))
    page = write_reports(runs[:2], tmp_path / "out").read_text(encoding="utf-8")
    assert "answers other questions than lung &lt;run&gt; (1)" in page
    assert "Where they disagree</h2>" not in page
    found = comparison([read_run(run) for run in runs], ["a", "b", "c"])
    assert found["left"] == ["b"]
    assert all(" c " in words for words in found["words"])
