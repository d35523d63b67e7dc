"""The page with an archive behind it, and the training images beside it, in a real browser; as `test_page.py`."""

from _desk import CT, QUESTION, RAMP, TEXTS, Desk, png, violations
from _medical import dicom
from playwright.sync_api import Route, expect


def test_the_studies_of_a_day_are_put_on_the_worklist_the_least_certain_first(desk: Desk) -> None:
    page = desk.page
    desk.put(**{"one.dcm": dicom(RAMP, **CT), "two.png": png()})
    images = page.request.get("/v1/images").json()["images"]
    unsure, sure = (image["id"] for image in images)
    about = page.request.get("/v1/model").json() | {"dicomweb": True}
    item = {"frame": 1, "question": QUESTION, "answer": "yes", "is_calibrated": True, "abstains": False, "outside": []}
    items = [item | {"image": unsure, "confidence": 0.25}, item | {"image": sure, "confidence": 0.75}]
    told = {"items": items, "images": images[::-1], "failed": [{"study": "1", "series": "1", "reason": "broken"}]}
    asked: list[object] = []

    def worklist(route: Route) -> None:
        if route.request.method == "POST":
            asked.append(route.request.post_data_json)
            empty = {"items": [], "images": [], "failed": []} if len(asked) == 2 else told
            route.fulfill(json=empty | {"studies": 3, "left_out": 4, "complete": True})
        else:
            route.fulfill(json={"items": items})

    page.route("**/v1/model*", lambda route: route.fulfill(json=about))
    page.route("**/v1/next*", worklist)
    page.reload()
    page.fill("#day", "2026-11-30")
    page.click("#day-form button")
    expect(page.locator("#fault")).to_contain_text("There is no question to ask")
    assert asked == []
    page.fill("#question", QUESTION)
    page.click("#day-form button")
    note = "Asked about 2 images of 3 studies, the least certain first. "
    expect(page.locator("#day-note")).to_have_text(
        f"{note}Not all: 4 series were left out, 1 could not be asked about."
    )
    assert asked == [{"question": QUESTION, "date": "20261130", "run": "first"}]
    assert page.input_value("#image-choice") == unsure
    expect(page.locator("#studies button")).to_have_count(2)
    expect(page.locator("#studies button").first).to_contain_text("right in 25 of 100")
    assert violations(page) == []
    page.click("#day-form button")
    expect(page.locator("#fault")).to_contain_text("The archive has no image of this day")
    expect(page.locator("#day-note")).to_be_empty()


def test_similar_cases_are_waited_for_and_shown_with_their_images(desk: Desk) -> None:
    page = desk.page
    desk.put(**{"two.png": png()})
    desk.ask()
    page.route("**/v1/similar", lambda route: route.fulfill(status=503, json={"detail": "soon"}), times=1)
    desk.watch.expected += 1
    page.get_by_role("button", name=TEXTS["en"]["similar"]).click()
    expect(page.get_by_text(TEXTS["en"]["similar_wait"])).to_be_visible()
    shown = page.locator(".cases img")
    expect(shown).to_have_count(5, timeout=30_000)
    assert page.evaluate("[...document.querySelectorAll('.cases img')].every(image => image.naturalWidth === 64)")
    expect(page.get_by_text(TEXTS["en"]["similar_wait"])).to_have_count(0)
