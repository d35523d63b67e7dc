"""A file of questions: what is read of it, and what is wrong with it is said with file and line."""

import json
from pathlib import Path

import pytest

from discern_vqa.datasets import jsonl
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
        ("q.jsonl", '{"image": "a.png", "question": "Why?"}\n\n{"image": ', "q.jsonl:3: broken JSON"),
        ("q.jsonl", "[1]\n", "q.jsonl:1: the record is a list ([1]); expected an object"),
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
    with pytest.raises(DiscernError, match="gone.csv is not there"):
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


def test_what_convert_writes_is_read_captions_passed_over_and_images_at_their_path(tmp_path):
    jsonl.write_tiny(tmp_path / "set")
    samples = [sample for split in jsonl.SPLITS for sample in jsonl.read(tmp_path / "set", split)]
    jsonl.write(samples, tmp_path / "elsewhere" / "all.jsonl")
    found = [sample for sample, _ in read_questions(tmp_path / "elsewhere" / "all.jsonl")]
    wanted = [sample for sample in samples if not sample.is_caption]
    assert [(one.id, one.question, one.path) for one in found] == [(one.id, one.question, one.path) for one in wanted]
    assert len(wanted) < len(samples)


def test_a_file_without_a_question_is_refused(tmp_path):
    assert refused(file_of(tmp_path)).endswith("q.jsonl holds no question")
    captions = [{"image": "a.png", "caption": "A film."}] * 2
    assert "(2 captions were passed over)" in refused(file_of(tmp_path, *captions))
    assert "q.csv holds no question" in refused(file_of(tmp_path, "image,question", name="q.csv"))


def test_a_line_separator_inside_a_question_does_not_end_its_line(tmp_path):
    (tmp_path / "q.jsonl").write_text(json.dumps(ROW | {"question": "Why\u2028now\x85?"}, ensure_ascii=False))
    ((sample, _),) = read_questions(tmp_path / "q.jsonl")
    assert sample.question == "Why\u2028now\x85?"


def test_a_long_cell_is_read_and_a_row_with_a_comma_too_many_is_refused(tmp_path):
    path = file_of(tmp_path, "image,question,note", f"a.png,Why?,{'x' * 200_000}", name="q.csv")
    assert len(list(read_questions(path))) == 1
    assert "q.csv:2: 3 cells for 2 columns" in refused(
        file_of(tmp_path, "image,question", "a.png,Is it left, or right?", name="q.csv")
    )


def test_a_folder_is_no_file_of_questions(tmp_path):
    assert "Is a directory" in refused(tmp_path)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("[" * 100_000, "the JSON cannot be read: it is nested too deep"),
        ("9" * 5_000, "the JSON cannot be read: a number is too long"),
        ('"\\ud800"', "a text holds half a character"),
        ("NaN", "a number is NaN or infinite"),
        ("[1e999]", "a number is NaN or infinite"),
    ],
    ids=["deep", "long", "surrogate", "nan", "infinite"],
)
def test_json_that_nobody_could_write_again_is_refused_with_its_line(tmp_path, value, said):
    path = file_of(tmp_path, ROW, json.dumps(ROW)[:-1] + f', "note": {value}}}')
    assert f"q.jsonl:2: {said}" in refused(path)


def test_a_row_nested_as_deep_as_can_be_read_can_be_written_too(tmp_path):
    for depth in (*range(700, 1_000, 5), *range(1_000, 200_000, 500)):  # how deep it goes depends on Python's version
        path = file_of(tmp_path, json.dumps(ROW)[:-1] + f', "note": {"[" * depth}{"]" * depth}}}')
        try:
            rows = [row for _, row in read_questions(path)]
        except DiscernError:
            break
        json.dumps(rows[0] | {"id": "1"}, ensure_ascii=False)
    else:
        pytest.fail("never too deep")


@pytest.mark.parametrize("name", ["a\x00.png", "x" * 300, "loop.png"])
def test_a_name_that_no_image_can_have_is_no_traceback(tmp_path, name):
    (tmp_path / "loop.png").symlink_to("loop.png")
    path = file_of(tmp_path, ROW | {"image": name})
    if "\x00" in name:
        assert "is no name of a file" in refused(path)
    else:
        assert len(list(read_questions(path))) == 1
