"""Greys: stored values become what a screen shows, 8 bits. Every step is pointwise, and none is a matter of taste.

A window is a centre and a width: below it black, above it white, in between a straight line. `WINDOWS` are the usual
ones for CT, in Hounsfield units. Where neither the file nor the user names a window, the least and greatest half per
cent of the values are cut off: a metal clip or an air pocket would else darken all the rest.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from discern_vqa.errors import ImageError

Values = NDArray[np.float64]

WINDOWS: dict[str, tuple[float, float]] = {
    "abdomen": (50, 400),
    "angio": (300, 600),
    "bone": (400, 1800),
    "brain": (40, 80),
    "liver": (30, 150),
    "lung": (-600, 1500),
    "mediastinum": (50, 350),
    "spine": (50, 250),
    "stroke": (40, 40),
    "subdural": (75, 215),
    "temporal": (600, 2800),
}
"""Centre and width in Hounsfield units, as radiology textbooks give them."""

CUT = 0.5  # per cent of the values that lie below and above the window where nothing names one

_MOST_LOOKED_AT = 4_000_000
_STRIP = 1 << 20


@dataclass(frozen=True)
class Window:
    """`low` and below is black, `high` and above white. `why` says where the two come from."""

    low: float
    high: float
    why: str

    @classmethod
    def around(cls, centre: float, width: float, why: str) -> Self:
        """The window of a centre and a width."""
        return cls(centre - width / 2, centre + width / 2, why)

    def __call__(self, values: Values) -> Values:
        """The values as shares of white, in [0, 1]."""
        if not self.high > self.low:
            return (values > self.low).astype(np.float64)
        # Halved first: the two ends of 64-bit data may be further apart than the largest number.
        return np.clip((values / 2 - self.low / 2) / (self.high / 2 - self.low / 2), 0, 1)


def wanted_window(window: str, where: str, modality: str = "") -> Window | None:
    """The window that `#window=` names, by its name or as CENTRE:WIDTH; None for a number (one of the file's own) and
    for "full" (from the least to the greatest value). Raises ImageError: there is no such window, its width is not
    positive, or it has a name (these are in Hounsfield units) and the file is no CT.

    where: the image's path, for the message; modality: as the file says, "" where it says nothing.
    """
    if window == "full" or re.fullmatch(r"[0-9]{1,3}", window):
        return None
    if window in WINDOWS:
        if modality not in ("", "CT", "PT"):
            raise ImageError(
                f"{where}: the window {window!r} is for CT, and this is {modality}",
                hint="give #window=CENTRE:WIDTH in the file's own values, or leave it away",
            )
        centre, width = WINDOWS[window]
        return Window.around(centre, width, f"window {window} ({centre:g}:{width:g})")
    number = r"[+-]?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]{1,2})?"
    if match := re.fullmatch(f"({number}):({number})", window):
        centre, width = float(match[1]), float(match[2])
        if width > 0 and math.isfinite(centre) and math.isfinite(width):
            return Window.around(centre, width, f"window {centre:g}:{width:g} (as asked)")
    raise ImageError(
        f"{where}: there is no window {window!r}; expected CENTRE:WIDTH with a positive width, a number, or a name",
        hint=f"names: full, {', '.join(WINDOWS)}",
    )


def whole_window(values: NDArray[np.generic], transform: Callable[[Values], Values]) -> Window:
    """From the least to the greatest value of an image, after `transform`; what is no number is left out."""
    numbers = _numbers(values)
    ends = np.array([numbers.min(), numbers.max()]) if numbers.size else np.zeros(2)
    least, greatest = _looked_at(ends, transform)[[0, -1]]
    return Window(float(least), float(greatest), "from its least to its greatest value")


def usual_window(
    values: NDArray[np.generic], transform: Callable[[Values], Values], ignore: float | None = None
) -> Window:
    """The window where nothing names one: without the `CUT` per cent at either end.

    values: as stored, any shape; transform: from these to what the window is about; ignore: a stored value that is no
    measurement (padding). NaN and infinity are left out too: they stand for "not measured" in floating point.
    """
    flat = _numbers(values)
    seen = flat[:: max(1, flat.size // _MOST_LOOKED_AT)]
    if ignore is not None and (real := seen != ignore).any():
        seen = seen[real]
    if not seen.size:
        return whole_window(values, transform)
    low, high = np.percentile(_looked_at(seen, transform), [CUT, 100 - CUT])
    if not high > low:
        return whole_window(values, transform)
    return Window(float(low), float(high), f"without the {CUT:g} % darkest and brightest values")


def holes(values: NDArray[np.generic]) -> str:
    """The step of the record about pixels without a number, which are black; "" where every pixel has one."""
    count = int(values.size - np.isfinite(values).sum()) if values.dtype.kind == "f" else 0
    return holes_in_words(count, values.size)


def holes_in_words(count: int, size: int) -> str:
    """The same for `count` of `size` pixels."""
    if not count:
        return ""
    hold = "pixel holds" if count == 1 else "pixels hold"
    return f"{count:,} {hold} no number (NaN or infinite), {_percent(count / size)} of all: shown black"


def _percent(share: float) -> str:
    return "under 1 %" if share < 0.01 else f"{100 * share:.0f} %"


def _numbers(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """The values that are numbers, in one row."""
    flat = values.reshape(-1)
    if flat.dtype.kind != "f" or (finite := np.isfinite(flat)).all():
        return flat
    numbers: NDArray[np.generic] = flat[finite]
    return numbers


def _looked_at(values: NDArray[np.generic], transform: Callable[[Values], Values]) -> Values:
    return np.sort(transform(values.astype(np.float64)), axis=None)


def to_bytes(values: NDArray[np.generic], show: Callable[[Values], Values]) -> NDArray[np.uint8]:
    """Stored values of any shape -> the same shape, 0-255, where `show` gives shares of white in [0, 1].

    `show` sees each integer that occurs once (a table), or, for values too many for a table, a strip at a time: a
    large image is never held as 64-bit numbers. What is no number (NaN, infinite) is black, wherever 0 lies.
    """
    if values.dtype.kind in "iub" and values.size:
        least, greatest = int(values.min()), int(values.max())
        if greatest - least < 1 << 16:
            table = _quantised(show(np.arange(least, greatest + 1, dtype=np.float64)))
            return _strips(values, lambda strip: table[strip.astype(np.int64) - least])

    def shown(strip: NDArray[np.generic]) -> NDArray[np.uint8]:
        wide = strip.astype(np.float64)
        finite = np.isfinite(wide)
        return _quantised(show(np.where(finite, wide, 0))) * finite

    return _strips(values, shown)


def _strips(
    values: NDArray[np.generic], change: Callable[[NDArray[np.generic]], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    flat, shown = np.ascontiguousarray(values).reshape(-1), np.empty(values.size, dtype=np.uint8)
    for start in range(0, flat.size, _STRIP):
        shown[start : start + _STRIP] = change(flat[start : start + _STRIP])
    return shown.reshape(values.shape)


def _quantised(shares: Values) -> NDArray[np.uint8]:
    return np.rint(shares * 255).astype(np.uint8)
