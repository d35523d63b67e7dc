"""What is sent to somebody else's model, what is read from its words, and what is kept: pure functions."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from discern_vqa.asking import address
from discern_vqa.asking.images import Shown
from discern_vqa.asking.replies import Replies, Reply
from discern_vqa.asking.requests import Request
from discern_vqa.asking.sending import asked_pause
from discern_vqa.asking.wording import filled, said_confidence, without_confidence
from discern_vqa.config import check_recipe
from discern_vqa.errors import ConfigError, RunError
from discern_vqa.imaging.image_ref import with_choice


@pytest.mark.parametrize(
    ("text", "confidence"),
    [
        ("Yes\nConfidence: 85", 0.85),
        ("Yes\n**Confidence:** 85%", 0.85),
        ("Confidence: 20\nno, rather\nConfidence level: 7/10", 0.7),
        ("Yes\nconfidence: 0.9", 0.9),
        ("Yes\nConfidence: 1", 0.01),
        ("Yes\nConfidence: 1.0", 1.0),
        ("Yes\nConfidence: 0", 0.0),
        ("Yes\nConfidence: 250", None),
        ("Yes\nConfidence: high", None),
        ("Yes", None),
        ("<think>Confidence: 10</think>Yes\nConfidence: 60", 0.6),
    ],
)
def test_the_confidence_that_is_stated_last_counts(text: str, confidence: float | None) -> None:
    assert said_confidence(text) == confidence
    if confidence is not None and "<think>" not in text:
        assert without_confidence(text) in ("Yes", "no, rather")


def test_a_prompt_holds_question_and_offered_answers_and_a_question_may_hold_braces() -> None:
    assert filled("Q: {question}\nA:", "what {choices}?", (), False) == "Q: what {choices}?\nA:"
    assert filled("{question}\nShort.", "Which?", ("CT", "MRI"), False) == "Which?\nA. CT\nB. MRI\nShort."
    assert filled("{choices}: {question}", "Which?", ("CT", "MRI"), False) == "A. CT\nB. MRI: Which?"
    asked = filled("{question}", "Which?", (), True)
    assert asked.startswith("Which?\n")
    assert "0 to 100" in asked


@pytest.mark.parametrize(
    ("endpoint", "here"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://localhost:11434/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://127.9.9.9/v1", True),
        ("https://api.example.org/v1", False),
        ("http://10.0.0.5:8000/v1", False),
        ("http://localhost.example.org/v1", False),
        ("http://127.0.0.1.example.org/v1", False),
        ("http://0.0.0.0:8000/v1", False),
    ],
)
def test_only_loopback_is_this_machine_and_only_it_gets_ones_own_images(endpoint: str, here: bool) -> None:
    assert address.is_this_machine(endpoint) is here
    assert bool(address.warning(endpoint)) is not here
    address.refuse_own(endpoint, "images", may_send=True)
    if here:
        address.refuse_own(endpoint, "images", may_send=False)
    else:
        with pytest.raises(ConfigError, match="not this machine") as caught:
            address.refuse_own(endpoint, "images", may_send=False)
        assert "model.send_own_images=true" in caught.value.hint


@pytest.mark.parametrize("endpoint", ["127.0.0.1:8000", "ftp://host/v1", "http://", "http://host:port/v1", "http://["])
def test_what_is_no_address_is_said(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="is no address"):
        address.checked(endpoint)


def test_an_address_holds_no_password_and_loses_what_is_added_anyway() -> None:
    with pytest.raises(ConfigError, match="password") as caught:
        address.checked("http://me:secret@host/v1")
    assert "secret" not in str(caught.value)
    assert address.checked("http://host/v1/chat/completions") == address.checked("http://host/v1/") == "http://host/v1"


def test_a_server_says_how_long_to_wait_in_seconds_or_as_a_date() -> None:
    assert asked_pause("2.5") == 2.5
    assert asked_pause("-3") == 0.0
    assert asked_pause("") is None
    assert asked_pause("soon") is None
    later = asked_pause(format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True))
    assert later is not None
    assert 28 < later <= 30
    assert asked_pause("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "scan.png")
    return tmp_path / "scan.png"


def colours(image: Image.Image) -> list[list[int]]:
    return sorted(np.asarray(image).reshape(-1, 3).tolist())


def test_what_is_shown_is_the_image_or_a_blank_or_its_pixels_in_another_order(file: Path) -> None:
    opened = Image.open(file)
    real, blank = Shown(file, "scan"), Shown(file, "scan", "blank")
    noise, other = Shown(file, "scan", "noise"), Shown(file, "scan", "noise", seed=1)
    assert np.array_equal(real.image(), opened)
    assert np.unique(np.asarray(blank.image())).tolist() == [128]
    assert blank.image().size == noise.image().size == opened.size
    assert colours(noise.image()) == colours(opened)
    assert not np.array_equal(noise.image(), opened)
    assert len({one.digest() for one in (real, blank, noise, other)}) == 4
    assert Shown(file, "scan", "noise").png() == noise.png(), "the same in every process"
    mirrored = Shown(with_choice(file, mirror=True), "scan#mirror=yes")
    assert np.array_equal(mirrored.image(), ImageOps.mirror(opened))
    assert Shown(file, "scan", longest_side=45).image().size == (45, 30)
    assert Shown(file, "scan", longest_side=900).image().size == (90, 60), "never larger"


def digest(request: Request, settings: dict[str, Any]) -> str:
    return request.digest(settings, request.shown.digest())


def test_a_request_is_known_by_all_that_is_sent(file: Path, tmp_path: Path) -> None:
    settings = {"model": "m", "temperature": 0.0}
    request = Request(Shown(file, "scan"), "Is it? Short.")
    copy = tmp_path / "copy.png"
    copy.write_bytes(file.read_bytes())
    assert digest(Request(Shown(copy, "other name"), "Is it? Short."), settings) == digest(request, settings)
    others = [
        Request(Shown(file, "scan", "blank"), "Is it? Short."),
        Request(Shown(file, "scan"), "Is it? Long."),
        Request(Shown(file, "scan"), "Is it? Short.", 1),
    ]
    digests = {digest(one, settings) for one in others} | {digest(request, settings | {"temperature": 1.0})}
    assert len(digests | {digest(request, settings)}) == 5


def test_replies_are_kept_line_by_line_and_a_torn_end_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "outside" / "replies.jsonl"
    with Replies(path) as replies:
        replies.add("a", Reply("Yes", finish="stop", sent=3))
        replies.add("b", Reply(problem="HTTP 400"))
        replies.add_failure("c", "no answer")
    with open(path, "ab") as opened:
        opened.write(b'{"digest": "d", "te')
    again = Replies(path)
    assert (again.get("a"), again.get("b"), again.get("d")) == (
        Reply("Yes", finish="stop", sent=3), Reply(problem="HTTP 400"), None
    )  # fmt: skip
    assert (again.failures("c"), again.failures("a")) == (1, 0)
    with again:
        again.add("e", Reply("No \ud800"))
    lines = [json.loads(line)["digest"] for line in path.read_text("utf-8").splitlines()]
    assert again.of("e").text == "No ?"
    assert lines == ["a", "b", "c", "e"]
    path.write_text('{"digest": "a", "text": "x"}\nnonsense\n{"digest": "b", "text": "x"}\n')
    with pytest.raises(RunError, match=r"replies.jsonl:2 is no reply") as caught:
        Replies(path)
    assert f"sed -i 2d {path}" in caught.value.hint


def test_a_recipe_of_an_outside_model_writes_and_learns_nothing() -> None:
    tables = {"data": {"dataset": "phantom"}, "model": {"name": "outside.endpoint"}}
    recipe = check_recipe(tables, "here")
    assert recipe.run.mode == "generate"
    assert recipe.to_json().keys() == {"data", "model", "run"}
    assert (recipe.is_outside, recipe.is_baseline, recipe.is_network) == (True, False, False)
    with pytest.raises(ConfigError, match=r"\[optim\]: somebody else's model is asked without this table"):
        check_recipe(tables | {"optim": {"lr": 1.0}}, "here")
    with pytest.raises(ConfigError, match="did you mean 'endpoint'"):
        check_recipe(tables | {"model": {"name": "outside.endpiont"}}, "here")
    with pytest.raises(ConfigError, match=r"expected {question} in the prompt"):
        check_recipe(tables | {"model": {"name": "outside.endpoint", "prompt": "Say it."}}, "here")
