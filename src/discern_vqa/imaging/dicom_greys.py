"""DICOM: from stored values to 8 bits: modality LUT or rescale, VOI LUT or window, palettes (PS3.3 C.11, C.7.9).

What is shown is chosen in this order: what the user asked for (`#window=`), the file's first VOI LUT, its first window,
all of the range for images of up to 8 bits, and else the values without the half per cent at either end. A window of
the file whose width cannot be used is passed over.

Why not `pydicom.pixels.apply_*` (3.0.2): they do not look into the functional groups of a frame; a table of 8-bit
entries is indexed with 8 bits, so that entry 256 is entry 0; palettes of big-endian files are read as little-endian;
a segmented palette unfolds without bound; and they work on a whole frame as 64-bit numbers, where `to_bytes` works on a
table of its values.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from discern_vqa.errors import ImageError
from discern_vqa.imaging.dicom_frames import About
from discern_vqa.imaging.greys import Values, Window, to_bytes, usual_window, wanted_window, whole_window

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

COLOURS = ("Red", "Green", "Blue")
_MOST_ENTRIES = 1 << 16

__all__ = ["COLOURS", "Window", "show", "through_palette", "to_bytes"]


@dataclass(frozen=True)
class Table:
    """A lookup table: `values[x - first]`, its ends repeated beyond. `why` says where it comes from."""

    first: int
    values: Values
    why: str = ""

    def __call__(self, values: Values) -> Values:
        """The entries for whole numbers (fractions are cut off)."""
        return self.values[np.clip(values - self.first, 0, len(self.values) - 1).astype(np.int64)]


@dataclass(frozen=True)
class Sigmoid:
    """The window function SIGMOID (PS3.3 C.11.2.1.3.1), as shares of white."""

    centre: float
    width: float
    why: str

    def __call__(self, values: Values) -> Values:
        """The values as shares of white, in [0, 1]."""
        return 1 / (1 + np.exp(np.clip(-4 * (values - self.centre) / self.width, -700, 700)))


def show(
    path: Path,
    stored: NDArray[np.generic],
    dataset: "Dataset",
    about: About,
    index: int,
    wanted: str | None,
    modality: str,
) -> tuple[NDArray[np.uint8], str]:
    """A grey frame as 8 bits, and what was done to it. Raises ImageError: the wanted window is not there."""
    groups = list(_groups(dataset, index))
    rescale, said = _modality(groups)
    voi = _voi(path, stored, groups, about, rescale, wanted, modality)
    shown = to_bytes(stored, lambda values: voi(rescale(values) if rescale else values))
    return shown, ", ".join(filter(None, (said, voi.why)))


def _groups(dataset: "Dataset", index: int) -> Iterator["Dataset"]:
    """Where a frame's rescale and windows may stand: its own group, the shared one, the top of the file."""
    for keyword, item in (("PerFrameFunctionalGroupsSequence", index), ("SharedFunctionalGroupsSequence", 0)):
        sequence = dataset.get(keyword)
        if sequence and item < len(sequence):
            for inner in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
                if sequence[item].get(inner):
                    yield sequence[item][inner][0]
    yield dataset


def _first(groups: list["Dataset"], *keywords: str) -> "Dataset | None":
    """The first group that has all of the keywords, with values."""
    for group in groups:
        if all(group.get(keyword) not in (None, "") for keyword in keywords):
            return group
    return None


def _modality(groups: list["Dataset"]) -> tuple[Callable[[Values], Values] | None, str]:
    """From stored values to what they measure (Hounsfield units); none where the file says nothing of it."""
    holder = _first(groups, "ModalityLUTSequence")
    if holder is not None and len(holder.ModalityLUTSequence):
        table = _table(holder.ModalityLUTSequence[0], "")
        return table, "modality LUT"
    holder = _first(groups, "RescaleSlope", "RescaleIntercept")
    if holder is None:
        return None, ""
    slope, intercept = float(holder.RescaleSlope), float(holder.RescaleIntercept)
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise ValueError(f"rescale by {slope} and {intercept}")
    if (slope, intercept) == (1, 0):
        return None, ""
    return (lambda values: values * slope + intercept), f"rescaled by {slope:g} and {intercept:g}"


def _voi(
    path: Path,
    stored: NDArray[np.generic],
    groups: list["Dataset"],
    about: About,
    rescale: Callable[[Values], Values] | None,
    wanted: str | None,
    modality: str,
) -> Window | Table | Sigmoid:
    transform: Callable[[Values], Values] = rescale or (lambda values: values)
    if wanted == "full":
        return whole_window(stored, transform)
    asked = wanted_window(wanted, str(path), modality) if wanted else None
    if asked is not None:
        return asked
    own = [*_tables(groups), *_windows(groups)]
    if wanted:
        if int(wanted) < 1 or int(wanted) > len(own):
            has = f"#window=1 to #window={len(own)}" if own else "#window=CENTRE:WIDTH or #window=full"
            raise ImageError(f"{path} brings {len(own)} windows of its own; there is no number {wanted}", hint=has)
        return own[int(wanted) - 1]
    if own:
        return own[0]
    if about.bits_stored <= 8 and not about.signed and rescale is None and stored.dtype.kind in "iub":
        return Window(0, float(2**about.bits_stored - 1), "")
    padding = groups[-1].get("PixelPaddingValue")
    ignore = float(padding) if isinstance(padding, int) else None
    return usual_window(stored, transform, ignore)


