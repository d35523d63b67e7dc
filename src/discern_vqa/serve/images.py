"""The images of a service: in memory, each of one user, for a while; and what was asked about them. No torch here."""

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from discern_vqa.imaging.burned_in import text_lines
from discern_vqa.imaging.decoded import DecodedImage, decoded_once
from discern_vqa.imaging.dicom_place import Place, place_of
from discern_vqa.imaging.greys import WINDOWS
from discern_vqa.imaging.image_ref import with_choice
from discern_vqa.imaging.images import open_recorded
from discern_vqa.imaging.nifti_joined import joined
from discern_vqa.imaging.stored import StoredFrame, contents, stored_frame
from discern_vqa.serve.memory_file import MemoryFile
from discern_vqa.serve.problems import Problem
from discern_vqa.serve.settings import Bounds

MOST_ASKED = 1000
"""Questions about one image that are remembered for `next`."""


@dataclass(frozen=True)
class Part:
    """One file of an image; of a series each slice is one."""

    file: MemoryFile
    digest: str  # SHA-256 of the file, in hexadecimal digits
    frames: int
    usual: int  # the frame that is meant where none is named, from 1
    axes: dict[str, int]  # of a volume: the slices along each axis of the patient
    place: Place | None  # of a DICOM file


@dataclass(frozen=True)
class FrameOf:
    """Which frame of an image is meant: its file with all choices, and a name that is the same for the same pixels."""

    path: Path
    key: str
    frame: int


@dataclass(eq=False)
class Held:
    """An image that somebody uploaded."""

    id: str
    owner: str
    digest: str
    parts: tuple[Part, ...]
    patient: dict[str, str] | None = None
    study: dict[str, str] | None = None
    used: float = 0.0
    about: dict[str, Any] = field(default_factory=dict)  # see `described`
    asked: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)  # of the frames that a model has seen

    @property
    def size(self) -> int:
        return sum(part.file.size for part in self.parts)

    @property
    def frames(self) -> int:
        return sum(part.frames for part in self.parts)

    @property
    def usual(self) -> int:
        """The frame that is meant where none is named, from 1."""
        return self.parts[0].usual if len(self.parts) == 1 else (self.frames + 1) // 2

    def frame(self, number: int | None = None, window: str = "", axis: str = "") -> FrameOf:
        """A frame from 1, None for the usual one. Raises Problem: there is no such frame, axis or window."""
        first = self.parts[0]
        axes = first.axes
        if axis and axis not in axes:
            known = ", ".join(axes) or "none"
            raise Problem(422, f"there is no axis {axis!r}", f"this image has: {known}")
        count = axes[axis] if axis else self.frames
        usual = axes[axis] // 2 + 1 if axis else self.usual
        number = usual if number is None else number
        if not 1 <= number <= count:
            raise Problem(404, f"there is no frame {number}", f"the image has frames 1 to {count}")
        if axes:
            changes: dict[str, Any] = {"axis": axis or "axial", "slice": number}
            part = first
        else:
            part, inside = self._part(number)
            changes = {"frame": inside} if part.frames > 1 else {}
        if window:
            changes["window"] = window
        if "#" in window:
            raise Problem(422, f"there is no window {window!r}", "give its name, CENTRE:WIDTH or full")
        path = with_choice(part.file.path, **changes) if changes else part.file.path
        chosen = path.name[len(part.file.path.name) :]
        return FrameOf(path, f"{part.digest}{chosen}", number)

    def _part(self, number: int) -> tuple[Part, int]:
        for part in self.parts:
            if number <= part.frames:
                return part, number
            number -= part.frames
        raise AssertionError("the number was checked")


