"""NIfTI and Analyze: which files a volume lies in. A `.nii` file is one; a pair has its header and its values apart.

The header of a pair (`.hdr`) is known by what it holds, its values (`.img`) by the header of the same name beside it:
they are nothing but numbers. Either may be named, and either may be a gzip file (`.hdr.gz`, `.img.gz`).
"""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal, cast

HEADER_BYTES = 540  # of a NIfTI-2 header; a NIfTI-1 header has 348
_GZIP = b"\x1f\x8b"


def is_nifti(start: bytes) -> bool:
    """True for the first `HEADER_BYTES` of a NIfTI file, single or the header of a pair."""
    return start[344:348] in (b"n+1\0", b"ni1\0") or start[4:8] in (b"n+2\0", b"ni2\0")


def is_analyze(start: bytes) -> bool:
    """True for the header of an Analyze 7.5 file: its own length, and 1 to 7 dimensions, in one order of bytes."""
    if len(start) < 348 or is_nifti(start):
        return False
    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    for order in orders:
        if int.from_bytes(start[:4], order) == 348 and 1 <= int.from_bytes(start[40:42], order) <= 7:
            return True
    return False


def is_header_of_pair(start: bytes) -> bool:
    """True for a header whose values lie in another file."""
    return start[344:348] == b"ni1\0" or start[4:8] == b"ni2\0" or is_analyze(start)


def partner(file: Path) -> Path | None:
    """The other file of a pair, by its name: `a.img` for `a.hdr`, and the other way round; None: there is none."""
    name, packed = (file.name[:-3], file.name[-3:]) if file.name.lower().endswith(".gz") else (file.name, "")
    ending = name[-4:].lower()
    if ending not in (".hdr", ".img"):
        return None
    other = ".img" if ending == ".hdr" else ".hdr"
    ending = other.upper() if name[-3:].isupper() else other
    packings = [packed, ".gz" if not packed else ""]
    candidates = (file.with_name(f"{name[:-4]}{ending}{packing}") for packing in packings)
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def header_of(file: Path) -> Path | None:
    """The header of a pair that lies beside its values; None where `file` is no such file of values."""
    is_values = file.name.lower().removesuffix(".gz").endswith(".img")
    header = partner(file) if is_values else None
    if header is None:
        return None
    try:
        with unpacked(header) as stream:
            start = stream.read(HEADER_BYTES)
    except (OSError, EOFError):
        return None
    return header if is_header_of_pair(start) else None


def is_packed(file: Path) -> bool:
    """True for a gzip file. Raises OSError."""
    with open(file, "rb") as opened:
        return opened.read(2) == _GZIP


@contextmanager
def unpacked(file: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked where it is a gzip file. Raises OSError."""
    with open(file, "rb") as opened:
        if opened.read(2) == _GZIP:
            opened.seek(0)
            with gzip.GzipFile(fileobj=opened) as stream:
                yield cast(IO[bytes], stream)
        else:
            opened.seek(0)
            yield opened
