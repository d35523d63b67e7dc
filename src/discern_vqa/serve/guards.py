"""What every request passes: who may call, by which name, with which headers, and how much may be sent.

- `Host` must be a name of this service: a page of another site that makes its own name mean 127.0.0.1 (DNS rebinding)
  is refused.
- What changes something needs `X-Discern: 1`. No page of another site can send that header or JSON without asking first
  (CORS), and this service never agrees.
- Bodies are counted while they arrive, each alone and all together.
"""

import asyncio
import logging
import secrets
import time
import traceback
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from discern_vqa.serve.access_log import AccessLog
from discern_vqa.serve.keys import Keys
from discern_vqa.serve.metrics import Metrics
from discern_vqa.serve.problems import Problem, busy, ending
from discern_vqa.serve.settings import Settings

log = logging.getLogger("discern.serve")

CHAT = "/v1/chat/completions"
UPLOAD = "/v1/images"
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_ALWAYS = ("/livez", "/readyz", "/metrics")
"""Routes that answer while the service ends, and while it has too much to do."""


class Gate:
    """What the guard and the server share: who is inside, and whether the door is closing."""

    def __init__(self) -> None:
        self.running = 0
        self.received = 0  # bytes of bodies that are being received
        self.ends = False


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        gate: Gate,
        metrics: Metrics,
        keys: Keys | None,
        access_log: AccessLog | None,
    ) -> None:
        self.app, self.settings, self.gate, self.metrics = app, settings, gate, metrics
        self.keys, self.access_log = keys, access_log
        self._checking = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})
        is_head = scope["method"] == "HEAD"
        if is_head:  # what GET would answer, without its body
            scope = {**scope, "method": "GET"}
        state = scope["state"]
        state["request_id"], state["user"], state["image"] = secrets.token_hex(8), "", ""
        body = _Body(self.settings, self.gate, scope, receive)
        reply = _Reply(send, state["request_id"], self.gate, is_head)
        started = time.perf_counter()
        self.gate.running += 1
        self.metrics.running.set(self.gate.running)
        try:
            await self._admit(scope)
            await self.app(scope, body.receive, reply.send)
        except Problem as problem:
            await self._refuse(problem, scope, receive, reply)
        except ClientDisconnect:  # the caller left before the body had come: nobody is there to be answered
            pass
        except Exception as error:
            # Where it broke, and nothing of what was sent: the text of an error may quote that.
            frames = "".join(traceback.format_tb(error.__traceback__))
            log.error("%s in request %s:\n%s", type(error).__name__, state["request_id"], frames)
            told = Problem(500, "the service failed on this request", f"tell whoever runs it: {state['request_id']}")
            await self._refuse(told, scope, receive, reply)
        finally:
            body.done()
            self.gate.running -= 1
            self.metrics.running.set(self.gate.running)
            self._count(scope, "HEAD" if is_head else scope["method"], reply, time.perf_counter() - started)

    async def _admit(self, scope: Scope) -> None:
        """Raises Problem where the request is refused before anything is read of it."""
        headers, path, method = Headers(scope=scope), scope["path"], scope["method"]
        if _name_in(headers.get("host", "")) not in self.settings.hosts:
            raise Problem(
                421,
                "this service is not called by that name",
                "start it with --hostname NAME, or use the address that it printed",
            )
        if self.gate.ends and path not in _ALWAYS:
            raise ending()
        if self.gate.running > self.settings.bounds.running and path not in _ALWAYS:
            raise busy()
        changes = method not in ("GET", "OPTIONS")
        if changes and path.startswith("/v1/"):
            _refuse_other_sites(headers)
            if path != CHAT and headers.get("x-discern") != "1":
                raise Problem(403, "the header X-Discern: 1 is missing", "send it with every POST and DELETE")
        if self.keys is not None and (path.startswith("/v1/") or path == "/metrics"):
            scope["state"]["user"] = await self._user(headers)
        if method in ("POST", "PUT", "PATCH"):
            _require_type(headers.get("content-type", ""), path)
            length = headers.get("content-length", "0")
            if not length.isdecimal() or int(length) > self._most(path):
                raise _too_large(self._most(path))

    async def _user(self, headers: Headers) -> str:
        assert self.keys is not None
        scheme, _, key = headers.get("authorization", "").partition(" ")
        key = key.strip() if scheme.lower() == "bearer" else ""
        user = self.keys.seen(key)
        if user is None and key:
            async with self._checking:  # so that wrong keys take one thread, and leave the others to images
                user = await asyncio.to_thread(self.keys.user_of, key)
        if user is None:
            problem = Problem(401, "the key is missing or wrong", "send Authorization: Bearer KEY")
            problem.headers = {"WWW-Authenticate": "Bearer"}
            raise problem
        return user

    def _most(self, path: str) -> int:
        return most_bytes(self.settings, path)

    async def _refuse(self, problem: Problem, scope: Scope, receive: Receive, reply: "_Reply") -> None:
        if reply.status:  # the answer has begun: nothing can be taken back
            return
        if problem.code:
            self.metrics.failures.labels(problem.code).inc()
        await problem.response(openai=scope["path"] == CHAT)(scope, receive, reply.send)

    def _count(self, scope: Scope, method: str, reply: "_Reply", seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None) or "other"
        status = reply.status or 499  # nobody was there to be answered
        self.metrics.requests.labels(route, str(status)).inc()
        if self.access_log is not None:
            state = scope["state"]
            self.access_log.add(
                user=state["user"],
                method=method,
                route=route,
                status=status,
                ms=1000 * seconds,
                image=state["image"],
                request_id=state["request_id"],
            )


