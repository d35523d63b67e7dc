"""What `discern start` does before anything is fitted: damaged images, the split, two tables, its file."""

import csv
import json
import time
from pathlib import Path

import openpyxl
import pytest

from discern_vqa import cli, data_file, registry
from discern_vqa.data_file import DataFile
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.reading import split_files
from discern_vqa.reading.guess import guess
from discern_vqa.reading.image_files import tiny_images
from discern_vqa.start import _Walk, description, dividing, run

NAMES = [f"{number:02}.png" for number in range(24)]
ROWS = [
    {"image": name, "question": question, "answer": answer, "patient": f"p{int(name[:2]) // 2}"}
    for name in NAMES
    for question, answer in ((f"Is {name} normal?", "no"), ("Which organ?", "liver"), ("Which side?", "left"))
]


def never(doubt) -> int:
    raise AssertionError(f"asked: {doubt}")


def as_csv(rows, folder: Path, name: str = "questions.csv") -> Path:
    with open(folder / name, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / name


def as_xlsx(rows, folder: Path) -> Path:
    book = openpyxl.Workbook()
    for row in [list(rows[0]), *(list(row.values()) for row in rows)]:
        book.active.append(row)
    book.save(folder / "questions.xlsx")
    return folder / "questions.xlsx"


def as_jsonl(rows, folder: Path) -> Path:
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "samples.jsonl"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """24 images of twelve patients, of which one is damaged."""
    folder = tmp_path_factory.mktemp("own")
    tiny_images(folder, NAMES)
    (folder / NAMES[5]).write_bytes(b"\x89PNG\r\n\x1a\n cut off")
    return folder


def sides(file: Path, reader: str, out: Path, damaged: dict[str, str]) -> dict[str, str]:
    """Question -> the part that it goes to."""
    content = DataFile(reader=reader, root=file.name)
    parts = {"train": registry.load("datasets", reader).read(file, "train")}
    made = dividing.divide(parts, content, out, damaged)
    read = split_files.read(registry.load("datasets", reader), file, out / made.index, {})
    return {f"{row.image} {row.question}": part for part, rows in read.items() for row in rows}


def test_a_damaged_image_is_named_and_goes_to_no_part_and_the_form_of_the_file_changes_nothing(folder, tmp_path):
    samples = registry.load("datasets", "csv").read(as_csv(ROWS, folder), "train")
    damaged = dividing.damaged_images(samples)
    assert list(damaged) == [NAMES[5]]
    lines, doubt = dividing.about_damage(damaged, samples)
    assert NAMES[5] in lines[0]
    assert str(folder) not in lines[0]
    assert "without the 3 questions" in doubt.choices[0]
    made = sides(folder / "questions.csv", "csv", tmp_path / "csv", damaged)
    assert len(made) == len(ROWS) - 3
    assert not any(key.startswith(NAMES[5]) for key in made)
    assert {"train", "validation", "test"} == set(made.values())
    # Other ids, and another order of rows: the same split.
    others = [{**row, "id": f"q{number}"} for number, row in enumerate(reversed(ROWS))]
    assert sides(as_xlsx(others, folder), "xlsx", tmp_path / "xlsx", damaged) == made
    assert sides(as_jsonl(ROWS[30:] + ROWS[:30], folder), "jsonl", tmp_path / "jsonl", damaged) == made


def test_parts_of_their_own_stay_without_the_damaged_image(folder, tmp_path):
    rows = [{**row, "split": "test" if row["patient"] == "p2" else "train"} for row in ROWS]
    file = as_csv(rows, tmp_path / "own" if (tmp_path / "own").mkdir() is None else tmp_path)
    content = DataFile(reader="csv", root=file.name, options={"images": str(folder)})
    parts = description.read(content, file)
    assert dividing.divide(parts, content, tmp_path, {}).index == ""
    made = dividing.divide(parts, content, tmp_path, {NAMES[5]: "cut off"})
    read = split_files.read(registry.load("datasets", "csv"), file, tmp_path / made.index, content.options)
    assert [row.image for row in read["test"]] == [NAMES[4]] * 3
    assert len(read["train"]) == len(ROWS) - 6


@pytest.mark.parametrize(("choice", "message"), [(0, "the data cannot be divided"), (1, "1 image cannot be opened")])
def test_a_damaged_image_is_asked_about_before_anything_is_fitted(tmp_path, choice, message):
    own = tmp_path / "own"
    tiny_images(own, NAMES[:3])
    (own / NAMES[1]).write_bytes(b"no image")
    as_csv(ROWS[:9], own)
    lines: list[str] = []
    with pytest.raises(DataError, match=message):
        run(own, tmp_path / "out", 10, lambda doubt: choice, lines.append)
    assert any(line.startswith(f"  {NAMES[1]}") for line in lines)
    report = tmp_path / "out" / "audit.txt"
    assert report.exists() is (choice == 0)
    if choice == 0:
        assert any(f"left out: 1 image that cannot be opened ({NAMES[1]}), 3 questions" in line for line in lines)
        assert "3 records cannot be read" in " ".join(report.read_text().split())


def test_the_page_of_the_audit_is_of_the_split(folder, tmp_path):
    as_csv(ROWS, folder)
    walk = _Walk(tmp_path, deadline=0.0, say=lambda text: None, began=time.monotonic())
    walk.describe(folder / "questions.csv", never)
    walk.open_images(lambda doubt: 0)
    walk.split()
    walk.audit()
    page = (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert "divided as in split/" in page
    report = json.loads((tmp_path / "audit.json").read_text(encoding="utf-8"))
    assert set(report["records"]["splits"]) == {"train", "validation", "test"}


def test_the_time_begins_before_the_imports(monkeypatch):
    begun = []
    monkeypatch.setattr("discern_vqa.start.run", lambda *given: begun.append((given[-1], time.monotonic())))
    before = time.monotonic()
    assert cli.main(["start", "anything"]) == 0
    ((began, called),) = begun
    assert before <= began < called


# Two tables


def test_a_table_of_the_images_is_joined_or_it_is_said_why_not(tmp_path):
    tiny_images(tmp_path, NAMES[:4])
    questions = [{"image": row["image"], "question": row["question"], "answer": row["answer"]} for row in ROWS[:12]]
    as_csv(questions, tmp_path)
    images = [{"image": name, "Patient": f"p{number // 2}", "ward": "3"} for number, name in enumerate(NAMES[:4])]
    as_csv(images, tmp_path, "images.csv")
    understood = guess(tmp_path, never)
    assert understood.options == {"columns": {"patient": "Patient"}, "join": "images.csv"}
    assert f"  joined by the image with {tmp_path / 'images.csv'}" in understood.lines
    rows = registry.load("datasets", "csv").read(tmp_path / "questions.csv", "train", **understood.options)
    assert [row.patient for row in rows] == ["p0"] * 6 + ["p1"] * 6
    assert {row.extra["ward"] for row in rows} == {"3"}
    as_csv([*images, {**images[0], "Patient": "p9"}], tmp_path, "images.csv")
    understood = guess(tmp_path, never)
    assert "join" not in understood.options
    assert any(
        "images.csv says more of the images (patient), and is left out: it has several" in x for x in understood.lines
    )
    with pytest.raises(DataError, match="images.csv:6: the image '00.png' has a row already"):
        registry.load("datasets", "csv").read(tmp_path / "questions.csv", "train", join="images.csv")
    as_csv(images[:2], tmp_path, "images.csv")
    assert any("it names 50 % of the images" in line for line in guess(tmp_path, never).lines)
    as_csv([{**row, "answer": "x"} for row in images], tmp_path, "images.csv")
    with pytest.raises(DataError, match="questions.csv and images.csv both have a column 'answer'"):
        registry.load("datasets", "csv").read(tmp_path / "questions.csv", "train", join="images.csv")


# A data.toml


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[options]\ncolumns = { questoin = "question" }', "[options]: columns: there is no field 'questoin'"),
        ('[options]\ncolumns = { question = "Frge" }', "'Frge' is given by columns.question"),
        ('[columns]\nquestion = "Frage"', "columns is an option of the reader: write it as [options.columns]"),
    ],
)
def test_a_mistake_in_the_columns_of_a_data_file_names_the_file_and_the_key(tmp_path, text, message, capsys):
    tiny_images(tmp_path, NAMES[:1])
    as_csv(ROWS[:3], tmp_path)
    file = tmp_path / "data.toml"
    file.write_text(f'reader = "csv"\nroot = "questions.csv"\n{text}\n')
    with pytest.raises((ConfigError, DataError)) as caught:
        run(file, tmp_path / "out", 10, never, lambda line: None)
    assert str(caught.value).startswith(f"{file}: ")
    assert message in str(caught.value)
    assert cli.main(["data", "look", str(file)]) == 2
    assert message in capsys.readouterr().err


