"""JPEG Lossless (ISO 10918-1, process 14, Huffman): what many hospitals' archives hold, and few decoders read.

A picture is coded point by point: the difference between a point and what its neighbours predict, as a Huffman code
for the difference's number of bits, then the bits. The prediction (H.1.2.1, selection values 1 to 7) is made from the
left (a), the upper (b) and the upper left (c) neighbour; in the first row it is a, in the first column b, at the very
first point half of the range. Scans of one component are read, and of several interleaved without subsampling.

In plain Python and numpy: half a second for each million points (selection values 1 and 2; the others take longer).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SOF3, _DHT, _SOS, _DRI, _EOI = 0xC3, 0xC4, 0xDA, 0xDD, 0xD9


@dataclass(frozen=True)
class _Frame:
    precision: int
    rows: int
    columns: int
    components: tuple[int, ...]


def decode(encoded: bytes) -> NDArray[np.uint16]:
    """(rows, columns, components) of a stream; sizes are the caller's to check before.

    Raises ValueError: the stream is no lossless JPEG of the kind above, or it is cut off or damaged.
    """
    if encoded[:2] != b"\xff\xd8":
        raise ValueError("no JPEG stream")
    frame, tables, interval, place = None, dict[int, list[tuple[int, int]]](), 0, 2
    planes: dict[int, NDArray[np.uint16]] = {}
    while place + 4 <= len(encoded):
        if encoded[place] != 0xFF:
            raise ValueError(f"no marker at byte {place}")
        marker = encoded[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker == _EOI:
            break
        length = int.from_bytes(encoded[place + 2 : place + 4], "big")
        segment = encoded[place + 4 : place + 2 + length]
        place += 2 + length
        if length < 2 or len(segment) != length - 2:
            raise ValueError("a segment that is cut off")
        if marker == _SOF3:
            frame = _frame(segment)
        elif 0xC0 <= marker <= 0xCF and marker not in (_DHT, 0xC8, 0xCC):
            raise ValueError(f"a JPEG of another process (SOF{marker - 0xC0})")
        elif marker == _DHT:
            tables |= _huffman(segment)
        elif marker == _DRI:
            interval = int.from_bytes(segment[:2], "big")
        elif marker == _SOS:
            if frame is None:
                raise ValueError("a scan before the frame's header")
            bits, place = _entropy_coded(encoded, place)
            planes |= _scan(segment, frame, tables, interval, bits)
    if frame is None or any(component not in planes for component in frame.components):
        raise ValueError("the stream ends before the picture")
    return np.stack([planes[component] for component in frame.components], axis=-1)


def _frame(segment: bytes) -> _Frame:
    if len(segment) < 6 or len(segment) < 6 + 3 * segment[5]:
        raise ValueError("a frame header that is cut off")
    precision, count = segment[0], segment[5]
    rows, columns = int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
    parts = [segment[6 + 3 * number : 9 + 3 * number] for number in range(count)]
    if not 2 <= precision <= 16 or not rows or not columns or not 1 <= count <= 4:
        raise ValueError(f"{count} components of {precision} bits, {columns} x {rows}")
    if len({part[1] for part in parts}) > 1 or len({part[0] for part in parts}) < count:
        raise ValueError("components of different sizes")
    return _Frame(precision, rows, columns, tuple(part[0] for part in parts))


def _huffman(segment: bytes) -> dict[int, list[tuple[int, int]]]:
    """Number of the table -> for each 16 bits that may come next, the code's length and its value."""
    tables = {}
    while segment:
        if len(segment) < 17 or len(segment) < 17 + sum(segment[1:17]):
            raise ValueError("a Huffman table that is cut off")
        number, counts = segment[0] & 15, segment[1:17]
        values, segment = segment[17 : 17 + sum(counts)], segment[17 + sum(counts) :]
        table: list[tuple[int, int]] = []
        taken = 0
        for length, count in enumerate(counts, start=1):
            for value in values[taken : taken + count]:
                if value > 16:
                    raise ValueError(f"a difference of {value} bits")
                table += [(length, value)] * (1 << 16 - length)
            taken += count
            if len(table) > 1 << 16:
                raise ValueError("a Huffman table with more codes than there are")
        tables[number] = table + [(0, 0)] * ((1 << 16) - len(table))
    return tables


def _entropy_coded(encoded: bytes, place: int) -> tuple[list[bytes], int]:
    """The scan's bytes without stuffing, cut at restart markers, and where the next segment starts."""
    parts: list[bytes] = []
    start = place
    while True:
        place = encoded.find(b"\xff", place)
        if place < 0 or place + 1 >= len(encoded):
            return [*parts, encoded[start:].replace(b"\xff\x00", b"\xff")], len(encoded)
        marker = encoded[place + 1]
        if marker == 0:
            place += 2
        elif 0xD0 <= marker <= 0xD7:
            parts.append(encoded[start:place].replace(b"\xff\x00", b"\xff"))
            place = start = place + 2
        else:
            return [*parts, encoded[start:place].replace(b"\xff\x00", b"\xff")], place


