"""A hospital's own data in every form in which `discern start` takes them: 60 images of SLAKE's training part with
about 400 questions, German column names, pseudonyms of patients. Written by the test that uses it."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from discern_vqa.data.sample import Sample
from discern_vqa.datasets import slake

IMAGES = 60
TYPES = {"open": "offen", "closed": "geschlossen", "": ""}


@dataclass(frozen=True)
class Row:
    """One question of the table."""

    image: str
    question: str
    answer: str
    kind: str
    patient: str


def rows(root: Path, folder: Path, images: int = IMAGES, save: Callable[[Path, Path], None] | None = None) -> list[Row]:
    """The rows of so many images of SLAKE at `root`, whose images are put into `folder`/bilder."""
    samples = slake.read(root, "train")
    names = sorted({sample.image for sample in samples})[:: max(1, len({s.image for s in samples}) // images)][:images]
    number = {name: place for place, name in enumerate(names)}
    chosen: list[Sample] = [sample for sample in samples if sample.image in number]
    paths = {sample.image: sample.path for sample in chosen}
    (folder / "bilder").mkdir(parents=True, exist_ok=True)
    for name, path in paths.items():
        (save or as_png)(path, folder / "bilder" / f"{number[name]:03}.png")
    return [
        Row(f"{number[s.image]:03}.png", s.question, s.answer, TYPES[s.answer_type], f"P{number[s.image] // 2:03}")
        for s in chosen
    ]


def as_png(source: Path, target: Path) -> None:
    with Image.open(source) as image:
        image.convert("L").resize((256, 256)).save(target)


NAMES = ("Bild", "Frage", "Antwort", "Typ", "Patient")


def cells(table: Sequence[Row]) -> list[list[str]]:
    return [[row.image, row.question, row.answer, row.kind, row.patient] for row in table]


def as_text(table: Sequence[Row], delimiter: str = ";") -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\r\n")
    writer.writerows([NAMES, *cells(table)])
    return buffer.getvalue()


def semicolons(table: Sequence[Row], folder: Path) -> None:
    (folder / "fragen.csv").write_bytes(("\ufeff" + as_text(table)).encode("utf-8"))


def old_encoding(table: Sequence[Row], folder: Path) -> None:
    text = as_text(table).replace("Antwort", "Antwort für Ärzte", 1)
    (folder / "fragen.csv").write_bytes(text.encode("cp1252"))


def wide(table: Sequence[Row], folder: Path) -> None:
    (folder / "fragen.txt").write_bytes(as_text(table, "\t").encode("utf-16-le"))


def workbook(table: Sequence[Row], folder: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    for line in [list(NAMES), *cells(table)]:
        book.active.append(line)
    book.save(folder / "fragen.xlsx")


def json_list(table: Sequence[Row], folder: Path) -> None:
    records = [
        {
            "qid": number,
            "img_name": row.image,
            "question": row.question,
            "answer": row.answer,
            "meta": {"typ": row.kind},
        }
        | {"patient": row.patient}
        for number, row in enumerate(table)
    ]
    (folder / "fragen.json").write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")


def json_lines(table: Sequence[Row], folder: Path) -> None:
    lines = [json.dumps(dict(zip(NAMES, row, strict=True)), ensure_ascii=False) for row in cells(table)]
    (folder / "fragen.jsonl").write_text("\n".join(lines), encoding="utf-8")


def conversations(table: Sequence[Row], folder: Path) -> None:
    records = [
        {
            "id": str(number),
            "image": row.image,
            "conversations": [
                {"from": "human", "value": f"<image>\n{row.question}"},
                {"from": "gpt", "value": row.answer},
            ],
        }
        for number, row in enumerate(table)
    ]
    (folder / "train.json").write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")


def messages(table: Sequence[Row], folder: Path) -> None:
    records = [
        {
            "images": [f"bilder/{row.image}"],
            "messages": [
                {"role": "system", "content": "You are a radiologist."},
                {"role": "user", "content": f"<image>{row.question}"},
                {"role": "assistant", "content": row.answer},
            ],
        }
        for row in table
    ]
    (folder / "data.json").write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")


def pair(table: Sequence[Row], folder: Path) -> None:
    names = sorted({row.image for row in table})
    number = {name: place for place, name in enumerate(names)}
    questions = [
        {"question_id": place, "image_id": number[row.image], "question": row.question}
        for place, row in enumerate(table)
    ]
    answers = [
        {"question_id": place, "image_id": number[row.image], "multiple_choice_answer": row.answer}
        for place, row in enumerate(table)
    ]
    images = [{"id": place, "file_name": name} for name, place in number.items()]
    (folder / "questions.json").write_text(json.dumps({"questions": questions, "images": images}), encoding="utf-8")
    (folder / "annotations.json").write_text(json.dumps({"annotations": answers}), encoding="utf-8")


def parquet(table: Sequence[Row], folder: Path) -> None:
    import pyarrow
    from pyarrow import parquet as files

    columns = {name: [row[place] for row in cells(table)] for place, name in enumerate(NAMES)}
    columns["Bild"] = [f"bilder/{name}" for name in columns["Bild"]]
    files.write_table(pyarrow.table(columns), folder / "fragen.parquet")


def dicom(table: Sequence[Row], folder: Path) -> None:
    """Each image as a DICOM file of a pseudonymous patient; the table names the files."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    for number, path in enumerate(sorted((folder / "bilder").glob("*.png"))):
        with Image.open(path) as image:
            pixels = np.asarray(image, np.uint8)
        file = Dataset()
        file.file_meta = FileMetaDataset()
        file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID = CTImageStorage
        file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID = f"1.2.826.0.1.3680043.8.498.1.{number + 1}"
        file.SeriesInstanceUID = f"1.2.826.0.1.3680043.8.498.2.{number + 1}"
        file.StudyInstanceUID = f"1.2.826.0.1.3680043.8.498.3.{number + 1}"
        file.PatientID, file.PatientName, file.Modality = f"P{number // 2:03}", "", "CT"
        file.Rows, file.Columns = pixels.shape
        file.SamplesPerPixel, file.PhotometricInterpretation, file.PixelRepresentation = 1, "MONOCHROME2", 0
        file.BitsAllocated = file.BitsStored = 8
        file.HighBit = 7
        file.PixelData = pixels.tobytes()
        file.save_as(path.with_suffix(".dcm"), enforce_file_format=True)
        path.unlink()
    text = as_text(table).replace(".png", ".dcm")
    (folder / "fragen.csv").write_text(text, encoding="utf-8")


