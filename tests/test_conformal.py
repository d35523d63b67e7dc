"""Answer sets: those of MAPIE, the coverage that is promised, and honesty where nothing can be."""

import math

import numpy as np
import pytest
from mapie.classification import SplitConformalClassifier
from sklearn.base import BaseEstimator, ClassifierMixin

from discern_vqa.data.answers import normaliser
from discern_vqa.trust.conformal import answer_set, fit, form_of, measure, measure_levels, threshold


class Given(ClassifierMixin, BaseEstimator):
    """A classifier whose probabilities are its input."""

    def fit(self, X, y):
        self.classes_ = np.arange(X.shape[1])
        return self

    def predict_proba(self, X):
        return X

    def predict(self, X):
        return X.argmax(axis=1)

    def __sklearn_is_fitted__(self):
        return True


def classified(n, answers=6, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, answers))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return shares, np.array([rng.choice(answers, p=one) for one in shares])


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("n", [57, 400])
def test_the_sets_are_mapies(n, coverage):
    held, truth = classified(n)
    asked, _ = classified(200, seed=1)
    theirs = SplitConformalClassifier(
        Given().fit(held, truth), confidence_level=coverage, conformity_score="lac", prefit=True
    )
    theirs.conformalize(held, truth)
    _, sets = theirs.predict_set(asked)
    bar = threshold(held[np.arange(n), truth], coverage)
    ours = [answer_set([(str(a), float(p)) for a, p in enumerate(one)], bar) for one in asked]
    assert ours == [tuple(str(a) for a in np.flatnonzero(one)) for one in sets[:, :, 0]]


def test_measured_coverage_is_what_was_promised():
    """Over many draws the mean is at the promise, and never below it by more than the draws' noise."""
    covered = []
    for seed in range(200):
        held, truth = classified(99, seed=seed)
        asked, true = classified(200, seed=1000 + seed)
        bar = threshold(held[np.arange(99), truth], 0.9)
        covered.append(np.mean(asked[np.arange(200), true] >= bar))
    assert np.mean(covered) == pytest.approx(0.9, abs=0.01)


def test_where_too_many_true_answers_are_not_named_no_list_can_promise_anything():
    truth = np.array([0.9] * 80 + [-math.inf] * 20)
    assert threshold(truth, 0.9) is None
    assert threshold(truth, 0.75) == 0.9
    assert threshold(np.full(8, 0.5), 0.9) is None, "eight questions cannot promise 90 %"
    assert threshold(np.full(9, 0.5), 0.9) == 0.5
    one = fit(truth, {"all": ["all"] * 100}, 0.9)["all"]["all"]
    assert one["threshold"] is None
    assert one["reachable"] == pytest.approx(1 - 21 / 101)
    assert one["instead"] == {"coverage": 0.75, "threshold": 0.9}
    hopeless = fit(np.full(50, -math.inf), {"all": ["all"] * 50}, 0.9)["all"]["all"]
    assert hopeless["reachable"] == 0
    assert "instead" not in hopeless


def test_what_can_be_promised_instead_has_a_threshold():
    for unnamed in range(0, 60):
        truth = np.array([0.5] * (100 - unnamed) + [-math.inf] * unnamed)
        one = fit(truth, {"all": ["all"] * 100}, 0.9)["all"]["all"]
        if "instead" in one:
            assert one["instead"]["threshold"] is not None
            assert one["instead"]["coverage"] <= one["reachable"]


def test_each_group_has_its_own_promise():
    rng = np.random.default_rng(0)
    kinds = ["open"] * 200 + ["closed"] * 200
    truth = np.concatenate([rng.uniform(0, 0.5, 200), rng.uniform(0.4, 1, 200)])
    groups = {"all": ["all"] * 400, "answer_type": kinds}
    made = fit(truth, groups, 0.9)
    assert made["answer_type"]["open"]["threshold"] < made["all"]["all"]["threshold"]
    images = np.array([str(i) for i in range(400)])
    found = measure(truth, lambda bars: np.ones(len(bars), dtype=int), made, groups, images)
    for part in found["answer_type"]["groups"].values():
        assert part["accuracy"] == pytest.approx(0.9, abs=0.01)
    below = np.mean(truth[:200] >= made["all"]["all"]["threshold"])
    assert below < 0.85, "together the promise holds in the mean, and not for the open ones"
    assert found["all"]["accuracy"] == pytest.approx(0.9, abs=0.01)
    assert found["all"]["one"] == 1


def test_a_group_that_was_not_held_out_is_counted_and_not_guessed():
    made = fit(np.full(60, 0.5), {"answer_type": ["closed"] * 60}, 0.9)
    groups = {"answer_type": ["closed", "open", ""]}
    found = measure(np.array([0.6, 0.6, 0.6]), lambda bars: np.ones(3, dtype=int), made, groups, np.array(list("abc")))
    assert (found["answer_type"]["n"], found["answer_type"]["unknown_group"]) == (1, 2)


def test_sets_that_may_hold_any_answer_are_told_from_those_that_say_something():
    images = np.array(list("abcd"))
    truth = np.array([0.9, 0.2, -math.inf, 0.7])
    sizes = np.array([3, 1, 0, 2])
    levels = measure_levels(truth, lambda bars: sizes, {"0.9": None, "0.5": 0.6}, images)
    assert (levels["0.9"]["accuracy"], levels["0.9"]["any"], levels["0.9"]["mean_size"]) == (1, 1, None)
    assert (levels["0.5"]["correct"], levels["0.5"]["mean_size"]) == (2, 1.5)
    assert (levels["0.5"]["one"], levels["0.5"]["none"]) == (0.25, 0.25)


def test_the_form_of_an_answer_is_known_without_its_type():
    same = normaliser("m3ae")
    assert [form_of(text, same) for text in ("Yes", "no.", "MRI", "")] == ["yes/no", "yes/no", "other", "other"]


def test_a_set_is_empty_where_nothing_stands_out_and_none_where_anything_may_be():
    pairs = [("a", 0.4), ("b", 0.3)]
    assert answer_set(pairs, 0.3) == ("a", "b")
    assert answer_set(pairs, 0.5) == ()
    assert answer_set(pairs, None) is None
