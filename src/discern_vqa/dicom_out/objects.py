"""The one function that makes DICOM objects of answers: what commands and services call."""

import importlib.util
import io
import warnings
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from discern_vqa.dicom_out.captured import encapsulated_pdf, secondary_capture
from discern_vqa.dicom_out.heat_segments import heat_segments
from discern_vqa.dicom_out.marked_regions import marked_regions
from discern_vqa.dicom_out.reported import Reported, RunInfo, missing_package
from discern_vqa.dicom_out.series import SERIES, Making
from discern_vqa.dicom_out.source import Source
from discern_vqa.dicom_out.structured_report import structured_report
from discern_vqa.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

KINDS = tuple(SERIES)
"""What can be made: "sr", "sc", "pdf", "seg" and "gsps"."""

_WHOLE: dict[str, Callable[[Making], "Dataset | None"]] = {
    "sr": structured_report,
    "pdf": encapsulated_pdf,
    "seg": heat_segments,
    "gsps": marked_regions,
}
"""Kinds of which there is one object for all questions about an image."""


def objects_of(
    answers: Sequence[Reported], source: Source, run: RunInfo, kinds: Collection[str], number: int = 1
) -> "list[Dataset]":
    """The DICOM objects of what was answered about one image, in the order of `KINDS`; ready to be written or stored.

    Each kind is a series of its own in the source's study, and carries the source's Patient and General Study modules.
    The same arguments give objects of the same identifiers.

    Args:
        answers: the questions about this image; at least one.
        number: of the image among those whose answers are written together, from 1: objects are numbered by it.

    Raises:
        ConfigError: there is no such kind, or no answer.
        ImageError: "seg" or "gsps" is asked for, and the source's header lacks what places it on the image.
        DiscernError: a package that writes DICOM is not installed.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise ConfigError(
                f"there is no DICOM object {kind!r}", hint=did_you_mean(kind, KINDS, f"there are: {', '.join(KINDS)}")
            )
    if not answers:
        raise ConfigError("no answer is given to write", hint="give at least one question with its answer")
    if importlib.util.find_spec("highdicom") is None:
        raise missing_package("highdicom")
    made: list[Dataset | None] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's remarks on odd values of the source, which are copied as they are
        for kind in (kind for kind in KINDS if kind in kinds):
            if kind in _WHOLE:
                made.append(_WHOLE[kind](Making(answers, source, run, SERIES[kind], number)))
                continue
            for place, one in enumerate(answers, start=1):
                place_in_series = 1000 * (number - 1) + place
                made.append(secondary_capture(Making([one], source, run, SERIES[kind], place_in_series)))
    return [each for each in made if each is not None]


def file_of(made: "Dataset") -> bytes:
    """An object as the bytes of a DICOM file (PS3.10), with its preamble: without one nobody could read it again."""
    content = io.BytesIO()
    made.save_as(content, enforce_file_format=True)
    return content.getvalue()