def test_a_split_of_a_data_file_is_written_beside_it_and_none_is_overwritten(folder, tmp_path, capsys):
    as_csv([row for row in ROWS if row["image"] != NAMES[5]], folder)
    file = folder / "data.toml"
    DataFile(reader="csv", root="questions.csv").write(file)
    assert cli.main(["data", "split", str(file), "--by", "image"]) == 0
    assert (folder / data_file.SPLIT / "split.json").is_file()
    assert f'{file} reads it with: index = "split"' in capsys.readouterr().out
    assert cli.main(["data", "split", str(file)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert cli.main(["data", "split", "csv", str(folder)]) == 2
    assert "try: add --out split" in capsys.readouterr().err


def test_all_empty_answers_are_one_message_with_their_lines(tmp_path):
    tiny_images(tmp_path, NAMES)
    rows = [{**row, "answer": "" if number in (1, 4, 7) else row["answer"]} for number, row in enumerate(ROWS)]
    rows[9]["question"] = ""
    with pytest.raises(DataError) as caught:
        registry.load("datasets", "csv").read(as_csv(rows, tmp_path), "train")
    message = str(caught.value)
    assert message.startswith("questions.csv:3: 'answer' is missing")
    assert message.endswith(
        "(and 3 more problems in this data set, 2 of them the same: questions.csv:6, questions.csv:9)"
    )
