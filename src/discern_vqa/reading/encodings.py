"""The text of a table of one's own: its encoding is stated (an option, a byte order mark) or UTF-8, never guessed.

A file that is neither is refused, and the error names the encoding that its bytes look like.
"""

import codecs
from collections.abc import Callable
from pathlib import Path

from discern_vqa.errors import ConfigError, DataError
from discern_vqa.reading.records import near_file, shown

DEFAULT = "utf-8-sig"
_USUAL = "utf-8, cp1252 and utf-16 are usual"
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Longer marks before those that they begin with."""

_ZIP, _OLE, _GZIP = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"\x1f\x8b"


def read_table_text(file: Path, encoding: str, how: Callable[[str], str]) -> str:
    """The text of a file, without its byte order mark; lines end at line feeds.

    Args:
        file: what is read.
        encoding: as the user names it. By default UTF-8, or what the file's byte order mark says.
        how: the command that reads the file in the encoding of that name, for the hint.

    Raises:
        DataError: the file is missing, unreadable, in another encoding, or no text at all.
        ConfigError: there is no such encoding.
    """
    if not isinstance(encoding, str):
        raise ConfigError(f"the encoding is {shown(encoding)}; expected a name", hint=_USUAL)
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"the file {file} is not there", hint=near_file(file)) from error
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}", hint="check the file and its permissions") from error
    marked = next((name for mark, name in MARKS.items() if content.startswith(mark)), "")
    name = marked if marked and encoding == DEFAULT else encoding
    try:
        text = content.decode(name)
    except LookupError as error:
        raise ConfigError(f"there is no encoding {encoding!r}", hint=_USUAL) from error
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        byte = f": byte {start} is {content[start]:#04x}" if content else ""
        raise _other(file, content, f"is not {'UTF-8' if name == DEFAULT else name} text{byte}", how) from error
    except (ValueError, TypeError) as error:  # a codec of Python that makes no text of bytes
        raise ConfigError(f"{encoding!r} is not an encoding of text", hint=_USUAL) from error
    if "\0" in text[:2000]:
        raise _other(file, content, f"is not {'UTF-8' if name == DEFAULT else name} text: it holds zero bytes", how)
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _other(file: Path, content: bytes, problem: str, how: Callable[[str], str]) -> DataError:
    if content.startswith((_ZIP, _OLE, _GZIP)):
        kind = "a workbook of Excel or another packed file" if not content.startswith(_GZIP) else "packed with gzip"
        return DataError(
            f"{file} {problem}; it is {kind}, whatever its name ends in",
            hint="save it as .xlsx or as CSV UTF-8, and give the file that ending",
        )
    name = likely(content)
    if not name:
        return DataError(f"{file} {problem}", hint="save the file as UTF-8")
    return DataError(f"{file} {problem}; it looks like {name}", hint=how(name))


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
    if any(content.startswith(mark) for mark in MARKS):
        return ""
    try:
        is_text = "\0" not in content.decode("utf-8")[:2000]
    except UnicodeDecodeError:
        is_text = False
    return "" if is_text else likely(content)
