"""Tables of one's own of every kind: the same options, spellings, missing values, and one message for what is wrong."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from _readers import own_folders

from discern_vqa import cli, registry
from discern_vqa.data.sample import Sample
from discern_vqa.datasets import csv, xlsx
from discern_vqa.datasets import json as json_lists
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.reading import spellings
from discern_vqa.reading.image_files import tiny_images

__all__ = ["own_folders"]  # the fixture

GERMAN = [
    {"Bild": "Aufnahmen/a.png", "Frage": "Liegt ein Bruch vor?", "Antwort": "ja", "Typ": "zu", "Teil": "Lernen"},
    {"Bild": "Aufnahmen/a.png", "Frage": "Wo?", "Antwort": "links", "Typ": "frei", "Teil": "Lernen"},
    {"Bild": "Aufnahmen/b.png", "Frage": "Wie viele?", "Antwort": "2", "Typ": "frei", "Teil": "Prüfen"},
]
COLUMNS = {"image": "Bild", "question": "Frage", "answer": "Antwort", "answer_type": "Typ", "split": "Teil"}
VALUES = {"answer_type": {"zu": "closed", "frei": "open"}, "split": {"Lernen": "train", "Prüfen": "test"}}


def written(root: Path, rows: list[dict[str, Any]], ending: str) -> Path:
    """The rows as a table of one kind, below which two images lie."""
    tiny_images(root / "Aufnahmen", ("a.png", "b.png"))
    file = root / f"fragen.{ending}"
    if ending == "csv":
        lines = [";".join(rows[0]), *(";".join(map(str, row.values())) for row in rows)]
        file.write_text("\n".join(lines) + "\n")
    elif ending == "xlsx":
        import openpyxl

        book = openpyxl.Workbook()
        for row in [list(rows[0]), *(list(row.values()) for row in rows)]:
            book.active.append(row)
        book.save(file)
    elif ending == "json":
        file.write_text(json.dumps(rows))
    elif ending == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    return file


def typed(command: str) -> int:
    """What a command from a hint gives when it is typed."""
    words = shlex.split(command, comments=True)
    assert words[0] == "discern"
    return cli.main(words[1:])


def facts(samples: list[Sample]) -> list[tuple[str, ...]]:
    return [(row.image, row.question, row.answer, row.answer_type, row.split) for row in samples]


every_kind = pytest.mark.parametrize("ending", ["csv", "xlsx", "json", "jsonl", "parquet"])


@every_kind
def test_every_kind_of_table_takes_the_same_options(tmp_path, ending):
    file = written(tmp_path, GERMAN, ending)
    reader = registry.load("datasets", ending)
    options = {"columns": COLUMNS, "values": VALUES}
    assert facts(reader.read(file, "train", **options)) == [
        ("Aufnahmen/a.png", "Liegt ein Bruch vor?", "ja", "closed", "train"),
        ("Aufnahmen/a.png", "Wo?", "links", "open", "train"),
    ]
    assert facts(reader.read(file, "test", **options)) == [("Aufnahmen/b.png", "Wie viele?", "2", "open", "test")]
    bare = [{**row, "Bild": row["Bild"].removeprefix("Aufnahmen/"), "Teil": ""} for row in GERMAN]
    file = written(tmp_path / "bare", bare, ending)
    rows = reader.read(file, "validation", **options, images="Aufnahmen", use_as="validation")
    assert [row.image for row in rows] == ["Aufnahmen/a.png", "Aufnahmen/a.png", "Aufnahmen/b.png"]


@every_kind
def test_all_that_has_to_be_mapped_is_one_message_whose_command_works(tmp_path, ending, capsys):
    file = written(tmp_path, [{**row, "Teil": ""} for row in GERMAN], ending)
    reader = registry.load("datasets", ending)
    with pytest.raises(DataError) as caught:
        reader.read(file, "train")
    message = str(caught.value)
    assert re.search("has no (column|key) 'image' and no 'question' and no 'answer'", message)
    assert "'answer_type' is 'zu', " in message
    assert "'answer_type' is 'frei' (2 records); expected open, closed or choice" in message
    assert "values.answer_type.zu=closed --option values.answer_type.frei=open" in caught.value.hint
    assert "--set data.options.KEY=VALUE" in caught.value.hint
    assert typed(caught.value.hint) == 0
    assert "broken records: 0" in capsys.readouterr().out


def test_a_repeated_word_is_a_mapping_and_a_slip_is_a_broken_record(tmp_path):
    rows = [{"image": "a.png", "question": f"Where {n}?", "answer": "left", "answer_type": "open"} for n in range(9)]
    slip = [*rows[:-1], {**rows[-1], "answer_type": "opne"}]
    skipped: list[str] = []
    assert len(csv.read(written(tmp_path, slip, "csv"), "train", skipped=skipped)) == 8
    assert skipped == ["fragen.csv:10: 'answer_type' is 'opne'; expected open, closed or choice"]
    own_word = [{**row, "answer_type": "free"} for row in rows[:4]] + rows[4:]
    with pytest.raises(DataError, match=r"fragen.csv:2: 'answer_type' is 'free' \(4 records\)"):
        csv.read(written(tmp_path, own_word, "csv"), "train", skipped=[])


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("close-ended", "closed"),
        ("CLOSED ", "closed"),
        ("Yes/No", "closed"),
        ("geschlossen", "closed"),
        ("Ja/Nein", "closed"),
        ("fermée", "closed"),
        ("cerrada", "closed"),
        ("chiusa", "closed"),
        ("Open-Ended", "open"),
        ("offen", "open"),
        ("ouverte", "open"),
        ("abierta", "open"),
        ("aperta", "open"),
        ("maybe", ""),
        ("opened", ""),
    ],
)
def test_answer_types_are_understood_in_five_languages(text, kind):
    assert spellings.answer_type(text) == kind


@pytest.mark.parametrize("answer", ["yes", "No.", "ja", "Nein", "OUI", "non", "sí", "sì", "si"])
def test_the_type_of_yes_and_no_is_derived_and_marked(tmp_path, answer):
    file = written(tmp_path, [{"image": "a.png", "question": "Is it?", "answer": answer}], "json")
    (row,) = json_lists.read(file, "train")
    assert (row.answer, row.answer_type, row.extra) == (answer, "closed", {"derived": ["answer_type"]})


def test_a_type_that_is_stated_is_not_derived_and_others_stay_unknown(tmp_path):
    rows = [
        {"image": "a.png", "question": "Is it?", "answer": "yes", "answer_type": "open"},
        {"image": "a.png", "question": "Where?", "answer": "left", "answer_type": None},
    ]
    assert [(row.answer_type, row.extra) for row in json_lists.read(written(tmp_path, rows, "json"), "train")] == [
        ("open", {}),
        ("", {}),
    ]


@every_kind
@pytest.mark.parametrize("text", ["nan", "NaN", "NULL", "#N/A"])
def test_what_is_never_an_answer_is_refused_with_its_line(tmp_path, ending, text):
    rows = [{"image": "a.png", "question": "Where?", "answer": "left"} for _ in range(2)]
    rows[1]["answer"] = text
    with pytest.raises(DataError, match=rf"^fragen\.\w+:(3|row 3|item 2|2|row 2): 'answer' is '{text}', which"):
        registry.load("datasets", ending).read(written(tmp_path, rows, ending), "train")


@pytest.mark.parametrize("field", ["image", "question"])
@pytest.mark.parametrize("text", ["nan", "None", "n/a", "-"])
def test_a_missing_question_or_image_is_refused(tmp_path, field, text):
    row = {"image": "a.png", "question": "Where?", "answer": "left"}
    with pytest.raises(DataError, match=f"fragen.csv:2: '{field}' is '{text}', which programs write"):
        csv.read(written(tmp_path, [row | {field: text}], "csv"), "train")


def test_answers_that_may_be_meant_are_kept_and_the_audit_names_their_lines(tmp_path, capsys):
    rows = [
        {"image": "a.png", "question": "Which stain?", "answer": "None", "organ": "nan", "group": "nan"},
        {"image": "b.png", "question": "Is it?", "answer": "yes", "organ": "head", "group": "nan"},
    ]
    file = written(tmp_path, rows, "csv")
    samples = csv.read(file, "train")
    assert [(row.answer, row.organ, row.group) for row in samples] == [("None", "", ""), ("yes", "head", "")]
    assert samples[0].extra == {"not_stated": {"organ": "nan", "group": "nan"}}
    assert cli.main(["data", "audit", "csv", str(file)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "1 answers are 'None', which may be a missing value written as text: fragen.csv:2." in text
    assert "group was 'nan' in 2 records and counts as not stated: fragen.csv:2, fragen.csv:3." in text
    assert "1 questions of train have a derived answer type" in text


def test_a_missing_answer_may_be_mapped_to_what_was_meant(tmp_path):
    row = {"image": "a.png", "question": "Which stain?", "answer": "NaN"}
    (sample,) = csv.read(written(tmp_path, [row], "csv"), "train", values={"answer": {"nan": "no stain"}})
    assert sample.answer == "no stain"


def test_whole_numbers_that_a_program_wrote_with_a_decimal_are_whole(tmp_path):
    def answers(*texts: Any, ending: str = "csv") -> list[str]:
        rows = [{"image": "a.png", "question": f"How many {n}?", "answer": text} for n, text in enumerate(texts)]
        return [row.answer for row in registry.load("datasets", ending).read(written(tmp_path, rows, ending), "train")]

    assert answers("2.0", "left", "10.0", "4") == ["2", "left", "10", "4"]
    assert answers("2.0", "5.1") == ["2.0", "5.1"]  # a column of measurements keeps what was written
    assert answers(2.0, 5.5, 3, ending="xlsx") == ["2", "5.5", "3"]
    assert answers(2.0, 3, "2.0", ending="json") == ["2", "3", "2.0"]
    assert answers(2.0, 3.0, ending="parquet") == ["2", "3"]


def test_two_columns_of_one_name_are_both_kept(tmp_path):
    tiny_images(tmp_path, ("a.png",))
    (tmp_path / "t.csv").write_text("image,question,answer,note,note\na.png,Where?,left,x,y\n")
    (row,) = csv.read(tmp_path, "train")
    assert row.extra == {"note": "x", "note (2)": "y"}


# Text files


def test_excels_line_of_the_separator_is_passed_over_and_lines_stay_numbered(tmp_path):
    tiny_images(tmp_path, ("a.png",))
    (tmp_path / "t.csv").write_text("sep=|\nimage|question|answer\na.png|Is it; then?|no, not\n")
    (row,) = csv.read(tmp_path / "t.csv", "train")
    assert (row.question, row.answer, row.source) == ("Is it; then?", "no, not", "t.csv:3")


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-le", "utf-16-be", "cp850"])
def test_another_encoding_is_named_with_a_command_that_works(tmp_path, encoding):
    tiny_images(tmp_path, ("a.png",))
    text = "image;question;answer\na.png;Ist die Läsion größer als üblich?;nein\n"
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    with pytest.raises(DataError, match=f"is not UTF-8 text.*; it looks like {encoding}") as caught:
        csv.read(tmp_path / "t.csv", "train")
    assert typed(caught.value.hint) == 0
    assert csv.read(tmp_path / "t.csv", "train", encoding=encoding)[0].question == "Ist die Läsion größer als üblich?"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_says_the_encoding(tmp_path, encoding):
    tiny_images(tmp_path, ("a.png",))
    (tmp_path / "t.csv").write_bytes("image;question;answer\na.png;Größe?;5\n".encode(encoding))
    assert csv.read(tmp_path / "t.csv", "train")[0].question == "Größe?"


# Workbooks


def test_a_workbook_of_several_sheets_asks_which(tmp_path):
    import openpyxl

    tiny_images(tmp_path, ("a.png",))
    book = openpyxl.Workbook()
    book.active.append(["image", "question", "answer"])
    book.active.append(["a.png", "Is it?", True])
    book.create_sheet("Notes").append(["x", "y"])
    book.save(tmp_path / "q.xlsx")
    with pytest.raises(DataError, match="has 2 sheets that hold something: Sheet, Notes") as caught:
        csv.read(tmp_path / "q.xlsx", "train")  # by its ending, whatever the reader is called
    assert typed(caught.value.hint) == 0
    (row,) = xlsx.read(tmp_path, "train", sheet="Sheet", values={"answer": {"TRUE": "yes"}})
    assert (row.answer, row.answer_type, row.source) == ("yes", "closed", "q.xlsx:row 2")
    with pytest.raises(ConfigError, match="has no sheet 'Shete'") as caught:
        xlsx.read(tmp_path, "train", sheet="Shete")
    assert caught.value.hint == "did you mean 'Sheet'?"


def test_a_row_that_is_longer_than_the_names_and_a_file_that_is_no_workbook_are_said(tmp_path):
    rows = [{"image": "a.png", "question": "Where?", "answer": "left"}]
    file = written(tmp_path, rows, "xlsx")
    import openpyxl

    book = openpyxl.load_workbook(file)
    book.active.append(["b.png", "Where?", "right", None, "a note"])
    book.save(file)
    with pytest.raises(DataError, match="fragen.xlsx:row 3: 5 cells for 3 columns"):
        xlsx.read(file, "train")
    for content in (b"", b"image,question\n", b"PK\x03\x04" + bytes(99)):
        file.write_bytes(content)
        with pytest.raises(DataError, match="is not a workbook of Excel, or is damaged or locked") as caught:
            xlsx.read(file, "train")
        assert "save it as .xlsx again" in caught.value.hint
