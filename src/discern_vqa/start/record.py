"""`OUT/start.json`: what `discern start` has done in a folder, so that the same command goes on where it stopped.

    {"data": "0123456789abcdef", "settings": {"reader": ...}, "steps": {"audit": {...}, "choice": {...}, ...}}

`data` is a digest of the questions and images, `settings` says how they were read; each step keeps its result.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from discern_vqa.errors import RunError
from discern_vqa.files import atomic_write_text, read_json

NAME = "start.json"


class Record:
    """The steps of one folder that have ended."""

    def __init__(self, out: Path, data: str, settings: dict[str, Any]) -> None:
        """Opens or begins the record of `out` about the data with this digest, read in this way. Raises RunError: the
        folder was begun with other data, or its record is broken."""
        self._file = out / NAME
        self._content: dict[str, Any] = {"data": data, "settings": settings, "steps": {}}
        if self._file.is_file():
            self._content = _read(out)
            if self._content.get("data") != data:
                raise RunError(
                    f"{out} was begun with other data, or these have changed since",
                    hint="choose another --out; what lies here stays as it is",
                )

    @staticmethod
    def forget_other(out: Path, settings: dict[str, Any]) -> bool:
        """Removes the record of `out` where the data were read in another way then; whether it did."""
        if not (out / NAME).is_file() or _read(out).get("settings") == settings:
            return False
        (out / NAME).unlink()
        return True

    def done(self, step: str) -> bool:
        """Whether a step has ended."""
        return step in self._content["steps"]

    def forget(self, *steps: str) -> None:
        """Lets these steps be done anew."""
        for step in steps:
            self._content["steps"].pop(step, None)

    def step(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The result of a step: the one that it had, or that of `work`, which is kept."""
        steps: dict[str, dict[str, Any]] = self._content["steps"]
        if name not in steps:
            steps[name] = work()
            atomic_write_text(self._file, json.dumps(self._content, indent=1, ensure_ascii=False) + "\n")
        return steps[name]


def _read(out: Path) -> dict[str, Any]:
    return read_json(out / NAME, f"remove {out / NAME}, or choose another --out")
