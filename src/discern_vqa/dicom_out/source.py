"""The image that was asked about: what is read of its header to file answers beside it, and the image as it was seen.

Its pixels are opened by `imaging`, with the decoders, limits and guards that every image goes through; only then is the
header read again, and of it the elements in `_READ` alone.
"""

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from discern_vqa.dicom_out.patient import PATIENT, STUDY
from discern_vqa.dicom_out.reported import missing_package
from discern_vqa.errors import ImageError
from discern_vqa.imaging.decoded import explained
from discern_vqa.imaging.dicom import usual_frame
from discern_vqa.imaging.image_ref import read_choice
from discern_vqa.imaging.images import open_recorded

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_PLACE = (
    "FrameOfReferenceUID PositionReferenceIndicator PatientOrientation ImagePositionPatient ImageOrientationPatient "
    "PixelSpacing SliceThickness SpacingBetweenSlices"
).split()
MEASURES = ("RescaleIntercept", "RescaleSlope", "RescaleType", "ModalityLUTSequence")
"""What turns stored values into what is measured (PS3.3 C.11.1)."""
_OF_ONE_FRAME = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{kind}"
    for kind in "1 1.1 1.1.1 1.2 1.2.1 1.3 1.3.1 2 4 6.1 7 128 77.1.1 77.1.2 77.1.3 77.1.4".split()
)
"""Radiographs, CT, MR, ultrasound, secondary capture, PET and visible light, each in its class of a single frame."""
_READ = [
    *PATIENT, *STUDY, *_UIDS, *_PLACE, "SpecificCharacterSet", "Modality", "BodyPartExamined", "Laterality",
    "SeriesDescription", "BurnedInAnnotation", "Rows", "Columns", "NumberOfFrames", "PerFrameFunctionalGroupsSequence",
    "SharedFunctionalGroupsSequence", "DimensionIndexSequence", "DimensionOrganizationSequence", *MEASURES,
]  # fmt: skip


@dataclass(frozen=True)
class Source:
    """path: the file, with what was chosen of it. dataset: its header, without pixels. image: as it was seen, upright,
    "RGB" or "L". frame: which of several it is, from 1; None: the file has but one. mirrored: left and right were
    swapped when it was opened. has_text: letters are burned into it, by the file's word or by the look of it; they may
    name the patient.
    """

    path: Path
    dataset: "Dataset"
    image: Image.Image
    frame: int | None = None
    mirrored: bool = False
    has_text: bool = False

    @property
    def named_frame(self) -> int | None:
        """The frame as a reference may name it: None where the file has but one, or is of a class that by the standard
        has but one, whatever it holds (PS3.3 10.3)."""
        return None if self.dataset.SOPClassUID in _OF_ONE_FRAME else self.frame


def read_source(path: Path) -> Source:
    """A DICOM file, with choices behind its name as everywhere (`image.dcm#frame=3`).

    Raises ImageError: it cannot be opened, is no DICOM file, or does not say which study and image it is.
    """
    try:
        import pydicom
    except ImportError as error:
        raise missing_package("pydicom") from error
    seen = open_recorded(path)
    if seen.kind != "DICOM":
        raise ImageError(
            f"{path} is a {seen.kind} file: it belongs to no study, so that no answer can be filed beside it",
            hint="name the DICOM file that it was made from",
        )
    file, choice = read_choice(path)
    logging.getLogger("pydicom").addHandler(logging.NullHandler())
    with warnings.catch_warnings(), explained(file, "the header of this DICOM file"):
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(file, force=True, specific_tags=_READ)
        dataset.decode()
    for keyword in _UIDS:
        if not dataset.get(keyword):
            raise ImageError(
                f"{file} has no {keyword}: it cannot be said which image an answer is about",
                hint="fetch the file again from the archive, with all of its header",
            )
    frames = int(seen.facts.get("frames", 1))
    frame = None if frames == 1 else choice.frame or usual_frame(frames)
    return Source(path, dataset, seen.image, frame, choice.mirror, _has_text(dataset, seen.image))


def _has_text(dataset: "Dataset", image: Image.Image) -> bool:
    """Whether text is burned in: the file's own word, and where it says nothing or no, the look of the image."""
    from discern_vqa.imaging.burned_in import text_lines

    return str(dataset.get("BurnedInAnnotation") or "") == "YES" or bool(text_lines(image))
