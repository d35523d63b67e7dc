"""What the objects of one kind share: their series, their identifiers, the device that made them, their dates."""

import json
import uuid
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from discern_vqa.dicom_out.patient import copy_patient_and_study
from discern_vqa.dicom_out.reported import Reported, RunInfo
from discern_vqa.dicom_out.source import Source

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MANUFACTURER, MODEL = "Discern developers", "discern-vqa"
_OURS = uuid.UUID("6c1c0b43-3d0c-5f0e-9a57-0f6a5c4cbb21")  # the name space of our identifiers; any fixed number does
_MOST_LETTERS = 64  # of a text of the kind LO


@dataclass(frozen=True)
class Series:
    """A series of objects of one kind beside one source series. number: 901 and on, behind the series of a scanner."""

    kind: str
    number: int
    about: str

    @property
    def description(self) -> str:
        """The series' description, which viewers show in the list of a study."""
        return f"AI, research only, not for diagnosis: {self.about}"


SERIES = {
    "sr": Series("sr", 901, "answers"),
    "sc": Series("sc", 902, "images"),
    "pdf": Series("pdf", 903, "pages"),
    "seg": Series("seg", 904, "heat maps"),
    "gsps": Series("gsps", 905, "marked regions"),
}


def uid(*parts: object) -> str:
    """An identifier that follows from `parts` (a UUID as PS3.5 B.2 writes it): the same answers, written again, are the
    same objects, and no archive gets them twice."""
    return f"2.25.{uuid.uuid5(_OURS, json.dumps(parts, default=str)).int}"


@dataclass(frozen=True)
class Making:
    """One object in the making: what it is about, and its place in its series."""

    answers: Sequence[Reported]
    source: Source
    run: RunInfo
    series: Series
    number: int  # of the object in its series, from 1

    def uid(self, what: str) -> str:
        """The identifier of a part of this object."""
        told = [(one.question, one.verdict.answer, one.verdict.confidence, one.mode) for one in self.answers]
        source = self.source
        return uid(what, self._origin, source.dataset.SOPInstanceUID, source.frame, source.mirrored, self.number, told)

    @property
    def _origin(self) -> tuple[str, ...]:
        return (self.run.weights, self.run.version, self.run.made_at.isoformat(), self.series.kind)

    @property
    def arguments(self) -> dict[str, Any]:
        """What highdicom's constructors take alike. Patient and study are copied later, by `finished`."""
        return {
            "series_instance_uid": uid("series", self._origin, self.source.dataset.SeriesInstanceUID),
            "series_number": self.series.number,
            "sop_instance_uid": self.uid("object"),
            "instance_number": self.number,
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": MODEL,
            "software_versions": self.run.version,
            "device_serial_number": self.run.weights[:16],
            "series_description": self.series.description,
            "content_date": self.run.made_at.date(),
            "content_time": self.run.made_at.time(),
        }

    def stand_in(self) -> "Dataset":
        """The source as highdicom may see it: where and what it is, and nothing of the patient, whose data may hold
        values that highdicom refuses."""
        from pydicom.dataset import Dataset

        shown = Dataset()
        for element in self.source.dataset:
            if element.keyword in _TECHNICAL:
                shown.add(deepcopy(element))  # what is changed of it must not change the source
        for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"):
            setattr(shown, keyword, None)
        for keyword in ("AccessionNumber", "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"):
            setattr(shown, keyword, None)
        if "Modality" not in shown:
            shown.Modality = "OT"
        return shown

    def reference(self, frame: int | None) -> "Dataset":
        """The source, or a frame of it, as an item of a sequence that refers to it."""
        from pydicom.dataset import Dataset

        item = Dataset()
        item.ReferencedSOPClassUID = self.source.dataset.SOPClassUID
        item.ReferencedSOPInstanceUID = self.source.dataset.SOPInstanceUID
        if frame is not None:
            item.ReferencedFrameNumber = frame
        return item

    def finished(self, made: "Dataset") -> "Dataset":
        """The object with the source's patient and study, and the date of its answers."""
        copy_patient_and_study(self.source.dataset, made)
        made.InstanceCreationDate = made.SeriesDate = self.run.made_at.strftime("%Y%m%d")
        made.InstanceCreationTime = made.SeriesTime = self.run.made_at.strftime("%H%M%S")
        return made


_TECHNICAL = frozenset(
    "SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID PositionReferenceIndicator "
    "ImagePositionPatient ImageOrientationPatient PixelSpacing SliceThickness SpacingBetweenSlices Modality Rows "
    "Columns NumberOfFrames PerFrameFunctionalGroupsSequence SharedFunctionalGroupsSequence DimensionIndexSequence "
    "DimensionOrganizationSequence".split()
)


def short(text: str) -> str:
    """A text as one of at most 64 letters on one line, as the kind LO has it; a backslash would divide it."""
    line = " ".join(text.replace("\\", "/").split())
    return line if len(line) <= _MOST_LETTERS else line[: _MOST_LETTERS - 3] + "..."
