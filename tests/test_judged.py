"""One verdict on an answer: what it says, and that every command and page says the same."""

import pytest

from discern_vqa.commands.answers import _answered, _as_json
from discern_vqa.commands.explaining import _in_words
from discern_vqa.data.answers import Answer
from discern_vqa.data.judged import Judged, Within, shown_percent, shown_share
from discern_vqa.evaluation.asked_run import trusted

SURE = Judged(confidence=0.93, answer_set=("no",), coverage=0.9, abstains=False, threshold=0.6)
UNSURE = Judged(confidence=0.4, answer_set=("no", "yes"), coverage=0.9, abstains=True, threshold=0.6)
FAR = Within(image=0.004, question=0.5, outside=("image",))
UNLIKE = "the image is unlike what I was trained on (less than 1 % of that is so far from the rest)"
USUAL = Within(image=0.5, question=0.5, outside=())


def answer(judged: Judged | None = None, within: Within | None = None) -> Answer:
    return Answer("no", 0.9, (("no", 0.9), ("yes", 0.1)), judged=judged, within=within)


@pytest.mark.parametrize(
    ("judged", "within", "abstains", "reason"),
    [
        (None, None, False, ""),
        (SURE, USUAL, False, ""),
        (UNSURE, USUAL, True, "a confidence of 0.40 is below 0.60"),
        (SURE, FAR, True, UNLIKE),
        (UNSURE, FAR, True, UNLIKE),
        (None, FAR, True, UNLIKE),
    ],
)
def test_where_one_command_refuses_every_command_does_for_the_same_reason(judged, within, abstains, reason):
    made = answer(judged, within)
    assert (made.verdict.abstains, made.verdict.reason) == (abstains, reason)
    asked, explained, line = _answered(made)[0], _in_words(made), trusted(made)
    assert (f"I would rather not answer: {reason}. My best guess: no" == asked == explained) == abstains
    assert ("rather not" in asked, "rather not" in explained) == (abstains, abstains)
    if judged is not None or within is not None:
        assert (line["abstains"], line["reason"]) == (abstains, reason)
    else:
        assert line == {}


def test_a_promise_is_not_made_for_what_is_unlike_the_held_out_questions():
    assert answer(SURE, USUAL).verdict.promise == "In 90 % of such cases the true answer is one of these: no"
    assert answer(SURE, FAR).verdict.promise == ""
    assert answer(None, USUAL).verdict.promise == ""


def test_nothing_that_is_not_certain_reads_as_certain():
    assert [shown_share(share) for share in (1.0, 0.9999, 0.994, 0.5, 0.004, 0.0)] == [
        ">0.99", ">0.99", "0.99", "0.50", "<0.01", "0.00",
    ]  # fmt: skip
    assert [shown_percent(share) for share in (0.9999, 0.994, 0.004, 0.0)] == [">99", "99", "<1", "0"]
    assert _in_words(answer(Judged(0.9999, None, 0.9, False, 0.5))) == "no  (confidence >0.99)"


def test_what_was_not_read_is_a_note_in_text_and_json():
    made = Answer("no", 0.9, notes=("12 words were not read",))
    assert _answered(made)[-1] == "NOTE: 12 words were not read"
    assert '"notes": ["12 words were not read"]' in _as_json(made, [])