def _tables(groups: list["Dataset"]) -> Iterator[Table]:
    """The VOI LUTs, each as shares of white."""
    holder = _first(groups, "VOILUTSequence")
    for number, item in enumerate(holder.VOILUTSequence if holder is not None else (), start=1):
        if item.get("LUTDescriptor") is None or item.get("LUTData") is None:
            continue
        bits = _descriptor(item["LUTDescriptor"])[2]
        table = _table(item, f"VOI LUT {number}")
        yield Table(table.first, np.clip(table.values / (2**bits - 1), 0, 1), table.why)


def _windows(groups: list["Dataset"]) -> Iterator[Window | Sigmoid]:
    """The file's windows by its own function (LINEAR, LINEAR_EXACT, SIGMOID; PS3.3 C.11.2.1.2)."""
    holder = _first(groups, "WindowCenter", "WindowWidth")
    if holder is None:
        return
    function = str(holder.get("VOILUTFunction") or "LINEAR").upper()
    pairs = zip(_many(holder.WindowCenter), _many(holder.WindowWidth), strict=False)
    for number, (centre, width) in enumerate(pairs, start=1):
        why = f"window {number} of the file ({centre:g}:{width:g})"
        if not (math.isfinite(centre) and math.isfinite(width)) or width < (1 if function == "LINEAR" else 0):
            continue
        if function == "SIGMOID":
            if width > 0:
                yield Sigmoid(centre, width, why + ", sigmoid")
        elif function == "LINEAR_EXACT":
            yield Window(centre - width / 2, centre + width / 2, why)
        else:
            yield Window(centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2, why)


def _many(value: Any) -> list[float]:
    return [float(one) for one in value] if isinstance(value, list) or hasattr(value, "append") else [float(value)]


def _table(item: "Dataset", why: str) -> Table:
    entries, first, bits = _descriptor(item["LUTDescriptor"])
    values = _entries(item["LUTData"], entries, 8 if bits <= 8 else 16)
    return Table(first, values.astype(np.float64), why)


def _descriptor(element: Any) -> tuple[int, int, int]:
    """(entries, first value mapped, bits of an entry); 0 entries are 65,536 (PS3.3 C.11.1.1)."""
    value = element.value
    parts = np.frombuffer(value, "<u2").tolist() if isinstance(value, bytes) else [int(part) for part in value]
    if len(parts) != 3 or not 1 <= parts[2] <= 16:
        raise ValueError(f"a lookup table described by {parts[:5]}")
    return parts[0] % _MOST_ENTRIES or _MOST_ENTRIES, parts[1], parts[2]


def _entries(element: Any, count: int, bits: int) -> NDArray[np.uint16]:
    """The `count` entries of a table; pydicom gives numbers or, where it cannot know, bytes."""
    value = element.value
    if isinstance(value, bytes):
        wide = len(value) >= 2 * count or bits > 8
        found = np.frombuffer(value[: len(value) // 2 * 2], "<u2") if wide else np.frombuffer(value, np.uint8)
    else:
        found = np.asarray(value if hasattr(value, "__len__") else [value])
    if found.size < count:
        raise ValueError(f"a lookup table of {count} entries that holds {found.size}")
    return found[:count].astype(np.uint16)


def through_palette(stored: NDArray[np.generic], dataset: "Dataset") -> NDArray[np.uint8]:
    """A frame of palette entries (rows, columns) -> (rows, columns, 3)."""
    channels = []
    for colour in COLOURS:
        entries, first, bits = _descriptor(dataset[f"{colour}PaletteColorLookupTableDescriptor"])
        plain = dataset.get(f"{colour}PaletteColorLookupTableData")
        if plain:
            wide = len(plain) >= 2 * entries
            values = np.frombuffer(plain[: len(plain) // 2 * 2] if wide else plain, _words(dataset, wide))
        else:
            packed = dataset[f"Segmented{colour}PaletteColorLookupTableData"].value
            values = _unfolded(np.frombuffer(packed[: len(packed) // 2 * 2], _words(dataset, bits > 8)))
            wide = bits > 8
        if values.size < entries:
            raise ValueError(f"a palette of {entries} colours that holds {values.size}")
        table = Table(first, values[:entries] / (65535 if wide else 255))
        channels.append(to_bytes(stored, table))
    return np.stack(channels, axis=-1)


def _words(dataset: "Dataset", wide: bool) -> str:
    return ("<u2" if dataset.original_encoding[1] else ">u2") if wide else "u1"


def _unfolded(packed: NDArray[np.generic]) -> NDArray[np.uint16]:
    """A segmented palette (PS3.3 C.7.9.2): runs of values, straight lines, and repetitions of earlier segments.

    Never longer than a palette may be, and a repetition repeats no repetition (the standard forbids it), so that no
    few bytes unfold without end.
    """
    words, values = packed.astype(np.int64).tolist(), list[int]()
    wide = packed.dtype.itemsize == 2

    def unfold(place: int, segments: int, nested: bool) -> None:
        while place + 1 < len(words) and segments and len(values) <= _MOST_ENTRIES:
            kind, length = words[place : place + 2]
            place, segments = place + 2, segments - 1
            if kind == 0:
                values.extend(words[place : place + length])
                place += length
            elif kind == 1 and values and length and place < len(words):
                line = np.linspace(values[-1], words[place], length + 1)[1:]
                values.extend(np.around(line).astype(np.int64).tolist())
                place += 1
            elif kind == 2 and values and not nested and place + (1 if wide else 3) < len(words):
                size, base = (2, 1 << 16) if wide else (4, 1 << 8)
                offset = sum(word * base**power for power, word in enumerate(words[place : place + size]))
                place += size
                unfold(offset, length, True)
            else:
                raise ValueError(f"a segmented palette with a segment of kind {kind} at {place - 2}")

    unfold(0, -1, False)
    return np.asarray(values, dtype=np.int64).clip(0, 65535).astype(np.uint16)
