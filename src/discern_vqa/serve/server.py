"""The process: listens, says where, drains when it is told to end, and fails where a run cannot be opened."""

import logging
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from discern_vqa.serve.app import build
from discern_vqa.serve.service import Service
from discern_vqa.serve.settings import KEEP_ALIVE, Settings

_IDLE = 512
"""Connections without a request, beside those with one. Of more uvicorn says so itself, and not when to come back."""
_NOTICE = 1.0
"""Seconds between "not ready" and the end of listening, so that a proxy notices."""


class _Server(uvicorn.Server):
    """uvicorn, but for the end: a first signal closes the door, the process ends with 0 when all requests are answered;
    a second one ends it at once."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service, self._closing = service, 0.0
        self._begun, self._address = time.monotonic(), ""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.service.gate.ends:
            self.force_exit = True
            self.should_exit = True
            return
        self.service.gate.ends = True
        self._closing = time.monotonic()

    async def on_tick(self, counter: int) -> bool:
        opened = self.service.worker.opened
        if opened.done() and opened.exception() is not None:
            return True
        if self._address and self.service.is_ready:
            _say(f"ready after {time.monotonic() - self._begun:.0f} s, listening on {self._address}")
            self._address = ""
        if self.service.gate.ends:
            elapsed = time.monotonic() - self._closing
            is_over = self.service.gate.running == 0 and elapsed >= _NOTICE
            if is_over or elapsed > self.service.settings.bounds.drain:
                self.should_exit = True
        return await super().on_tick(counter)

    def _log_started_message(self, listeners: object) -> None:
        """Where it listens is told when there is somebody to answer: `on_tick`."""
        for listener in self.servers[0].sockets[:1]:
            port = listener.getsockname()[1]
            scheme = "https" if self.config.ssl else "http"
            host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
            self._address = f"{scheme}://{host}:{port}"
        _say(f"loading {', '.join(self.service.settings.runs)} ...")


def serve(settings: Settings) -> None:
    """Serves until it is told to end. Raises DiscernError: a run cannot be opened, or a file cannot be written."""
    service = Service(settings)
    config = uvicorn.Config(
        build(service),
        host=settings.host,
        port=settings.port,
        loop="asyncio",  # the same whether or not ray brought others
        http="h11",
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        ws="none",
        limit_concurrency=settings.bounds.running + _IDLE,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=round(settings.bounds.drain),
        proxy_headers=False,
    )
    server = _Server(config, service)
    with _quiet():
        server.run()
    opened = service.worker.opened
    if opened.done() and (error := opened.exception()) is not None:
        raise error


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Lets the service and uvicorn speak on stderr, and nobody else: readers of images quote what they find odd in a
    file, which may be a patient's name."""
    handler, silent = logging.StreamHandler(sys.stderr), logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    speaking = [logging.getLogger(name) for name in ("discern.serve", "uvicorn")]
    logging.getLogger().addHandler(silent)
    for logger in speaking:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger().removeHandler(silent)
        for logger in speaking:
            logger.removeHandler(handler)
            logger.propagate = True
