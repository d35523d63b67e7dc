"""Readers of one's own data: tables, conversations, DICOM folders. Mappings, traps, and what must not be kept."""

import json
import os
import re
import shutil
import stat
from collections import Counter
from pathlib import Path

import pytest
from _readers import own_folders

from discern_vqa import cli
from discern_vqa.data.splits import components
from discern_vqa.datasets import csv, dicom_folder
from discern_vqa.errors import ConfigError, DataError

__all__ = ["own_folders"]  # the fixture


def table(root: Path, *lines: str, name: str = "questions.csv", encoding: str = "utf-8") -> Path:
    """A table of these lines beside an image a.png."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "a.png").write_bytes(b"")
    (root / name).write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return root / name


DERIVED = {"derived": ["answer_type"]}

# Tables


def test_columns_of_other_names_are_mapped_and_the_rest_is_kept(tmp_path):
    file = table(tmp_path, "Datei;Frage;Antwort;Station", "a.png;Ist das ein CT?;ja;3")
    names = {"image": "Datei", "question": "Frage", "answer": "Antwort"}
    (row,) = csv.read(file, "train", columns=names)
    assert (row.image, row.question, row.answer, row.extra) == (
        "a.png",
        "Ist das ein CT?",
        "ja",
        {"Station": "3"} | DERIVED,
    )
    line = ["data", "convert", "csv", str(file), str(tmp_path / "out.jsonl")]
    mapped = [f"--option=columns.{field}={column}" for field, column in names.items()]
    assert cli.main([*line, *mapped]) == 0
    assert json.loads((tmp_path / "out.jsonl").read_text())["answer"] == "ja"


def test_the_images_may_lie_in_a_folder_of_their_own_and_rows_be_of_any_split(tmp_path):
    file = table(tmp_path, "image,question,answer", "x.png,What?,this")
    (tmp_path / "scans").mkdir()
    (tmp_path / "a.png").rename(tmp_path / "scans" / "x.png")
    (row,) = csv.read(file, "test", images="scans", use_as="test")
    assert row.image == "scans/x.png"
    assert csv.read(file, "train", images="scans", use_as="test") == []
    with pytest.raises(ConfigError, match="use_as is 'tset'"):
        csv.read(file, "train", use_as="tset")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_seen_in_the_line_of_names(tmp_path, delimiter):
    file = table(tmp_path, delimiter.join(["image", "question", "answer"]), delimiter.join(["a.png", "What?", "this"]))
    assert csv.read(file, "train")[0].answer == "this"


def test_captions_quoted_lines_and_an_index_without_a_name_are_read(tmp_path):
    file = table(tmp_path, ",image,caption", '0,a.png,"An axial CT,', 'with a mass"', "", "1,a.png,A film")
    rows = csv.read(file, "train")
    assert [row.caption for row in rows] == ["An axial CT, with a mass", "A film"]
    assert [row.source for row in rows] == ["questions.csv:2", "questions.csv:5"]
    assert rows[0].is_caption


def test_another_encoding_is_refused_or_named_never_guessed(tmp_path):
    file = table(tmp_path, "image,question,answer", "a.png,What?,Läsion", encoding="cp1252")
    with pytest.raises(DataError, match="is not UTF-8 text: byte 35 is 0xe4"):
        csv.read(file, "train")
    assert csv.read(file, "train", encoding="cp1252")[0].answer == "Läsion"
    with pytest.raises(ConfigError, match="there is no encoding 'cp12'"):
        csv.read(file, "train", encoding="cp12")
    wide = table(tmp_path, "image\tquestion\tanswer", "a.png\tWhat?\tLäsion", name="wide.txt", encoding="utf-16")
    assert csv.read(wide, "train", encoding="utf-16")[0].answer == "Läsion"


@pytest.mark.parametrize(
    ("lines", "message", "hint"),
    [
        (["image,question", "a.png,What?"], "has no column 'answer'", "--option columns.answer=NAME"),
        (["image,question,answer", "a.png,What?"], "questions.csv:2: 2 cells for 3 columns", "quotes"),
        (["image,question,answer", "a.png,What?,a,b"], "questions.csv:2: 4 cells for 3 columns", "quotes"),
        (["image,question,answer", "b.png,What?,a"], "the image 'b.png' is not there", "did you mean 'a.png'?"),
        (
            ["image,question,answer", "../a.png,What?,a"],
            "leads out of the data set's folder",
            "relative to that folder",
        ),
        (["Image,question,answer,image", "a.png,What?,a,b"], "has two columns for 'image'", "columns.image=Image"),
        (
            ["file,question,answer", "a.png,What?,a"],
            "has no column 'image'; its columns are: file",
            "columns.image=file",
        ),
        (["nothing"], "has no line of column names", "delimiter"),
        ([""], "has no line of column names", "delimiter"),
        (["image,question,answer"], "has no usable record", "a record for each question"),
        (
            ["image,question,answer,split", "a.png,What?,a,tset"],
            "questions.csv:2: 'split' is 'tset'",
            "values.split.tset=test",
        ),
        (
            ["image,question,answer,answer_type", "a.png,What?,a,maybe"],
            "expected open, closed or choice",
            "answer_type.maybe=open",
        ),
        (["image,question,answer,choices", "a.png,What?,a,[1"], "'choices' is '[1'; expected a list", "correct"),
        (["image,question,answer,mask", "a.png,What?,a,m.png"], "the mask 'm.png' is not there", "a.png"),
        (["id,image,question,answer", "1,a.png,What?,a", "1,a.png,Why?,a"], "csv:3: the id '1' was used", "id of its"),
    ],
)
def test_a_broken_table_stops_with_its_line_and_a_hint(tmp_path, lines, message, hint):
    file = table(tmp_path, *lines)
    with pytest.raises(DataError) as caught:
        csv.read(file, "train")
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_a_column_or_field_that_does_not_exist_is_answered_with_the_nearest(tmp_path):
    file = table(tmp_path, "image,question,answer", "a.png,What?,a")
    with pytest.raises(ConfigError, match="there is no field 'anwser'") as caught:
        csv.read(file, "train", columns={"anwser": "answer"})
    assert caught.value.hint == "did you mean 'answer'?"
    with pytest.raises(ConfigError, match="has no column 'questoin'") as caught:
        csv.read(file, "train", columns={"question": "questoin"})
    assert f"discern data audit csv {file} --option columns.question=question " in caught.value.hint


def test_broken_rows_are_counted_when_asked(tmp_path):
    file = table(tmp_path, "image,question,answer", "a.png,What?,a", "a.png,What?,", "a.png,Why?,b,c")
    skipped: list[str] = []
    assert len(csv.read(file, "train", skipped=skipped)) == 1
    assert [line.split(": ")[0] for line in skipped] == ["questions.csv:3", "questions.csv:4"]


def test_a_folder_of_several_tables_asks_which(tmp_path):
    table(tmp_path, "image,question,answer", "a.png,What?,a", name="one.csv")
    assert len(csv.read(tmp_path, "train")) == 1
    table(tmp_path, "image,question,answer", "a.png,What?,a", name="two.csv")
    with pytest.raises(DataError, match="holds 2 tables: one.csv, two.csv"):
        csv.read(tmp_path, "train")
    with pytest.raises(DataError, match="holds no table"):
        csv.read(tmp_path.parent / "own", "train") if (tmp_path.parent / "own").mkdir() is None else None


def test_the_images_of_one_patient_hang_together(tmp_path):
    csv.write_tiny(tmp_path)
    rows = csv.read(tmp_path, "train")
    assert [sorted({rows[place].patient for place in unit}) for unit in components(rows)] == [["p1"], ["p2"]]


# DICOM


@pytest.fixture
def studies(tmp_path):
    dicom_folder.write_tiny(tmp_path / "studies")
    return tmp_path / "studies"


def ask(root: Path, *rows: str, **options) -> list:
    (root / "questions.csv").write_text("\n".join(["image,question,answer,frame", *rows]) + "\n")
    return dicom_folder.read(root, "train", **options)


def test_nothing_that_identifies_a_patient_is_kept(studies):
    for split in dicom_folder.SPLITS:
        for row in dicom_folder.read(studies, split):
            kept = repr({**vars(row), "path": None})
            for identity in ("4711", "4712", "Doe", "DOE", "1.2.826", "ward"):
                # Not in the middle of a pseudonym, whose digits hold any four of them now and then.
                assert not re.search(rf"(?<![0-9a-f]){re.escape(identity)}", kept)
            assert row.patient == row.group != ""
            assert row.study


def test_pseudonyms_are_the_same_with_one_key_and_others_with_another(studies):
    first, second = (dicom_folder.read(studies, "train", key=key) for key in ("one", "two"))
    assert dicom_folder.read(studies, "train", key="one") == first
    assert {row.image for row in first}.isdisjoint(row.image for row in second)
    assert {row.patient for row in first}.isdisjoint(row.patient for row in second)
    assert Counter(row.patient for row in first).total() == 3
    assert len({row.patient for row in first}) == 1
    assert first[0].patient != first[0].study


def test_the_users_own_key_is_made_once_and_is_for_the_user_alone(studies, tmp_path):
    assert dicom_folder.read(studies, "train") == dicom_folder.read(studies, "train")
    file = tmp_path / "config" / "discern" / "pseudonyms.key"
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    file.write_text("no key")
    with pytest.raises(DataError, match="pseudonyms.key, cannot be read"):
        dicom_folder.read(studies, "train")


def test_files_series_studies_and_frames_are_found(studies):
    rows = ask(
        studies,
        "export/DOE^JANE/ct/IM2.dcm,What?,a,",
        "1.2.826.1.1.2,What?,a,",
        "export/DOE^JANE/us/CINE.dcm,What?,a,2",
        "1.2.826.2.1.1#frame=2,What?,a,",
        "1.2.826.3,What?,a,",
    )
    assert rows[0].image == rows[1].image
    assert rows[2].image == rows[3].image
    assert rows[2].image.endswith("#frame=2")
    assert rows[2].path.name == "CINE.dcm#frame=2"
    assert rows[4].path.name == "0001"
    assert (rows[4].modality, rows[4].organ) == ("x-ray", "chest")


@pytest.mark.parametrize(("pick", "name"), [("first", "IM1.dcm"), ("middle", "IM2.dcm"), ("last", "IM3.dcm")])
def test_of_a_series_the_one_is_taken_that_was_asked_for(studies, pick, name):
    (row,) = ask(studies, "1.2.826.1.1,What?,a,", pick=pick)
    assert row.path.name == name
    with pytest.raises(DataError, match=r"questions.csv:2: the UID 1.2.826.1.1 belongs to 3 images") as caught:
        ask(studies, "1.2.826.1.1,What?,a,")
    assert "pick=middle" in caught.value.hint
    with pytest.raises(ConfigError, match="pick is 'all'"):
        ask(studies, "1.2.826.1.1,What?,a,", pick="all")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("export/chest/report,What?,a,", "is a DICOM file without pixels"),
        ("1.2.826.3.2.1,What?,a,", "the UID 1.2.826.3.2.1 has no pixels"),
        ("1.2.3,What?,a,", "the UID 1.2.3 is in none of the"),
        ("export/chest/0002,What?,a,", "is not there"),
        ("../a.dcm,What?,a,", "leads out of the folder"),
        ("/etc/passwd,What?,a,", "leads out of the folder"),
        ("export/chest/0001,What?,a,0", "'frame' is '0'; expected a number from 1 on"),
        ("export/chest/0001,What?,,", "'answer' is missing"),
    ],
)
def test_a_broken_row_about_studies_stops_with_its_line(studies, row, message):
    with pytest.raises(DataError, match="^questions.csv:2: ") as caught:
        ask(studies, row)
    assert message in str(caught.value)


def test_a_damaged_dicom_file_is_said_and_other_images_are_taken_too(studies):
    whole = (studies / "export/chest/0001").read_bytes()
    (studies / "cut.dcm").write_bytes(whole[:150])
    (studies / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    rows = ask(studies, "b.png,What?,a,", "export/chest/0001,What?,a,")
    assert rows[0].image.startswith("file/")
    assert "b.png" not in rows[0].image
    (studies / "noise.dcm").write_bytes(whole[:132] + b"\x02\0\0\0UL\x04\0\xff\xff\0\0" + b"\xff" * 400)
    with pytest.raises(DataError, match="noise.dcm is a"):
        ask(studies, "noise.dcm,What?,a,")


def test_a_table_of_lines_and_columns_to_keep_are_read(studies):
    line = {"image": "export/chest/0001", "question": "What?", "answer": "a", "ward": 3, "PatientName": "Doe"}
    (studies / "questions.csv").unlink()
    with pytest.raises(DataError, match="has no questions.csv, and no other table"):
        dicom_folder.read(studies, "train")
    (studies / "questions.jsonl").write_text(json.dumps(line) + "\n")
    assert dicom_folder.read(studies, "train")[0].extra == {}
    assert dicom_folder.read(studies, "train", keep=["ward"])[0].extra == {"ward": 3}
    shutil.move(studies / "questions.jsonl", studies / "mine.jsonl")
    assert len(dicom_folder.read(studies, "train", questions="mine.jsonl")) == 1
