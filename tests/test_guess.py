"""What `discern start` makes of a folder: kind, encoding, delimiter, columns by name and by content, images."""

import json
from collections.abc import Callable
from pathlib import Path

import _hospital
import pytest

from discern_vqa import registry
from discern_vqa.errors import DataError
from discern_vqa.reading.field_names import is_person
from discern_vqa.reading.guess import Doubt, Guess, guess
from discern_vqa.reading.image_files import tiny_images

QUESTIONS = ("Is there a mass?", "Where is the lesion?", "Which organ is shown?", "Is it normal?")
ANSWERS = ("yes", "left", "liver", "no")
IMAGES = [f"{number:02}.png" for number in range(8)]


def never(doubt: Doubt) -> int:
    raise AssertionError(f"asked: {doubt}")


def table(
    folder: Path,
    names: str,
    row: Callable[[int], list[str]],
    *,
    name: str = "table.csv",
    delimiter: str = ",",
    encoding: str = "utf-8",
    before: str = "",
) -> Path:
    """A table with a row for each of eight questions; `names`: of its columns."""
    lines = [delimiter.join(names.split()), *(delimiter.join(row(number)) for number in range(8))]
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes((before + "\n".join(lines) + "\n").encode(encoding))
    return folder


def usual(number: int) -> list[str]:
    return [f"scans/{IMAGES[number]}", QUESTIONS[number % 4], ANSWERS[number % 4]]


def columns_of(made: Guess) -> dict[str, str]:
    columns: dict[str, str] = made.options.get("columns", {})
    return columns


def read(made: Guess) -> list:
    return registry.reader(made.reader).read(made.root, "train", **made.options)


@pytest.mark.parametrize("kind", _hospital.KINDS)
def test_a_hospital_s_data_are_understood_in_every_form(tmp_path, real_data, kind, request):
    if kind in _hospital.LATER:
        request.applymarker(pytest.mark.xfail(strict=True, reason="no reader takes this form yet"))
    write, wanted = _hospital.KINDS[kind]
    rows = _hospital.rows(real_data("slake"), tmp_path, images=12)
    write(rows, tmp_path)
    made = guess(tmp_path, never)
    assert made.reader == wanted["reader"]
    assert made.options.get("encoding", "") == wanted.get("encoding", "")
    samples = read(made)
    assert [(sample.question, sample.answer) for sample in samples] == [(row.question, row.answer) for row in rows]
    assert len({sample.image for sample in samples}) == 12
    assert all(sample.path.is_file() for sample in samples)
    if wanted["types"]:
        assert [_hospital.TYPES[sample.answer_type] for sample in samples] == [row.kind for row in rows]
    if wanted["patients"]:
        groups = {(sample.patient, row.patient) for sample, row in zip(samples, rows, strict=True)}
        assert len(groups) == 6
        assert all(patient for patient, _ in groups)


@pytest.mark.parametrize(
    "names",
    [
        "Bild Frage Antwort",
        "Datei Fragetext Antwort",
        "imagen pregunta respuesta",
        "fichier question réponse",
        "immagine domanda risposta",
        "arquivo pergunta resposta",
        "image_path question answer",
        "IMG_NAME Query Ground_Truth",
    ],
)
def test_columns_are_known_in_several_languages(tmp_path, names):
    tiny_images(tmp_path / "scans", IMAGES)
    made = guess(table(tmp_path, names, usual), never)
    image, question, answer = names.split()
    columns = columns_of(made)
    assert [columns.get(field, field) for field in ("image", "question", "answer")] == [image, question, answer]
    assert [sample.answer for sample in read(made)] == [*ANSWERS, *ANSWERS]


def test_columns_without_a_telling_name_are_known_by_what_they_hold(tmp_path):
    tiny_images(tmp_path / "scans", IMAGES)
    made = guess(table(tmp_path, "c1 c2 c3 c4", lambda n: [str(100 + n), *usual(n)]), never)
    assert columns_of(made) == {"image": "c2", "question": "c3", "answer": "c4"}


def test_what_a_column_holds_wins_over_a_name_for_images(tmp_path):
    tiny_images(tmp_path / "scans", IMAGES)
    made = guess(table(tmp_path, "image Pfad Frage Antwort", lambda n: [f"Röntgen {n}", *usual(n)]), never)
    assert columns_of(made)["image"] == "Pfad"


