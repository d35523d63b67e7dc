"""What a model has answered: a line for each request, on the disk as soon as it comes, known by a digest of what was
sent. No torch here.

    RUN/outside/replies.jsonl    {"digest": "...", "text": "Yes.", "finish": "stop", "sent": 311, "written": 3, ...}

The digest is of the image's bytes, the prompt, the model and its settings (`asking.requests`): what was asked once is
never asked again, whichever command asks. A process that is killed leaves whole lines and at most one torn one, which
is cut off when the file is opened again.
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from discern_vqa.errors import RunError
from discern_vqa.files import explained, from_json

FILE = Path("outside") / "replies.jsonl"
CUT = "length"
"""`finish` of an answer that was cut off at the largest number of tokens."""
_SYNC_S = 1.0
"""So often the disk is told to keep what it has: a power cut costs at most the answers of a second."""


@dataclass(frozen=True)
class Reply:
    """One answer as it came, or why there is none."""

    text: str = ""
    problem: str = ""  # why the model gave no answer although it was asked
    finish: str = ""  # why it ended, as the model says: "stop", "length", ...
    probability: float | None = None  # of the answer's tokens, where the model says it
    sent: int = 0  # tokens of the request, as the model counts them; 0: it does not
    written: int = 0  # tokens of the answer
    seconds: float = 0.0
    tries: int = 1


_OPTIONAL = {field.name: field.default for field in fields(Reply) if field.name != "text"}


class Replies:
    """The file of replies, open for one process (its folder is locked by whoever evaluates)."""

    def __init__(self, path: Path) -> None:
        """Reads what is there. Raises RunError: a line in the middle is broken."""
        self.path = path
        self._known: dict[str, Reply] = {}
        self._failed: dict[str, int] = {}
        self._synced = time.monotonic()
        self._end = self._read()
        self._file: BinaryIO | None = None

    def __len__(self) -> int:
        return len(self._known)

    def get(self, digest: str) -> Reply | None:
        """The reply to this request; None where it was not asked yet."""
        return self._known.get(digest)

    def of(self, digest: str) -> Reply:
        """The reply to a request that was asked. Raises KeyError."""
        return self._known[digest]

    def add(self, digest: str, reply: Reply) -> None:
        """Keeps a reply. Letters that no file can hold (half of a pair of UTF-16) become question marks. Raises
        DiscernError where nothing can be written."""
        reply = replace(reply, text=_writable(reply.text), problem=_writable(reply.problem))
        self._known[digest] = reply
        given = {key: value for key, value in asdict(reply).items() if value != _OPTIONAL.get(key, ...)}
        self._append({"digest": digest, **given})

    def failures(self, digest: str) -> int:
        """How many earlier commands gave this request up."""
        return self._failed.get(digest, 0)

    def add_failure(self, digest: str, why: str) -> None:
        """Keeps that a request was given up; it is asked again by the next command."""
        self._append({"digest": digest, "gave_up": _writable(why)})

    def _append(self, line: Mapping[str, Any]) -> None:
        with explained(self.path):
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = open(self.path, "ab")
                self._file.truncate(self._end)
            self._file.write((json.dumps(line, ensure_ascii=False) + "\n").encode())
            self._file.flush()
            if time.monotonic() - self._synced > _SYNC_S:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()

    def _read(self) -> int:
        """The byte at which whole lines end."""
        end = 0
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return end
        lines = content.split(b"\n")
        for number, line in enumerate(lines[:-1], start=1):
            try:
                values = from_json(line)
                digest = str(values.pop("digest"))
                if "gave_up" in values:
                    self._failed[digest] = self._failed.get(digest, 0) + 1
                else:
                    self._known[digest] = Reply(**values)
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                if number == len(lines) - 1:  # zeros or half a line that a crashed file system left
                    return end
                raise RunError(
                    f"{self.path}:{number} is no reply: {error}",
                    hint=f"remove that line (its question is asked again): sed -i {number}d {self.path}",
                ) from error
            end += len(line) + 1
        return end

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
            self._end = self.path.stat().st_size


def _writable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
