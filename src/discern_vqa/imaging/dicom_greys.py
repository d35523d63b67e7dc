"""DICOM: from stored values to 8 bits: modality LUT or rescale, VOI LUT or window, palettes (PS3.3 C.11, C.7.9).

What is shown is chosen in this order: what the user asked for (`#window=`), the file's first VOI LUT, its first window,
all of the range for images of up to 8 bits, and else the values without the half per cent at either end. A window of
the file whose width cannot be used is passed over, and it is said; a table without its data stands for none.

The function LINEAR takes one from the width and half from the centre, which is made for whole numbers. Where values
lie closer together (floating point, a rescale slope below one) and the window is so narrow that this would show, its
centre and width are taken as they are, as by LINEAR_EXACT (PS3.3 C.11.2.1.3.2); a note in the standard asks writers of
such files to name that function, and few do.

Why not `pydicom.pixels.apply_*` (3.0.2): they do not look into the functional groups of a frame; a table of 8-bit
entries is indexed with 8 bits, so that entry 256 is entry 0; palettes of big-endian files are read as little-endian;
a segmented palette unfolds without bound; and they work on a whole frame as 64-bit numbers, where `to_bytes` works on a
table of its values.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from discern_vqa.errors import ImageError
from discern_vqa.imaging.dicom_frames import About
from discern_vqa.imaging.greys import Values, Window, to_bytes, usual_window, wanted_window, whole_window

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

COLOURS = ("Red", "Green", "Blue")
_MOST_ENTRIES = 1 << 16
_TABLE = ("LUTDescriptor", "LUTData")
_WIDE = 256.0
"""Of windows at least so wide, LINEAR and LINEAR_EXACT differ by less than one grey level of the 256 shown."""


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


class Grey(NamedTuple):
    """A grey frame of 8 bits (rows, columns), what was done to it, and warnings."""

    values: NDArray[np.uint8]
    how: str
    warnings: tuple[str, ...]


class Look(NamedTuple):
    """How a grey frame is looked at: what its stored values measure, in words too, then a window or a table."""

    rescale: Callable[[Values], Values]
    step: str
    voi: Window | Table | Sigmoid
    unusable: tuple[str, ...]


def look(
    path: Path,
    stored: NDArray[np.generic],
    dataset: "Dataset",
    about: About,
    index: int,
    wanted: str | None,
    modality: str,
) -> Look:
    """See `Look`. Raises ImageError: the wanted window is not there."""
    groups = list(_groups(dataset, index))
    rescale, step, slope = _modality(groups)
    windows = _windows(groups, stored.dtype.kind == "f" or abs(slope) < 1)
    named = wanted_window(wanted, str(path), modality) if wanted else None
    voi: Window | Table | Sigmoid | None
    if wanted == "full":
        voi = whole_window(stored, rescale)
    else:
        voi = named or _of_the_file(path, [*_tables(groups), *windows.usable], wanted)
    voi = voi or _usual(stored, groups[-1], about, rescale, step)
    return Look(rescale, step, voi, () if wanted else windows.unusable)


def show(stored: NDArray[np.generic], seen: Look) -> Grey:
    """A grey frame as 8 bits, and what was done to it."""
    shown = to_bytes(stored, lambda values: seen.voi(seen.rescale(values)))
    return Grey(shown, ", ".join(filter(None, (seen.step, seen.voi.why))), seen.unusable)


class Scale(NamedTuple):
    """What a viewer needs of a grey frame: from stored values to what they measure, and the window of that."""

    rescale: Callable[[Values], Values]
    window: Window


def scale_of(seen: Look) -> Scale:
    """See `Scale`; a VOI LUT or a sigmoid, which are no straight lines, give the range over which they rise."""
    rescale, voi = seen.rescale, seen.voi
    if isinstance(voi, Table):
        return Scale(rescale, Window(float(voi.first), float(voi.first + len(voi.values) - 1), voi.why))
    if isinstance(voi, Sigmoid):
        return Scale(rescale, Window.around(voi.centre, voi.width, voi.why))
    return Scale(rescale, voi)


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
    return next((group for group in groups if all(_is_given(group, key) for key in keywords)), None)


def _is_given(group: "Dataset", keyword: str) -> bool:
    """False where the element is missing, or present and empty, as the standard allows (PS3.5 7.4)."""
    value = group.get(keyword)
    return value is not None and (isinstance(value, int | float) or len(value) > 0)


def _lookup_tables(groups: list["Dataset"], keyword: str) -> list["Dataset"]:
    """The items of the first sequence of that name that has items with a description and data."""
    sequences = (group.get(keyword) or () for group in groups)
    filled = ([item for item in items if all(_is_given(item, key) for key in _TABLE)] for items in sequences)
    return next((items for items in filled if items), [])


def _modality(groups: list["Dataset"]) -> tuple[Callable[[Values], Values], str, float]:
    """From stored values to what they measure (Hounsfield units), in words, and the slope; unchanged, "" and 1 where
    the file says nothing."""
    if tables := _lookup_tables(groups, "ModalityLUTSequence"):
        return _table(tables[0], ""), "modality LUT", 1.0
    group = _first(groups, "RescaleSlope", "RescaleIntercept")
    slope, intercept = (1.0, 0.0) if group is None else (float(group.RescaleSlope), float(group.RescaleIntercept))
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise ValueError(f"rescale by {slope} and {intercept}")
    if (slope, intercept) == (1, 0):
        return lambda values: values, "", slope
    return lambda values: values * slope + intercept, f"rescaled by {slope:g} and {intercept:g}", slope


def _of_the_file(
    path: Path, windows: Sequence[Window | Table | Sigmoid], wanted: str | None
) -> Window | Table | Sigmoid | None:
    """One of the windows that the file brings: the wanted number, else the first. None: it brings none."""
    number = int(wanted or 1)
    if wanted and not 1 <= number <= len(windows):
        hint = f"#window=1 to #window={len(windows)}" if windows else "#window=CENTRE:WIDTH or #window=full"
        raise ImageError(f"{path} brings {len(windows)} windows of its own; there is no number {wanted}", hint=hint)
    return windows[number - 1] if windows else None


def _usual(
    stored: NDArray[np.generic], dataset: "Dataset", about: About, rescale: Callable[[Values], Values], step: str
) -> Window:
    """The window where neither the user nor the file names one; `step` says how values were rescaled."""
    if about.bits_stored <= 8 and not about.signed and not step and stored.dtype.kind in "iub":
        return Window(0, float(2**about.bits_stored - 1), "")
    padding = dataset.get("PixelPaddingValue")
    return usual_window(stored, rescale, float(padding) if isinstance(padding, int) else None)


def _tables(groups: list["Dataset"]) -> Iterator[Table]:
    """The VOI LUTs, each as shares of white."""
    for number, item in enumerate(_lookup_tables(groups, "VOILUTSequence"), start=1):
        table = _table(item, f"VOI LUT {number}")
        white = 2 ** _descriptor(item.LUTDescriptor)[2] - 1
        yield replace(table, values=np.clip(table.values / white, 0, 1))


class _Windows(NamedTuple):
    """The windows of a file, and a sentence for each that cannot be used."""

    usable: tuple[Window | Sigmoid, ...]
    unusable: tuple[str, ...]


def _windows(groups: list["Dataset"], is_fine: bool) -> _Windows:
    """The file's windows by its own function (LINEAR, LINEAR_EXACT, SIGMOID; PS3.3 C.11.2.1.2).

    is_fine: values may lie closer together than whole numbers.
    """
    group = _first(groups, "WindowCenter", "WindowWidth")
    if group is None:
        return _Windows((), ())
    function = str(group.get("VOILUTFunction") or "LINEAR").upper()
    centres, widths = (np.asarray(group[key].value, np.float64).ravel() for key in ("WindowCenter", "WindowWidth"))
    usable, unusable = list[Window | Sigmoid](), list[str]()
    for number, (centre, width) in enumerate(zip(centres.tolist(), widths.tolist(), strict=False), start=1):
        why = f"window {number} of the file ({centre:g}:{width:g})"
        is_made_exact = function not in ("LINEAR_EXACT", "SIGMOID") and is_fine and width < _WIDE
        is_linear = function not in ("LINEAR_EXACT", "SIGMOID") and not is_made_exact
        if not (math.isfinite(centre) and math.isfinite(width)) or width <= 0 or is_linear and width < 1:
            unusable.append(
                f"a window of the file cannot be used and is passed over: number {number} ({centre:g}:{width:g})"
            )
        elif function == "SIGMOID":
            usable.append(Sigmoid(centre, width, why + ", sigmoid"))
        elif is_linear:
            usable.append(Window.around(centre - 0.5, width - 1, why))
        else:
            reason = ", as LINEAR_EXACT, since its values lie closer together than whole numbers" * is_made_exact
            usable.append(Window.around(centre, width, why + reason))
    return _Windows(tuple(usable), tuple(unusable))


def _table(item: "Dataset", why: str) -> Table:
    entries, first, bits = _descriptor(item.LUTDescriptor)
    return Table(first, _entries(item.LUTData, entries, bits > 8, _word(item)).astype(np.float64), why)


def _descriptor(value: bytes | Sequence[int]) -> tuple[int, int, int]:
    """(entries, first value mapped, bits of an entry); 0 entries are 65,536 (PS3.3 C.11.1.1)."""
    parts = np.frombuffer(value, "<u2").tolist() if isinstance(value, bytes) else [int(part) for part in value]
    if len(parts) != 3 or not 1 <= parts[2] <= 16:
        raise ValueError(f"a lookup table described by {parts[:5]}")
    return parts[0] % _MOST_ENTRIES or _MOST_ENTRIES, parts[1], parts[2]


def _entries(data: bytes | Sequence[int] | int, count: int, wide: bool, word: str) -> NDArray[np.unsignedinteger]:
    """The `count` entries of a table; pydicom gives numbers or, where it cannot know, bytes. `wide`: each entry takes
    two bytes, as it also does where there are bytes enough for it; `word`: their order, as numpy names it."""
    entries: NDArray[np.unsignedinteger]
    if not isinstance(data, bytes):
        entries = np.atleast_1d(np.asarray(data)).astype(np.uint16)
    elif wide or len(data) >= 2 * count:
        entries = np.frombuffer(data, word, len(data) // 2)
    else:
        entries = np.frombuffer(data, np.uint8)
    if entries.size < count:
        raise ValueError(f"a lookup table of {count} entries that holds {entries.size}")
    return entries[:count]


def _word(dataset: "Dataset") -> str:
    return "<u2" if dataset.original_encoding[1] else ">u2"


def through_palette(stored: NDArray[np.generic], dataset: "Dataset") -> NDArray[np.uint8]:
    """A frame of palette entries (rows, columns) -> (rows, columns, 3)."""
    channels, word = [], _word(dataset)
    for colour in COLOURS:
        count, first, bits = _descriptor(dataset[f"{colour}PaletteColorLookupTableDescriptor"].value)
        data = dataset.get(f"{colour}PaletteColorLookupTableData")
        if data:
            entries = _entries(data, count, False, word)
        else:
            segments = dataset[f"Segmented{colour}PaletteColorLookupTableData"].value
            entries = _entries(_unfolded(segments, word if bits > 8 else "u1", count), count, bits > 8, word)
        channels.append(to_bytes(stored, Table(first, entries / np.iinfo(entries.dtype).max)))
    return np.stack(channels, axis=-1)


def _unfolded(segments: bytes, word: str, most: int) -> bytes:
    """The first `most` entries of a segmented palette (PS3.3 C.7.9.2): runs of values, straight lines, and repetitions
    of earlier segments.

    Never longer than a palette may be, and a repetition repeats no repetition (the standard forbids it), so that no
    few bytes unfold without end.
    """
    size = np.dtype(word).itemsize
    words, values = np.frombuffer(segments, word, len(segments) // size).tolist(), list[int]()
    offset_words = 4 // size

    def unfold(position: int, count: int, nested: bool) -> None:
        while position + 1 < len(words) and count and len(values) <= _MOST_ENTRIES:
            kind, length = words[position : position + 2]
            position, count = position + 2, count - 1
            if kind == 0:
                values.extend(words[position : position + length])
                position += length
            elif kind == 1 and values and length and position < len(words):
                line = np.linspace(values[-1], words[position], length + 1)[1:]
                values.extend(np.around(line).astype(np.int64).tolist())
                position += 1
            elif kind == 2 and values and not nested and position + offset_words <= len(words):
                offset = words[position : position + offset_words]
                position += offset_words
                unfold(sum(part << 8 * size * power for power, part in enumerate(offset)), length, True)
            else:
                raise ValueError(f"a segmented palette with a segment of kind {kind} at {position - 2}")

    unfold(0, -1, False)
    return np.asarray(values[:most], word).tobytes()