def test_types_splits_and_question_types_are_told_apart(tmp_path):
    tiny_images(tmp_path / "scans", IMAGES)

    def row(number: int) -> list[str]:
        kind, part = ("close-ended", "Training") if number % 2 else ("open-ended", "Test")
        return [*usual(number), kind, part, "Lage" if number % 2 else "Befund", f"F{number // 2}"]

    made = guess(table(tmp_path, "Bild Frage Antwort Art Menge Kategorie Fallnummer", row), never)
    columns = columns_of(made)
    assert (columns["answer_type"], columns["split"]) == ("Art", "Menge")
    assert (columns["question_type"], columns["patient"]) == ("Kategorie", "Fallnummer")
    assert {sample.answer_type for sample in read(made)} == {"closed"}


def test_a_column_of_types_that_nobody_knows_is_no_answer_type(tmp_path):
    tiny_images(tmp_path / "scans", IMAGES)
    made = guess(table(tmp_path, "Bild Frage Antwort Typ", lambda n: [*usual(n), f"T{n % 3}"]), never)
    assert "answer_type" not in columns_of(made)


@pytest.mark.parametrize(
    ("delimiter", "encoding", "before", "options"),
    [
        (";", "utf-8-sig", "", {}),
        ("\t", "utf-16", "", {}),
        ("\t", "utf-16-le", "", {"encoding": "utf-16-le"}),
        (";", "utf-16-be", "", {"encoding": "utf-16-be"}),
        (";", "cp1252", "", {"encoding": "cp1252"}),
        (";", "utf-8", "sep=;\n", {}),
        ("|", "utf-8", "", {}),
    ],
)
def test_encodings_and_delimiters_are_seen(tmp_path, delimiter, encoding, before, options):
    tiny_images(tmp_path / "scans", IMAGES)
    folder = table(
        tmp_path, "Bild Frage Größe", usual, delimiter=delimiter, encoding=encoding, before=before, name="a.txt"
    )
    made = guess(folder, lambda doubt: 0)
    assert {name: value for name, value in made.options.items() if name != "columns"} == options
    assert columns_of(made) == {"image": "Bild", "question": "Frage", "answer": "Größe"}
    assert len(read(made)) == 8


@pytest.mark.parametrize(
    "written",
    [
        lambda number: IMAGES[number],  # in a subfolder
        lambda number: IMAGES[number].upper(),
        lambda number: IMAGES[number].removesuffix(".png"),
        lambda number: f"scans\\{IMAGES[number]}",
    ],
)
def test_images_are_found_however_they_are_named(tmp_path, written):
    tiny_images(tmp_path / "deep" / "scans", IMAGES)
    made = guess(table(tmp_path, "Name Frage Antwort", lambda n: [written(n), *usual(n)[1:]]), never)
    assert columns_of(made)["image"] == "Name"
    assert [sample.path.name for sample in read(made)] == IMAGES


def test_absolute_paths_inside_the_folder_and_a_folder_beside_the_table_are_found(tmp_path):
    tiny_images(tmp_path / "scans", IMAGES)
    table(tmp_path, "Bild Frage Antwort", lambda n: [str(tmp_path / "scans" / IMAGES[n]), *usual(n)[1:]])
    assert [sample.path.name for sample in read(guess(tmp_path, never))] == IMAGES
    (tmp_path / "table.csv").unlink()
    table(tmp_path, "Bild Frage Antwort", lambda n: [IMAGES[n], *usual(n)[1:]], name="lists/table.csv")
    made = guess(tmp_path, never)
    assert made.options["images"] == "../scans"
    assert [sample.path.name for sample in read(made)] == IMAGES


