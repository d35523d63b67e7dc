"""Images of an archive over DICOMweb, and answers as DICOM objects: into a ZIP file, or into that archive.

The service asks the archive with credentials of its own (docs/dicom.md): whoever may use the service sees what they
open.
"""

import io
import zipfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from discern_vqa.dicom_out.reported import HeatMap, Reported, RunInfo
from discern_vqa.dicomweb.address import Address, checked_uid
from discern_vqa.dicomweb.archive import Archive, Listed
from discern_vqa.dicomweb.choosing import choose, images_of
from discern_vqa.dicomweb.worklist import Worklist, worklist
from discern_vqa.errors import DataError
from discern_vqa.imaging.decoded import explained
from discern_vqa.serve.memory_file import MemoryFile
from discern_vqa.serve.problems import Problem
from discern_vqa.serve.service import Service
from discern_vqa.serve.settings import Bounds

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_PATIENT = {"name": "PatientName", "id": "PatientID", "birth_date": "PatientBirthDate"}
_STUDY = {"date": "StudyDate", "description": "StudyDescription", "accession": "AccessionNumber"}


class Fetched(NamedTuple):
    """Files of a series, and whose they are: for the person who asks, so that nobody asks about the wrong one."""

    files: list[bytes]
    patient: dict[str, str]
    study: dict[str, str]


def url_of(service: Service) -> str:
    """The address of the archive. Raises Problem: there is none."""
    if not service.settings.dicomweb:
        raise Problem(422, "this service has no archive", "discern serve RUN --dicomweb URL")
    return service.settings.dicomweb


def series_of(url: str, study: str) -> list[dict[str, Any]]:
    """The series of a study that hold images, in the archive's order; those of filed answers are left out. Raises
    ConfigError: no UID; DataError: the study has no image; ArchiveError."""
    with Archive(url) as archive:
        listed = archive.images(checked_uid(study, "study"))
    series: dict[str, list[Listed]] = {}
    for one in images_of(listed):
        series.setdefault(one.series, []).append(one)
    if not series:
        raise DataError(f"the archive has no image in study {study}", hint="check the UID with your viewer")
    return [
        {"series": uid, "modality": some[0].modality, "body_part": some[0].body_part, "images": len(some)}
        for uid, some in series.items()
    ]


def newest(url: str, most: int, date: str, modality: str) -> Worklist:
    """Images of the archive to look at, at most `most`. Raises ConfigError: no date; ArchiveError."""
    with Archive(url) as archive:
        return worklist(archive, most, date, modality)


def fetch(url: str, study: str, series: str, instance: str, bounds: Bounds) -> Fetched:
    """An image, or all images of a series. Raises ConfigError, DataError (several series, none named), ArchiveError;
    Problem: more than the service holds."""
    with Archive(url) as archive:
        address, _ = choose(archive, study, series, instance)
        addresses = [address]
        if not instance:
            listed = archive.images(checked_uid(study, "study"), address.series)
            addresses = [Address(study, address.series, one.instance) for one in listed if one.instance]
        if len(addresses) > bounds.files:
            raise Problem(413, f"the series has {len(addresses):,} images", "name one: instance")
        files, size = list[bytes](), 0
        for each in addresses:
            files.append(archive.fetch(each))
            size += len(files[-1])
            if size > bounds.image_bytes:
                raise Problem(413, f"the series has more than {bounds.image_bytes >> 20} MiB", "name one: instance")
    patient, told = whose(files[0])
    return Fetched(files, patient, told)


def whose(content: bytes) -> tuple[dict[str, str], dict[str, str]]:
    """Patient and study, as a DICOM file says. Raises ImageError."""
    import pydicom

    file = MemoryFile(content)
    with explained(file.path, "the header of this DICOM file"):
        dataset = pydicom.dcmread(file.path, force=True, specific_tags=[*_PATIENT.values(), *_STUDY.values()])
        patient, study = (
            {name: _told(dataset, keyword) for name, keyword in table.items()} for table in (_PATIENT, _STUDY)
        )
    return patient, study


def objects(
    path: Path, question: Reported, info: RunInfo, kinds: Sequence[str], heat: HeatMap | None
) -> "list[Dataset]":
    """The DICOM objects of one answer. Raises ConfigError, ImageError (no DICOM file), DiscernError."""
    from dataclasses import replace

    from discern_vqa.dicom_out import objects_of, read_source

    return objects_of([replace(question, heat=heat)], read_source(path), info, kinds)


def packed(made: "Sequence[Dataset]") -> bytes:
    """The objects as a ZIP file, one file for each; names say the kind and the identifier, nothing of the patient."""
    from discern_vqa.dicom_out import file_of

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in made:
            archive.writestr(f"{str(one.Modality).lower()}-{one.SOPInstanceUID}.dcm", file_of(one))
    return buffer.getvalue()


def store(url: str, made: "Sequence[Dataset]") -> list[str]:
    """Stores the objects; returns their identifiers. Raises ArchiveError."""
    with Archive(url) as archive:
        archive.store(made)
    return [str(one.SOPInstanceUID) for one in made]


def info_of(run: str, model: str, weights: str) -> RunInfo:
    """The run as the algorithm that an object names, answering now."""
    return RunInfo(run, model, weights, datetime.now().astimezone())


def _told(dataset: "Dataset", keyword: str) -> str:
    return "".join(sign for sign in str(dataset.get(keyword) or "") if sign.isprintable()).strip()[:200]
