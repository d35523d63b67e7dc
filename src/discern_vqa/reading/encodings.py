"""The text of a table of one's own: its encoding is stated (an option, a byte order mark) or UTF-8, never guessed.

A file that is neither is refused, and the error names the encoding that its bytes look like.
"""

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from discern_vqa.errors import ConfigError, DataError
from discern_vqa.reading.placeholders import refuse_placeholder
from discern_vqa.reading.records import near_file, shown
from discern_vqa.reading.row import Opening

DEFAULT = "utf-8-sig"
_USUAL = "utf-8, cp1252 and utf-16 are usual"
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Longer marks before those that they begin with."""

_ZIP, _OLE, _GZIP = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"\x1f\x8b"
_LOOKED_AT = 4096


def encoding_of(file: Path, opening: Opening) -> str:
    """The encoding that the user names, or by default what the file's byte order mark says, or UTF-8.

    Raises DataError: the file is missing or unreadable, or something else lies in its place; ConfigError: there is no
    such encoding of text.
    """
    refuse_placeholder(file)
    start, name = _start(file), opening.encoding
    if not isinstance(name, str):
        raise ConfigError(f"the encoding is {shown(name)}; expected a name", hint=_USUAL)
    if name in ("", DEFAULT):
        return next((marked for mark, marked in _MARKS.items() if start.startswith(mark)), "utf-8")
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=name)
    except (LookupError, ValueError) as error:
        raise ConfigError(f"there is no encoding {name!r} of text", hint=_USUAL) from error
    return name


@contextmanager
def opened_text(file: Path, encoding: str, opening: Opening, newline: str = "") -> Iterator[io.TextIOWrapper]:
    """The open file without its byte order mark, for reading in `encoding` (see `encoding_of`). Raises DataError,
    whose hint is the command with another encoding: the file is in another one, or no text at all."""
    start = _start(file)
    if b"\0" in start and not encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32", "utf16", "utf32")):
        raise _other(file, encoding, ": it holds zero bytes", opening)
    try:
        with open(file, encoding=encoding, newline=newline) as text:
            if text.read(1) != "\ufeff":
                text.seek(0)
            yield text
    except UnicodeError as error:
        raise _other(file, encoding, _where(file, encoding), opening) from error
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}", hint="check the file and its permissions") from error


def whole_text(file: Path, opening: Opening) -> str:
    """The text of a file. Raises as `encoding_of` and `opened_text`."""
    with opened_text(file, encoding_of(file, opening), opening) as text:
        return text.read()


def _start(file: Path) -> bytes:
    """The first bytes of a file. Raises DataError."""
    try:
        with open(file, "rb") as opened:
            return opened.read(_LOOKED_AT)
    except FileNotFoundError as error:
        raise DataError(f"the file {file} is not there", hint=near_file(file)) from error
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}", hint="check the file and its permissions") from error


def _where(file: Path, encoding: str) -> str:
    """The first byte of a file that its encoding does not have, in words."""
    content = file.read_bytes()
    try:
        content.decode(encoding)
    except UnicodeDecodeError as error:
        return f": byte {error.start} is {content[error.start]:#04x}"
    except UnicodeError:  # a mark that is missing
        pass
    return ""


def _other(file: Path, encoding: str, where: str, opening: Opening) -> DataError:
    content = file.read_bytes()
    problem = f"is not {'UTF-8' if encoding.startswith('utf-8') else encoding} text{where}"
    if content.startswith((_ZIP, _OLE, _GZIP)):
        kind = "a workbook of Excel or another packed file" if not content.startswith(_GZIP) else "packed with gzip"
        return DataError(
            f"{file} {problem}; it is {kind}, whatever its name ends in",
            hint="save it as .xlsx or as CSV UTF-8, and give the file that ending",
        )
    if not (name := likely(content)):
        return DataError(f"{file} {problem}", hint="save the file as UTF-8")
    return DataError(f"{file} {problem}; it looks like {name}", hint=opening.command(encoding=name))


def likely(content: bytes) -> str:
    """The encoding that the bytes look like; "" for none of those that tables usually have."""
    start = content[:4000]
    if start.count(0) > len(start) // 4:
        candidates = ["utf-16-le" if start[1::2].count(0) >= start[::2].count(0) else "utf-16-be"]
    else:
        # cp850 is what older German, French and Spanish programs write; its umlauts are control signs elsewhere.
        candidates = ["cp1252", "cp850"]
    for name in candidates:
        try:
            text = content.decode(name)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return name
    return ""


def needed(content: bytes) -> str:
    """The encoding that has to be named for a file to be read; "" where its mark says it, or it is UTF-8."""
    if any(content.startswith(mark) for mark in _MARKS):
        return ""
    try:
        is_text = "\0" not in content.decode("utf-8")[:2000]
    except UnicodeDecodeError:
        is_text = False
    return "" if is_text else likely(content)