def test_names_of_persons_are_taken_with_a_word_about_pseudonyms(tmp_path):
    tiny_images(tmp_path / "scans", IMAGES)
    persons = ["Weber Hans", "Dr. Anna Vogel", "Müller-Lüdenscheidt Karl", "Schmidt Eva"]
    made = guess(table(tmp_path, "Bild Frage Antwort Patient", lambda n: [*usual(n), persons[n // 2]]), never)
    assert any("a pseudonym is enough" in line for line in made.lines)
    made = guess(table(tmp_path, "Bild Frage Antwort Patient", lambda n: [*usual(n), f"P-{n // 2:03}"]), never)
    assert not any("pseudonym" in line for line in made.lines)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("Weber, Hans", True), ("Frau Schmidt", True), ("Anna M. Vogel", True), ("P0017", False), ("case 17", False)],
)
def test_a_person_is_told_from_a_pseudonym(text, wanted):
    assert is_person(text) is wanted


def test_two_columns_that_may_be_meant_are_asked_about(tmp_path):
    tiny_images(tmp_path / "scans", IMAGES)
    asked: list[Doubt] = []

    def second(doubt: Doubt) -> int:
        asked.append(doubt)
        return 1

    folder = table(tmp_path, "Bild Frage eins zwei", lambda n: [*usual(n), ANSWERS[(n + 1) % 4]])
    made = guess(folder, second)
    assert [doubt.question for doubt in asked] == ["Which column holds the answer?"]
    assert asked[0].choices[0].startswith("eins (yes, left, liver)")
    assert columns_of(made)["answer"] == "zwei"


def test_of_two_tables_it_is_asked_which(tmp_path):
    tiny_images(tmp_path / "scans", IMAGES)
    table(tmp_path, "image question answer", usual, name="b.csv")
    table(tmp_path, "image question answer", usual, name="a.csv")
    (tmp_path / "notes.csv").write_text("day,done\n1,yes\n2,no\n", encoding="utf-8")
    made = guess(tmp_path, lambda doubt: doubt.choices.index(str(tmp_path / "b.csv")))
    assert made.root == tmp_path / "b.csv"


def test_tables_that_are_called_like_splits_are_one_set(tmp_path):
    tiny_images(tmp_path / "scans", IMAGES)
    for name in ("train.csv", "test.csv"):
        table(tmp_path, "Bild Frage Antwort", usual, name=name)
    made = guess(tmp_path, never)
    assert made.root == tmp_path
    reader = registry.reader(made.reader)
    assert [len(reader.read(made.root, split, **made.options)) for split in ("train", "test")] == [8, 8]


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda folder: None, "holds no table of questions about images"),
        (lambda folder: (folder / "a.csv").write_text("x,y\n1,2\n"), "a.csv has the columns x, y"),
        (lambda folder: (folder / "a.json").write_text(json.dumps([{"x": 1}])), "a.json has the columns x"),
    ],
)
def test_a_folder_without_a_table_of_questions_is_told_with_what_is_there(tmp_path, write, message):
    write(tmp_path)
    with pytest.raises(DataError, match=message) as error:
        guess(tmp_path, never)
    assert "question" in error.value.hint


def test_a_table_without_a_line_of_names_is_refused_since_its_first_question_would_be_lost(tmp_path):
    tiny_images(tmp_path / "scans", IMAGES)
    folder = table(tmp_path, "scans/00.png Mass? yes", usual)
    with pytest.raises(DataError, match="the first line holds values where the names") as error:
        guess(folder, never)
    assert "image,question,answer" in error.value.hint


def test_an_id_that_repeats_is_a_case(tmp_path):
    tiny_images(tmp_path / "scans", IMAGES)
    made = guess(table(tmp_path, "ID Bild Frage Antwort", lambda n: [str(n // 2), *usual(n)]), never)
    assert columns_of(made)["patient"] == "ID"
    assert [sample.patient for sample in read(made)] == ["0", "0", "1", "1", "2", "2", "3", "3"]
    made = guess(table(tmp_path, "ID Bild Frage Antwort", lambda n: [str(n), *usual(n)]), never)
    assert "patient" not in columns_of(made)


def test_of_a_workbook_with_several_sheets_the_one_with_questions_is_read(tmp_path):
    from openpyxl import Workbook

    tiny_images(tmp_path / "scans", IMAGES)
    book = Workbook()
    book.active.append(["notes", "by"])
    book.active.append(["checked", "AB"])
    sheet = book.create_sheet("Fragen")
    for line in [["Bild", "Frage", "Antwort"], *map(usual, range(8))]:
        sheet.append(line)
    book.save(tmp_path / "buch.xlsx")
    made = guess(tmp_path, never)
    assert made.options["sheet"] == "Fragen"
    assert len(read(made)) == 8


def test_what_an_earlier_start_left_in_the_folder_is_no_table(tmp_path):
    tiny_images(tmp_path / "scans", IMAGES)
    table(tmp_path, "image question answer", usual)
    table(tmp_path, "image question answer", usual, name="start/models/x.csv")
    (tmp_path / "start" / "data.toml").write_text("", encoding="utf-8")
    assert guess(tmp_path, never).root == tmp_path / "table.csv"


def test_a_column_that_is_not_recognised_is_named_with_those_that_are_there(tmp_path):
    tiny_images(tmp_path / "scans", IMAGES)
    folder = table(
        tmp_path, "Bild Frage lang", lambda n: [*usual(n)[:2], f"a text of its own, number {n}".replace(",", "")]
    )
    with pytest.raises(DataError, match="no column is recognised as answer; there are: Bild, Frage, lang") as error:
        guess(folder, never)
    assert 'columns = { answer = "NAME" }' in error.value.hint
    with pytest.raises(DataError, match="there is no "):
        guess(tmp_path / "nothing", never)
