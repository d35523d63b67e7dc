"""Bad data: each mistake stops with one clear sentence, the file, the item and a hint, and nothing is replaced."""

import errno
import json
import re
from pathlib import Path

import pytest

from discern_vqa.datasets import jsonl, vqa_rad
from discern_vqa.errors import DataError, DiscernError


@pytest.fixture
def pair(tmp_path):
    """A tiny VQA-RAD and a function that changes one record of its training file."""
    vqa_rad.write_tiny(tmp_path)

    def change(item: int, **values):
        file = tmp_path / "trainset.json"
        rows = json.loads(file.read_text())
        for key, value in values.items():
            if value is ...:
                del rows[item - 1][key]
            else:
                rows[item - 1][key] = value
        file.write_text(json.dumps(rows))

    return tmp_path, change


def two_lines(error: DiscernError) -> None:
    assert str(error)
    assert error.hint
    assert "\n" not in str(error) + error.hint


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"answer": None}, "'answer' is null; expected text"),
        ({"answer": " \t "}, "'answer' is empty; expected text"),
        ({"answer": True}, "'answer' is a truth value (True); expected text"),
        ({"answer": ["yes"]}, "'answer' is a list (['yes']); expected text"),
        ({"question": ""}, "'question' is empty; expected text"),
        ({"question": "-open"}, "'question' is empty but for its ending; expected text"),
        ({"question": ...}, "'question' is missing; there are: qid, image_name, "),
        ({"answer_type": "CLOSEDD"}, "'answer_type' is 'CLOSEDD'; expected open, closed or choice"),
        ({"phrase_type": "frames"}, "'phrase_type' is 'frames'; expected one of freeform, para, frame"),
        ({"image_name": "synpic10.jpg"}, "the image 'images/synpic10.jpg' is not there"),
        ({"image_name": "../trainset.json"}, "leads out of the data set's folder"),
        ({"qid": 1}, "the id '1' was used before, by trainset.json:item 1"),
    ],
    ids=str,
)
def test_a_broken_record_stops_with_file_item_and_value(pair, values, message):
    root, change = pair
    change(3, **values)
    with pytest.raises(DataError) as caught:
        vqa_rad.read(root, "train")
    assert str(caught.value).startswith("trainset.json:item 3: ")
    assert message in str(caught.value)
    two_lines(caught.value)


def test_a_missing_image_is_answered_with_the_nearest_name(pair):
    root, change = pair
    change(3, image_name="synpic101.jpeg")
    with pytest.raises(DataError) as caught:
        vqa_rad.read(root, "train")
    assert caught.value.hint == "did you mean 'synpic101.jpg'?"


def test_all_records_are_checked_and_the_others_counted(pair):
    root, change = pair
    change(2, answer=None)
    change(5, question="")
    change(6, answer_type="maybe")
    with pytest.raises(DataError, match=r"^trainset.json:item 2: .* \(and 2 more problems in this data set\)$"):
        vqa_rad.read(root, "train")


def test_who_goes_on_at_broken_records_holds_the_list_of_them(pair):
    root, change = pair
    change(2, answer=None)
    change(5, question="")
    skipped: list[str] = []
    samples = vqa_rad.read(root, "train", skipped=skipped)
    assert [sample.id for sample in samples] == ["1", "3", "4", "6", "7", "8"]
    assert [re.match(r"trainset.json:item \d", line).group() for line in skipped] == [
        "trainset.json:item 2",
        "trainset.json:item 5",
    ]


def test_a_file_of_which_nothing_is_left_is_an_error_even_then(pair):
    root, _ = pair
    (root / "trainset.json").write_text("[]")
    with pytest.raises(DataError, match="no usable record of the split 'train'"):
        vqa_rad.read(root, "train", skipped=[])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"1": {}}', "holds an object"),
        (b"null", "holds null"),
        (b"[3]", "trainset.json:item 1: the record is a number (3); expected an object"),
        (b'[\n {"qid": 1,}\n]', "trainset.json:2: broken JSON at column"),
        (b"", "trainset.json:1: broken JSON at column 1"),
        ('["caf\u00e9"]'.encode("latin-1"), "is not UTF-8 text: byte 5 is 0xe9"),
    ],
    ids=["object", "null", "number", "comma", "empty", "latin-1"],
)
def test_a_file_that_is_no_json_list_stops_with_its_place(pair, content, message):
    root, _ = pair
    (root / "trainset.json").write_bytes(content)
    with pytest.raises(DataError) as caught:
        vqa_rad.read(root, "train")
    assert message in str(caught.value)
    two_lines(caught.value)


