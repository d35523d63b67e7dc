"""The page of `discern serve` in a real browser, against the real service with a tiny run: what a reader does and sees.

All tests share one service, one browser and one watch on errors, on the Content-Security-Policy, and on requests to
other origins; each starts with a fresh page and no image.
"""

import json

import numpy as np
import pytest
from _browser import drawn, eventually, spot
from _desk import CT, QUESTION, RAMP, TEXTS, Desk, png, violations
from _medical import dicom
from playwright.sync_api import Route, expect

from discern_vqa.imaging.images import load_image, open_image


def test_every_pixel_on_the_screen_is_the_grey_that_the_reader_of_files_makes(desk: Desk) -> None:
    page = desk.page
    images = {
        "ct.dcm": dicom(RAMP, **CT),
        "signed.dcm": dicom(RAMP.astype(np.int16) - 2000, WindowCenter=100, WindowWidth=900),
        "white.dcm": dicom(RAMP, PhotometricInterpretation="MONOCHROME1", RescaleSlope=0.5, RescaleIntercept=3),
        "grey.png": png(),
    }
    for name, content in images.items():
        desk.put(**{name: content})
        page.locator("#canvas").press("1")
        np.testing.assert_array_equal(drawn(page).values, desk.read(name))
    page.select_option("#image-choice", index=3)
    expect(page.locator("#centre")).to_have_value("39.5")
    expect(page.locator("#preset")).to_have_value("file")
    page.locator("#canvas").press("1")
    page.select_option("#preset", "lung")
    np.testing.assert_array_equal(drawn(page).values, desk.read("ct.dcm", "#window=lung"))
    page.fill("#centre", "300")
    page.fill("#width", "250")
    page.press("#width", "Tab")
    asked = desk.read("ct.dcm", "#window=300:250")
    np.testing.assert_array_equal(drawn(page).values, asked)
    expect(page.locator("#preset")).to_have_value("own")
    page.locator("#canvas").press("i")
    np.testing.assert_array_equal(drawn(page).values, 255 - asked)
    expect(page.locator("#invert")).to_have_attribute("aria-pressed", "true")
    page.click("#reset")
    page.click("#actual")
    np.testing.assert_array_equal(drawn(page).values, desk.read("ct.dcm"))


