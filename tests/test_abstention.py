"""Risk and coverage by hand, ties included, and a threshold that keeps its promise."""

import numpy as np
import pytest

from discern_vqa.trust.abstention import Bar, choose, measure, risk_coverage, selective


def names(n):
    return [str(i) for i in range(n)]


def test_the_curve_is_what_is_counted_by_hand():
    made = risk_coverage(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, True]))
    assert made["curve"] == [[0.25, 1.0], [0.5, 0.5], [0.75, pytest.approx(2 / 3)], [1.0, 0.75]]
    assert made["aurc"] == pytest.approx(np.mean([0, 1 / 2, 1 / 3, 1 / 4]))
    assert made["aurc_best"] == pytest.approx(np.mean([0, 0, 0, 1 / 4]))
    assert made["aurc_random"] == 0.25


def test_a_confidence_that_says_nothing_has_the_same_risk_everywhere():
    right = np.random.default_rng(0).random(200) < 0.7
    made = risk_coverage(np.full(200, 0.5), right)
    assert made["aurc"] == pytest.approx(made["aurc_random"])
    assert all(accuracy == pytest.approx(right.mean()) for _, accuracy in made["curve"])
    assert len(made["curve"]) == 100


def test_ties_count_by_their_share_whatever_the_order_of_lines():
    rng = np.random.default_rng(1)
    confidence, right = rng.integers(0, 5, 60) / 5, rng.random(60) < 0.6
    order = rng.permutation(60)
    assert risk_coverage(confidence, right)["aurc"] == pytest.approx(
        risk_coverage(confidence[order], right[order])["aurc"]
    )
    shuffled = []
    for _ in range(3000):
        draw = rng.permutation(60)
        by = draw[np.argsort(-confidence[draw], kind="stable")]
        shuffled.append(np.mean(np.cumsum(~right[by]) / np.arange(1, 61)))
    assert risk_coverage(confidence, right)["aurc"] == pytest.approx(np.mean(shuffled), abs=0.002)


def test_the_surer_half_is_the_surer_half():
    confidence, right = np.arange(100) / 100, np.arange(100) >= 40
    made = selective(confidence, right, names(100))
    assert made["accuracy"] == 1
    assert made["gain"] == pytest.approx(0.4)
    assert made["gain_ci95"][0] < 0.4 < made["gain_ci95"][1]
    made = selective(confidence, right, names(100), coverage=0.8)
    assert made["accuracy"] == pytest.approx(60 / 80)
    tied = selective(np.array([0.9, 0.5, 0.5, 0.5]), np.array([True, True, False, False]), names(4))
    assert tied["accuracy"] == pytest.approx((1 + 1 / 3) / 2), "a third of the tie is taken, a third of it right"
    assert selective(np.full(3, 0.5), np.array([True, True, False]), names(3))["accuracy"] == pytest.approx(2 / 3)


def test_the_threshold_is_the_lowest_that_keeps_the_accuracy_aimed_at():
    rng = np.random.default_rng(2)
    confidence = rng.random(500)
    right = rng.random(500) < confidence
    bar = choose(confidence, right, 0.8)
    assert bar.accuracy >= 0.8
    answered = confidence >= bar.threshold
    assert answered.mean() == bar.coverage
    assert right[answered].mean() == pytest.approx(bar.accuracy)
    for lower in np.unique(confidence[~answered]):
        assert right[confidence >= lower].mean() < 0.8
    halved = choose(confidence, right)
    assert halved.target == pytest.approx(1 - (1 - right.mean()) / 2)


def test_a_tie_is_answered_whole_or_not_at_all():
    confidence = np.repeat([0.9, 0.6], 40)
    right = np.array([True] * 40 + [True] * 20 + [False] * 20)
    assert choose(confidence, right, 0.9).threshold == 0.9
    assert choose(confidence, right, 0.75).threshold == 0.6


def test_where_nothing_reaches_the_aim_there_is_no_threshold_and_nothing_is_answered():
    right = np.arange(100) % 2 == 0
    bar = choose(np.full(100, 0.5), right, 0.9)
    assert bar == Bar(None, 0.9, None, 0.0)
    made = measure(np.full(100, 0.5), right, names(100), bar)
    assert (made["n"], made["coverage"], made["accuracy"]) == (0, 0, None)
    few = np.linspace(0, 1, 100)
    assert choose(few, few > 0.9, 0.95).threshold is None, "nine sure answers are too few to choose by"


def test_what_it_does_on_other_questions_is_measured():
    confidence, right = np.array([0.9, 0.8, 0.4, 0.3]), np.array([True, False, True, False])
    made = measure(confidence, right, names(4), Bar(0.5, 0.8, 0.9, 0.6))
    assert (made["n"], made["correct"], made["coverage"], made["target"]) == (2, 1, 0.5, 0.8)
