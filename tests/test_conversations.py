"""Conversations about images: each question of a record is a sample, in the shapes of several projects."""

import json
from pathlib import Path
from typing import Any

import pytest
from _readers import own_folders

from discern_vqa.datasets import llava
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.reading.image_files import tiny_images

__all__ = ["own_folders"]  # the fixture


def test_each_question_of_a_conversation_is_a_sample(tmp_path):
    llava.write_tiny(tmp_path)
    rows = llava.read(tmp_path, "train")
    assert [(row.id, row.question, row.answer) for row in rows] == [
        ("train-r1-1", "What is shown?", "A mass."),
        ("train-r1-2", "Where is it?", "In the left lobe."),
        ("train-r2", "Describe it.", "An axial CT of a head."),
        ("train-r3", "Is it normal?", "no"),
    ]
    assert rows[0].modality == "ct"
    assert rows[1].extra == {"pmid": "123", "turn": 2}
    assert rows[3].answer_type == "closed"
    captions = llava.read(tmp_path, "pretrain", use="captions")
    assert [row.caption for row in captions] == ["An axial CT of a head."]
    assert all(row.is_caption for row in captions)


def test_a_single_file_is_the_split_that_is_said(tmp_path):
    llava.write_tiny(tmp_path)
    assert llava.read(tmp_path / "train.json", "train")[0].id == "r1-1"
    assert llava.read(tmp_path / "train.json", "test") == []
    assert len(llava.read(tmp_path / "train.json", "test", use_as="test")) == 4
    records = json.loads((tmp_path / "train.json").read_text())
    records[0]["split"], records[1]["split"], records[2]["id"] = "dev", "test", "r1"
    (tmp_path / "train.json").write_text(json.dumps(records))
    assert [row.id for row in llava.read(tmp_path / "train.json", "validation")] == ["r1-1", "r1-2"]
    assert [row.id for row in llava.read(tmp_path / "train.json", "train")] == ["r1"]


def test_ids_that_repeat_get_the_records_number(tmp_path):
    llava.write_tiny(tmp_path)
    records = json.loads((tmp_path / "train.json").read_text())
    records[1]["id"] = records[2]["id"] = "same"
    (tmp_path / "train.json").write_text(json.dumps(records))
    assert [row.id for row in llava.read(tmp_path, "train")][2:] == ["train-same", "train-same@3"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"conversations": []}, "'conversations' is []; expected questions and answers in turn"),
        ({"conversations": [{"from": "human", "value": "?"}]}, "expected questions and answers in turn"),
        ({"conversations": [{"from": "gpt", "value": "a"}] * 2}, "item 1, turn 1: from 'gpt'; expected human"),
        ({"conversations": [{"from": "human", "value": "<image>"}] * 2}, "turn 1: 'value' is empty"),
        ({"conversations": ["a", "b"]}, "turn 1: the record is text"),
        ({"image": None}, "'image' is null"),
        ({"image": ["images/a.jpg", "images/b.jpg"]}, "'image' is a list"),
        ({"answer_type": "both"}, "expected open, closed or choice"),
        ({"split": "tset"}, "'split' is 'tset'"),
    ],
    ids=str,
)
def test_a_broken_conversation_stops_with_its_item(tmp_path, values, message):
    llava.write_tiny(tmp_path)
    records = json.loads((tmp_path / "train.json").read_text())
    records[0] |= values
    (tmp_path / "train.json").write_text(json.dumps(records))
    with pytest.raises(DataError, match="^train.json:item 1") as caught:
        llava.read(tmp_path, "train")
    assert message in str(caught.value)


def test_text_without_an_image_goes_only_when_asked_and_broken_lines_are_counted(tmp_path):
    llava.write_tiny(tmp_path)
    line = (tmp_path / "test.jsonl").read_text().strip()
    alone = json.dumps({key: value for key, value in json.loads(line).items() if key != "image"})
    (tmp_path / "test.jsonl").write_text(f"{line}\n{alone}\n{{\n")
    skipped: list[str] = []
    assert len(llava.read(tmp_path, "test", text_only="leave_out", skipped=skipped)) == 1
    assert [one.split(": ")[0] for one in skipped] == ["test.jsonl:3"]
    with pytest.raises(DataError, match=r"test.jsonl:2: 'image' is missing.*and 1 more problem"):
        llava.read(tmp_path, "test")
    for option in ({"use": "both"}, {"use_as": "all"}, {"text_only": "yes"}):
        with pytest.raises(ConfigError, match=next(iter(option))):
            llava.read(tmp_path, "test", **option)


def written(root: Path, *records: dict[str, Any], name: str = "train.json") -> Path:
    """A file of these records beside two images."""
    tiny_images(root / "images", ("a.jpg", "b.jpg"))
    (root / name).write_text(json.dumps(records))
    return root / name


