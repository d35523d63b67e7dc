"""A stand-in for the hub on 127.0.0.1: the routes that a push and a snapshot's download use, and what they kept."""

import base64
import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self


class StandIn:
    """`repositories`: name -> the files of its one commit; `asked`: every request line; `private`: names."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.asked: list[str] = []
        hub = self

        class Handler(_Handler):
            kept = hub

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def commit(self, name: str) -> str:
        """The digest of a repository's one commit."""
        content = repr(sorted(self.repositories[name].items())).encode()
        return hashlib.sha1(content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    kept: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *given: object) -> None:
        """Says nothing."""

    def do_POST(self) -> None:
        hub, body = self.kept, self.rfile.read(int(self.headers.get("Content-Length") or 0))
        hub.asked.append(f"POST {self.path}")
        if self.path == "/api/repos/create":
            wanted = json.loads(body)
            name = "/".join(filter(None, [wanted.get("organization"), wanted["name"]]))
            hub.repositories.setdefault(name, {})
            if wanted.get("private") or wanted.get("visibility") == "private":
                hub.private.add(name)
            self._json({"url": f"{hub.url}/{name}", "id": name, "name": name})
        elif match := re.fullmatch(r"/api/models/(.+?)/preupload/main.*", self.path):
            files = [{"path": file["path"], "uploadMode": "regular"} for file in json.loads(body)["files"]]
            self._json({"files": [{**file, "shouldIgnore": False} for file in files]})
        elif match := re.fullmatch(r"/api/models/(.+?)/commit/main.*", self.path):
            for line in body.decode().splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    hub.repositories[match[1]][entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            commit = hub.commit(match[1])
            self._json({"commitUrl": f"{hub.url}/{match[1]}/commit/{commit}", "commitOid": commit, "success": True})
        else:
            self._json({"valid": True})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub = self.kept
        hub.asked.append(f"{self.command} {self.path}")
        path = self.path.partition("?")[0]
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/(?:revision|tree)/([^/]+).*", path):
            files = hub.repositories.get(match[1])
            if files is None:
                return self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
            if match[2] not in ("main", hub.commit(match[1])):
                return self._json({"error": "Invalid rev"}, 404, {"X-Error-Code": "RevisionNotFound"})
            if "/tree/" in path:
                return self._json(
                    [
                        {"type": "file", "path": name, "size": len(content), "oid": "0" * 40}
                        for name, content in files.items()
                    ]
                )
            siblings = [{"rfilename": name} for name in files]
            return self._json({"id": match[1], "sha": hub.commit(match[1]), "siblings": siblings})
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            content = hub.repositories.get(match[1], {}).get(match[3])
            if content is None:
                return self._json({}, 404, {"X-Error-Code": "EntryNotFound"})
            commit, tag = hub.commit(match[1]), f'"{hashlib.sha1(content).hexdigest()}"'
            return self._send(content, 200, {"ETag": tag, "X-Repo-Commit": commit})
        return self._json({"name": "tester", "auth": {}})

    def _json(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(content).encode(), status, {"Content-Type": "application/json"} | (headers or {}))

    def _send(self, content: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
