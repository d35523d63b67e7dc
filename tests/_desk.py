"""A reader's desk for the tests of the page: how images are opened and questions asked, and what axe-core says."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from _browser import Watch, browser, copied, running
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect

from discern_vqa.imaging.images import open_image
from discern_vqa.serve.settings import Settings

QUESTION = "Is there evidence of a pacemaker?"
TEXTS = json.loads((files("discern_vqa.serve") / "page" / "texts.json").read_text("utf-8"))
OPEN = TEXTS["en"]["opened"]
RAMP = np.random.default_rng(1).permutation(np.arange(80 * 100, dtype=np.uint16) % 4096).reshape(80, 100)
CT = {"Modality": "CT", "RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": 40, "WindowWidth": 400}


@dataclass
class Desk:
    """A reader's desk: a fresh page, and how files are opened on it."""

    page: Page
    watch: Watch
    folder: Path
    run: Path

    def put(self, **images: bytes) -> None:
        """Opens files by their names, all at once, and waits until they are shown."""
        self.page.evaluate("document.getElementById('news').textContent = ''")
        paths = []
        for name, content in images.items():
            (self.folder / name).write_bytes(content)
            paths.append(self.folder / name)
        self.page.set_input_files("#file", paths)
        expect(self.page.locator("#news")).to_have_text(OPEN)

    def ask(self, question: str = QUESTION) -> None:
        self.page.fill("#question", question)
        self.page.press("#question", "Enter")

    def read(self, name: str, choice: str = "") -> Any:
        """An image as the reader of files makes it, 8 bits."""
        return np.asarray(open_image(self.folder / f"{name}{choice}"))


@contextmanager
def served(run: Path, corrections: Path) -> Iterator[tuple[BrowserContext, Watch]]:
    """The service with the run twice, as "first" and "second", and a browser for it."""
    runs = {name: copied(run, name) for name in ("first", "second")}
    (runs["first"] / "predictions.test.jsonl").write_text(json.dumps({"question": QUESTION}) + "\n", encoding="utf-8")
    with browser() as opened, running(Settings(runs=runs, corrections=corrections)) as url:
        context = opened.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB", base_url=url)
        context.set_default_timeout(10_000)
        yield context, Watch(context, url, corrections)
        context.close()


@contextmanager
def cleared(context: BrowserContext, watch: Watch, run: Path, folder: Path) -> Iterator[Desk]:
    """A fresh page of a service without images; at the end, nothing may have happened that never should."""
    for image in context.request.get("/v1/images").json()["images"]:
        context.request.delete(f"/v1/images/{image['id']}", headers={"X-Discern": "1"})
    page = context.new_page()
    page.goto("/")
    expect(page.locator("#suggestions button")).to_have_text([QUESTION])
    yield Desk(page, watch, folder, run)
    page.evaluate("localStorage.clear()")
    page.close()
    assert watch.faults == []
    assert watch.expected == 0


def png(seed: int = 0, size: tuple[int, int] = (70, 90)) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def violations(page: Page) -> list[str]:
    """What axe-core finds against WCAG 2.2 AA."""
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = Axe().run(page, options={"runOnly": tags}).response["violations"]
    return [f"{fault['id']} ({fault['impact']}): {fault['nodes'][0]['html']}" for fault in found]
