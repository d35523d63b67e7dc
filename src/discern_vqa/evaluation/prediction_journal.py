"""What has been answered of a file of questions while the answers are being made: a line for each row, on the disk.

    .ANSWERS.csv.journal      {"format": "discern predict 1", "of": "<digest>"}      what is being answered, by what
                              {"number": 0, "prediction": "yes", ...}                one line for each row, in order
                              {"number": 1, "error": "the image a.png is empty (0 bytes)"}

Lines are appended and flushed to the disk batch by batch. A process that is killed at any moment leaves whole batches
and at most one torn one, which is cut off when it goes on: no row is answered twice, none is lost, and the batches are
those of an uninterrupted run, so that the answers are equal to the last digit. The answers themselves are written from
the journal in one piece when all rows are there. No torch here.
"""

import glob
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from discern_vqa.errors import RunError
from discern_vqa.files import explained, from_json
from discern_vqa.timers import timed

_FORMAT = "discern predict 1"


class Journal(AbstractContextManager["Journal"]):
    """The journal beside a file of answers, held for one process. Whole batches of `batch` rows are kept."""

    def __init__(self, out: Path, of: str, batch: int, count: int) -> None:
        """`of`: a digest of questions, model and settings. `count`: of all rows."""
        self.path = out.with_name(f".{out.name}.journal")
        self._out_name = out.name
        self._of, self._batch, self._count = of, batch, count
        self._lock = FileLock(out.with_name(f".{out.name}.lock"))
        self.done = 0
        """Rows that are answered."""

    def begin(self, resume: bool, command: str) -> None:
        """Goes on with what is there, or begins anew. `command`: what the user types to go on.

        Raises RunError: an interrupted run is there and `resume` is not given, or it is of other questions, another
        model or other settings.
        """
        anew = f"begin anew: rm {self.path}"
        of, rows, end = self._read()
        if rows and not resume:
            raise RunError(
                f"{rows:,} of {self._count:,} rows were answered before the last run was interrupted ({self.path})",
                hint=f"go on: {command}, or {anew}",
            )
        if rows and of != self._of:
            raise RunError(
                f"{self.path} is of other questions, another model or other settings: they have changed since",
                hint=anew,
            )
        with explained(self.path):
            for torn in self.path.parent.glob(f".{glob.escape(self._out_name)}.*.partial"):
                torn.unlink()  # a run that was killed while it wrote the answers left it
            if rows:
                os.truncate(self.path, end)
            else:
                self._append([{"format": _FORMAT, "of": self._of}], "wb")
        self.done = rows

    def add(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """A batch of rows, in their order; on the disk when this returns. Raises DiscernError where it is full."""
        numbered = [{"number": number, **line} for number, line in enumerate(lines, start=self.done)]
        with explained(self.path):
            self._append(numbered, "ab")
        self.done += len(lines)

    def lines(self) -> Iterator[dict[str, Any]]:
        """What was answered, row by row."""
        with open(self.path, encoding="utf-8") as file:
            next(file)
            for text in file:
                yield from_json(text)

    def remove(self) -> None:
        """The answers are written: nothing is left to go on with."""
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> "Journal":
        with explained(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                hint = "wait for it, or name another file to write to"
                raise RunError(f"another command writes to {self.path.parent}", hint=hint) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    def _append(self, lines: Sequence[Mapping[str, Any]], mode: str) -> None:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        with timed("saving"), open(self.path, mode) as file:
            file.write(text.encode("utf-8", "surrogateescape"))
            file.flush()
            os.fsync(file.fileno())

    def _read(self) -> tuple[str, int, int]:
        """(of what it is, rows in whole batches, the byte at which these end). A torn end is passed over."""
        of, rows, end, at = "", 0, 0, 0
        try:
            with open(self.path, "rb") as file:
                for number, line in enumerate(file, start=-1):
                    values = from_json(line) if line.endswith(b"\n") else None
                    if not isinstance(values, dict):
                        break
                    if number < 0 and values.get("format") != _FORMAT:
                        break
                    if number >= 0 and values.get("number") != number:
                        break
                    at += len(line)
                    of = str(values["of"]) if number < 0 else of
                    whole = number < 0 or (number + 1) % self._batch == 0 or number + 1 == self._count
                    rows, end = (number + 1, at) if whole else (rows, end)
        except FileNotFoundError:
            pass
        except ValueError:  # a line that was torn, or zeros that a crashed file system left
            pass
        return of, rows, end
