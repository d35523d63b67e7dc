"""predictions.jsonl: what is written is read back, and what is wrong is said with file and line."""

import json
import re
from pathlib import Path

import pytest

from discern_vqa.data.answers import Answer
from discern_vqa.data.sample import Sample
from discern_vqa.errors import DataError
from discern_vqa.scoring import predictions
from discern_vqa.scoring.predictions import Prediction

GOOD = {"id": "1", "image": "a.jpg", "gold": "no", "answer_type": "closed", "prediction": "yes"}


def file_of(tmp_path: Path, *lines: object) -> Path:
    path = tmp_path / "predictions.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_what_is_written_is_read_back_whole(tmp_path: Path) -> None:
    rows = [
        Prediction(
            id="1",
            image="imgs/a.png",
            question="Où est la tumeur\u2028?",
            gold="links",
            answer_type="open",
            question_type="POS",
            organ="head",
            prediction="rechts",
            score=0.25,
            alternatives=(("rechts", 0.25), ("links", 0.2)),
            twin="t1",
            phrase_type="para",
            mask="masks/a.png",
        ),
        Prediction(id="2", image="b.png", gold="x", answer_type="", prediction=""),
    ]
    path = tmp_path / "predictions.test.jsonl"
    predictions.write(path, rows)
    assert predictions.read(path) == rows
    assert len(path.read_text(encoding="utf-8").split("\n")) == 3
    assert "twin" not in json.loads(path.read_text().split("\n")[1])


def test_five_keys_are_enough_and_further_keys_are_passed_over(tmp_path: Path) -> None:
    (row,) = predictions.read(file_of(tmp_path, GOOD | {"answer_type": "CLOSED ", "mood": 3}, ""))
    assert row == Prediction(id="1", image="a.jpg", gold="no", answer_type="closed", prediction="yes")
    assert row.score is None


def test_from_answers_carries_all_that_is_known_of_the_sample() -> None:
    sample = Sample(
        id="7",
        split="test",
        image="i.jpg",
        path=Path("i.jpg"),
        question="Which side?",
        answer="Left",
        answer_type="open",
        question_type=("POS", "PRES"),
        organ="chest",
        phrase_type="freeform",
        twin="t",
        mask="m.png",
    )
    (row,) = predictions.from_answers([sample], [Answer("right", 0.5, (("right", 0.5),))])
    assert (row.gold, row.prediction, row.question_type, row.twin) == ("Left", "right", "POS", "t")
    with pytest.raises(ValueError, match="shorter"):
        predictions.from_answers([sample], [])


@pytest.mark.parametrize(
    ("second_line", "said"),
    [
        ({"id": "2", "image": "a.jpg", "answer_type": ""}, r":2: missing gold, prediction"),
        (GOOD | {"id": 2}, r":2: id must be text, found 2"),
        (GOOD | {"id": "2", "gold": None}, r":2: gold must be text, found null"),
        (GOOD | {"id": "2", "image": ""}, r":2: image is empty"),
        (GOOD | {"id": "2", "answer_type": "yesno"}, r":2: answer_type is 'yesno'"),
        (GOOD | {"id": "2", "score": 93}, r":2: score must be a number in \[0, 1\], found 93"),
        (GOOD | {"id": "2", "score": float("nan")}, r":2: score must be"),
        (GOOD | {"id": "2", "alternatives": {"no": 1}}, r":2: alternatives must be a list of \[answer, score\]"),
        (GOOD | {"id": "2", "alternatives": [["no"]]}, r":2: alternatives must be"),
        ("{broken", r":2: broken JSON at column 2"),
        (f'{{"id": {"[" * 100_000}', r":2: the JSON cannot be read: it is nested too deep"),
        (f'{{"id": {"9" * 5_000}}}', r":2: the JSON cannot be read: a number is too long"),
        (GOOD | {"id": "2", "note": "\ud800"}, r":2: a text holds half a character"),
        (GOOD | {"id": "2", "others": 10**400}, r":2: others must be a number of answers, found 1000"),
        (GOOD | {"id": "2", "score": 10**4_000}, r":2: score must be a number in \[0, 1\], found 1000"),
        ("[1]", r":2: expected an object"),
        (GOOD, r":2: the id '1' stands already in line 1"),
    ],
)
def test_a_wrong_line_is_named_with_what_is_wrong(tmp_path: Path, second_line: object, said: str) -> None:
    path = file_of(tmp_path, GOOD, second_line)
    with pytest.raises(DataError, match=re.escape(str(path)) + said) as caught:
        predictions.read(path)
    assert caught.value.hint
    assert "\n" not in str(caught.value) + caught.value.hint


def test_a_value_nested_as_deep_as_can_be_read_is_refused_and_no_traceback(tmp_path: Path) -> None:
    for key in ("id", "score", "alternatives", "accepted"):
        for depth in range(700, 1_000, 10):
            line = json.dumps(GOOD | {key: "DEEP"}).replace('"DEEP"', "[" * depth + "]" * depth)
            with pytest.raises(DataError):
                predictions.read(file_of(tmp_path, line))


def test_a_file_that_is_not_there_or_empty_or_not_text_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        predictions.read(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="holds no predictions"):
        predictions.read(file_of(tmp_path))
    with pytest.raises(DataError, match="is a folder") as caught:
        predictions.read(tmp_path)
    assert "first: discern evaluate" in caught.value.hint
    (tmp_path / "predictions.test.jsonl").touch()
    with pytest.raises(DataError, match="is a folder") as caught:
        predictions.read(tmp_path)
    assert caught.value.hint == f"name the file: {tmp_path / 'predictions.test.jsonl'}"
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot read"):
        predictions.read(tmp_path / "binary")


def test_a_name_that_is_too_long_for_a_file_is_no_traceback():
    with pytest.raises(DataError, match="File name too long"):
        predictions.read(Path("x" * 300))


def test_two_rows_with_one_id_are_not_written(tmp_path: Path) -> None:
    row = Prediction(id="1", image="a", gold="b", answer_type="", prediction="b")
    with pytest.raises(DataError, match="'1'"):
        predictions.write(tmp_path / "p.jsonl", [row, row])
    assert not list(tmp_path.iterdir())
