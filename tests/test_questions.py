"""A file of questions: what is read of it, and what is wrong with it is said with file and line."""

import json
from pathlib import Path

import pytest

from discern_vqa.errors import DiscernError
from discern_vqa.evaluation.questions import read_questions


def file_of(folder: Path, *lines: object, name: str = "q.jsonl") -> Path:
    path = folder / name
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def refused(path: Path) -> str:
    """What is said of a file that cannot be read; it is two lines."""
    with pytest.raises(DiscernError) as caught:
        list(read_questions(path))
    assert caught.value.hint
    assert "\n" not in str(caught.value) + caught.value.hint
    return str(caught.value)


ROW = {"image": "a.png", "question": "Why?"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("q.csv", "image,question\na.png,Why?\n,Why?\n", "q.csv:3: 'image' is missing or empty"),
        ("q.csv", "image\na.png\n", "q.csv:2: 'question' is missing or empty"),
        ("q.jsonl", '{"image": "a.png", "question": "Why?"}\n\n{"image": ', "q.jsonl:3: no JSON"),
        ("q.jsonl", "[1]\n", "q.jsonl:1: expected an object, found list"),
        ("q.jsonl", '{"image": "a.png", "question": null}\n', "q.jsonl:1: 'question' is missing or empty"),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(DiscernError) as caught:
        list(read_questions(tmp_path / name))
    assert said in str(caught.value)
    assert caught.value.hint


def test_a_file_that_is_not_there_or_no_text_is_said(tmp_path):
    with pytest.raises(DiscernError, match="there is no file"):
        list(read_questions(tmp_path / "gone.csv"))
    (tmp_path / "latin.csv").write_bytes("image,question\na.png,où?\n".encode("latin-1"))
    with pytest.raises(DiscernError, match="is not UTF-8"):
        list(read_questions(tmp_path / "latin.csv"))


def test_ids_are_kept_as_given_zero_too_and_the_lines_number_stands_in_for_none(tmp_path):
    rows = [ROW | {"id": 0}, ROW | {"id": 1}, "", ROW | {"id": None}, ROW | {"id": ""}, ROW | {"id": "x 7"}, ROW]
    ids = [sample.id for sample, _ in read_questions(file_of(tmp_path, *rows))]
    assert ids == ["0", "1", "4", "5", "x 7", "7"]


@pytest.mark.parametrize("lines", [[ROW | {"id": 7}, ROW | {"id": "7"}], [ROW | {"id": 2}, ROW]])
def test_an_id_that_stands_there_twice_is_refused_with_its_line(tmp_path, lines):
    assert "q.jsonl:2: the id" in refused(file_of(tmp_path, *lines))


@pytest.mark.parametrize("row", [ROW | {"id": [1]}, ROW | {"image": True}, ROW | {"question": {"en": "Why?"}}])
def test_a_value_that_is_no_text_is_refused_with_its_line(tmp_path, row):
    assert "expected text" in refused(file_of(tmp_path, row))
