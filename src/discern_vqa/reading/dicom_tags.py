"""Which DICOM file a question means, and what may be kept of it: six tags, four of them as pseudonyms."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from discern_vqa.errors import ConfigError, DataError
from discern_vqa.imaging import dicom_file
from discern_vqa.imaging.image_ref import split_choice
from discern_vqa.reading.records import is_file, near_file, one_line, shown

if TYPE_CHECKING:
    from pydicom import Dataset

PICKS = ("first", "middle", "last")
_UIDS = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_TEXTS = (*_UIDS, "PatientID", "Modality", "BodyPartExamined")
_NUMBERS = ("SeriesNumber", "InstanceNumber", "Rows")
_MODALITIES = {
    "CT": "ct",
    "MR": "mri",
    "CR": "x-ray",
    "DX": "x-ray",
    "RG": "x-ray",
    "US": "ultrasound",
    "MG": "mammography",
    "PT": "pet",
    "NM": "nuclear medicine",
    "XA": "angiography",
    "RF": "fluoroscopy",
    "SM": "microscopy",
    "OP": "ophthalmic photography",
}


@dataclass(frozen=True)
class FoundImage:
    """One image of a study. `image`, `patient` and `study` are pseudonyms ("" where the file does not say)."""

    image: str
    path: Path
    patient: str = ""
    study: str = ""
    modality: str = ""
    organ: str = ""


@dataclass(frozen=True)
class _Header:
    """What a DICOM file says of itself; "" and 0 where it does not say."""

    path: Path
    texts: Mapping[str, str]
    order: tuple[int, int]
    has_pixels: bool


def pseudonym(key: bytes, kind: str, identity: str) -> str:
    """A keyed hash of an identity, 20 hexadecimal digits; "" for an empty one. Kinds do not share pseudonyms."""
    if not identity:
        return ""
    return hashlib.blake2b(f"{kind}:{identity}".encode(), key=key[:64], digest_size=10).hexdigest()


class Studies:
    """The images below `root`. Headers are read when they are needed, all of them only when a UID is asked for.

    Raises ConfigError when `pick` is no way to choose, or pydicom is not installed.
    """

    def __init__(self, root: Path, pick: str, key: bytes) -> None:
        if pick and pick not in PICKS:
            raise ConfigError(f"pick is {pick!r}", hint=f"it is one of: {', '.join(PICKS)}")
        try:
            import pydicom  # noqa: F401  (so that a missing package is reported before the first file is opened)
        except ImportError as error:
            raise ConfigError("DICOM files need pydicom", hint="pip install 'discern-vqa[dicom]'") from error
        self.root, self.pick, self.key = root, pick, key
        self._header = cache(_read_header)

    def find(self, named: str, source: str) -> FoundImage:
        """The image that `named` (a file relative to the root, or a UID; an image reference may follow) means.

        Raises DataError when there is none, or several and no `pick`.
        """
        relative = PurePosixPath(named)
        if relative.is_absolute() or ".." in relative.parts:
            raise DataError(f"{source}: the image {shown(named)} leads out of the folder", hint="name it from there")
        whole = self.root / relative
        if is_file(whole):
            file, choice = split_choice(whole)
            return self._image(self._header(file), file, choice, source)
        uid, mark, rest = named.partition("#")
        if not re.fullmatch(r"[0-9.]+", uid):
            raise DataError(f"{source}: the image {shown(named)} is not there", hint=near_file(split_choice(whole)[0]))
        header = self._by_identity(uid, source)
        return self._image(header, header.path, mark + rest, source)

    @cached_property
    def _by_uid(self) -> dict[str, list[_Header]]:
        headers: dict[str, list[_Header]] = defaultdict(list)
        for file in sorted(self.root.rglob("*")):
            if file.is_file() and (header := self._header(file)) is not None:
                for uid in {header.texts[name] for name in _UIDS} - {""}:
                    headers[uid].append(header)
        return headers

    def _by_identity(self, uid: str, source: str) -> _Header:
        headers = self._by_uid.get(uid, [])
        images = [header for header in headers if header.has_pixels]
        images.sort(key=lambda header: (header.order, header.path))
        if not images:
            files = self._header.cache_info().currsize
            what = "has no pixels" if headers else f"is in none of the {files} files of this folder"
            raise DataError(f"{source}: the UID {uid[:64]} {what}", hint="name an image of this folder")
        if len(images) > 1 and not self.pick:
            raise DataError(
                f"{source}: the UID {uid[:64]} belongs to {len(images)} images",
                hint="name one of them, or choose with --option pick=middle (first, last)",
            )
        return images[{"first": 0, "last": -1}.get(self.pick, (len(images) - 1) // 2)]

    def _image(self, header: _Header | None, file: Path, choice: str, source: str) -> FoundImage:
        path = file.with_name(file.name + choice)
        if header is None:
            inside = file.relative_to(self.root).as_posix()
            return FoundImage(image=f"file/{pseudonym(self.key, 'file', inside)}{choice}", path=path)
        if not header.has_pixels:
            raise DataError(f"{source}: {one_line(file)} is a DICOM file without pixels", hint="name an image")
        texts = header.texts
        identity = texts["SOPInstanceUID"] or file.relative_to(self.root).as_posix()
        return FoundImage(
            image=f"dicom/{pseudonym(self.key, 'image', identity)}{choice}",
            path=path,
            patient=pseudonym(self.key, "patient", texts["PatientID"]),
            study=pseudonym(self.key, "study", texts["StudyInstanceUID"]),
            modality=_MODALITIES.get(texts["Modality"].upper(), texts["Modality"].lower()),
            organ=texts["BodyPartExamined"].lower(),
        )


def _read_header(file: Path) -> _Header | None:
    """The tags of the file; None when it is not a DICOM file."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        with dicom_file.opened(file) as stream:
            if not dicom_file.is_dicom(stream.read(dicom_file.START_BYTES)):
                return None
            stream.seek(0)
            dataset = pydicom.dcmread(stream, force=True, stop_before_pixels=True, specific_tags=[*_TEXTS, *_NUMBERS])
    except (InvalidDicomError, OSError):
        return None
    except Exception as error:  # pydicom's reader raises many kinds on damaged files; all mean the same to the user
        raise DataError(
            f"{one_line(file)} is a damaged DICOM file: {type(error).__name__}", hint="export it again, or remove it"
        ) from error
    series, number, rows = (_number(dataset, name) for name in _NUMBERS)
    return _Header(file, {name: _text(dataset, name) for name in _TEXTS}, (series, number), has_pixels=rows > 0)


