"""Tables as people really have them: what lies in a table's place, formulas, nested questions, numbers in two ways."""

import json
import re

import openpyxl
import pytest

from discern_vqa import registry
from discern_vqa.audit import audit
from discern_vqa.datasets import csv, llava, vqa_rad, xlsx
from discern_vqa.datasets import json as json_lists
from discern_vqa.errors import DataError
from discern_vqa.evaluation.questions import look_through
from discern_vqa.reading.guess import guess
from discern_vqa.reading.image_files import tiny_image, tiny_images
from discern_vqa.reading.reasoning import without_reasoning

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
PAGE = b"\xef\xbb\xbf\r\n<!DOCTYPE html>\n<html><title>Log in</title></html>"
XHTML = b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x">\n<html></html>'


def notes(samples) -> str:
    return "\n".join(audit({"train": samples})["verdict"])


@pytest.mark.parametrize("ending", ["csv", "tsv", "xlsx", "json", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("content", "what", "hint"),
    [(POINTER, "is a git-lfs pointer", "git -C {} lfs pull"), (PAGE, "is a web page", "download it again")],
    ids=["git-lfs", "page"],
)
def test_what_lies_in_the_place_of_a_table_is_named(tmp_path, ending, content, what, hint):
    file = tmp_path / f"q.{ending}"
    file.write_bytes(content)
    with pytest.raises(DataError) as caught:
        registry.load("datasets", {"tsv": "csv"}.get(ending, ending)).read(file, "train")
    assert f"{file} {what}" in str(caught.value)
    assert caught.value.hint.startswith(hint.format(tmp_path))
    if ending != "parquet":
        with pytest.raises(DataError, match=what):
            look_through(file)


def test_a_folder_whose_table_was_not_fetched_says_how_to_fetch_it(tmp_path):
    (tmp_path / "questions.csv").write_bytes(POINTER)
    with pytest.raises(DataError, match="questions.csv is a git-lfs pointer") as caught:
        guess(tmp_path, lambda doubt: 0)
    assert caught.value.hint == f"git -C {tmp_path} lfs pull"


def test_published_sets_and_pages_in_xhtml_are_named_too(tmp_path):
    tiny_images(tmp_path / "images", ("a.jpg",))
    for content, what in ((POINTER, "is a git-lfs pointer"), (XHTML, "is a web page")):
        for name in ("trainset.json", "testset.json"):
            (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=what):
            vqa_rad.read(tmp_path, "train")


@pytest.mark.parametrize("mark", ["sep=\t", '"sep=\t"', "SEP=\\t", "sep=;"])
def test_excels_line_of_the_separator_may_say_a_tab(tmp_path, mark):
    tiny_images(tmp_path, ("a.png",))
    sign = ";" if ";" in mark else "\t"
    rows = [["image", "question", "answer"], ["a.png", "Is it, then?", "no, not"]]
    (tmp_path / "t.csv").write_text("\n".join([mark, *(sign.join(row) for row in rows)]) + "\n")
    (row,) = csv.read(tmp_path / "t.csv", "train")
    assert (row.question, row.answer, row.source) == ("Is it, then?", "no, not", "t.csv:3")
    ((asked),) = look_through(tmp_path / "t.csv").rows()
    assert (asked.sample.question, asked.cells[2], asked.source) == ("Is it, then?", "no, not", f"{tmp_path}/t.csv:3")


def test_one_number_written_in_two_ways_is_named_with_its_lines(tmp_path):
    tiny_images(tmp_path, ("a.png",))
    answers = ["2.0", "2", "5.1", "5.10 cm", "5.1 cm", "T1", "T01", "1.2.0", "1.2", "7"]
    lines = [f"a.png,How many {number}?,{answer}" for number, answer in enumerate(answers)]
    (tmp_path / "t.csv").write_text("\n".join(["image,question,answer", *lines]) + "\n")
    found = re.findall(r"(.*) are one number written in several ways, in (\d) answers.*: (.*)\. Write", notes(
        csv.read(tmp_path / "t.csv", "train")
    ))  # fmt: skip
    assert found == [("'2' and '2.0'", "2", "t.csv:2, t.csv:3"), ("'5.1 cm' and '5.10 cm'", "2", "t.csv:5, t.csv:6")]


# Workbooks


def book_of(file, *rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(file)
    return file


def test_a_formula_without_a_value_is_named_and_one_that_is_empty_is_empty(tmp_path):
    tiny_images(tmp_path, ("a.png", "b.png"))
    rows = [["image", "question", "answer", "ward"], ["a.png", "Where?", "left", "=1+2"], ["b.png", "Why?", "so", None]]
    file = book_of(tmp_path / "q.xlsx", *rows)
    samples = xlsx.read(file, "train")
    assert [row.extra for row in samples] == [{"not_stated": {"ward": "#a formula without a value"}}, {}]
    assert "ward was '#a formula without a value' in 1 records and counts as not stated: q.xlsx:row 2" in notes(samples)
    rows[2] = ["b.png", "Why?", '=IF(A1="","",A1)', None]
    with pytest.raises(DataError, match="q.xlsx:row 3: 'answer' is a formula without a value") as caught:
        xlsx.read(book_of(file, *rows), "train")
    assert "LibreOffice" in caught.value.hint
    rows[1][1], rows[2][1] = '=CONCATENATE("Wh","ere?")', "Why?"
    first, second = look_through(book_of(file, *rows)).rows()
    assert "'question' is a formula without a value (open the workbook in Excel" in first.problem
    assert second.problem == ""
    # Excel writes an empty text that it has computed with its type: nothing is missing there.
    computed = tmp_path / "computed.xlsx"
    rewritten(book_of(file, *[rows[0], ["a.png", "Where?", "left", '=IF(1,"","x")']]), computed)
    (row,) = xlsx.read(computed, "train")
    assert row.extra == {}


def rewritten(source, target):
    """A workbook whose formula has the value that Excel computed: an empty text."""
    import zipfile

    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.startswith("xl/worksheets/sheet"):
                content, count = re.subn(rb'<c r="D2"([^>]*)>', rb'<c r="D2" t="str">', content)
                assert count == 1
            new.writestr(name, content)


def test_a_title_and_merged_cells_are_read_in_the_same_way_by_predict(tmp_path):
    tiny_images(tmp_path, ("a.png", "b.png"))
    rows = [["Questions", None], ["image", "question"], ["a.png", "Where?"], [None, "Why?"], ["b.png", "Who?"]]
    book = openpyxl.load_workbook(book_of(tmp_path / "q.xlsx", *rows))
    book.active.merge_cells("A3:A4")
    book.save(tmp_path / "q.xlsx")
    asked = [(row.sample.path.name, row.sample.question, row.line) for row in look_through(tmp_path / "q.xlsx").rows()]
    assert asked == [("a.png", "Where?", 3), ("a.png", "Why?", 4), ("b.png", "Who?", 5)]


# JSON


NESTED = {"image": "a.png", "patient": "p1", "qa": [{"q": "Where?", "a": "left"}, {"q": "Is it?", "a": "no"}]}


@pytest.mark.parametrize(
    ("name", "content", "places"),
    [
        ("q.json", json.dumps([NESTED, NESTED]), ["item 1, qa 1", "item 1, qa 2", "item 2, qa 1", "item 2, qa 2"]),
        ("q.json", json.dumps({"data": [NESTED]}), ["data item 1, qa 1", "data item 1, qa 2"]),
        ("q.json", json.dumps(NESTED), ["item 1, qa 1", "item 1, qa 2"]),
        ("q.jsonl", json.dumps(NESTED) + "\n", ["1, qa 1", "1, qa 2"]),
        ("q.json", json.dumps({"a.png": NESTED}), ["item 1, qa 1", "item 1, qa 2"]),
        ("q.json", json.dumps({"a.png": NESTED["qa"]}), ["item 1, questions 1", "item 1, questions 2"]),
    ],
    ids=["list", "under a key", "one record", "lines", "by image", "lists by image"],
)
def test_the_questions_of_an_image_may_be_a_list_in_its_record(tmp_path, name, content, places):
    tiny_images(tmp_path, ("a.png",))
    (tmp_path / name).write_text(content)
    rows = json_lists.read(tmp_path / name, "train", columns={"question": "q", "answer": "a"})
    assert [row.source for row in rows] == [f"{name}:{place}" for place in places]
    assert [(row.image, row.question, row.answer) for row in rows[:2]] == [
        ("a.png", "Where?", "left"),
        ("a.png", "Is it?", "no"),
    ]
    assert {row.patient for row in rows} == ({"p1"} if "patient" in content else {""})
    assert len({row.id for row in rows}) == len(rows)
    with pytest.raises(DataError) as caught:
        json_lists.read(tmp_path / name, "train")
    assert "--option columns.question=q --option columns.answer=a" in caught.value.hint


def test_the_hint_gives_whole_ways_and_takes_no_image_for_a_patient(tmp_path):
    tiny_images(tmp_path, ("a.png", "b.png"))
    records = [
        {"file": {"name": f"{name}.png"}, "turns": [{"frage": {"text": "Where?"}, "antwort": "left"}]} for name in "ab"
    ]
    (tmp_path / "q.json").write_text(json.dumps(records))
    with pytest.raises(DataError) as caught:
        json_lists.read(tmp_path / "q.json", "train")
    assert "columns.image=file.name" in caught.value.hint
    assert "columns.answer=turns.0.antwort" in caught.value.hint
    assert "patient" not in caught.value.hint


def test_start_takes_no_second_column_of_image_names_for_the_patient(tmp_path):
    tiny_images(tmp_path, ("a.png", "b.png"))
    records = [
        {"image": f"{name}.png", "file": {"name": f"{name}.png"}, "question": "Is it?", "answer": answer}
        for name, answer in (("a", "yes"), ("b", "no"))
    ]
    (tmp_path / "q.json").write_text(json.dumps(records))
    assert guess(tmp_path, lambda doubt: 0).options == {}


@pytest.mark.parametrize(
    ("words", "answers", "hint"),
    [
        (("zu", "frei"), ("ja", "links"), "values.answer_type.zu=closed --option values.answer_type.frei=open"),
        (("zu", "zu"), ("ja", "links"), "values.answer_type.zu=open"),
    ],
)
def test_a_word_is_taken_for_closed_only_where_all_its_answers_are_yes_or_no(tmp_path, words, answers, hint):
    tiny_images(tmp_path, ("a.png",))
    rows = [f"a.png,Is {n}?,{answer},{word}" for n, (answer, word) in enumerate(zip(answers, words, strict=True))]
    (tmp_path / "q.csv").write_text("\n".join(["image,question,answer,answer_type", *rows]) + "\n")
    with pytest.raises(DataError) as caught:
        csv.read(tmp_path / "q.csv", "train")
    assert hint in caught.value.hint


def test_a_column_of_other_words_is_not_suggested_for_the_answer_type(tmp_path):
    tiny_images(tmp_path, ("a.png",))
    (tmp_path / "q.csv").write_text("Bild,question,answer,type\na.png,Is it?,yes,CT\na.png,Is there?,no,MRI\n")
    with pytest.raises(DataError) as caught:
        csv.read(tmp_path / "q.csv", "train")
    assert "columns.image=Bild" in caught.value.hint
    assert "answer_type" not in str(caught.value) + caught.value.hint


def test_a_name_that_fits_two_endings_is_answered_with_both_files(tmp_path):
    for number, name in enumerate(("scans/a.png", "scans/a.jpg")):
        tiny_image(tmp_path / name, number)
    (tmp_path / "q.csv").write_text("image,question,answer\na,Where?,left\n")
    for images in ("", "scans"):
        with pytest.raises(DataError, match="may be scans/a.jpg or scans/a.png") as caught:
            csv.read(tmp_path / "q.csv", "train", images=images)
        assert caught.value.hint == "write the ending into the table: scans/a.jpg, or scans/a.png"


# Conversations


@pytest.mark.parametrize(
    ("text", "answer", "reasoning"),
    [
        ("<think>\nIt is dark.\n</think>\n\nYes.", "Yes.", "It is dark."),
        ("It is dark.</think> Yes.", "Yes.", "It is dark."),
        ("<reasoning>a</reasoning><thinking>b</thinking>No", "No", "a</reasoning><thinking>b"),
        ("Yes. <think>because", "Yes.", "because"),
        ("<think>It is", "", "It is"),
        ("a < b, I think", "a < b, I think", ""),
    ],
)
def test_reasoning_is_told_from_the_answer(text, answer, reasoning):
    assert without_reasoning(text) == (answer, reasoning)


def test_reasoning_and_joined_turns_are_left_out_read_as_one_and_counted(tmp_path):
    tiny_images(tmp_path, ("a.png",))
    turns = [
        {"role": "user", "content": "<image>The film is of a child."},
        {"role": "user", "content": "Is it normal?"},
        {"role": "assistant", "content": "<think>It is dark.</think> yes"},
    ]
    (tmp_path / "c.json").write_text(json.dumps([{"images": ["a.png"], "messages": turns}]))
    (row,) = llava.read(tmp_path / "c.json", "train")
    assert (row.question, row.answer, row.answer_type) == ("The film is of a child. Is it normal?", "yes", "closed")
    assert row.extra == {"reasoning_left_out": "It is dark.", "turns_joined": 2, "derived": ["answer_type"]}
    (tmp_path / "t.csv").write_text("image,question,answer\na.png,Is it?,<think>It is dark.</think> yes\n")
    (plain,) = csv.read(tmp_path / "t.csv", "train")
    assert (plain.answer, plain.extra["reasoning_left_out"]) == ("yes", "It is dark.")
    text = notes([row])
    assert "1 answers held reasoning (<think>...</think>), which is left out: c.json:item 1" in text
    assert "1 questions were several turns in a row, and are read as one: c.json:item 1" in text
    turns[2]["content"] = "<think>It is"
    (tmp_path / "c.json").write_text(json.dumps([{"images": ["a.png"], "messages": turns}]))
    with pytest.raises(DataError, match="turn 3: 'content' holds reasoning and no answer behind it"):
        llava.read(tmp_path / "c.json", "train")
