"""What people correct, as data that a recipe trains on: `samples.jsonl` of the reader `jsonl`, and the images as PNG.

A line is on the disk before the service answers. A line that was cut off (the machine lost power) was never confirmed;
it is taken out when the folder is opened again. Nothing of an upload but its pixels is kept: no tag, no file name.
"""

import json
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from discern_vqa.files import atomic_path, explained
from discern_vqa.imaging.images import open_image

FILE, IMAGES = "samples.jsonl", "images"


@dataclass(frozen=True)
class Correction:
    """What a person says is true of a frame, and what the model had said. `key`: the same for the same pixels."""

    path: Path
    key: str
    frame: int
    question: str
    answer: str
    run: str
    weights: str
    user: str = ""
    model_answer: str | None = None
    confidence: float | None = None
    before_seeing: str | None = None
    comment: str | None = None


class Corrections:
    """A folder of corrections. Raises DiscernError where it cannot be written."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._lock = folder, Lock()
        with explained(folder / FILE):
            (folder / IMAGES).mkdir(parents=True, exist_ok=True)
            with open(folder / FILE, "a+b") as file:
                file.seek(0)
                content = file.read()
                file.truncate(content.rfind(b"\n") + 1)
        self.count = content.count(b"\n")

    def add(self, correction: Correction) -> str:
        """Keeps a correction; returns its id. Writes and waits for the disk, so it is called in a thread."""
        name = f"{IMAGES}/{_file_name(correction.key)}.png"
        image = self.folder / name
        if not image.exists():
            opened = open_image(correction.path)
            with atomic_path(image) as partial:
                opened.save(partial, "PNG")
        id = f"correction-{secrets.token_hex(8)}"
        line = json.dumps(_line(id, name, correction), ensure_ascii=False) + "\n"
        with self._lock, explained(self.folder / FILE):
            with open(self.folder / FILE, "ab") as file:
                file.write(line.encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
            self.count += 1
        return id


def _line(id: str, image: str, correction: Correction) -> dict[str, Any]:
    more = {
        "model_answer": correction.model_answer,
        "confidence": correction.confidence,
        "before_seeing": correction.before_seeing,
        "comment": correction.comment,
        "user": correction.user or None,
    }
    return {
        "id": id,
        "split": "train",
        "image": image,
        "question": correction.question,
        "answer": correction.answer,
        "corrected": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "run": correction.run,
        "weights": correction.weights,
        "frame": correction.frame,
    } | {name: value for name, value in more.items() if value is not None}


def _file_name(key: str) -> str:
    """A name for the image: the beginning of its file's digest, and what was chosen of it."""
    digest, *choices = key.split("#")
    chosen = "-".join(choice.replace("=", "-").replace(":", "to") for choice in choices)
    return "-".join(filter(None, (digest[:20], chosen)))
