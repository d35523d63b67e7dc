"""Inputs of `predict`: what is read of a table or a folder, and what is wrong with it is said with file and line."""

import json
from pathlib import Path

import pytest
from openpyxl import Workbook

from discern_vqa.datasets import jsonl
from discern_vqa.errors import ConfigError, DataError, DiscernError
from discern_vqa.evaluation.question_columns import Known
from discern_vqa.evaluation.questions import look_through
from discern_vqa.reading.image_files import tiny_image

ROW = {"image": "a.png", "question": "Why?"}


@pytest.fixture
def folder(tmp_path):
    """A folder with the images a.png and, one folder down, b.png."""
    for number, name in enumerate(("a.png", "bilder/b.png")):
        tiny_image(tmp_path / name, number)
    return tmp_path


def file_of(folder: Path, *lines: object, name: str = "q.jsonl", encoding: str = "utf-8") -> Path:
    path = folder / name
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    path.write_bytes(text.encode(encoding))
    return path


def refused(path: Path, **options) -> DiscernError:
    """What is said of a file that cannot be read; it is two lines."""
    with pytest.raises(DiscernError) as caught:
        look_through(path, (), options)
    assert caught.value.hint
    assert "\n" not in str(caught.value) + caught.value.hint
    return caught.value


def problems(path: Path, **options) -> list[str]:
    """What is wrong with each row; "" for a question."""
    return [asked.problem for asked in look_through(path, (), options).rows()]


@pytest.mark.parametrize(
    ("delimiter", "encoding", "options"),
    [
        (";", "utf-8-sig", {}),
        (";", "cp1252", {"encoding": "cp1252"}),
        ("\t", "utf-16", {}),
        (",", "utf-8", {}),
        ("|", "utf-8", {"delimiter": "|"}),
        (";", "utf-16-le", {"encoding": "utf-16-le"}),
    ],
)
def test_a_table_of_any_delimiter_and_encoding_is_read_and_its_cells_stay_as_they_stand(
    folder, delimiter, encoding, options
):
    cells = [["Fall", "Bild", "Frage"], [" 7 ", "a.png", " Größe? "], ["8", "a.png", 'Ist "das" da?']]
    lines = [delimiter.join(f'"{cell.replace(chr(34), 2 * chr(34))}"' for cell in row) for row in cells]
    path = file_of(folder, *lines, name="q.csv", encoding=encoding)
    columns = {"image": "Bild", "question": "Frage", "id": "Fall"}
    given = look_through(path, (), {"columns": columns, **options})
    rows = list(given.rows())
    assert given.columns == ("Fall", "Bild", "Frage")
    assert [list(asked.cells) for asked in rows] == cells[1:]
    assert [(asked.sample.question, asked.sample.id) for asked in rows] == [("Größe?", " 7 "), ('Ist "das" da?', "8")]
    assert (given.table.delimiter, given.table.encoding) == (delimiter, encoding)
    assert [asked.sample.path for asked in rows] == [folder / "a.png"] * 2


def test_excels_own_line_about_the_delimiter_is_no_row(folder):
    path = file_of(folder, "sep=;", "image;question", "a.png;Links, rechts, oben, unten?", name="q.csv")
    ((asked,), given) = (list(look_through(path).rows()), look_through(path))
    assert (given.columns, asked.sample.question) == (("image", "question"), "Links, rechts, oben, unten?")


