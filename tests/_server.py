"""A web server of this machine for tests: files with ranges and marks, that can be told to misbehave."""

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Served:
    """What the server gives, and what it was asked.

    `files`: path -> content. `breaks`: path -> how many bytes are sent before the connection is cut, used up one after
    the other. `status`: path -> an HTTP error. `ranges`: whether it goes on in the middle. `etags`: whether it marks.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.breaks: dict[str, list[int]] = {}
        self.status: dict[str, int] = {}
        self.ranges, self.etags = True, True
        self.asked: list[tuple[str, str]] = []
        self.url = ""

    def listed(self, repository: str, files: dict[str, bytes], large: bool = True) -> None:
        """Serves `files` as a data repository of the hub."""
        entries = []
        for name, content in files.items():
            self.files[f"/datasets/{repository}/resolve/main/{name}"] = content
            one = {"type": "file", "path": name, "size": len(content), "oid": git_hash(content)}
            entries.append(one | ({"lfs": {"oid": hashlib.sha256(content).hexdigest()}} if large else {}))
        entries.append({"type": "directory", "path": "data", "oid": "0"})
        self.files[f"/api/datasets/{repository}/tree/main?recursive=true"] = json.dumps(entries).encode()


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@contextmanager
def served() -> Iterator[Served]:
    """A server on a free port of 127.0.0.1, closed at the end."""
    about = Served()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            about.asked.append((self.path, self.headers.get("Range", "")))
            if self.path in about.status or self.path not in about.files:
                self.send_error(about.status.get(self.path, 404))
                return
            content = about.files[self.path]
            etag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
            start = 0
            wanted = self.headers.get("Range", "")
            same = self.headers.get("If-Range", etag) == etag
            if wanted and about.ranges and same:
                start = int(wanted.removeprefix("bytes=").split("-")[0])
            if start >= len(content) > 0 and start:
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if about.etags:
                self.send_header("ETag", etag)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            cuts = about.breaks.get(self.path, [])
            if cuts:
                self.wfile.write(content[start : start + cuts.pop(0)])
                self.close_connection = True
                return
            self.wfile.write(content[start:])

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    about.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield about
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip archive of `files`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()