KINDS: dict[str, tuple[Callable[[Sequence[Row], Path], None], dict[str, Any]]] = {
    "semicolons, UTF-8 with a mark": (semicolons, {"reader": "csv", "types": True, "patients": True}),
    "semicolons, cp1252": (old_encoding, {"reader": "csv", "types": True, "patients": True, "encoding": "cp1252"}),
    "tabs, UTF-16 without a mark": (wide, {"reader": "csv", "types": True, "patients": True, "encoding": "utf-16-le"}),
    "Excel": (workbook, {"reader": "xlsx", "types": True, "patients": True}),
    "JSON list": (json_list, {"reader": "json", "types": True, "patients": True}),
    "JSON Lines": (json_lines, {"reader": "jsonl", "types": True, "patients": True}),
    "LLaVA conversations": (conversations, {"reader": "llava", "types": False, "patients": False}),
    "messages": (messages, {"reader": "llava", "types": False, "patients": False}),
    "COCO-VQA pair": (pair, {"reader": "coco_vqa", "types": False, "patients": False}),
    "Parquet": (parquet, {"reader": "parquet", "types": True, "patients": True}),
    "DICOM folder": (dicom, {"reader": "dicom_folder", "types": True, "patients": True}),
}
"""Each form with what `guess` has to find in it: the reader, whether it names answer types and patients, and the
encoding where one has to be named. The only list of forms."""

LATER: frozenset[str] = frozenset()
"""Forms that no reader takes yet."""
