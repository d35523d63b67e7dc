"""Temperature and calibration error: known answers, convexity, and what is a distribution and what is not."""

import math

import numpy as np
import pytest
from scipy.special import log_softmax

from discern_vqa.errors import DataError
from discern_vqa.scoring.metrics import rights
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.trust.confidence import (
    CONFIDENCE,
    DISTRIBUTION,
    FLATTEST,
    SHARPEST,
    bound_warning,
    confidences,
    fit_temperature,
    kind_of,
    reliability,
    tempered,
    truth_scores,
)


def line(number: int, pairs, gold: str, others: int | None = None, **more) -> Prediction:
    fields = {"prediction": pairs[0][0], "score": pairs[0][1]} | more
    return Prediction(
        id=str(number), image=f"{number // 2}", gold=gold, answer_type="open", alternatives=tuple(pairs),
        others=others, **fields,
    )  # fmt: skip


def drawn(n: int, answers: int, sharpness: float, keep: int, seed: int = 0) -> tuple[list[Prediction], np.ndarray]:
    """A classifier whose truth follows its softmax, but whose file shows logits multiplied by `sharpness`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, answers))
    true = np.array([rng.choice(answers, p=np.exp(log_softmax(one))) for one in logits])
    shown = np.exp(log_softmax(sharpness * logits, axis=1))
    rows = []
    for i in range(n):
        best = np.argsort(-shown[i])[:keep]
        rows.append(line(i, [(f"a{a}", float(shown[i, a])) for a in best], f"a{true[i]}", answers - keep))
    return rows, shown


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.5])
def test_the_temperature_that_spoiled_a_calibrated_classifier_is_found_again(sharpness):
    rows, _ = drawn(4000, 8, sharpness, keep=8)
    assert kind_of(rows) == DISTRIBUTION
    found = fit_temperature(rows, rights(rows), "lower", DISTRIBUTION)
    assert found == pytest.approx(sharpness, rel=0.06)
    before = reliability(confidences(rows), rights(rows), [row.image for row in rows])
    after = reliability(confidences(rows, found), rights(rows), [row.image for row in rows])
    assert after["ece"] < 0.03
    if sharpness != 1.0:
        assert before["ece"] > 2.5 * after["ece"]


def test_ten_answers_and_the_rest_are_calibrated_as_well_as_all_of_them():
    full, _ = drawn(3000, 60, 2.0, keep=60)
    cut, _ = drawn(3000, 60, 2.0, keep=10)
    for rows in (full, cut):
        temperature = fit_temperature(rows, rights(rows), "lower", DISTRIBUTION)
        made = reliability(confidences(rows, temperature), rights(rows), [row.image for row in rows])
        assert made["ece"] < 0.035


def test_with_all_answers_named_the_map_is_the_textbooks_softmax():
    rows, shown = drawn(20, 6, 1.3, keep=6)
    for row, own in zip(rows, shown, strict=True):
        expected = np.sort(np.exp(log_softmax(np.log(own) / 1.7)))[::-1]
        found = [score for _, score in tempered(row.alternatives, 0, 1.7, DISTRIBUTION)]
        assert found == pytest.approx(expected.tolist(), abs=1e-4)
        assert tempered(row.alternatives, 0, 1.0, DISTRIBUTION) == list(row.alternatives)


def test_what_the_named_answers_leave_is_shared_alike_and_the_whole_stays_one():
    found = tempered((("a", 0.6), ("b", 0.2)), 4, 2.0, DISTRIBUTION)
    raw = np.sqrt([0.6, 0.2, *[0.05] * 4])
    assert [score for _, score in found] == pytest.approx((raw / raw.sum())[:2].tolist())


def test_scores_that_are_no_distribution_are_taken_one_by_one():
    good = line(0, [("a", 0.6), ("b", 0.3)], "a", 3)
    assert kind_of([good]) == DISTRIBUTION
    for pairs, more in (
        ([("a", 0.9), ("b", 0.8)], {}),
        ([("a", 0.3), ("b", 0.6)], {}),
        ([("a", 0.6), ("b", 0.3)], {"prediction": "c"}),
    ):
        assert kind_of([good, line(1, pairs, "a", **more)]) == CONFIDENCE
    alone = Prediction(id="1", image="a", gold="x", answer_type="", prediction="a", score=0.8)
    assert kind_of([alone]) == CONFIDENCE
    assert confidences([alone], 2.0) == pytest.approx([1 / (1 + math.exp(-math.log(4) / 2))])
    with pytest.raises(DataError, match="'2' has no score"):
        kind_of([alone, Prediction(id="2", image="a", gold="x", answer_type="", prediction="a")])


def test_lone_scores_are_made_honest_by_their_log_odds():
    rng = np.random.default_rng(3)
    odds = rng.normal(0.5, 1.5, 4000)
    right = rng.random(4000) < 1 / (1 + np.exp(-odds))
    shown = 1 / (1 + np.exp(-3 * odds))
    rows = [
        Prediction(id=str(i), image=str(i), gold="y", answer_type="", prediction="y" if ok else "n", score=float(p))
        for i, (ok, p) in enumerate(zip(right, shown, strict=True))
    ]
    assert fit_temperature(rows, right, "lower", CONFIDENCE) == pytest.approx(3, rel=0.08)


def test_answers_that_are_all_right_or_all_wrong_stop_at_the_bounds():
    rows = [line(i, [("a", 0.9), ("b", 0.1)], "a", 0) for i in range(30)]
    assert fit_temperature(rows, rights(rows), "lower", DISTRIBUTION) == pytest.approx(SHARPEST, rel=1e-3)
    rows = [line(i, [("a", 0.9), ("b", 0.1)], "c", 50) for i in range(30)]
    assert fit_temperature(rows, rights(rows), "lower", DISTRIBUTION) == pytest.approx(FLATTEST, rel=1e-3)


def test_a_temperature_on_a_bound_is_said():
    for bound in (SHARPEST, FLATTEST):
        assert f"its bound, {bound:g}" in bound_warning(bound)
    for inside in (1.01 * SHARPEST, 1.0, 0.99 * FLATTEST):
        assert bound_warning(inside) == ""


def test_a_true_answer_that_is_not_named_has_no_score():
    rows = [line(0, [("Yes", 0.6), ("no", 0.3)], "yes"), line(1, [("yes", 0.6)], "maybe")]
    assert truth_scores(rows, "lower", 1.0, DISTRIBUTION).tolist() == [0.6, -math.inf]


def test_the_calibration_error_is_what_is_counted_by_hand():
    confidence = np.array([0.95] * 10 + [0.55] * 10 + [1.0] * 2)
    right = np.array([True] * 8 + [False] * 2 + [True] * 7 + [False] * 3 + [True, False])
    made = reliability(confidence, right, [str(i) for i in range(22)])
    by_bin = {round(one["low"], 1): one for one in made["bins"]}
    assert {low: one["n"] for low, one in by_bin.items()} == {0.9: 12, 0.5: 10}
    top = abs(10 * 0.95 + 2 - 9) / 12
    assert made["ece"] == pytest.approx((12 * top + 10 * 0.15) / 22)
    assert made["brier"] == pytest.approx(np.mean((confidence - right) ** 2))
    assert by_bin[0.5]["ci95"][0] < 0.7 < by_bin[0.5]["ci95"][1]


def test_the_error_of_honest_scores_is_what_chance_alone_gives():
    rng = np.random.default_rng(0)
    confidence = rng.random(300)
    errors = [reliability(confidence, rng.random(300) < confidence, [str(i) for i in range(300)]) for _ in range(30)]
    assert np.mean([one["ece"] for one in errors]) == pytest.approx(errors[0]["ece_by_chance"], rel=0.1)
    assert errors[0]["ece_by_chance"] > 0.02, "a perfect score of 300 questions still shows an error"