def test_dragging_sets_the_window_moves_zooms_and_measures(desk: Desk) -> None:
    page, mouse, canvas = desk.page, desk.page.mouse, desk.page.locator("#canvas")
    desk.put(**{"spaced.dcm": dicom(RAMP, **CT, PixelSpacing=[0.5, 0.25])})
    canvas.press("1")
    box, before = canvas.bounding_box(), drawn(page)
    assert box is not None
    assert before.values.shape == (160, 100)  # a row is twice as high as a column is wide

    def drag(across: int, down: int) -> None:
        x, y = box["x"] + before.left + 10, box["y"] + before.top + 10
        mouse.move(x, y)
        mouse.down()
        mouse.move(x + across // 2, y + down // 2)
        mouse.move(x + across, y + down)
        mouse.up()

    width = float(page.input_value("#width"))
    drag(90, 0)
    assert float(page.input_value("#width")) == round(width + 90 * width / 300)
    assert float(page.input_value("#centre")) == round(39.5)
    drag(0, -60)
    assert float(page.input_value("#centre")) < 0
    canvas.press("p")
    drag(30, 20)
    assert (drawn(page).left, drawn(page).top) == (before.left + 30, before.top + 20)
    canvas.press("r")
    canvas.press("1")
    canvas.press("l")
    drag(60, 80)
    expect(page.locator("#status")).to_contain_text("Length 25.0 mm")
    mouse.wheel(0, 100)  # one slice: the wheel is the page's
    page.keyboard.down("Control")
    mouse.wheel(0, -100)
    page.keyboard.up("Control")
    expect(page.locator("#status")).to_contain_text("Zoom 125 %")
    expect(page.locator("#status")).to_contain_text("Length 25.0 mm")

    desk.put(**{"detector.dcm": dicom(RAMP, ImagerPixelSpacing=[0.5, 0.5])})
    page.locator("#canvas").press("1")
    before = drawn(page)
    for x, y in ((5, 5), (5, 45)):  # without dragging: both ends clicked
        canvas.click(position={"x": before.left + x, "y": before.top + y})
    expect(page.locator("#status")).to_contain_text("Length 40 pixels; not calibrated")


def test_slices_scroll_by_wheel_key_and_slider_and_the_question_is_about_the_one_that_is_shown(desk: Desk) -> None:
    page, canvas = desk.page, desk.page.locator("#canvas")
    frames = np.stack([np.full((40, 40), 20 * k, np.uint8) for k in range(1, 10)])
    desk.put(**{"series.dcm": dicom(frames, ImageOrientationPatient=[1, 0, 0, 0, 1, 0])})

    def is_shown(number: int) -> None:
        expect(page.locator("#slice-text")).to_have_text(f"Slice {number} of 9")
        eventually(page, lambda: spot(page, 0.5, 0.5) == (20 * number, 255))

    is_shown(5)
    assert "does not say which side" not in page.inner_text("#warnings")
    page.click("#actual")
    across = [spot(page, x / 1000, 0.5)[1] for x in range(10, 40, 3)]
    assert max(across) > 0  # the letter of the patient's right side, at the left edge
    page.click("#fit")
    canvas.hover()
    page.mouse.wheel(0, 100)
    is_shown(6)
    canvas.press("ArrowDown")
    is_shown(7)
    canvas.press("End")
    is_shown(9)
    page.click("#previous")
    is_shown(8)
    page.fill("#slice", "2")
    is_shown(2)
    with page.expect_request("**/v1/answers") as sent:
        desk.ask()
    assert sent.value.post_data_json["frame"] == 2
    page.click("#seen")
    eventually(page, lambda: "small image" in page.inner_text("#warnings"))
    page.locator("#canvas").press("1")
    np.testing.assert_array_equal(drawn(page).values, load_image(desk.folder / "series.dcm#frame=2", 64)[..., 0])


def test_an_answer_its_heat_map_and_what_was_asked_before(desk: Desk) -> None:
    from discern_vqa.evaluation.opening import open_run

    page = desk.page
    weights = page.request.get("/v1/model").json()["weights"]
    expect(page.locator("#weights")).to_contain_text(weights[:8])
    desk.ask()
    expect(page.locator("#fault")).to_contain_text("There is no image to ask about")
    desk.put(**{"chest.png": png(3, (64, 64))})
    predictor = open_run(desk.run)
    answer = predictor.ask(desk.folder / "chest.png", QUESTION)
    desk.ask()
    card = page.locator(".answer")
    expect(card.locator(".given")).to_have_text(answer.text)
    expect(card.locator(".trust")).to_have_text("How often such an answer is right is not known.")
    shown = card.locator(".bars li").all_inner_texts()
    best = [text for text, _ in answer.alternatives[:6]]
    assert answer.others is not None
    rest = answer.others + len(answer.alternatives) - len(best)
    assert [row.split("\n")[0] for row in shown] == [*best, f"and {rest} more"]
    assert not page.locator("#fault").is_visible()

    assert not page.locator("#heat").is_visible()
    page.click("#actual")
    without = drawn(page).values
    card.locator(".heat").click()
    expect(page.locator("#heat")).to_be_visible()
    expect(card.locator(".heat-worth")).to_contain_text("has not been measured")
    page.fill("#opacity", "100")
    assert np.abs(drawn(page).values - without).max() > 50
    page.select_option("#language", "de")
    expect(page.locator(".heat[aria-pressed=true]")).to_have_text(TEXTS["de"]["heat"])
    expect(page.locator("#heat")).to_be_visible()
    page.select_option("#language", "en")
    expect(page.locator(".heat[aria-pressed=true]")).to_have_text(TEXTS["en"]["heat"])
    page.fill("#opacity", "0")
    np.testing.assert_array_equal(drawn(page).values, without)
    page.fill("#opacity", "60")
    page.click("#heat-off")
    np.testing.assert_array_equal(drawn(page).values, without)
    card.get_by_role("button", name="Similar cases").click()
    expect(card.locator(".cases li")).to_have_count(5)

    desk.ask("What is the finding?")
    expect(page.locator("#asked button")).to_have_count(2)
    page.locator("#asked button").last.click()
    expect(card.locator("h3").first).to_have_text(QUESTION)
    page.reload()
    expect(page.locator("#suggestions button").first).to_be_visible()
    expect(page.locator("#asked button")).to_have_count(0)  # nothing is kept outside of the tab's memory
    expect(page.locator("#image-choice option:checked")).to_have_text(
        "Open: 1. Choose one"
    )  # but what the service holds
    page.select_option("#image-choice", index=1)
    expect(page.locator("#canvas")).to_be_visible()
    expect(page.locator("#image-choice")).not_to_be_visible()


def test_the_reader_answers_first_disagrees_and_the_correction_is_a_row_that_trains(desk: Desk) -> None:
    page = desk.page
    desk.put(**{"chest.png": png(4)})
    page.check("#second")
    desk.ask()
    own = page.locator("#answers input")
    expect(own).to_be_focused()
    assert page.locator(".given").count() == 0
    assert page.locator("#asked button").count() == 0
    own.fill("perhaps")
    own.press("Enter")
    expect(page.locator(".own")).to_have_text("You answered differently: perhaps")
    page.click(".disagree")
    truth = page.locator(".answer form input").first
    expect(truth).to_have_value("perhaps")
    truth.fill("a small one")
    truth.press("Enter")
    expect(page.locator(".answer")).to_contain_text("Saved for training: a small one")
    row = json.loads((desk.watch.corrections / "samples.jsonl").read_text("utf-8").splitlines()[-1])
    assert (row["question"], row["answer"], row["before_seeing"]) == (QUESTION, "a small one", "perhaps")
    assert row["model_answer"] == page.inner_text(".given")
    kept = np.asarray(open_image(desk.watch.corrections / row["image"]))
    np.testing.assert_array_equal(kept, desk.read("chest.png"))


def test_two_runs_side_by_side_and_a_worklist_by_keyboard(desk: Desk) -> None:
    page = desk.page
    desk.put(**{f"{seed}.png": png(seed) for seed in range(3)})
    page.select_option("#versus", "second")
    desk.ask()
    expect(page.locator(".answer")).to_have_count(2)
    notes = page.locator(".answer > .note:first-child").all_inner_texts()
    assert [note.split(" · ")[:2] for note in notes] == [["Image 1", "first"], ["Image 1", "second"]]
    page.click("#ask-all")
    rows = page.locator("#studies button")
    eventually(page, lambda: "not asked yet" not in page.inner_text("#studies"))
    expect(rows).to_have_count(3)
    told = page.request.get("/v1/next?run=first").json()["items"]
    certain = [item["confidence"] for item in told]
    assert certain == sorted(certain)
    page.locator("#ask-title").click()
    for key, place in (("j", 0), ("j", 1), ("k", 0)):
        page.keyboard.press(key)
        expect(rows.nth(place)).to_have_attribute("aria-current", "true")
        eventually(page, lambda place=place: page.input_value("#image-choice") == told[place]["image"])
    expect(page.locator(".answer h3").first).to_have_text(QUESTION)
    page.click("#about-open")
    page.uncheck("#shortcuts")
    page.click("#about-close")
    page.locator("#ask-title").click()
    page.keyboard.press("j")
    expect(rows.first).to_have_attribute("aria-current", "true")  # single keys are off


def test_it_speaks_german_and_says_what_went_wrong(desk: Desk) -> None:
    page = desk.page
    page.set_input_files("#file", {"name": "b.png", "mimeType": "image/png", "buffer": png(1)})
    expect(page.locator("#warnings")).to_have_text(TEXTS["en"]["no_sides"])
    page.select_option("#language", "de")
    expect(page.locator(".caution")).to_contain_text("Forschung, nicht zur Diagnose")
    expect(page.locator("#warnings")).to_have_text(TEXTS["de"]["no_sides"])
    page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": png()})
    expect(page.locator("#news")).to_have_text("Das Bild ist offen")
    desk.ask()
    expect(page.locator(".trust")).to_have_text("Wie oft so eine Antwort richtig ist, ist unbekannt.")
    shown, keys = page.inner_text("body"), ("ask", "second", "preset", "history_note", "no_sides", "similar")
    assert [(TEXTS["de"][key] in shown, TEXTS["en"][key] in shown) for key in keys] == [(True, False)] * 6
    assert page.get_attribute("html", "lang") == "de"
    desk.watch.expected += 1
    page.set_input_files("#file", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"no image at all"})
    expect(page.locator("#fault")).to_contain_text("the image")


