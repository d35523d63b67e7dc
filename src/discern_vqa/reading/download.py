"""One file from the network: resumed where it broke off, checked, tried from one address after the other."""

import hashlib
import http.client
import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from discern_vqa.errors import DataError
from discern_vqa.files import atomic_write_text, from_json
from discern_vqa.version import __version__

TIMEOUT_S = 30
TRIES = 3
"""At one address, each going on where the last one broke off."""

_CHUNK = 1 << 20
_AGENT = {"User-Agent": f"discern-vqa/{__version__}"}
Progress = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all or 0)."""


class Unreachable(Exception):
    """An address that does not give the file; the text says why. It never leaves `discern data get`."""


def fetch_text(url: str) -> str:
    """A small text from the network. Raises Unreachable."""
    try:
        with _open(url, {}) as answer:
            return answer.read(20_000_000).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreachable(f"{url} gives no text") from error
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"{url}: {_reason(error)}") from error


def download(
    urls: Sequence[str],
    target: Path,
    size: int = 0,
    checksum: str = "",
    progress: Progress = lambda done, whole: None,
    wait_s: float = 2.0,
) -> str:
    """Downloads to `target`, whole or not at all, and returns the address it came from.

    An interrupted download stays next to it as `.NAME.part` and is resumed, by this call or a later one, if the server
    still has the same file (its ETag) or the checksum of the file is known.

    Args:
        urls: tried in order.
        size: in bytes; 0 for not known.
        checksum: "sha256:...", "md5:..." or "git:..."; "" for not known.
        wait_s: before the second try at an address; twice as long before the third.

    Raises DataError: no address gives the file as it should be, or there is no room for it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    require_room(target.name, size, target.parent)
    failures = []
    for url in urls:
        for attempt in range(TRIES):
            if attempt:
                time.sleep(wait_s * attempt)
            try:
                _one_try(url, target, size, checksum, progress)
                return url
            except Unreachable as error:
                failures.append(f"{url}: {error}")
                if not error.__cause__ or isinstance(error.__cause__, urllib.error.HTTPError):
                    break  # the server has answered: asking again would not change it
    reasons = "; ".join(dict.fromkeys(failures))
    raise DataError(
        f"cannot download {target.name}: {reasons}",
        hint="run the same command again to resume, or download the file by hand",
    )


def _one_try(url: str, target: Path, size: int, checksum: str, progress: Progress) -> None:
    part, about = target.with_name(f".{target.name}.part"), target.with_name(f".{target.name}.part.json")
    start = part.stat().st_size if part.exists() else 0
    try:  # the server's mark of the file whose beginning is there
        known = from_json(about.read_bytes())
        etag = known["etag"] if known["url"] == url else ""
    except (OSError, ValueError, KeyError, TypeError):
        etag = ""
    if start and not (etag or checksum) or (size and start > size):
        part.unlink()
        start = 0
    if not (size and start == size):
        try:
            _receive(url, part, about, start, etag, size, progress)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(_reason(error)) from error
    received = part.stat().st_size
    if size and received < size:
        raise Unreachable(f"{received:,} bytes were received, {size:,} were expected") from ConnectionError("broke off")
    about.unlink(missing_ok=True)
    if size and received > size:
        part.unlink()
        raise Unreachable(f"{received:,} bytes were received, {size:,} were expected")
    if checksum and not holds(part, checksum):
        part.unlink()
        raise Unreachable("its checksum differs from the owner's")
    part.replace(target)


def _receive(url: str, part: Path, about: Path, start: int, etag: str, size: int, progress: Progress) -> None:
    headers = {"Range": f"bytes={start}-"} if start else {}
    if start and etag:
        headers["If-Range"] = etag
    with _open(url, headers) as answer:
        goes_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        done = start if goes_on else 0
        announced = int(answer.headers.get("Content-Length") or 0)
        whole = size or (done + announced if announced else 0)
        strong = answer.headers.get("ETag", "")
        atomic_write_text(about, json.dumps({"url": url, "etag": "" if strong.startswith("W/") else strong}))
        with open(part, "ab" if goes_on else "wb") as file:
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                if size and done > size:
                    return  # more than it should be: judged by the caller
                progress(done, whole)
        if whole and done < whole:
            raise ConnectionError(f"the connection broke off after {done:,} of {whole:,} bytes")


def _open(url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    if not url.startswith(("https://", "http://")):
        raise OSError(f"{url} is not an http address")
    request = urllib.request.Request(url, headers=_AGENT | headers)
    answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    return answer


def holds(file: Path, checksum: str) -> bool:
    """Whether a file has that checksum: "sha256:...", "md5:...", or "git:..." (SHA-1 of the git object)."""
    kind, _, expected = checksum.partition(":")
    found = hashlib.new({"git": "sha1"}.get(kind, kind), usedforsecurity=False)
    if kind == "git":
        found.update(f"blob {file.stat().st_size}\0".encode())
    with open(file, "rb") as opened:
        while chunk := opened.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest() == expected.lower()


def require_room(name: str, size: int, folder: Path) -> None:
    """Raises DataError when the file system of `folder`, which need not be there yet, lacks room for `size` bytes."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if size > free:
        raise DataError(
            f"{name} needs {size / 1e9:.1f} GB; {there} has room for {free / 1e9:.1f} GB",
            hint="free some space, or name another folder with --out",
        )


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        more = " (it may need a registration)" if error.code in (401, 403) else ""
        return f"HTTP {error.code}{more}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error) or type(error).__name__
