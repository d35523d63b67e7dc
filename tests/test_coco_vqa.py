"""Questions and annotations in two files: joined by ids, the most frequent of several answers, images by number."""

import json
import shlex
from pathlib import Path

import pytest
from _readers import own_folders

from discern_vqa import cli
from discern_vqa.datasets import coco_vqa
from discern_vqa.errors import DataError
from discern_vqa.reading.image_files import tiny_images

__all__ = ["own_folders"]  # the fixture


def written(root: Path, question: dict, annotation: dict, before: str = "") -> Path:
    """A pair of files with one question."""
    question = {"question_id": 1, "image_id": 7, "question": "Where?"} | question
    annotation = {"question_id": 1, "answers": [{"answer": "left"}]} | annotation
    (root / f"{before}questions.json").write_text(json.dumps({"questions": [question]}))
    (root / f"{before}annotations.json").write_text(json.dumps({"annotations": [annotation]}))
    return root / f"{before}questions.json"


def test_the_most_frequent_answer_is_taken_and_all_are_kept(tmp_path):
    coco_vqa.write_tiny(tmp_path)
    rows = coco_vqa.read(tmp_path, "train")
    assert [(row.answer, row.answer_type, row.extra["published_answer_type"]) for row in rows] == [
        ("yes", "closed", "yes/no"),
        ("left", "open", "other"),
        ("2", "open", "number"),
    ]
    assert rows[1].extra["answers"] == ["left", "left side", "right"]
    assert [row.image for row in rows] == [f"images/COCO_train2014_00000000000{n}.jpg" for n in (1, 1, 2)]
    assert [row.id for row in rows] == ["train-1000", "train-1001", "train-1002"]


def test_the_owners_choice_of_an_answer_goes_before_the_most_frequent(tmp_path):
    tiny_images(tmp_path, ("7.png",))
    written(tmp_path, {}, {"multiple_choice_answer": "right", "answers": [{"answer": "left"}, {"answer": "left"}]})
    (row,) = coco_vqa.read(tmp_path, "train")
    assert (row.answer, row.extra, row.id) == ("right", {"answers": ["left", "left"]}, "1")


@pytest.mark.parametrize(
    ("question", "files", "image"),
    [
        ({}, ("scan_0007.png", "scan_0017.png"), "scan_0007.png"),
        ({}, ("x/7.png", "x/07.png"), "x/7.png"),
        ({"image_id": "synpic7"}, ("images/synpic7.jpg",), "images/synpic7.jpg"),
        ({"image": "b.png"}, ("b.png", "7.png"), "b.png"),
    ],
)
def test_an_image_is_found_by_its_name_or_its_number(tmp_path, question, files, image):
    tiny_images(tmp_path, files)
    written(tmp_path, question, {})
    assert coco_vqa.read(tmp_path, "train")[0].image == image


def test_a_number_that_two_files_end_in_is_refused(tmp_path):
    tiny_images(tmp_path, ("a_7.png", "b_07.png"))
    written(tmp_path, {}, {})
    with pytest.raises(DataError, match="questions.json:item 1: the image '7' may be a_7.png or b_07.png"):
        coco_vqa.read(tmp_path, "train")


def test_a_list_of_images_names_the_files(tmp_path):
    tiny_images(tmp_path, ("x.png", "7.png"))
    file = written(tmp_path, {}, {})
    content = json.loads(file.read_text()) | {"images": [{"id": 7, "file_name": "x.png"}]}
    file.write_text(json.dumps(content))
    assert coco_vqa.read(tmp_path, "train")[0].image == "x.png"
    both = tmp_path / "both.json"
    both.write_text(json.dumps(content | {"annotations": [{"question_id": 1, "answer": "up"}]}))
    assert coco_vqa.read(both, "train")[0].answer == "up"


def test_the_split_is_what_the_name_says_and_a_pair_must_be_whole(tmp_path):
    tiny_images(tmp_path, ("7.png",))
    file = written(tmp_path, {}, {}, before="v2_OpenEnded_mscoco_val2014_")
    (tmp_path / "v2_OpenEnded_mscoco_val2014_annotations.json").rename(tmp_path / "v2_mscoco_val2014_annotations.json")
    assert coco_vqa.present(tmp_path) == ("validation",)
    assert [row.split for row in coco_vqa.read(file, "validation")] == ["validation"]
    (tmp_path / "v2_mscoco_val2014_annotations.json").unlink()
    with pytest.raises(DataError, match="has no annotations beside it") as caught:
        coco_vqa.read(tmp_path, "validation")
    assert "put " in caught.value.hint


def test_a_question_without_an_annotation_is_counted_or_stops(tmp_path):
    tiny_images(tmp_path, ("7.png",))
    written(tmp_path, {"question_id": 2}, {})
    with pytest.raises(DataError, match="item 1: the question 2 has no annotation in annotations.json"):
        coco_vqa.read(tmp_path, "train")


def test_a_list_of_records_is_for_another_reader(tmp_path):
    tiny_images(tmp_path, ("a.png",))
    file = tmp_path / "q.json"
    file.write_text(json.dumps([{"image": "a.png", "question": "Where?", "answer": "left"}]))
    with pytest.raises(DataError, match="holds no object with questions or annotations") as caught:
        coco_vqa.read(file, "train")
    assert cli.main(shlex.split(caught.value.hint.rpartition(": ")[2])[1:]) == 0
