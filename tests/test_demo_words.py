"""The demo says in words what the number beside its answer is worth."""

from discern_vqa.data.answers import Answer, Judged
from discern_vqa.experiments.demo import sureness


def test_a_bare_score_is_not_passed_off_as_a_probability() -> None:
    assert sureness(Answer("yes", 0.98)) == "score 0.98 (not calibrated: no probability of being right)"


def test_a_calibrated_answer_is_shown_with_its_confidence_and_abstention() -> None:
    sure = Answer("yes", 0.98, judged=Judged(0.71, ("yes",), 0.9, False, 0.5))
    unsure = Answer("yes", 0.98, judged=Judged(0.41, ("yes",), 0.9, True, 0.5))
    assert sureness(sure) == "calibrated confidence 0.71"
    assert sureness(unsure) == "calibrated confidence 0.41, so it would rather not answer"