def test_a_workbook_is_read_by_sheet_with_its_values(folder):
    book = Workbook()
    book.active.append(["leer"])
    sheet = book.create_sheet("Fragen")
    for row in (["Image", "QUESTION", "Alter"], ["a.png", "Why?", 63], [None, None, None], ["a.png", None, 5]):
        sheet.append(row)
    book.save(folder / "q.xlsx")
    given = look_through(folder / "q.xlsx", (), {"sheet": "Fragen"})
    assert [(asked.cells, asked.source, asked.problem) for asked in given.rows()] == [
        (("a.png", "Why?", 63), f"{folder / 'q.xlsx'}:row 2", ""),
        (("a.png", None, 5), f"{folder / 'q.xlsx'}:row 4", "'question' is missing or empty"),
    ]
    assert "no sheet 'Frage'" in str(refused(folder / "q.xlsx", sheet="Frage"))
    assert "--option sheet=Sheet" in refused(folder / "q.xlsx").hint  # which of two sheets is asked, not guessed
    assert "no line of column names" in str(refused(folder / "q.xlsx", sheet="Sheet"))
    (folder / "broken.xlsx").write_bytes(b"PK\x03\x04 nothing")
    assert "is not a workbook of Excel" in str(refused(folder / "broken.xlsx"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("q.csv", "image,question\na.png,Why?\n,Why?\n", "'image' is missing or empty"),
        ("q.csv", "image,question\na.png,Why?\na.png\n", "'question' is missing or empty"),
        ("q.csv", "image,question\na.png,Why?\na.png,Left, or right?\n", "3 cells for 2 columns (put quotes"),
        ("q.csv", "image,question\na.png,Why?\na.pgn,Why?\n", "(did you mean 'a.png'?)"),
        ("q.csv", "image,question\na.png,Why?\nbilder,Why?\n", "the image 'bilder' is a folder"),
        ("q.jsonl", '{"image": "a.png", "question": "Why?"}\n\n{"image": ', "broken JSON"),
        ("q.jsonl", '{"image": "a.png", "question": "Why?"}\n[1]\n', "the record is a list ([1]); expected an object"),
        ("q.jsonl", f"{json.dumps(ROW)}\n" + '{"image": "a.png", "question": null}\n', "'question' is missing"),
        ("q.jsonl", f"{json.dumps(ROW)}\n{json.dumps(ROW | {'id': [1]})}\n", "expected text"),
        ("q.jsonl", f"{json.dumps(ROW)}\n{json.dumps(ROW | {'question': {'en': 'Why?'}})}\n", "expected text"),
        ("q.jsonl", f"{json.dumps(ROW)}\n{json.dumps(ROW | {'image': 'a' + chr(0)})}\n", "is no name of a file"),
    ],
)
def test_what_is_wrong_with_a_row_is_said_in_that_row_and_the_others_are_asked(folder, name, content, said):
    (folder / name).write_text(content)
    first, second = problems(folder / name)
    assert first == ""
    assert said in second
    (folder / "alone.csv").write_text("image,question\n,Why?\n")
    assert "alone.csv:2: 'image' is missing or empty" in str(refused(folder / "alone.csv"))


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
def test_json_that_nobody_could_write_again_is_said_in_its_row(folder, value, said):
    path = file_of(folder, ROW, json.dumps(ROW)[:-1] + f', "note": {value}}}')
    assert problems(path)[1].startswith(said)