class _Reply:
    """Sends, with the headers that every answer has."""

    def __init__(self, send: Send, request_id: str, gate: Gate, is_head: bool) -> None:
        self._send, self._id, self._gate, self._is_head, self.status = send, request_id, gate, is_head, 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers["X-Request-Id"] = self._id
            if self._gate.ends:
                headers["Connection"] = "close"
        elif message["type"] == "http.response.body" and self._is_head:
            message = {**message, "body": b""}
        await self._send(message)


class _Body:
    """Counts what arrives. Raises Problem: too large, too slow, or too much at once."""

    def __init__(self, settings: Settings, gate: Gate, scope: Scope, receive: Receive) -> None:
        self._most, self._bounds = most_bytes(settings, scope["path"]), settings.bounds
        self._gate, self._receive = gate, receive
        self._count, self._complete = 0, False

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()  # tells when the caller leaves
        try:
            message = await asyncio.wait_for(self._receive(), self._bounds.pause)
        except TimeoutError as error:
            raise Problem(408, "the body came too slowly", "send it again, over a faster connection") from error
        if message["type"] == "http.request":
            self._complete = not message.get("more_body", False)
            arrived = len(message.get("body", b""))
            self._count += arrived
            self._gate.received += arrived
            if self._count > self._most:
                raise _too_large(self._most)
            if self._gate.received > self._bounds.in_flight:
                raise busy(5)
        return message

    def done(self) -> None:
        self._gate.received -= self._count


def most_bytes(settings: Settings, path: str) -> int:
    """How large the body of a request to this path may be."""
    return settings.bounds.body if path in (UPLOAD, CHAT) else settings.bounds.json_body


def _too_large(most: int) -> Problem:
    size = f"{most >> 20} MiB" if most >= 1 << 20 else f"{most:,} bytes"
    return Problem(413, f"the body is larger than {size}", "send a smaller file, or a single frame of it")


def _name_in(host: str) -> str:
    """The name in a `Host` header, without its port; "" for what is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _refuse_other_sites(headers: Headers) -> None:
    origin = headers.get("origin")
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Problem(403, "the request comes from a page of another site", "open the page of this service itself")
    if origin is not None and _host_of(origin) != headers.get("host", "").lower():
        raise Problem(403, "the request comes from a page of another site", "open the page of this service itself")


def _host_of(origin: str) -> str:
    """The host and port of an `Origin` header; "" for what is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _require_type(content_type: str, path: str) -> None:
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        return
    uploads = ("multipart/form-data", "application/octet-stream", "application/dicom")
    if path == UPLOAD and (kind in uploads or kind.startswith("image/")):
        return
    expected = f"application/json, {', '.join(uploads)} or image/..." if path == UPLOAD else "application/json"
    raise Problem(
        415, f"the body is of the type {kind[:80] or 'nothing'!r}; expected {expected}", "set the header Content-Type"
    )
