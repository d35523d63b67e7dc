"""NIfTI: a header and its values that were sent apart, without names, as the single file that they stand for.

On a disk a pair is known by its names (`nifti_pair`). An upload has none, so values are known by their length, which
the header states to the byte.
"""

import gzip
import io
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from discern_vqa.errors import ImageError
from discern_vqa.imaging.nifti_pair import HEADER_BYTES, is_analyze, is_header_of_pair

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class _Header:
    """A header of a pair. start: in the file of values; size: of the values, in bytes."""

    content: bytes
    order: str  # of its bytes, for `struct`
    start: int
    size: int

    def with_values(self, values: bytes) -> bytes:
        """A single file: the header, four bytes that say that no extension follows, and the values."""
        head = bytearray(self.content)
        if len(head) == 348:
            head[344:348] = b"n+1\0"
            struct.pack_into(f"{self.order}f", head, 108, 352.0)  # vox_offset
        else:
            head[4:12] = b"n+2\0\r\n\x1a\n"
            struct.pack_into(f"{self.order}q", head, 168, 544)
        return bytes(head) + bytes(4) + values[self.start :]


def joined(files: Sequence[bytes], most: int) -> list[bytes]:
    """The files, each NIfTI header of a pair with its values in one; files of any other kind as they are.

    most: bytes that values may have, unpacked. Raises ImageError: the values of a header are missing, too many, or
    several files may be them; or the header is Analyze's.
    """
    headers = {place: header for place, content in enumerate(files) if (header := _header(content)) is not None}
    taken: dict[int, bytes] = {}
    used: set[int] = set()
    for place, header in headers.items():
        if header.size > most:
            raise ImageError(
                f"a NIfTI header (.hdr) states {header.size:,} bytes of values, and at most {most:,} are read",
                hint="upload a part of the volume",
            )
        others = (other for other in range(len(files)) if other not in headers and other not in used)
        values = {other: read for other in others if (read := _values(files[other], header)) is not None}
        if len(values) != 1:
            raise ImageError(
                f"a NIfTI header (.hdr) came with {len(values)} files that may be its values; expected one of "
                f"{header.start + header.size:,} bytes",
                hint="upload one pair at a time, its .hdr and its .img together",
            )
        ((other, read),) = values.items()
        taken[place] = header.with_values(read)
        used.add(other)
    return [taken.get(place, content) for place, content in enumerate(files) if place not in used]


def _header(content: bytes) -> _Header | None:
    start = _read(content, HEADER_BYTES)
    if start is None or not is_header_of_pair(start):
        return None
    if is_analyze(start):
        raise ImageError(
            "this is the header of an Analyze 7.5 pair, which says nothing of the patient's sides and cannot be sent "
            "without its name",
            hint="write it as one file: nib-convert a.hdr a.nii, and upload that",
        )
    is_first = start[344:348] == b"ni1\0"
    length = 348 if is_first else 540
    order = "<" if int.from_bytes(start[:4], "little") == length else ">"
    if is_first:
        dimensions, bits = struct.unpack_from(f"{order}8h", start, 40), struct.unpack_from(f"{order}h", start, 72)[0]
        stated = struct.unpack_from(f"{order}f", start, 108)[0]
        if not math.isfinite(stated):
            raise ImageError(
                f"a NIfTI header (.hdr) says that its values begin at byte {stated}; expected a number",
                hint="the file may be damaged: fetch it again",
            )
        offset = int(stated)
    else:
        dimensions, bits = struct.unpack_from(f"{order}8q", start, 16), struct.unpack_from(f"{order}h", start, 14)[0]
        offset = struct.unpack_from(f"{order}q", start, 168)[0]
    count = math.prod(max(1, size) for size in dimensions[1 : 1 + max(0, min(7, dimensions[0]))])
    return _Header(start[:length], order, max(0, offset), count * max(0, bits) // 8)


def _values(content: bytes, header: _Header) -> bytes | None:
    """The unpacked file, where it is as long as the header's values are; None else."""
    size = header.start + header.size
    read = _read(content, size + 1)
    return read if read is not None and len(read) == size else None


def _read(content: bytes, most: int) -> bytes | None:
    """The first bytes, unpacked where it is a gzip file; None of a broken one."""
    if content[:2] != _GZIP:
        return content[:most]
    try:
        return gzip.GzipFile(fileobj=io.BytesIO(content)).read(most)
    except (OSError, EOFError, zlib.error):
        return None
