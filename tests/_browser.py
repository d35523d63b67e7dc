"""A real Chromium on the page of a real service, for tests; and a watch on what a page must never do."""

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import uvicorn
from numpy.typing import NDArray
from playwright.sync_api import Browser, BrowserContext, Page, Route, sync_playwright

from discern_vqa.serve.app import build
from discern_vqa.serve.service import Service
from discern_vqa.serve.settings import Settings

_KINDS = {"js": "text/javascript", "json": "application/json", "html": "text/html", "css": "text/css"}
WAIT = 30.0
"""Seconds that a model may take to load on a busy machine."""


def chromium() -> str:
    """The program; skips loudly without one, and fails where CI=true."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        message = "there is no Chromium, with which the page is tested: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


@contextmanager
def running(settings: Settings) -> Iterator[str]:
    """The service on a free port of 127.0.0.1, as `discern serve` builds it; the address, once its runs are open."""
    service = Service(settings)
    config = uvicorn.Config(build(service), host="127.0.0.1", port=0, log_level="error", access_log=False, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        end = time.monotonic() + WAIT
        while not (server.started and service.is_ready):
            assert time.monotonic() < end, "the service did not start"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def browser() -> Iterator[Browser]:
    """Headless, with the software renderer that every machine has."""
    program = chromium()
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield opened
        finally:
            opened.close()


def give_file(route: Route) -> None:
    """Answers a request with a file of the page; "/" is an empty document."""
    name = route.request.url.rsplit("/", 1)[-1]
    body = (files("discern_vqa.serve") / "page" / name).read_text(encoding="utf-8") if name else "<!doctype html>"
    route.fulfill(body=body, content_type=_KINDS[name.rsplit(".", 1)[-1] if name else "html"])


class Watch:
    """Notes what a page must never do: errors, what its Content-Security-Policy stopped, requests to other origins."""

    def __init__(self, context: BrowserContext, origin: str, corrections: Path) -> None:
        self.origin, self.corrections, self.faults, self.expected = origin, corrections, list[str](), 0
        context.on("page", self._follow)
        context.on("request", lambda request: self._asked(request.url))
        context.on("console", lambda message: self._said(message.type, message.text))
        context.on("weberror", lambda error: self.faults.append(f"error: {error.error}"))
        context.add_init_script(
            "addEventListener('securitypolicyviolation', (event) =>"
            " console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));"
        )

    def _follow(self, page: Page) -> None:
        page.on("crash", lambda: self.faults.append("the page crashed"))

    def _asked(self, url: str) -> None:
        if not url.startswith((f"{self.origin}/", "data:", "blob:")):
            self.faults.append(f"request: {url}")

    def _said(self, kind: str, text: str) -> None:
        # Chromium itself notes each answer of 400 and above; a test that provokes one says so.
        if kind == "error" and "Failed to load resource" in text and self.expected:
            self.expected -= 1
        elif kind in ("error", "warning"):
            self.faults.append(f"{kind}: {text}")


class Drawn(NamedTuple):
    """Where the image is on the canvas, in pixels of the screen, and its red, rows of numbers."""

    left: int
    top: int
    values: NDArray[np.int64]


def drawn(page: Page) -> Drawn:
    """What is on the canvas, once all that waits is drawn. The canvas is transparent where there is no image."""
    left, top, values = page.evaluate(
        """async () => {
          await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
          const canvas = document.getElementById("canvas");
          const { width, height } = canvas;
          const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
          copy.drawImage(canvas, 0, 0);
          const { data } = copy.getImageData(0, 0, width, height);
          let [left, top, right, bottom] = [width, height, 0, 0];
          for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) if (data[4 * (y * width + x) + 3]) {
            [left, top] = [Math.min(left, x), Math.min(top, y)];
            [right, bottom] = [Math.max(right, x + 1), Math.max(bottom, y + 1)];
          }
          const rows = [];
          for (let y = top; y < bottom; y++) {
            rows.push([]);
            for (let x = left; x < right; x++) rows.at(-1).push(data[4 * (y * width + x)]);
          }
          return [left, top, rows];
        }"""
    )
    return Drawn(left, top, np.asarray(values))


def spot(page: Page, x: float, y: float) -> tuple[int, int]:
    """(red, alpha) of one pixel of the canvas; x, y: its place as shares of width and height."""
    red, alpha = page.evaluate(
        """async ([x, y]) => {
          await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
          const canvas = document.getElementById("canvas");
          const copy = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
          copy.drawImage(canvas, -Math.floor(x * canvas.width), -Math.floor(y * canvas.height));
          const { data } = copy.getImageData(0, 0, 1, 1);
          return [data[0], data[3]];
        }""",
        [x, y],
    )
    return red, alpha


def eventually(page: Page, is_true: Callable[[], bool]) -> None:
    """Waits until what the page does on its own has happened."""
    for _ in range(100):
        if is_true():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it has not happened within five seconds")


def copied(run: Path, name: str) -> Path:
    """The same run under another name, beside it."""
    other = run.with_name(name)
    if not other.exists():
        shutil.copytree(run, other)
    return other