class Images:
    """All images of a service. `forget` is told the keys of the frames of an image that went."""

    def __init__(self, bounds: Bounds, forget: Callable[[set[str]], None], clock: Callable[[], float] = time.monotonic):
        self.bounds, self._forget, self._clock = bounds, forget, clock
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._lock = Lock()

    def add(
        self,
        owner: str,
        files: Sequence[bytes],
        patient: dict[str, str] | None = None,
        study: dict[str, str] | None = None,
    ) -> list[Held]:
        """Takes files in: DICOM files of one series become one image, as a NIfTI header and its values do; every other
        file is one. A file that this owner uploaded before is the same image. Decodes each file once, so it is called
        in a thread.

        Raises ImageError: one of them is no image; Problem: more than the service holds.
        """
        files = joined(files, self.bounds.image_bytes)
        if sum(map(len, files)) > self.bounds.image_bytes:
            raise Problem(413, f"more than {self.bounds.image_bytes >> 20} MiB of images", "upload fewer files")
        digests = [hashlib.sha256(content).hexdigest() for content in files]
        whole = hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()
        if known := self._known(owner, whole):
            return known
        parts = [_look(content, digest) for content, digest in zip(files, digests, strict=True)]
        new = [
            Held(secrets.token_hex(16), owner, whole, tuple(group), patient, study, used=self._clock())
            for group in _grouped(parts)
        ]
        for held in new:
            held.about = described(held)
        gone: list[Held] = []
        with self._lock:
            for held in new:
                self._held[held.id] = held
            while len(self._held) > self.bounds.images or self._size() > self.bounds.image_bytes:
                gone.append(self._held.popitem(last=False)[1])
        self._let_go(gone)
        return new

    def get(self, owner: str, id: str) -> Held:
        """Raises Problem: there is none of that name, or it is somebody else's."""
        self.sweep()
        with self._lock:
            held = self._held.get(id)
            if held is None or held.owner != owner:
                kept = f"{self.bounds.keep / 60:.0f} minutes after the last use, or until newer ones take the room"
                raise Problem(
                    404, f"there is no image of this id (images are held {kept})", "upload it again: POST /v1/images"
                )
            held.used = self._clock()
            self._held.move_to_end(id)
            return held

    def of(self, owner: str) -> list[Held]:
        """The owner's images, the newest first."""
        self.sweep()
        with self._lock:
            return [held for held in reversed(self._held.values()) if held.owner == owner]

    def remove(self, owner: str, id: str) -> None:
        """Raises Problem, as `get`."""
        held = self.get(owner, id)
        with self._lock:
            self._held.pop(id, None)
        self._let_go([held])

    def __len__(self) -> int:
        return len(self._held)

    def sweep(self) -> None:
        """Lets go of the images whose time is over."""
        over = self._clock() - self.bounds.keep
        with self._lock:
            gone = [held for held in self._held.values() if held.used < over]
            for held in gone:
                del self._held[held.id]
        self._let_go(gone)

    def remaining(self, held: Held) -> int:
        """Seconds that an image is kept if it is not used."""
        return max(0, round(held.used + self.bounds.keep - self._clock()))

    def _known(self, owner: str, digest: str) -> list[Held]:
        with self._lock:
            known = [held for held in self._held.values() if (held.owner, held.digest) == (owner, digest)]
            for held in known:
                held.used = self._clock()
                self._held.move_to_end(held.id)
        return known

    def _size(self) -> int:
        return sum(held.size for held in self._held.values())

    def _let_go(self, gone: Sequence[Held]) -> None:
        for held in gone:
            if held.keys:
                self._forget(held.keys)


def _look(content: bytes, digest: str) -> Part:
    file = MemoryFile(content)
    kind, frames, usual, axes = contents(file.path)
    place = place_of(file.path) if kind == "DICOM" else None
    return Part(file, digest, frames, usual, axes, place)


def _grouped(parts: Sequence[Part]) -> list[list[Part]]:
    """Files of one series together, in the order of their slices; the groups in the order of the upload."""
    groups: dict[str, list[Part]] = {}
    for number, part in enumerate(parts):
        series = part.place.series if part.place is not None else ""
        groups.setdefault(series or f"file {number}", []).append(part)
    for group in groups.values():
        group.sort(key=lambda part: part.place.order if part.place is not None else (0.0, 0.0))
    return list(groups.values())


def described(held: Held) -> dict[str, Any]:
    """An image as `/v1/images` tells it, but for how long it is kept. Raises ImageError."""
    path = held.frame().path
    with decoded_once():
        opened, stored = open_recorded(path), stored_frame(path)
    modality = str(opened.facts.get("modality", ""))
    is_ct = modality in ("CT", "PT") or opened.kind in ("NIfTI", "Analyze")
    return {
        "id": held.id,
        "kind": opened.kind,
        "columns": stored.values.shape[1],
        "rows": stored.values.shape[0],
        "modality": modality or None,
        "frames": held.frames,
        "frame": held.usual,
        "axes": held.parts[0].axes,
        "window": window_fields(stored),
        "windows": list(WINDOWS) if is_ct and stored.window is not None else [],
        "spacing": list(stored.spacing) if stored.spacing else None,
        "sides": stored.sides,
        "steps": list(opened.steps),
        "warnings": [*opened.warnings, *burned_in(opened)],
        "patient": held.patient,
        "study": held.study,
    }


def window_fields(stored: StoredFrame) -> dict[str, Any] | None:
    """Centre and width in what is measured; None for colour."""
    window = stored.window
    if window is None:
        return None
    low, high = window.low, max(window.high, window.low + 1e-9)
    return {"centre": low / 2 + high / 2, "width": high - low, "why": window.why}


def burned_in(opened: DecodedImage) -> list[str]:
    """A warning where text may be burned into the image."""
    rows = len(text_lines(opened.image))
    return [f"text may be burned in ({rows} row{'s' * (rows > 1)}): it may name the patient"] if rows else []
