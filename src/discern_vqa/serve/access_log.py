"""The access log: who asked when for which route about which image.

Never a question, an answer, an address or the name of a file.

A JSON line for each request: {"time", "user", "method", "route", "status", "ms", "image", "request_id"}. `image` is the
beginning of the SHA-256 of the uploaded file, of several with commas between; whoever has the file can find its line,
nobody else learns anything.
"""

import json
import os
import time
from pathlib import Path
from threading import Lock

from discern_vqa.files import explained


class AccessLog:
    """Appends to a file that others may not read. Raises DiscernError where that cannot be written."""

    def __init__(self, path: Path) -> None:
        self.path, self._lock = path, Lock()
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))

    def add(self, *, user: str, method: str, route: str, status: int, ms: float, image: str, request_id: str) -> None:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "user": user,
            "method": method,
            "route": route,
            "status": status,
            "ms": round(ms, 1),
            "image": ",".join(digest[:16] for digest in image.split(",")),
            "request_id": request_id,
        }
        with self._lock, open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
