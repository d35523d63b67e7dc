"""Which image of a study a question is about, and who is on it, for the person who asks.

What stands here about the patient is for the terminal of the one who asks: it is printed, and goes nowhere else.
"""

import warnings
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from discern_vqa.dicomweb.address import Address, checked_uid
from discern_vqa.dicomweb.archive import Archive, Listed
from discern_vqa.errors import DataError
from discern_vqa.imaging.decoded import explained

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_SHOWN = 12
_NO_IMAGES = ("SR", "PR", "KO", "SEG", "DOC", "REG", "RTSTRUCT", "RTPLAN", "RTDOSE", "RWV")
"""Modalities whose objects are no images of a patient; answers that were filed before are among them."""
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
_STUDY = ("StudyDate", "StudyDescription", "Modality", "SeriesDescription", "InstanceNumber")


def choose(archive: Archive, study: str, series: str = "", instance: str = "") -> tuple[Address, str]:
    """The image that is meant, and a sentence where it was chosen among several; "" where there was no choice.

    Of one series the middle image is taken, as of the frames of a file. instance: a UID, with choices behind it as
    behind a file's name (`#frame=3`).

    Raises DataError: the study has no image, or several series, which are listed; ConfigError: a UID that is none.
    """
    study = checked_uid(study, "--study")
    instance, sign, choice = instance.partition("#")
    series, instance = (
        checked_uid(uid, name) if uid else "" for uid, name in ((series, "--series"), (instance, "--instance"))
    )
    listed = archive.images(study, series)
    images = [one for one in listed if may_be_image(one) and (not instance or one.instance == instance)]
    if not images:
        what = f"instance {instance}" if instance else "image"
        where = f"series {series} of study {study}" if series else f"study {study}"
        there = f" (it has {len(listed):,} other objects)" if listed else ""
        raise DataError(f"{archive.url} has no {what} in {where}{there}", hint="check the UIDs with your viewer")
    images = images if instance or series else images_of(images)
    by_series: defaultdict[str, list[Listed]] = defaultdict(list)
    for one in images:
        by_series[one.series].append(one)
    if len(by_series) > 1:
        told = "; ".join(
            f"{uid} ({some[0].modality or 'no modality'}{', ' * bool(some[0].body_part)}{some[0].body_part}, "
            f"{len(some):,} image{'s' * (len(some) != 1)})"
            for uid, some in list(by_series.items())[:_SHOWN]
        )
        more = f"; and {len(by_series) - _SHOWN:,} more" if len(by_series) > _SHOWN else ""
        raise DataError(
            f"study {study} has {len(by_series):,} series with images: {told}{more}",
            hint=f"--series {next(iter(by_series))}",
        )
    place = (len(images) + 1) // 2
    chosen = images[place - 1]
    several = f"image {place} of {len(images):,} of the series (the middle one: --instance UID chooses another)"
    return Address(study, chosen.series, chosen.instance, f"{sign}{choice}"), several if len(images) > 1 else ""


def images_of(listed: list[Listed]) -> list[Listed]:
    """The images of a study. Screenshots and pages, as answers are filed too, are among them only where it has nothing
    else."""
    images = [one for one in listed if may_be_image(one)]
    return [one for one in images if one.sop_class != _SECONDARY_CAPTURE] or images


def may_be_image(one: Listed) -> bool:
    """False for reports, segmentations and the like, and for what names no series or instance."""
    return one.modality not in _NO_IMAGES and bool(one.instance) and bool(one.series)


def who_and_what(file: Path) -> list[str]:
    """Lines that say whose image it is, and of which study; only what the file says. Raises ImageError."""
    import pydicom

    with explained(file, "the header of this DICOM file"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(file, force=True, specific_tags=[*_PATIENT, *_STUDY])
        lines = [
            f"{name}: {', '.join(told)}"
            for name, keywords in (("patient", _PATIENT), ("study", _STUDY))
            if (told := [text for keyword in keywords if (text := _told(dataset, keyword))])
        ]
    return lines


def _told(dataset: "Dataset", keyword: str) -> str:
    """A value as a terminal may show it: signs that would steer it are taken out."""
    text = "".join(sign for sign in str(dataset.get(keyword) or "") if sign.isprintable()).strip()
    before = {"PatientBirthDate": "born ", "PatientSex": "sex ", "InstanceNumber": "image number "}.get(keyword, "")
    if text and keyword.endswith("Date") and len(text) == 8 and text.isdigit():
        text = f"{text[:4]}-{text[4:6]}-{text[6:]}"
    return f"{before}{text}" if text else ""
