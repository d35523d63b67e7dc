"""The files of the page without a browser: both languages are whole, nothing comes from elsewhere, and it is small."""

import gzip
import json
import re
from importlib.resources import files

import pytest

from discern_vqa.imaging.greys import WINDOWS

FOLDER = files("discern_vqa.serve") / "page"
CONTENT = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.iterdir()}
CODE = "\n".join(text for name, text in CONTENT.items() if name.endswith((".js", ".html")))
TEXTS = json.loads(CONTENT["texts.json"])
MOST_BYTES = 60_000


def test_the_page_is_sent_in_less_than_60_kb() -> None:
    assert sum(len(gzip.compress(text.encode())) for text in CONTENT.values()) < MOST_BYTES


def test_every_file_that_the_page_names_is_there_and_none_is_elsewhere() -> None:
    named = re.findall(r'(?:from|src=|href=|fetch\()\s*"(?:\./)?([^"#:]+)"', CODE)
    assert {"page.js", "page.css", "viewer.js", "texts.json"} <= set(named)
    assert set(named) == CONTENT.keys() - {"page.html"}
    assert not re.findall(r"(?:https?:)?//[\w.-]+\.\w{2,}|@import|url\(", "".join(CONTENT.values()))


def test_nothing_in_the_page_needs_what_its_policy_forbids() -> None:
    assert not re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", CONTENT["page.html"])
    assert not re.findall(
        r"\beval\(|new Function|innerHTML|document\.write|(?:local|session)Storage\.setItem|document\.cookie", CODE
    )


def test_both_languages_have_the_same_texts_with_the_same_gaps() -> None:
    assert set(TEXTS) == {"en", "de"}
    assert TEXTS["en"].keys() == TEXTS["de"].keys()
    for key, english in TEXTS["en"].items():
        german = TEXTS["de"][key]
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", german)), key
        assert english.count("|") == german.count("|"), key
        assert english.strip(), key
        assert german.strip(), key


def test_every_text_is_used_and_every_text_that_is_used_exists() -> None:
    named = set(re.findall(r'data-(?:text|label)="(\w+)"', CODE)) | set(re.findall(r'\bt\("(\w+)"', CODE))
    named |= {word for pair in re.findall(r'\bt\([^")]+\? "(\w+)" : "(\w+)"', CODE) for word in pair}
    made = {f"w_{name}" for name in WINDOWS} | {f"outside_{what}" for what in ("image", "question", "both")}
    made |= {"axial", "coronal", "sagittal", "right_all", "right_closed", "right_open"}
    assert named | made == TEXTS["en"].keys()


def test_the_presets_are_the_windows_of_the_readers() -> None:
    (table,) = re.findall(r"CT_WINDOWS = \{(.*?)\};", CONTENT["greys.js"], re.DOTALL)
    pairs = {name: (float(low), float(high)) for name, low, high in re.findall(r"(\w+): \[(-?\d+), (\d+)\]", table)}
    assert pairs == WINDOWS


@pytest.mark.parametrize("name", sorted(name for name in CONTENT if name.endswith(".js")))
def test_every_script_can_be_read_at_one_sitting(name: str) -> None:
    assert len(CONTENT[name].splitlines()) <= 330