def _scan(
    segment: bytes, frame: _Frame, tables: dict[int, list[tuple[int, int]]], interval: int, parts: Sequence[bytes]
) -> dict[int, NDArray[np.uint16]]:
    count = segment[0] if segment else 0
    if len(segment) < 4 + 2 * count or not 1 <= count <= len(frame.components):
        raise ValueError("a scan header that is cut off")
    names = [segment[1 + 2 * number] for number in range(count)]
    chosen = [tables.get(segment[2 + 2 * number] >> 4) for number in range(count)]
    predictor, shift = segment[1 + 2 * count], segment[3 + 2 * count] & 15
    if not 1 <= predictor <= 7 or shift >= frame.precision or any(name not in frame.components for name in names):
        raise ValueError(f"a scan with predictor {predictor} and shift {shift}")
    if interval % frame.columns:
        raise ValueError("restarts within a row")
    per_part = interval // frame.columns if interval else frame.rows
    bands = []
    for number, part in enumerate(parts):
        rows = min(per_part, frame.rows - number * per_part)
        if rows < 1:
            break
        found = _differences(part, [table for table in chosen if table], rows * frame.columns, count)
        bands.append(_undo(found.reshape(rows, frame.columns, count), predictor, 1 << frame.precision - shift - 1))
    picture = np.concatenate(bands) if bands else np.zeros((0, frame.columns, count), np.uint16)
    if len(picture) != frame.rows:
        raise ValueError("the scan ends before the picture")
    return {name: (picture[..., number] << shift).astype(np.uint16) for number, name in enumerate(names)}


def _differences(data: bytes, tables: list[list[tuple[int, int]]], points: int, components: int) -> NDArray[np.int32]:
    """(points, components) differences (H.1.2.2)."""
    if len(tables) != components:
        raise ValueError("a scan without its Huffman table")
    found, total = np.empty(points * components, dtype=np.int32), points * components
    buffer, held, place, end = 0, 0, 0, len(data)
    one = tables[0] if components == 1 else None
    for index in range(total):
        if held < 32:
            chunk = data[place : place + 8]
            buffer = (buffer & ((1 << held) - 1)) << 64 | int.from_bytes(chunk.ljust(8, b"\0"), "big")
            held += 64
            place += 8
        length, bits = (one or tables[index % components])[buffer >> held - 16 & 0xFFFF]
        if not length:
            raise ValueError("a code that its table does not have")
        held -= length
        if bits == 0:
            found[index] = 0
        elif bits == 16:
            found[index] = 32768
        else:
            held -= bits
            value = buffer >> held & (1 << bits) - 1
            found[index] = value if value >> bits - 1 else value - (1 << bits) + 1
        if place - held // 8 > end + 8:
            raise ValueError("the scan ends before the picture")
    if place * 8 - held > end * 8:
        raise ValueError("the scan ends before the picture")
    return found.reshape(points, components)


def _undo(values: NDArray[np.int32], predictor: int, start: int) -> NDArray[np.uint16]:
    """Differences (rows, columns, components) -> values, modulo 2**16 (H.1.2.1). Works in the array given to it."""
    values[0, 0] += start
    values[0] = np.cumsum(values[0], axis=0)
    values[:, 0] = np.cumsum(values[:, 0], axis=0)
    values &= 0xFFFF
    if predictor == 1:
        np.cumsum(values[1:], axis=1, out=values[1:])
        return values.astype(np.uint16)  # keeps the lower 16 bits
    if predictor == 2:
        np.cumsum(values[:, 1:], axis=0, out=values[:, 1:])
        return values.astype(np.uint16)
    for row in range(1, len(values)):
        above, line = values[row - 1].tolist(), values[row].tolist()
        for column in range(1, len(line)):
            line[column] = [
                difference + _predicted(predictor, a, b, c) & 0xFFFF
                for difference, a, b, c in zip(
                    line[column], line[column - 1], above[column], above[column - 1], strict=True
                )
            ]
        values[row] = line
    return values.astype(np.uint16)


def _predicted(predictor: int, a: int, b: int, c: int) -> int:
    if predictor == 3:
        return c
    if predictor == 4:
        return a + b - c
    if predictor == 5:
        return a + (b - c >> 1)
    if predictor == 6:
        return b + (a - c >> 1)
    return a + b >> 1