def messages(*texts: Any, system: str = "") -> list[dict[str, Any]]:
    """Turns of a user and an assistant, as LLaMA-Factory and ms-swift write them."""
    turns = [{"role": "assistant" if place % 2 else "user", "content": text} for place, text in enumerate(texts)]
    return [{"role": "system", "content": system}, *turns] if system else turns


def test_messages_with_a_list_of_one_image_and_a_system_turn_are_read(tmp_path):
    file = written(
        tmp_path,
        {"messages": messages("<image>Is there a mass?", "Yes."), "images": ["images/a.jpg"]},
        {"messages": messages("<image>Where?", "left", system="Be brief."), "images": ["images/b.jpg"]},
    )
    first, second = llava.read(file, "train")
    assert (first.id, first.image, first.question, first.answer) == ("1", "images/a.jpg", "Is there a mass?", "Yes.")
    assert (first.answer_type, first.extra) == ("closed", {"derived": ["answer_type"]})
    assert (second.question, second.answer_type, second.extra) == ("Where?", "", {"system": "Be brief."})


def test_parts_of_a_message_hold_the_text_and_the_name_of_the_image(tmp_path):
    parts = [{"type": "image", "image": "images/b.jpg"}, {"type": "text", "text": "What is it?"}]
    url = [{"type": "image_url", "image_url": {"url": "images/a.jpg"}}, {"type": "text", "text": "Is it large?"}]
    file = written(tmp_path, {"messages": messages(parts, "A cyst.")}, {"messages": messages(url, "no")})
    assert [(row.image, row.question) for row in llava.read(file, "train")] == [
        ("images/b.jpg", "What is it?"),
        ("images/a.jpg", "Is it large?"),
    ]


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("Look at <image> and answer: where?", "Look at and answer: where?"),
        ("<image>\nWhere?", "Where?"),
        ("Where?<image>", "Where?"),
        ("<image_1> Where?", "Where?"),
        ("<|image|>Where?", "Where?"),
        ("<img>images/a.jpg</img>Where?", "Where?"),
        ("Is it <5 mm or >5 mm?", "Is it <5 mm or >5 mm?"),
    ],
)
def test_where_an_image_stands_is_taken_out_of_the_question(tmp_path, text, question):
    file = written(tmp_path, {"messages": messages(text, "x"), "image": ["images/a.jpg"]})
    assert llava.read(file, "train")[0].question == question


def test_an_image_alone_is_joined_with_the_question_behind_it_or_is_described(tmp_path):
    alone = {"role": "user", "content": "<image>"}
    file = written(
        tmp_path,
        {"messages": [alone, *messages("Where?", "left")], "images": ["images/a.jpg"]},
        {"messages": messages("<image>", "A film.", "Where?", "right"), "images": ["images/b.jpg"]},
    )
    first, second = llava.read(file, "train")
    assert (first.question, first.answer, first.extra) == ("Where?", "left", {})
    assert (second.question, second.answer, second.extra) == ("Where?", "right", {"description": "A film."})
    captions = llava.read(file, "train", use="captions")
    assert [row.caption for row in captions] == ["left", "A film."]
    only = written(tmp_path, {"messages": messages("<image>", "A film."), "images": ["images/b.jpg"]}, name="only.json")
    with pytest.raises(DataError, match="only.json:item 1: no turn asks anything"):
        llava.read(only, "train")


def test_a_last_question_without_an_answer_is_left_out_and_said(tmp_path):
    texts = ("<image>Is it?", "no", "Where?", "left", "Are you sure?")
    file = written(tmp_path, {"id": "r", "messages": messages(*texts), "images": ["images/a.jpg"]})
    rows = llava.read(file, "train")
    assert [(row.id, row.answer) for row in rows] == [("r-1", "no"), ("r-2", "left")]
    assert rows[0].extra == {"turn": 1, "derived": ["answer_type"]}
    assert rows[1].extra == {"turn": 2, "unanswered": "Are you sure?"}


def test_ids_that_repeat_over_the_splits_of_one_file_stay_apart(tmp_path):
    record = {"id": "r", "messages": messages("<image>Where?", "left"), "images": ["images/a.jpg"]}
    file = written(tmp_path, record, {**record, "split": "test"})
    assert [llava.read(file, split)[0].id for split in ("train", "test")] == ["r", "r@2"]


def test_a_fault_of_every_record_is_said_even_where_broken_records_are_left_out(tmp_path):
    file = written(tmp_path, {"messages": messages("<image>Where?", "left"), "images": ["images/gone.jpg"]})
    with pytest.raises(DataError, match="train.json:item 1: the image 'images/gone.jpg' is not there"):
        llava.read(file, "train", skipped=[])


def test_a_file_without_conversations_names_the_reader_that_takes_it(tmp_path):
    file = written(tmp_path, {"image": "images/a.jpg", "question": "Where?", "answer": "left"})
    for skipped in (None, []):
        with pytest.raises(DataError) as caught:
            llava.read(file, "train", skipped=skipped)
        assert "holds no conversations; its keys are: image, question, answer" in str(caught.value)
        assert caught.value.hint == f"discern data audit json {file}"
