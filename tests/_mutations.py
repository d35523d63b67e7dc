"""Mutations of image files that know the formats: what `_broken.py` breaks its seeds with."""

import gzip
import random
import struct
import zlib

EXTREMES = [
    b"\0\0",
    b"\xff\xff",
    b"\xff\x7f",
    b"\x7f\xff",
    b"\0\x80",
    b"\x80\0",
    b"\1\0",
    b"\0\1",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x7f\xff\xff\xff",
    b"\0\0\xc0\x7f",
    b"\0\0\x80\x7f",
]


def mutated(content: bytes, kind: str, draw: random.Random, others: list[bytes]) -> bytes:
    """One broken file: some of truncation, flipped bits, overwritten fields, pieces lost, doubled or strange."""
    if kind == "nifti_gz" and draw.random() < 0.6:
        return gzip.compress(mutated(gzip.decompress(content), "nifti", draw, others), 1)
    if kind == "dicom_deflated" and draw.random() < 0.6:
        return _redeflated(content, draw, others)
    body = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 4])):
        if not body:
            break
        draw.choice(MUTATIONS + FIELDS.get(kind.split("_")[0], []) * 3)(body, draw, others)
    return bytes(body)


def _redeflated(content: bytes, draw: random.Random, others: list[bytes]) -> bytes:
    start = 144 + int.from_bytes(content[140:144], "little")
    inner = zlib.decompress(content[start:], -zlib.MAX_WBITS)
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return content[:start] + packer.compress(mutated(inner, "dicom", draw, others)) + packer.flush()


def _truncate(body: bytearray, draw: random.Random, others: list[bytes]) -> None:
    del body[draw.randrange(len(body)) :]


def _flip(body: bytearray, draw: random.Random, others: list[bytes]) -> None:
    reach = draw.choice([64, 400, len(body)])
    for _ in range(draw.choice([1, 3, 20])):
        body[draw.randrange(min(reach, len(body)))] ^= 1 << draw.randrange(8)


def _overwrite(body: bytearray, draw: random.Random, others: list[bytes]) -> None:
    extreme = draw.choice(EXTREMES)
    place = draw.randrange(min(draw.choice([64, 400, len(body)]), len(body)))
    body[place : place + len(extreme)] = extreme


def _noise(body: bytearray, draw: random.Random, others: list[bytes]) -> None:
    place, length = draw.randrange(len(body)), draw.randrange(1, 64)
    body[place : place + length] = draw.randbytes(length)


def _lose(body: bytearray, draw: random.Random, others: list[bytes]) -> None:
    place = draw.randrange(len(body))
    del body[place : place + draw.choice([1, 2, 16, 200])]


def _double(body: bytearray, draw: random.Random, others: list[bytes]) -> None:
    place, length = draw.randrange(len(body)), draw.choice([1, 8, 100, 1000])
    body[place:place] = body[place : place + length] * draw.choice([1, 1, 30])


def _splice(body: bytearray, draw: random.Random, others: list[bytes]) -> None:
    other = draw.choice(others)
    place, taken = draw.randrange(len(body)), draw.randrange(len(other))
    body[place:] = other[taken:]


MUTATIONS = [_truncate, _flip, _flip, _overwrite, _overwrite, _noise, _lose, _double, _splice]


def _png_header(body: bytearray, draw: random.Random, others: list[bytes]) -> None:
    """Size, depth or kind in IHDR, with the checksum made right again."""
    if len(body) > 33:
        if draw.random() < 0.5:
            struct.pack_into(">I", body, draw.choice([16, 20]), draw.choice([0, 1, 41, 9000, 60_000, 2**31 - 1]))
        else:
            body[draw.choice([24, 25, 26, 27, 28])] = draw.choice([0, 1, 2, 3, 4, 6, 8, 16, 255])
        struct.pack_into(">I", body, 29, zlib.crc32(body[12:29]))


def _jpeg_header(body: bytearray, draw: random.Random, others: list[bytes]) -> None:
    """Rows, columns, components or sampling in the frame header."""
    for marker in (b"\xff\xc0", b"\xff\xc1", b"\xff\xc2", b"\xff\xc3", b"\xff\xf7"):
        place = bytes(body).find(marker)
        if 0 <= place < len(body) - 20:
            body[place + draw.randrange(4, 18)] = draw.choice([0, 1, 2, 3, 4, 8, 12, 16, 0x11, 0x44, 255])


def _dicom_element(body: bytearray, draw: random.Random, others: list[bytes]) -> None:
    """A value of the image's description (group 0028), at its own place."""
    big = draw.random() < 0.15
    element = draw.choice(
        [
            0x0002,
            0x0004,
            0x0008,
            0x0010,
            0x0011,
            0x0100,
            0x0101,
            0x0102,
            0x0103,
            0x0106,
            0x1050,
            0x1051,
            0x1052,
            0x1053,
            0x1101,
            0x3002,
            0x3006,
            0x3010,
            0x1221,
        ]
    )
    tag = struct.pack(">HH" if big else "<HH", 0x0028, element)
    place = bytes(body).find(tag)
    if 0 <= place < len(body) - 16:
        at = place + draw.choice([4, 6, 8, 8, 8, 10, 12])
        values = [*EXTREMES, b"\3\0", b"\x08\0", b"\x10\0", b"\x20\0", b"9999999 ", b"1e308 ", b"nan ", b"-1"]
        value = draw.choice(values)
        body[at : at + len(value)] = value


def _nifti_field(body: bytearray, draw: random.Random, others: list[bytes]) -> None:
    """A field of the header, at its own place."""
    if len(body) > 348:
        whole = [*range(40, 56, 2), 70, 72, 252, 254]  # dim, datatype, bitpix, qform_code, sform_code
        real = [*range(76, 92, 4), *range(108, 132, 4), *range(280, 328, 4)]  # pixdim, offset to cal_min, affine
        if draw.random() < 0.5:
            value: float = draw.choice([-1, 0, 1, 2, 3, 4, 8, 16, 64, 128, 512, 1792, 2304, 32767])
            struct.pack_into("<h", body, draw.choice(whole), int(value))
        else:
            value = draw.choice([0.0, -1.0, 1e-30, 1e30, float("nan"), float("inf"), 352.0])
            struct.pack_into("<f", body, draw.choice(real), value)


FIELDS = {
    "png": [_png_header],
    "jpeg": [_jpeg_header],
    "dicom": [_dicom_element, _jpeg_header],
    "nifti": [_nifti_field],
}