def test_of_a_study_of_the_archive_a_series_is_chosen_and_whose_it_is_stays_on_the_screen(desk: Desk) -> None:
    page = desk.page
    desk.put(**{"one.dcm": dicom(RAMP, **CT)})
    patient = {"name": "Doe^Jane", "id": "4711", "birth_date": "1970-01-31"}
    study = {"date": "2024-05-06", "description": "chest", "accession": "A1"}
    (held,) = page.request.get("/v1/images").json()["images"]
    about = page.request.get("/v1/model").json() | {"dicomweb": True}
    listed = [{"series": f"1.2.{n}", "modality": "CT", "body_part": "CHEST", "images": n} for n in (4, 5)]
    asked: list[object] = []

    def archive(route: Route) -> None:
        if route.request.method == "POST":
            asked.append(route.request.post_data_json)
            route.fulfill(status=201, json={"images": [held | {"patient": patient, "study": study}]})
        else:
            route.continue_()

    page.route("**/v1/model*", lambda route: route.fulfill(json=about))
    page.route("**/v1/series?study=1.2", lambda route: route.fulfill(json={"series": listed}))
    page.route("**/v1/images", archive)
    page.reload()
    page.fill("#study", "1.2")
    page.press("#study", "Enter")
    expect(page.locator("#series")).to_be_focused()
    assert page.locator("#series option").all_text_contents() == ["", "CT, CHEST, 4 images", "CT, CHEST, 5 images"]
    page.select_option("#series", "1.2.5")
    page.click("#study-form button")
    whose = "Doe^Jane · 4711 · 1970-01-31 · 2024-05-06 · chest · A1"
    expect(page.locator("#who")).to_have_text(f"From the archive: {whose}")
    assert asked == [{"dicomweb": {"study": "1.2", "series": "1.2.5"}}]
    expect(page.locator("#centre")).to_have_value("39.5")


