"""Which images of an archive to look at: one of each series, of the newest studies first, and at most as many as asked.

What a search answers about the patient is not looked at.
"""

import re
import time
from dataclasses import dataclass

from discern_vqa.dicomweb.address import Address
from discern_vqa.dicomweb.archive import Archive, Listed
from discern_vqa.dicomweb.choosing import images_of
from discern_vqa.errors import ConfigError

_DATES = re.compile(r"(?:\d{8}(?:-(?:\d{8})?)?|-\d{8})?")


@dataclass(frozen=True)
class Worklist:
    """addresses: the middle image of each series. studies: how many were found; left_out: series that were not taken,
    since there were enough; complete: False where the archive was asked no further, so that there may be more."""

    addresses: list[Address]
    studies: int
    left_out: int
    complete: bool


def worklist(archive: Archive, most: int, date: str = "", modality: str = "") -> Worklist:
    """At most `most` images.

    date: of the study, as DICOM writes it (20261130), or a range (20261101-20261130), open at either end (20261101-).
    modality: of the series, as CT. Raises ConfigError: no date, or none at all; ArchiveError.
    """
    checked_date(date)
    studies = archive.studies(date, modality)
    addresses, left_out = list[Address](), 0
    for place, study in enumerate(studies):
        series = _series(archive.images(study), modality)
        room = most - len(addresses)
        addresses += [Address(study, uid, _middle(some)) for uid, some in list(series.items())[:room]]
        left_out += max(0, len(series) - room)
        if len(addresses) == most:
            return Worklist(addresses, len(studies), left_out, place + 1 == len(studies))
    return Worklist(addresses, len(studies), left_out, True)


def checked_date(text: str) -> None:
    """Raises ConfigError: it is neither a date, a range, nor empty."""
    parts = [part for part in text.split("-") if part]
    try:
        if not _DATES.fullmatch(text):
            raise ValueError
        for part in parts:
            time.strptime(part, "%Y%m%d")
    except ValueError as error:
        raise ConfigError(
            f"{text[:40]!r} is no date of studies", hint="as in 20261130, 20261101-20261130 or 20261101-"
        ) from error


def _series(listed: list[Listed], modality: str) -> dict[str, list[Listed]]:
    series: dict[str, list[Listed]] = {}
    for one in images_of(listed):
        if not modality or one.modality == modality:
            series.setdefault(one.series, []).append(one)
    return series


def _middle(some: list[Listed]) -> str:
    return some[(len(some) + 1) // 2 - 1].instance
