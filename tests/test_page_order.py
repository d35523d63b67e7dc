"""What the page shows when the service is slow, or fails: never an answer, a map or a slice of something else."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from _browser import browser, eventually, give_file, spot
from playwright.sync_api import Page, Route, expect

MODEL = {
    "run": "demo", "runs": ["demo"], "weights_short": "0123abcd", "model": "cmdpi", "dataset": "phantom", "answers": 2,
    "calibrated": True, "fitted_on": {"n": 10}, "abstains_below": 0.5, "detects_outside": False, "explains": [],
    "similar": False, "corrections": False, "dicomweb": True, "dicom": ["sr", "sc"], "figures": None,
}  # fmt: skip


class Service:
    """A stand-in whose replies to some routes wait until they are let go, in any order."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[Callable[[], None]]] = {"answers": [], "frames": []}
        self.slow: set[str] = set()
        self.broken: set[str] = set()
        self.stored: list[Any] = []

    def __call__(self, route: Route) -> None:
        path = route.request.url.partition("page.test/")[2].partition("?")[0]
        if not path.startswith("v1/") and path != "readyz":
            give_file(route)
            return
        kind = next((kind for kind in self.waiting if f"/{kind}" in path), "")
        if kind in self.broken:
            route.fulfill(status=500, json={"detail": "it broke", "hint": "tell somebody"})
        elif kind in self.slow:
            self.waiting[kind].append(lambda: self.reply(route, path))
        else:
            self.reply(route, path)

    def reply(self, route: Route, path: str) -> None:
        if "/frames/" in path:
            number = int(path.rsplit("/", 1)[-1])
            values = np.full(16, 10 * number, "<u2")
            headers = {"X-Kind": "grey16", "X-Rows": "4", "X-Columns": "4", "X-Invert": "0"}
            route.fulfill(body=values.tobytes(), headers=headers, content_type="application/octet-stream")
            return
        asked = json.loads(route.request.post_data or "{}") if route.request.method == "POST" else {}
        replies: dict[str, Any] = {
            "readyz": {},
            "v1/model": MODEL,
            "v1/suggestions": {"questions": [], "answers": []},
            "v1/images": {"images": [image("b"), image("a")]},
            "v1/next": {"items": []},
            "v1/dicom": {"stored": ["1.2", "1.3"]} if "store" in asked else asked,
            "v1/answers": {"answers": [entry(text) for text in asked.get("questions", [])]},
        }
        if "store" in asked:
            self.stored.append(asked)
        route.fulfill(json=replies[path])


def image(id: str) -> dict[str, Any]:
    return {
        "id": id, "kind": "DICOM", "columns": 4, "rows": 4, "modality": "CT", "frames": 9, "frame": 5, "axes": {},
        "windows": [], "sides": None, "steps": [], "warnings": [],
        "patient": {"name": "Doe^Jane"} if id == "b" else None,
        "study": {"description": "chest"} if id == "b" else None,
    }  # fmt: skip


def entry(question: str) -> dict[str, Any]:
    return {
        "question": question, "answer": f"answer to {question}", "score": 0.9, "alternatives": [], "others": 0,
        "is_calibrated": True, "confidence": 0.9, "abstains": False, "answer_set": None, "set_coverage": None,
        "outside": [], "typical": None, "notes": [], "error": None,
    }  # fmt: skip


@pytest.fixture(scope="module")
def opened() -> Iterator[Page]:
    with browser() as chromium:
        yield chromium.new_page()


@pytest.fixture
def desk(opened: Page) -> Iterator[tuple[Page, Service]]:
    service = Service()
    opened.route("**/*", service)
    opened.goto("http://page.test/page.html")
    opened.select_option("#image-choice", "a")
    expect(opened.locator("#tools")).to_be_visible()
    yield opened, service
    opened.unroute_all(behavior="ignoreErrors")


def ask(page: Page, question: str) -> None:
    page.evaluate("document.getElementById('send').disabled = false")  # as a click on a suggestion would
    page.fill("#question", question)
    page.press("#question", "Enter")


def test_an_answer_that_comes_late_is_not_shown_for_another_image_or_question(desk: tuple[Page, Service]) -> None:
    page, service = desk
    service.slow.add("answers")
    ask(page, "first")
    ask(page, "second")
    eventually(page, lambda: len(service.waiting["answers"]) == 2)
    first, second = service.waiting["answers"]
    second()
    expect(page.locator(".given")).to_have_text("answer to second")
    first()
    expect(page.locator("#asked button")).to_have_count(2)
    assert page.inner_text(".given") == "answer to second"
    assert page.inner_text(".answer > .note:first-child") == "Image 2, slice 5"

    ask(page, "third")
    eventually(page, lambda: len(service.waiting["answers"]) == 3)
    page.select_option("#image-choice", "b")
    expect(page.locator(".answer")).to_have_count(0)
    service.waiting["answers"][2]()
    expect(page.locator("#asked button")).to_have_count(3)
    assert page.locator(".answer").count() == 0
    assert page.locator("#asked button").first.inner_text().startswith("Image 2, slice 5: third")


def test_the_slice_on_the_screen_is_the_one_that_the_number_says(desk: tuple[Page, Service]) -> None:
    page, service = desk
    eventually(page, lambda: spot(page, 0.5, 0.5) == (50, 255))
    service.slow.add("frames")
    for number in (6, 7, 8):
        page.fill("#slice", str(number))
    eventually(page, lambda: len(service.waiting["frames"]) == 1)  # 7 is passed over: it was never shown
    service.waiting["frames"][0]()
    eventually(page, lambda: len(service.waiting["frames"]) == 2)
    assert spot(page, 0.5, 0.5) == (50, 255)  # not 6, which nobody waits for any more
    service.waiting["frames"][1]()
    eventually(page, lambda: spot(page, 0.5, 0.5) == (80, 255))

    service.broken.add("frames")
    page.click("#next")
    expect(page.locator("#fault")).to_have_text("it broke tell somebody")
    assert page.inner_text("#slice-text") == "Slice 9 of 9"
    assert spot(page, 0.5, 0.5)[1] == 0  # nothing, and not slice 8 under the number 9


def test_an_answer_is_saved_as_dicom_for_the_image_and_the_slice_that_it_is_about(desk: tuple[Page, Service]) -> None:
    page, _ = desk
    page.fill("#slice", "3")
    ask(page, "first")
    expect(page.locator(".given")).to_have_text("answer to first")
    page.fill("#slice", "8")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as DICOM").click()
    assert download.value.suggested_filename == "discern-dicom.zip"
    sent = json.loads(download.value.path().read_bytes())
    assert sent == {"image": "a", "frame": 3, "question": "first", "run": "demo"}
    assert page.get_by_role("button", name="Send to the archive").count() == 0  # it did not come from there


def test_an_answer_goes_to_the_archive_only_where_the_reader_confirms_whose_it_is(desk: tuple[Page, Service]) -> None:
    page, service = desk
    page.select_option("#image-choice", "b")
    ask(page, "first")
    send = page.get_by_role("button", name="Send to the archive")
    told: list[str] = []
    page.once("dialog", lambda dialog: (told.append(dialog.message), dialog.dismiss()))
    send.click()
    assert told == ["Send this answer to the archive, marked as research? Patient and study: Doe^Jane · chest"]
    assert service.stored == []
    page.once("dialog", lambda dialog: dialog.accept())
    send.click()
    expect(page.locator(".own")).to_have_text("2 objects are in the archive: Doe^Jane · chest")
    assert service.stored == [{"image": "b", "frame": 5, "question": "first", "run": "demo", "store": True}]
