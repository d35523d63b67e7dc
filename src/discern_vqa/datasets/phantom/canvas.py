"""Where phantoms are drawn: body coordinates with a pose, soft-edged shapes, smooth random fields, the final exposure.

Body coordinates run from -1 (image's left, top) to 1 (right, bottom); the pose turns, scales and shifts them, and a
smooth warp makes every outline a little irregular. Nothing here depends on what is drawn elsewhere in the image, so
that two drawings which differ in one finding stay equal, noise included, away from it.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[Any]  # float32 throughout
Mask = NDArray[np.bool_]
Random = np.random.Generator

_WARP_REACH = 0.05  # body units by which the warp may move an outline; windows are widened by it
_LETTERS = {
    "L": ("10000", "10000", "10000", "10000", "10000", "10000", "11111"),
    "R": ("11110", "10001", "10001", "11110", "10100", "10010", "10001"),
}


@dataclass(frozen=True)
class Pose:
    """How the body lies in the image: turn (radians), shift and scale in body units."""

    turn: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    scale: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class Shape:
    """A soft-edged region: coverage `alpha` in [0, 1] inside `window` (rows, columns) of the image, 0 outside."""

    window: tuple[slice, slice]
    alpha: Field


def within(shape: Shape, region: Field) -> Shape:
    """The part of a shape that a region (coverage of the whole image) leaves."""
    return Shape(shape.window, shape.alpha * region[shape.window])


def soft(distance: Field, edge: float) -> Field:
    """Coverage from the distance inside an outline: 0.5 on it, 0 and 1 half an `edge` away."""
    covered: Field = np.clip(distance * np.float32(1.0 / edge) + np.float32(0.5), 0.0, 1.0)
    return covered


@lru_cache(maxsize=64)
def _spline_rows(size: int, cells: int) -> Field:
    """Cubic B-spline weights (size, cells + 3): row i blends the control values that pixel i sees. Rows sum to 1."""
    place = (np.arange(size) + 0.5) / size * cells
    first = np.minimum(place.astype(int), cells - 1)
    t = place - first
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    rows = np.zeros((size, cells + 3), np.float32)
    for k in range(4):
        rows[np.arange(size), first + k] = weights[k]
    return rows


def smooth_field(random: Random, size: int, cells: int) -> Field:
    """A smooth random field (size, size), mean 0 and deviation about 1, with `cells` humps along a side."""
    rows = _spline_rows(size, cells)
    control = random.standard_normal((cells + 3, cells + 3), dtype=np.float32)
    field: Field = np.float32(2.1) * (rows @ control @ rows.T)
    return field


def polar(table: Field, turn: Field, reach: Field) -> Field:
    """Look-up of table[reach, turn]: bilinear; turn >= 0 wraps round, reach >= 0 stops at the last row."""
    rows, columns = table.shape
    wide = np.concatenate([table, table[:, :1]], axis=1)
    wide = np.concatenate([wide, wide[-1:]]).ravel()
    reach = np.minimum(reach, np.float32(rows - 1))
    row, column = reach.astype(np.int32), turn.astype(np.int32)
    down, across = reach - row, turn - column
    at = row * (columns + 1) + column % columns
    here, below = wide.take(at), wide.take(at + (columns + 1))
    here += across * (wide.take(at + 1) - here)
    below += across * (wide.take(at + (columns + 2)) - below)
    here += down * (below - here)
    return here


@lru_cache(maxsize=4)
def _grid(size: int) -> tuple[Field, Field]:
    line = ((np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1).astype(np.float32)
    across, down = np.meshgrid(line, line)
    return across, down


class Canvas:
    """A square image of floats (0 black, 1 white) with body coordinates `u` (to the image's right) and `v` (down)."""

    def __init__(self, size: int, pose: Pose, random: Random, warp: float = 0.012) -> None:
        self.size = size
        self.pose = pose
        self.pixel = 2.0 / size / min(pose.scale)  # one pixel in body units
        across, down = _grid(size)
        cos, sin = math.cos(pose.turn), math.sin(pose.turn)
        x, y = across - np.float32(pose.shift[0]), down - np.float32(pose.shift[1])
        self.u: Field = (x * np.float32(cos) + y * np.float32(sin)) * np.float32(1 / pose.scale[0])
        self.v: Field = (y * np.float32(cos) - x * np.float32(sin)) * np.float32(1 / pose.scale[1])
        self.u += np.float32(warp) * smooth_field(random, size, 4)
        self.v += np.float32(warp) * smooth_field(random, size, 4)
        self.image: Field = np.zeros((size, size), np.float32)

    def window(self, x: float, y: float, reach: float) -> tuple[slice, slice]:
        """The pixels that may lie within `reach` of (x, y) in body coordinates."""
        (sx, sy), (dx, dy) = self.pose.scale, self.pose.shift
        cos, sin = math.cos(self.pose.turn), math.sin(self.pose.turn)
        column = (x * sx * cos - y * sy * sin + dx + 1) / 2 * self.size
        row = (x * sx * sin + y * sy * cos + dy + 1) / 2 * self.size
        half = (reach + _WARP_REACH) * max(sx, sy) * self.size / 2 + 2

        def span(centre: float) -> slice:
            low, high = int(max(0, centre - half)), int(min(self.size, centre + half + 1))
            return slice(low, max(low, high))

        return span(row), span(column)

    def ellipse(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        turn: float = 0.0,
        edge: float = 0.0,
        wobble: Field | None = None,
    ) -> Shape:
        """A filled ellipse about (x, y); `edge` is its blur in body units (at least 1.5 pixels).

        `wobble` (pairs of cosine and sine weights for 2, 3, ... bumps) makes the outline irregular.
        """
        window = self.window(x, y, max(rx, ry) * 1.25 + edge)
        distance = self.inside(x, y, rx, ry, turn, window, wobble)
        return Shape(window, soft(distance, max(edge, 1.5 * self.pixel)))

    def inside(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        turn: float = 0.0,
        window: tuple[slice, slice] = (slice(None), slice(None)),
        wobble: Field | None = None,
    ) -> Field:
        """Roughly the distance (body units) inside an ellipse's outline; negative outside."""
        du, dv = self.u[window] - np.float32(x), self.v[window] - np.float32(y)
        if turn:
            cos, sin = np.float32(math.cos(turn)), np.float32(math.sin(turn))
            du, dv = du * cos + dv * sin, dv * cos - du * sin
        du, dv = du * np.float32(1 / rx), dv * np.float32(1 / ry)
        radius = np.sqrt(du * du + dv * dv)
        if wobble is not None:
            angle = np.arctan2(dv, du)
            for bumps, (a, b) in enumerate(wobble, start=2):
                radius = radius * (1 + a * np.cos(bumps * angle) + b * np.sin(bumps * angle))
        return (1 - radius) * np.float32(min(rx, ry))

    def stroke(self, points: list[tuple[float, float]], width: float, soften: float = 0.0) -> Shape:
        """A line through `points` of the given half-width."""
        return self.strokes(points, (width,), soften)[0]

    def strokes(self, points: list[tuple[float, float]], widths: tuple[float, ...], soften: float) -> list[Shape]:
        """Lines along one path, one of each half-width."""
        middle_x, middle_y = (sum(values) / len(points) for values in zip(*points, strict=True))
        reach = max(math.hypot(x - middle_x, y - middle_y) for x, y in points) + max(widths)
        window = self.window(middle_x, middle_y, reach)
        u, v = self.u[window], self.v[window]
        nearest = np.full(u.shape, np.inf, np.float32)  # squared distance
        for (ax, ay), (bx, by) in zip(points, points[1:], strict=False):
            dx, dy = bx - ax, by - ay
            fromx, fromy = u - np.float32(ax), v - np.float32(ay)
            along = fromx * np.float32(dx) + fromy * np.float32(dy)
            along = np.clip(along * np.float32(1 / (dx * dx + dy * dy + 1e-9)), 0, 1)
            fromx -= along * np.float32(dx)
            fromy -= along * np.float32(dy)
            np.minimum(nearest, fromx * fromx + fromy * fromy, out=nearest)
        distance = np.sqrt(nearest)
        edge = max(soften, 1.5 * self.pixel)
        return [Shape(window, soft(np.float32(width) - distance, edge)) for width in widths]

    def fill(self, shape: Shape, value: float | Field, strength: float = 1.0) -> None:
        """Covers what is there with `value`."""
        part = self.image[shape.window]
        part += np.float32(strength) * shape.alpha * (value - part)

    def add(self, shape: Shape, amount: float | Field) -> None:
        """Adds `amount` where the shape is, as one thing in front of another does in a radiograph."""
        self.image[shape.window] += shape.alpha * amount

    def mask(self, *shapes: Shape, level: float = 0.5) -> Mask:
        """Pixels that at least one of the shapes covers to `level` or more."""
        covered = np.zeros((self.size, self.size), bool)
        for shape in shapes:
            covered[shape.window] |= shape.alpha >= level
        return covered


def wobble(random: Random, amount: float, bumps: int = 3) -> Field:
    """Random weights for `Canvas.ellipse(wobble=...)`: 2 .. bumps + 1 bumps of falling height."""
    fall = 1 / np.sqrt(np.arange(1, bumps + 1))[:, None]
    return (amount * fall * random.uniform(-1, 1, (bumps, 2))).astype(np.float32)


@dataclass(frozen=True)
class Exposure:
    """How the drawing becomes an image: what the machine and the technician add."""

    gain: float
    offset: float
    gamma: float
    blur: float  # deviation in pixels at a size of 128
    noise: float  # deviation of the fine noise
    shading: float  # strength of the slow drift in brightness
    marker: str  # "L", "R" or ""
    marker_place: tuple[float, float]  # fractions: from the side it belongs to, from the top
    borders: tuple[float, float, float, float]  # collimation at top, bottom, left, right as a fraction of the side


def expose(drawing: Field, exposure: Exposure, random: Random) -> NDArray[np.uint8]:
    """8-bit grey image of a drawing. All randomness comes from `random`, none from what is drawn."""
    size = drawing.shape[0]
    scale = size / 128
    image: Field = ndimage.gaussian_filter(drawing, exposure.blur * scale, truncate=3.0)
    drift = np.float32(exposure.shading) * smooth_field(random, size, 2)
    image = np.clip(image * (np.float32(exposure.gain) + drift) + np.float32(exposure.offset), 0, 1)
    image = image ** np.float32(exposure.gamma)
    grain: Field = random.standard_normal((size, size), dtype=np.float32)
    grain = np.float32(0.6) * grain + np.float32(0.9) * smooth_field(random, size, int(size // 2.5))
    image += np.float32(exposure.noise) * grain
    _letter(image, exposure, scale)
    top, bottom, left, right = (round(part * size) for part in exposure.borders)
    for edge in (np.s_[:top, :], np.s_[size - bottom :, :], np.s_[:, :left], np.s_[:, size - right :]):
        image[edge] = image[edge] * 0.04 + 0.02
    pixels: NDArray[np.uint8] = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    return pixels


def _letter(image: Field, exposure: Exposure, scale: float) -> None:
    if not exposure.marker:
        return
    bits = np.array([[float(bit) for bit in row] for row in _LETTERS[exposure.marker]], np.float32)
    sign = ndimage.zoom(bits, 1.25 * scale, order=1)
    height, width = sign.shape
    size = image.shape[0]
    row = round(exposure.marker_place[1] * size)
    column = round(exposure.marker_place[0] * size)
    if exposure.marker == "L":  # radiological convention: the patient's left is on the image's right
        column = size - column - width
    part = image[row : row + height, column : column + width]
    np.maximum(part, sign * np.float32(0.95), out=part)
