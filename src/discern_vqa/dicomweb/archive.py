"""An archive that is open: which images a study has, one of them, and objects stored beside them."""

import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from discern_vqa.dicomweb.address import Address, checked_url
from discern_vqa.dicomweb.connection import TIMEOUT, ArchiveError, explained, refused, session
from discern_vqa.errors import ConfigError, ImageError
from discern_vqa.imaging.images import MOST_BYTES

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_FIELDS = ("Modality", "BodyPartExamined", "InstanceNumber", "SOPClassUID")
"""What a search asks for beside identifiers; nothing of the patient."""
_DATES, _DATE_TAGS = ("StudyDate", "StudyTime"), ("00080020", "00080030")
MOST_STUDIES = 500
_WANTED = 'multipart/related; type="application/dicom"; transfer-syntax=*'  # as it is stored, not encoded anew
_ENVELOPE = 1 << 20  # bytes around a file in an answer


@dataclass(frozen=True)
class Listed:
    """An image of a study as a search shows it. number: its place in the series; None where it has none."""

    series: str
    instance: str
    modality: str
    body_part: str
    number: int | None
    sop_class: str


class Archive(AbstractContextManager["Archive"]):
    """A DICOMweb service. Raises ConfigError for an address that cannot be one, ArchiveError for one that fails."""

    def __init__(self, url: str, most_bytes: int = MOST_BYTES) -> None:
        self.url = checked_url(url)
        self._most = most_bytes + _ENVELOPE
        self._session = session(self.url, self._most)
        from dicomweb_client import DICOMwebClient

        try:
            # One piece: sending in chunks is what many archives and the proxies before them do not take.
            self._client = DICOMwebClient(self.url, self._session, chunk_size=1 << 40, timeout=TIMEOUT)
        except ValueError as error:
            raise ConfigError(f"{url!r} is no address of a DICOMweb service: {error}", hint="name its host") from error
        self._client.set_http_retry_params(retry=False)  # the session tries again

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def studies(self, date: str = "", modality: str = "") -> list[str]:
        """The studies of a date or a range of dates, and of those with that modality, the newest first; at most
        `MOST_STUDIES`, of which the archive chooses where it has more."""
        filters = {"StudyDate": date, "ModalitiesInStudy": modality}
        given = {name: value for name, value in filters.items() if value}
        with explained(self.url, self._most), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = self._client.search_for_studies(limit=MOST_STUDIES, fields=_DATES, search_filters=given)
            except ValueError as error:
                raise self._odd("a search") from error
        if not all(isinstance(one, dict) for one in found):
            raise self._odd("a search")
        newest = sorted(found, key=lambda one: [str(_value(one, tag) or "") for tag in _DATE_TAGS], reverse=True)
        return [str(uid) for one in newest if (uid := _value(one, "0020000D"))]

    def images(self, study: str, series: str = "") -> list[Listed]:
        """The objects of a study, or of one series, by series and number. Empty where the archive has none."""
        with explained(self.url, self._most), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = self._client.search_for_instances(study, series or None, fields=_FIELDS)
            except ValueError as error:  # what is no JSON
                raise self._odd("a search") from error
        if not all(isinstance(one, dict) for one in found):
            raise self._odd("a search")
        listed = [_listed(one, series) for one in found]
        return sorted(listed, key=lambda one: (one.series, one.number or 0, one.instance))

    def fetch(self, address: Address) -> bytes:
        """The file of an image, as it is stored. Raises ImageError where the archive has no such image."""
        place = f"studies/{address.study}/series/{address.series}/instances/{address.instance}"
        with explained(self.url, self._most):
            response = self._session.get(f"{self.url}/{place}", headers={"Accept": _WANTED}, timeout=TIMEOUT)
            content, kind = response.content, response.headers.get("Content-Type", "")
        if response.status_code in (404, 410):
            raise ImageError(
                f"the archive has no image {address.study}/{address.series}/{address.instance}",
                hint=f"curl -sS {self.url}/studies/{address.study}/instances lists what it has",
            )
        if response.status_code != 200:
            raise refused(self.url, response.status_code)
        file = content if kind.startswith("application/dicom") and "json" not in kind else _first_part(content, kind)
        if not file:
            raise self._odd("a request for an image")
        return file

    def store(self, objects: "Sequence[Dataset]") -> None:
        """Stores objects of one study. Raises ArchiveError where not all of them are there afterwards."""
        if not objects:
            return
        study = str(objects[0].StudyInstanceUID)
        with explained(self.url, self._most), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for one in objects:
                one.preamble = b"\0" * 128  # without one it would be stored headless, and nobody could read it again
            answer = self._client.store_instances(objects, study)
        failed = {str(item.get("ReferencedSOPInstanceUID", "")) for item in answer.get("FailedSOPSequence") or []}
        stored = {str(item.get("ReferencedSOPInstanceUID", "")) for item in answer.get("ReferencedSOPSequence") or []}
        wanted = {str(one.SOPInstanceUID): str(one.SeriesInstanceUID) for one in objects}
        # An answer in another language than JSON, or none, says nothing: then the archive is asked what it has.
        for series in {wanted[uid] for uid in wanted.keys() - stored - failed}:
            stored |= {one.instance for one in self.images(study, series)}
        if missing := wanted.keys() - stored:
            reasons = {str(item.get("FailureReason", "")) for item in answer.get("FailedSOPSequence") or []} - {""}
            told = f" (reason {', '.join(sorted(reasons))}, PS3.18 I.2.2)" if reasons else ""
            raise ArchiveError(
                f"{self.url} stored {len(wanted) - len(missing)} of {len(wanted)} objects{told}",
                hint="does it take such objects? try --sc alone: every archive stores secondary captures",
            )

    def _odd(self, what: str) -> ArchiveError:
        return ArchiveError(
            f"{self.url} answers {what} otherwise than DICOMweb does", hint=f"curl -sS {self.url}/studies?limit=1"
        )


def _listed(found: Mapping[str, Any], series: str) -> Listed:
    number = _value(found, "00200013")
    return Listed(
        series=str(_value(found, "0020000E") or series),
        instance=str(_value(found, "00080018") or ""),
        modality=str(_value(found, "00080060") or ""),
        body_part=str(_value(found, "00180015") or ""),
        number=number if isinstance(number, int) else None,
        sop_class=str(_value(found, "00080016") or ""),
    )


def _value(found: Mapping[str, Any], tag: str) -> object:
    """The first value of an element in DICOM's JSON (PS3.18 F.2)."""
    element = found.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None


def _first_part(content: bytes, kind: str) -> bytes:
    """The first part of a multipart answer (RFC 2046 5.1); nothing where it has none."""
    match = re.search(r'boundary="?([^";]+)"?', kind)
    if match is None or not kind.lower().startswith("multipart/"):
        return b""
    sign = b"--" + match[1].strip().encode("latin-1", "ignore")
    start = content.find(sign)
    body = content.find(b"\r\n\r\n", start)
    end = content.find(b"\r\n" + sign, body)
    return content[body + 4 : end] if -1 < start < body < end else b""
