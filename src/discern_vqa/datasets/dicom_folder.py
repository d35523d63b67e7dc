"""DICOM studies of your own: a folder of files as an archive exports it, and a table of questions.

    ROOT/questions.csv (.xlsx, .json, .jsonl)      image,question,answer,answer_type,split
                                                   CT/SER1/IM003.dcm,Is there a mass?,yes,closed,train
    ROOT/**/*                                      DICOM files in any folders; other images and NIfTI may lie among them

`image` names a file (relative to ROOT), or holds a SOPInstanceUID, SeriesInstanceUID or StudyInstanceUID. A series or
study of several files needs `pick`: "first", "middle" or "last" in the order of series and instance numbers; without
it, it is an error, since any choice would be a guess. A frame of a file with several is chosen by a column `frame`, or
behind the name: `IM003.dcm#frame=7`. The other columns are those of the reader `csv`, with its options; a
column that is no field of a sample is dropped, unless the option `keep` names it.

Nothing that identifies a patient is kept. Of each file six tags are read: SOPInstanceUID, SeriesInstanceUID,
StudyInstanceUID, PatientID, Modality and BodyPartExamined. The first four become pseudonyms, keyed hashes (BLAKE2b)
that nobody can compute without the key: `image` is "dicom/<pseudonym>", `study` and `patient` likewise, and `group` is
the patient, so that no split divides one. The key is the option `key`, or a random one that is made once for you in
`~/.config/discern/pseudonyms.key`; another key, other pseudonyms. Names, dates and the other tags are never read.

Traps: `id` and `group` are taken as the table has them: put no number of the clinic there. File names can hold names
of patients: `Sample.path` keeps them, and so do the `path` of a converted JSONL file (leave it where the studies are)
and messages about broken files. Text burned into the pixels is still there. `modality` is the tag's code in words
where it is a common one ("CT" -> "ct"; "CR", "DX" -> "x-ray"). Reports and other objects without pixels are refused
when a question names one.

Licence: that of your data.
"""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from discern_vqa.data.sample import SPLITS as ALL_SPLITS
from discern_vqa.data.sample import Sample
from discern_vqa.errors import DataError
from discern_vqa.files import atomic_write_text
from discern_vqa.reading import own_table
from discern_vqa.reading.dicom_tags import Studies, pseudonym, write_tiny_files
from discern_vqa.reading.encodings import DEFAULT
from discern_vqa.reading.neutral import KNOWN, sample_of
from discern_vqa.reading.records import Record, one_line, require_folder, require_split
from discern_vqa.reading.shapes import TABLES
from discern_vqa.reading.table_options import TableOptions

SUMMARY = "your own data: a folder of DICOM studies and a table of questions; no patient data is kept"
LICENCE = "that of your data"
SPLITS = ALL_SPLITS
PUBLISHED: dict[str, int] = {}

FILES = ("questions.csv", "questions.xlsx", "questions.json", "questions.jsonl")


def read(
    root: Path,
    split: str,
    *,
    questions: str = "",
    columns: Mapping[str, str] | None = None,
    values: Mapping[str, Mapping[str, str]] | None = None,
    pick: str = "",
    use_as: str = "train",
    key: str = "",
    keep: Sequence[str] = (),
    delimiter: str = "",
    encoding: str = DEFAULT,
    sheet: str = "",
    skipped: list[str] | None = None,
) -> list[Sample]:
    """The samples of one split, in the order of the questions; none when all rows belong to other splits.

    Args:
        root: the folder of the studies.
        questions: the table, relative to `root`; by default questions.csv, .xlsx, .json or .jsonl.
        columns: field -> column, where the column has another name than the field.
        values: field -> {as written: as meant}.
        pick: which file of a series or study with several: "first", "middle" or "last".
        use_as: the split of rows that say none.
        key: what pseudonyms are made with; by default your own key.
        keep: more columns of the table that go to `extra`.
        delimiter, encoding, sheet: of the table, see the readers `csv` and `xlsx`.

    Raises:
        DataError: a file is missing or no DICOM, a row names no image or several, or breaks the format.
        ConfigError: an option is wrong, or pydicom is not installed.
    """
    root = Path(root)
    require_split(split, SPLITS, "dicom_folder")
    require_folder(root)
    own = {"questions": questions, "pick": pick}  # never the key: messages are read by others
    options = TableOptions(
        reader="dicom_folder",
        root=root,
        columns=columns or {},
        values=values or {},
        use_as=use_as,
        encoding=encoding,
        delimiter=delimiter,
        sheet=sheet,
        others={name: value for name, value in own.items() if value},
    )
    file = _table(root, questions)
    studies = Studies(root, pick, key.encode() if key else own_key())

    def samples(record: Record) -> Iterator[Sample]:
        if record.values["split"] == split:
            yield _sample(record, studies)
        else:
            yield sample_of(replace(record, values={**record.values, "image": record.text("image")}), root)

    return own_table.read_records(file, options, {*KNOWN, "frame", *keep} - {"path"}, samples, split, skipped)


