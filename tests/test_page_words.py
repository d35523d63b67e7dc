"""The page's own arithmetic and words, in a real browser without a service: greys, and what is said of a verdict."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from _browser import browser, give_file
from playwright.sync_api import Page

from discern_vqa.data.answers import Answer
from discern_vqa.data.judged import Judged, Within
from discern_vqa.imaging.greys import Window, to_bytes
from discern_vqa.serve.told import answer_fields

SETS = ("yes", "no")


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as opened:
        page = opened.new_page()
        page.route("**/*", give_file)
        page.goto("http://page.test/")
        yield page


@pytest.mark.parametrize(
    ("slope", "intercept", "low", "high"),
    [(1, -1024, -160, 239), (1, 0, 0, 255), (1, 0, 0, 510), (0.37, -12.5, 3.25, 911.5), (1, 0, 65535, 65535)],
)
def test_the_table_of_greys_is_that_of_the_reader_for_all_values(
    page: Page, slope: float, intercept: float, low: float, high: float
) -> None:
    made = page.evaluate(
        """async ([frame, range]) => {
          const { lookupTable } = await import("/greys.js");
          const reds = (inverted) => Array.from(lookupTable(frame, range, inverted), (pixel) => pixel & 255);
          return [reds(false), reds(true)];
        }""",
        [{"slope": slope, "intercept": intercept, "swapped": False}, {"low": low, "high": high}],
    )
    window = Window(low, high, "")
    wanted = to_bytes(np.arange(65536, dtype=np.uint16), lambda values: window(values * slope + intercept))
    np.testing.assert_array_equal(made[0], wanted)
    np.testing.assert_array_equal(made[1], 255 - wanted)


def judged(confidence: float, threshold: float | None, **more: Any) -> Judged:
    told = {"answer_set": SETS, "coverage": 0.9, "abstains": threshold is None or confidence < threshold}
    return Judged(confidence=confidence, threshold=threshold, **{**told, **more})


def within(*outside: str, image: float = 0.4, question: float = 0.3) -> Within:
    return Within(image=image, question=question, outside=outside)


RIGHT = {"en": "Right in {} of 100 such cases", "de": "Richtig in {} von 100 solchen Fällen"}
RATE_NOT_KNOWN = {
    "en": "How often such an answer is right is not known.",
    "de": "Wie oft so eine Antwort richtig ist, ist unbekannt.",
}


@pytest.mark.parametrize(
    ("language", "sure", "like", "least", "wanted"),
    [
        ("en", judged(0.834, 0.5), within(), 0.5, {
            "headline": "left", "why": "", "guess": "", "trust": RIGHT["en"].format(83), "share": 0.834,
            "isUnknown": False,
            "set": "In 90 of 100 such cases the true answer is: yes or no."}),
        ("de", judged(0.834, 0.5), None, 0.5, {
            "headline": "left", "trust": RIGHT["de"].format(83),
            "set": "In 90 von 100 solchen Fällen ist die richtige Antwort: yes oder no."}),
        ("en", judged(0.9961, 0.5, answer_set=()), within(), 0.5, {
            "trust": RIGHT["en"].format("more than 99"),
            "set": "No answer stands out as the true ones do in 90 of 100 such cases."}),
        ("en", judged(0.41, 0.72, answer_set=None), within(), 0.72, {
            "headline": "I do not know", "guess": "Best guess, not to be relied on: left", "isUnknown": True,
            "why": "Such an answer is right in 41 of 100 cases only; this model answers from 72 on.",
            "trust": RIGHT["en"].format(41),
            "set": "No list of answers holds the true one in 90 of 100 such cases: it may be one that this model cannot"
            " give."}),
        ("de", judged(0.41, 0.72), within(), 0.72, {
            "headline": "Ich weiß es nicht", "guess": "Vermutung, auf die kein Verlass ist: left",
            "why": "So eine Antwort ist nur in 41 von 100 Fällen richtig; dieses Modell antwortet ab 72."}),
        ("en", judged(0.9, None), within(), None, {
            "headline": "I do not know", "why": "This model's confidence has not been shown to mean much."}),
        ("en", judged(0.9, 0.5), within("image", image=0.002), 0.5, {
            "headline": "I do not know", "set": "", "share": None, "trust": RATE_NOT_KNOWN["en"],
            "noRate": "How often it is right was measured on cases like those that it was trained on.",
            "why": "The image is unlike those that the model was trained on (fewer than 1 of 100 of those are as"
            " unusual)."}),
        ("en", judged(0.9, 0.5), within("image", "question", image=0.04, question=0.02), 0.5, {
            "why": "Image and question are unlike those that the model was trained on (2 of 100 of those are as"
            " unusual)."}),
        ("de", None, within(), None, {
            "headline": "left", "trust": RATE_NOT_KNOWN["de"], "share": None, "set": "", "isUnknown": False,
            "noRate": "Dieses Modell ist nicht kalibriert; sein eigener Wert 0,93 verspricht nichts."}),
    ],
)  # fmt: skip
def test_a_verdict_is_said_in_words(
    page: Page, language: str, sure: Judged | None, like: Within | None, least: float | None, wanted: dict[str, Any]
) -> None:
    entry = answer_fields("Which side?", Answer("left", 0.93, (("left", 0.93),), others=3, judged=sure, within=like))
    told = page.evaluate(
        """async ([language, entry, model]) => {
          const texts = await import("/texts.js");
          await texts.load();
          texts.speak(language);
          return (await import("/trust.js")).verdict(entry, model);
        }""",
        [language, entry, {"abstains_below": least}],
    )
    assert {key: told[key] for key in wanted} == wanted


@pytest.mark.parametrize(
    ("rate", "worthless"),
    [({"mean": 0.41, "chance": 0.12, "blind": 0.3}, False), ({"mean": 0.41, "chance": 0.12, "blind": None}, False),
     ({"mean": 0.41, "chance": 0.12, "blind": 0.42}, True), ({"mean": 0.41, "chance": 0.41, "blind": 0.1}, True)],
)  # fmt: skip
def test_a_heat_map_is_no_better_than_it_was_measured_to_be(page: Page, rate: dict[str, Any], worthless: bool) -> None:
    told = page.evaluate(
        """async (explanation) => {
          const texts = await import("/texts.js");
          await texts.load();
          texts.speak("en");
          return (await import("/trust.js")).worth(explanation);
        }""",
        {"hit_rate": rate | {"n": 1300, "split": "test"}},
    )
    assert told.startswith(
        "Measured on 1,300 questions: its brightest spot lies in the region asked about in 41 of 100;"
    )
    assert f" a random spot does in {100 * rate['chance']:.0f}." in told
    assert ("It is worth no more here than a map drawn without the model." in told) is worthless