def test_a_byte_order_mark_does_no_harm(pair):
    root, _ = pair
    file = root / "trainset.json"
    file.write_text(file.read_text(), encoding="utf-8-sig")
    assert len(vqa_rad.read(root, "train")) == 8


def test_a_file_without_permission_is_said(pair, monkeypatch):
    root, _ = pair

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(DataError, match="cannot read .*Permission denied"):
        vqa_rad.read(root, "train")


def test_a_missing_file_and_a_missing_folder_are_said_with_what_is_near(pair):
    root, _ = pair
    (root / "testset.json").rename(root / "test_set.json")
    with pytest.raises(DataError, match="testset.json is not there") as caught:
        vqa_rad.read(root, "test")
    assert caught.value.hint == "did you mean 'test_set.json'?"
    with pytest.raises(DataError, match="is not there") as caught:
        vqa_rad.read(root / "imagse", "train")
    assert caught.value.hint == "did you mean 'images'?"
    with pytest.raises(DataError, match="neither trainset.json nor"):
        vqa_rad.read(root / "images", "train")
    with pytest.raises(DataError, match="is a file, not a folder"):
        vqa_rad.read(root / "trainset.json", "train")


LINE = {"id": "1", "split": "train", "image": "a.png", "question": "Is it?", "answer": "yes"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{'id': 1}", "samples.jsonl:2: broken JSON at column 2"),
        ("[1]", "samples.jsonl:2: the record is a list ([1]); expected an object"),
        (json.dumps(LINE | {"answer": None}), "samples.jsonl:2: 'answer' is null; expected text"),
        (json.dumps({k: v for k, v in LINE.items() if k != "answer"}), "samples.jsonl:2: 'answer' is missing"),
        (json.dumps(LINE | {"question": ""}), "samples.jsonl:2: 'question' is empty"),
        (json.dumps(LINE | {"split": "tset"}), "samples.jsonl:2: 'split' is 'tset'; expected one of pretrain, train,"),
        (json.dumps(LINE | {"answer_type": "either"}), "'answer_type' is 'either'; expected open, closed or choice"),
        (json.dumps(LINE | {"question_type": 3}), "'question_type' is 3; expected text or a list of texts"),
        (json.dumps(LINE | {"image": "b.png"}), "the image 'b.png' is not there"),
        (json.dumps(LINE | {"id": "2", "path": "c.png"}), "the image 'a.png' is not there; expected a file at"),
        (json.dumps(LINE), "samples.jsonl:2: the id '1' was used before, by samples.jsonl:1"),
    ],
)
def test_a_broken_line_stops_with_file_line_and_value(tmp_path, line, message):
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "samples.jsonl").write_text(f"{json.dumps(LINE)}\n{line}\n")
    with pytest.raises(DataError) as caught:
        jsonl.read(tmp_path, "train")
    assert message in str(caught.value)
    two_lines(caught.value)
    skipped: list[str] = []
    assert [sample.id for sample in jsonl.read(tmp_path, "train", skipped=skipped)] == ["1"]
    assert len(skipped) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": "gone.png"}, "samples.jsonl:1: the image 'gone.png' is not there"),
        ({"question": ""}, "samples.jsonl:1: 'question' is empty"),
        ({"question": None, "quesion": "Is it?"}, "samples.jsonl:1: 'question' is null"),
    ],
)
def test_a_fault_that_every_line_has_is_said_even_where_broken_lines_may_go(tmp_path, change, message):
    (tmp_path / "a.png").write_bytes(b"")
    lines = [json.dumps(LINE | change | {"id": str(number)}) for number in range(3)]
    (tmp_path / "samples.jsonl").write_text("\n".join(lines))
    for skipped in (None, []):
        with pytest.raises(DataError, match=r"and 2 more problems") as caught:
            jsonl.read(tmp_path, "train", skipped=skipped)
        assert message in str(caught.value)
        two_lines(caught.value)


def test_a_fault_that_every_record_of_a_published_set_has_is_said_too(pair):
    root, _ = pair
    for image in (root / "images").iterdir():
        image.unlink()
    with pytest.raises(DataError, match="trainset.json:item 1: the image"):
        vqa_rad.read(root, "train", skipped=[])