def _table(root: Path, questions: str) -> Path:
    if questions:
        return root / questions
    there = next((root / name for name in FILES if (root / name).is_file()), None)
    if there is not None:
        return there
    tables = sorted(path.name for path in root.iterdir() if path.suffix.lower() in TABLES and path.is_file())
    command = f"discern data audit dicom_folder {root} --option questions="
    if tables:
        hint = f"{command}{shlex.quote(tables[0])}"
        raise DataError(f"{root} has no {FILES[0]}; its tables are: {one_line(', '.join(tables))}", hint=hint)
    hint = f"write the questions into {root / FILES[0]}, or name their table: {command}FILE"
    raise DataError(f"{root} has no {FILES[0]}, and no other table", hint=hint)


def _sample(record: Record, studies: Studies) -> Sample:
    name = record.text("image", verbatim=True).replace("\\", "/")
    values = dict(record.values)
    values.pop("frame", "")
    if frame := record.optional("frame"):
        if not frame.isdecimal() or frame == "0":
            raise record.unexpected("frame", frame, "a number from 1 on")
        name = f"{name}#frame={frame}"
    image = studies.find(name, record.source)
    values["image"] = image.image
    for field, tag in (("patient", image.patient), ("study", image.study)):
        stated = values.get(field)
        values[field] = pseudonym(studies.key, field, str(stated)) if stated else tag
    values.setdefault("group", values["patient"] or values["study"])
    values.setdefault("modality", image.modality)
    values.setdefault("organ", image.organ)
    return sample_of(replace(record, values=values), image.path)


def own_key() -> bytes:
    """The user's key for pseudonyms: `~/.config/discern/pseudonyms.key` (honours XDG_CONFIG_HOME), made when missing.

    Raises DataError when it cannot be read or written.
    """
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "discern"
    file = folder / "pseudonyms.key"
    try:
        if not file.exists():
            atomic_write_text(file, os.urandom(32).hex())
            file.chmod(0o600)
        return bytes.fromhex(file.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise DataError(
            f"the key for pseudonyms, {file}, cannot be read: {error}",
            hint="remove it (other pseudonyms will be made), or give one with --option key=TEXT",
        ) from error


def write_tiny(root: Path) -> None:
    """Two patients, three studies, one with a series of three, one file of two frames, and nine questions."""
    root = Path(root)
    write_tiny_files(root)
    rows = [
        "image,question,answer,answer_type,split,frame,ward",
        "export/DOE^JANE/ct/IM1.dcm,Is there a mass?,yes,closed,train,,3",
        "export/DOE^JANE/ct/IM2.dcm,Where is the mass?,left,open,train,,3",
        "1.2.826.1.1.3,Is there a mass?,no,closed,train,,3",
        "export\\DOE^JANE\\us\\CINE.dcm,Is the valve open?,yes,closed,validation,1,",
        "export/DOE^JANE/us/CINE.dcm#frame=2,Is the valve open?,no,closed,validation,,",
        "1.2.826.3,Is the heart enlarged?,no,closed,test,,",
        "1.2.826.3.1,Which projection is this?,ap,open,test,,",
        "1.2.826.3.1.1,CT or X-ray?,X-ray,closed,test,,4",
    ]
    atomic_write_text(root / FILES[0], "\n".join(rows) + "\n")