def test_a_service_with_keys_asks_for_one_and_uses_it(desk: Desk) -> None:
    page = desk.page
    keys: list[str | None] = []

    def door(route: Route) -> None:
        keys.append(route.request.headers.get("authorization"))
        if keys[-1] == "Bearer open sesame":
            route.continue_()
        else:
            route.fulfill(status=401, json={"detail": "there is no such key", "hint": "ask who runs the service"})

    page.route("**/v1/**", door)
    desk.watch.expected += 1
    page.reload()
    expect(page.locator("#key-dialog")).to_be_visible()
    page.fill("#key", "open sesame")
    page.press("#key", "Enter")
    expect(page.locator("#weights")).not_to_be_empty()
    expect(page.locator("#suggestions button")).to_have_count(1)
    assert keys[0] is None
    assert set(keys[1:]) == {"Bearer open sesame"}
    assert page.evaluate("Object.values(localStorage).join().includes('sesame')") is False


@pytest.mark.parametrize(
    ("width", "theme", "language"), [(320, "dark", "de"), (1280, "light", "en"), (3840, "dark", "en")]
)
def test_nothing_stands_in_the_way_of_anyone(desk: Desk, width: int, theme: str, language: str) -> None:
    page = desk.page
    page.set_viewport_size({"width": width, "height": 900})
    page.select_option("#language", language)
    page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
    for seed in (0, 1):
        page.evaluate("document.getElementById('news').textContent = ''")
        page.set_input_files(
            "#file", {"name": "a.dcm", "mimeType": "", "buffer": dicom(np.stack([RAMP] * (2 + seed)), **CT)}
        )
        expect(page.locator("#news")).to_have_text(TEXTS[language]["opened"])
    desk.ask()
    page.locator(".heat").click()
    expect(page.locator("#heat")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []
    small = page.evaluate(
        """() => [...document.querySelectorAll("button, select, .button, summary, input:not(.unseen)")]
          .filter((element) => element.checkVisibility() && element.type !== "radio")
          .map((element) => [element, element.getBoundingClientRect()])
          .filter(([, box]) => Math.min(box.width, box.height) < 20)
          .map(([element]) => element.outerHTML)"""
    )
    assert small == []
    page.click("#about-open")
    assert violations(page) == []
