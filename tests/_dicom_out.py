"""What the tests of DICOM objects share: verdicts, a run, a source image with an odd header, a heat map."""

import io
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
from _medical import dicom, sequence, written

from discern_vqa.data.judged import Verdict
from discern_vqa.dicom_out import HeatMap, RunInfo, file_of, read_source

RUN = RunInfo("chest", "cmdpi", "ab" * 32, datetime(2026, 11, 30, 12, 30, 5))
SURE = Verdict("yes", 0.9312, True, False, "", ("yes", "no"), 0.9, ())
UNSURE = Verdict("Nein", 0.3, True, True, "a confidence of 0.30 is below 0.55", None, 0.9, ())
OUTSIDE = Verdict(
    "left lung", 0.5, True, True, "the image is unlike what I was trained on", ("left lung",), 0.9, ("image",)
)
BARE = Verdict("left lung", 0.4567, False, False, "", None, None, ())
OURS = "99DISCERN"
ODD = {
    "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
    "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "PatientID": " 0815 ",  # a space in front counts
    "PatientBirthDate": "19700101",
    "PatientSex": "X",  # the standard has no such value
    "PatientAge": "056Y",
    "EthnicGroup": "none",
    "OtherPatientIDsSequence": [{"PatientID": "77", "IssuerOfPatientID": "山"}],
    "StudyInstanceUID": "1.2.840.1",
    "SeriesInstanceUID": "1.2.840.2",
    "SOPInstanceUID": "1.2.840.3",
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1",
    "StudyDate": "20200229",
    "StudyDescription": "Thorax a.p.",
    "StudyID": "S1",
    "AccessionNumber": "A-17",
    "ReferringPhysicianName": "Weiß^Ruth",
    "PhysiciansOfRecord": ["One^A", "Two^B"],
    "InstitutionName": "Hospital of the North",
    "StationName": "ROOM7",
    "Modality": "CR",
}  # fmt: skip


def source(folder: Path, values: np.ndarray | None = None, name: str = "a.dcm", choice: str = "", **elements):
    """An image of 40 x 60 pixels that was written and read again."""
    shades = np.tile(np.arange(60, dtype=np.uint16) * 60, (40, 1)) if values is None else values
    changed = {**ODD, **elements}
    for keyword in [key for key, value in changed.items() if isinstance(value, list) and isinstance(value[0], dict)]:
        changed[keyword] = sequence(*changed[keyword])
    file = written(folder / name, dicom(shades, **changed))
    return read_source(file.with_name(f"{file.name}{choice}"))


def spot(rows: int = 40, columns: int = 60) -> HeatMap:
    """A map that is hot in the upper right corner alone."""
    weights = np.zeros((rows, columns))
    weights[: rows // 4, -columns // 4 :] = 1.0
    return HeatMap(weights, "attention rollout. Measured: it points well.")


def again(made) -> pydicom.Dataset:
    """The object as another program reads it from its file."""
    return pydicom.dcmread(io.BytesIO(file_of(made)))