@pytest.mark.parametrize(
    ("name", "content", "options", "said", "hint"),
    [
        ("q.csv", b"X,Y\n1,2\n", {}, "no column 'image' and no column 'question'", "columns.image=NAME"),
        ("q.csv", b"image,question\na.png,o\xf9?\n", {}, "is not UTF-8", "--option encoding=cp1252"),
        ("q.csv", "image,question\n".encode("utf-16-le"), {}, "is not UTF-8", "--option encoding=utf-16-le"),
        ("q.csv", b"image,question\na.png,Why?\n", {"encoding": "klingon"}, "no encoding 'klingon'", "cp1252"),
        ("q.csv", b"image,question\na.png,Why?\n", {"delimiter": "::"}, "expected one character", "delimiter"),
        ("q.csv", b"image,question\na.png,Why?\n", {"sheet": "1"}, "has no sheet", "leave out"),
        ("q.csv", b"image,question\na.png,Why?\n", {"colums": {}}, "no option 'colums'", "columns"),
        ("q.csv", b"image,question\na.png,Why?\n", {"columns": {"frage": "x"}}, "no field 'frage'", "question"),
        ("q.csv", b"image,question\na.png,Why?\n", {"columns": {"image": "Image"}}, "no column 'Image'", "'image'"),
        ("q.csv", b'image,question\na.png,"Why?\na.png,Why?\n', {}, "q.csv:2: a quote is opened", "close it"),
        ("q.csv", b"image,question\nc.png,Why?\n", {}, "'c.png' is not there", "--option images=FOLDER"),
        ("q.csv", b"image,question\n", {}, "holds no question", "a row for each"),
        ("q.csv", b"", {}, "no line of column names", "image,question"),
        ("q.json", b"[]", {}, "holds no question", "a row for each"),
        ("q.xls", b"", {}, "of a kind that is not read", ".xlsx"),
        ("q.png", b"", {}, "ends in .png", ".csv"),
        ("q.jsonl", b"", {}, "holds no question", "a row for each"),
        ("q.jsonl", b'{"image": "a.png", "caption": "A film."}\n' * 2, {}, "(2 captions were passed over)", "row"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_as_a_whole_is_refused_with_what_helps(folder, name, content, options, said, hint):
    (folder / name).write_bytes(content)
    error = refused(folder / name, **options)
    assert said in str(error)
    assert hint in error.hint


def test_a_file_that_is_not_there_is_said_with_the_one_beside_it(folder):
    file_of(folder, "image,question", name="fragen.csv")
    error = refused(folder / "frage.csv")
    assert "frage.csv is not there" in str(error)
    assert "fragen.csv" in error.hint


def test_ids_are_kept_as_given_zero_too_and_the_lines_number_stands_in_for_none(folder):
    rows = [ROW | {"id": 0}, ROW | {"id": 1}, "", ROW | {"id": None}, ROW | {"id": ""}, ROW | {"id": "x 7"}, ROW]
    ids = [asked.sample.id for asked in look_through(file_of(folder, *rows)).rows()]
    assert ids == ["0", "1", "4", "5", "x 7", "7"]


def test_what_convert_writes_is_read_captions_passed_over_and_images_at_their_path(tmp_path):
    jsonl.write_tiny(tmp_path / "set")
    samples = [sample for split in jsonl.SPLITS for sample in jsonl.read(tmp_path / "set", split)]
    jsonl.write(samples, tmp_path / "elsewhere" / "all.jsonl")
    given = look_through(tmp_path / "elsewhere" / "all.jsonl")
    asked = [(row.sample.id, row.sample.question, row.sample.path) for row in given.rows()]
    wanted = [(sample.id, sample.question, sample.path) for sample in samples if not sample.is_caption]
    assert asked == wanted
    assert given.notes == (f"{len(samples) - len(wanted):,} captions were passed over",)


@pytest.mark.parametrize(
    ("content", "known", "encoding", "note"),
    [
        ("Bild;Frage\nb.png;Größe?\n", {}, "utf-8", "q.csv: image is column 'Bild', question is column 'Frage'"),
        ("X;Y\nB.PNG;Größe?\n", {}, "utf-8", "q.csv: image is column 'X', question is column 'Y'"),
        (
            "Bild;Frage;Datei\n1;Größe?;b\n",
            {"columns": {"image": "Datei", "question": "Frage"}},
            "utf-8",
            "q.csv: image is column 'Datei', question is column 'Frage'",
        ),
        ("image;question\nb.png;Größe?\n", {"encoding": "cp1252"}, "cp1252", ""),
    ],
    ids=["by name", "by content", "as the run's data", "the run's encoding"],
)
def test_a_table_is_read_as_it_is_said_or_known_or_named_and_images_are_found_below_it(
    folder, content, known, encoding, note
):
    (folder / "q.csv").write_bytes(content.encode(encoding))
    given = look_through(folder / "q.csv", known=Known(known))
    ((sample, problem),) = [(row.sample, row.problem) for row in given.rows()]
    assert problem == ""
    assert (sample.path, sample.question) == (folder / "bilder" / "b.png", "Größe?")
    assert given.notes == ((note,) if note else ())


def test_json_lines_under_other_keys_are_read_and_images_beside_the_known_data_are_found(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    path = file_of(elsewhere, {"img": "b.png", "frage": "Why?"}, {"img": "nowhere.png", "frage": "Why?"})
    given = look_through(path, known=Known({"columns": {"image": "img"}}, folder / "bilder"))
    first, second = given.rows()
    assert (first.sample.path, first.sample.question) == (folder / "bilder" / "b.png", "Why?")
    assert "'nowhere.png' is not there" in second.problem


def test_an_image_that_fits_two_files_is_refused_in_its_row(folder):
    tiny_image(folder / "more" / "b.png", 3)
    (folder / "q.csv").write_text("image,question\na.png,Why?\nb.png,Why?\n")
    assert "may be bilder/b.png or more/b.png" in problems(folder / "q.csv")[1]


def test_a_line_separator_inside_a_question_does_not_end_its_line(folder):
    path = file_of(folder, json.dumps(ROW | {"question": "Why\u2028now\x85?"}, ensure_ascii=False))
    (asked,) = look_through(path).rows()
    assert asked.sample.question == "Why\u2028now\x85?"
    path = file_of(folder, "image,question", 'a.png,"Why\u2028now?\nAnd here?"', "a.png,Last?", name="q.csv")
    assert [asked.sample.question for asked in look_through(path).rows()] == ["Why\u2028now?\nAnd here?", "Last?"]


def test_a_long_cell_and_a_name_of_windows_are_read(folder):
    path = file_of(folder, "image,question,note", f"bilder\\b.png,Why?,{'x' * 200_000}", name="q.csv")
    (asked,) = look_through(path).rows()
    assert (asked.sample.path, len(asked.cells[2])) == (folder / "bilder/b.png", 200_000)


def test_a_folder_of_images_is_asked_every_question_in_the_order_of_its_names(folder):
    (folder / "notes.txt").write_text("mine")
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "1.2.840").write_bytes(b"DICM")
    given = look_through(folder, ["Why?", " Where? "])
    assert [asked.cells for asked in given.rows()] == [
        (name, question) for name in ("1.2.840", "a.png", "bilder/b.png") for question in ("Why?", "Where?")
    ]
    assert given.count == 6
    assert given.notes == ("files that are no images by their endings were passed over: 1 .txt",)
    with pytest.raises(DataError, match="expected a question about each"):
        look_through(folder)
    with pytest.raises(ConfigError, match="--question is for a folder"):
        look_through(file_of(folder, ROW), ["Why?"])
    with pytest.raises(ConfigError, match="--option images is for a table"):
        look_through(folder, ["Why?"], {"images": "x"})


def test_the_digest_tells_every_cell_every_column_and_every_option_apart(folder):
    digests = {
        look_through(file_of(folder, "image,question,a.b", row, name="q.csv"), (), options).digest
        for row in ("a.png,Why?,1", "a.png,Why?,2", "bilder/../a.png,Why?,1")
        for options in ({}, {"columns": {"id": "a.b"}}, {"images": "."})
    }
    assert len(digests) == 9