def _text(dataset: "Dataset", name: str) -> str:
    try:
        value = dataset.get(name)
    except Exception:  # a value that its own type does not allow; the tag then says nothing
        return ""
    return " ".join(str(value).split()) if isinstance(value, str) else ""


def _number(dataset: "Dataset", name: str) -> int:
    try:
        return int(dataset.get(name))
    except Exception:  # absent, several numbers, or as above
        return 0


def write_tiny_files(root: Path) -> None:
    """Six small DICOM files of two patients below `root`."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

    def save(name: str, uid: str, patient: str, modality: str, part: str, number: int, frames: int = 0) -> None:
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, uid
        dataset.SeriesInstanceUID, dataset.StudyInstanceUID = uid.rsplit(".", 1)[0], uid.rsplit(".", 2)[0]
        dataset.PatientID, dataset.PatientName = patient, "Doe^Jane"
        dataset.Modality, dataset.BodyPartExamined = modality, part
        dataset.SeriesNumber, dataset.InstanceNumber = 1, number
        if frames >= 0:
            dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 40, 48, 1
            dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
            dataset.BitsAllocated = dataset.BitsStored = 8
            dataset.HighBit = 7
            if frames:
                dataset.NumberOfFrames = frames
            grey = np.random.default_rng(number).integers(0, 255, (max(1, frames), 40, 48), dtype=np.uint8)
            dataset.PixelData = grey.tobytes()
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(file, enforce_file_format=True)

    for number in (1, 2, 3):
        save(f"export/DOE^JANE/ct/IM{number}.dcm", f"1.2.826.1.1.{number}", "4711", "CT", "HEAD", number)
    save("export/DOE^JANE/us/CINE.dcm", "1.2.826.2.1.1", "4711", "US", "HEART", 1, frames=2)
    save("export/chest/0001", "1.2.826.3.1.1", "4712", "DX", "CHEST", 1)
    save("export/chest/report", "1.2.826.3.2.1", "4712", "SR", "CHEST", 1, frames=-1)
