"""JSON of one's own: records in every form, ways into them, a file for each split; and who chose another reader."""

import json
import shlex

import pytest
from _readers import own_folders

from discern_vqa import cli
from discern_vqa.datasets import dicom_folder, vqa_rad
from discern_vqa.datasets import json as json_lists
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.reading.image_files import tiny_images

__all__ = ["own_folders"]  # the fixture


def typed(command: str) -> int:
    """What a command from a hint gives when it is typed."""
    return cli.main(shlex.split(command, comments=True)[1:])


ROW = {"image": "a.png", "question": "Where?", "answer": "left"}


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        ([ROW, ROW], ["1", "2"]),
        ({"data": [ROW], "version": 2}, ["1"]),
        ({"train": [ROW, ROW], "test": [ROW]}, ["1", "2"]),
        ({"q7": ROW, "q8": ROW}, ["q7", "q8"]),
        (ROW, ["1"]),
    ],
    ids=["list", "under a key", "by split", "by id", "one record"],
)
def test_records_of_json_are_found_in_each_form(tmp_path, content, ids):
    tiny_images(tmp_path, ("a.png",))
    (tmp_path / "q.json").write_text(json.dumps(content))
    assert [row.id for row in json_lists.read(tmp_path, "train")] == ids
    lines = tmp_path / "lines.json"
    lines.write_text(f"{json.dumps(ROW)}\n{json.dumps(ROW)}\n")
    assert [row.source for row in json_lists.read(lines, "train")] == ["lines.json:1", "lines.json:2"]


def test_several_lists_ask_which_and_splits_keep_their_ids_apart(tmp_path):
    tiny_images(tmp_path, ("a.png",))
    file = tmp_path / "q.json"
    file.write_text(json.dumps({"items": [ROW], "others": [ROW]}))
    with pytest.raises(DataError, match="holds lists of records under several keys: items, others") as caught:
        json_lists.read(file, "train")
    assert typed(caught.value.hint) == 0
    file.write_text(json.dumps({"train": [ROW, ROW], "val": [ROW]}))
    assert [row.id for row in json_lists.read(file, "validation")] == ["3"]


def test_values_are_reached_through_objects_and_lists_and_choices_put_together(tmp_path):
    tiny_images(tmp_path, ("a.png",))
    record = {
        "files": ["a.png", "b.png"],
        "q": {"text": "CT or MRI?", "type": "Yes/No"},
        "gt": ["CT", "MRI", "CT"],
        "option_A": "CT",
        "option_B": "MRI",
        "answer": "A",
    }
    (tmp_path / "q.json").write_text(json.dumps([record]))
    columns = {"image": "files.0", "question": "q.text", "answer_type": "q.type", "answer": "gt"}
    columns["choices"] = "option_A | option_B"
    (row,) = json_lists.read(tmp_path, "train", columns=columns)
    assert (row.image, row.question, row.answer, row.answer_type) == ("a.png", "CT or MRI?", "CT", "closed")
    assert row.choices == ("CT", "MRI")
    assert (row.extra["published_answer"], row.extra["answers"]) == ("A", ["CT", "MRI", "CT"])
    with pytest.raises(ConfigError, match="has no key 'q.txet'; its keys are: files, q.text, q.type, gt"):
        json_lists.read(tmp_path, "train", columns=columns | {"question": "q.txet"})


def test_a_folder_with_a_file_for_each_split_is_read_as_these_splits(tmp_path):
    tiny_images(tmp_path, ("a.png",))
    for name in ("train", "val", "test"):
        (tmp_path / f"{name}.json").write_text(json.dumps([{"qid": 0, **ROW}]))
    assert json_lists.present(tmp_path) == ("train", "validation", "test")
    columns = {"id": "qid"}
    for split in ("train", "validation", "test"):
        assert [row.id for row in json_lists.read(tmp_path, split, columns=columns)] == [f"{split}-0"]


def test_who_chose_another_reader_is_told_the_right_one(tmp_path):
    file = tmp_path / "q.json"
    file.write_text(json.dumps([{"messages": [{"role": "user", "content": "Where?"}], "images": ["a.png"]}]))
    with pytest.raises(DataError, match="holds records of another kind; their keys are: messages, images") as caught:
        json_lists.read(file, "train")
    assert caught.value.hint == f"discern data audit llava {file}"
    with pytest.raises(DataError, match="is a file, not a folder") as caught:
        vqa_rad.read(file, "train")
    assert f"discern data audit json {file}" in caught.value.hint


def test_studies_without_the_usual_table_name_the_one_that_is_there(tmp_path):
    dicom_folder.write_tiny(tmp_path)
    (tmp_path / "questions.csv").rename(tmp_path / "meine fragen.csv")
    with pytest.raises(DataError, match="has no questions.csv; its tables are: meine fragen.csv") as caught:
        dicom_folder.read(tmp_path, "train")
    assert typed(caught.value.hint) in (0, 1)
    (tmp_path / "meine fragen.csv").unlink()
    with pytest.raises(DataError, match="and no other table"):
        dicom_folder.read(tmp_path, "train")
