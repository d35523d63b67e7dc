"""Paired tests, corrections and intervals against scipy, statsmodels and MAPIE, and against simulation."""

import numpy as np
import pytest
from mapie.metrics.calibration import expected_calibration_error
from scipy import stats
from statsmodels.api import OLS
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from discern_vqa.scoring.intervals import clustered_bootstrap, wilson
from discern_vqa.scoring.statistics import combined, detectable, estimate, holm, mcnemar, permutation, standard_error
from discern_vqa.trust.confidence import reliability


def pair(seed: int, n: int = 200, gain: float = 0.1):
    rng = np.random.default_rng(seed)
    first = rng.random(n) < 0.6
    second = np.where(rng.random(n) < 0.25, rng.random(n) < 0.6 + 2 * gain, first)
    return first, second, [str(i) for i in rng.integers(0, n // 3, n)]


@pytest.mark.parametrize("seed", range(5))
def test_mcnemar_is_statsmodels_exact_test(seed):
    first, second, _ = pair(seed)
    table = [[np.sum(a & b) for b in (second, ~second)] for a in (first, ~first)]
    found = mcnemar(first, second)
    assert (found.only_first, found.only_second) == (table[0][1], table[1][0])
    assert found.p == pytest.approx(their_mcnemar(table, exact=True).pvalue)
    assert mcnemar(first, first).p == 1


@pytest.mark.parametrize("n", [9, 60])
def test_the_permutation_test_is_scipys_on_the_images_sums(n):
    rng = np.random.default_rng(n)
    difference = rng.choice([-1, 0, 1], size=3 * n, p=[0.2, 0.4, 0.4])
    clusters = [str(i // 3) for i in range(3 * n)]
    sums = difference.reshape(n, 3).sum(axis=1)
    theirs = stats.permutation_test(
        (sums,), np.sum, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(0)
    )
    tolerance = 1e-12 if n == 9 else 0.01  # few images: both count all sign patterns
    assert permutation(difference, clusters) == pytest.approx(theirs.pvalue, abs=tolerance)


def test_the_permutation_test_keeps_its_level_where_mcnemar_does_not():
    """No true difference, but an image's questions all go the same way: five of them are one observation."""
    rng = np.random.default_rng(1)
    clusters = [str(i) for i in np.repeat(np.arange(40), 5)]
    rejected = np.zeros(2)
    for _ in range(200):
        sign = np.repeat(rng.choice([-1, 0, 1], size=40), 5)
        first, second = sign < 0, sign > 0
        difference = second.astype(float) - first
        rejected += mcnemar(first, second).p < 0.05, permutation(difference, clusters, permutations=500) < 0.05
    assert rejected[1] / 200 < 0.1
    assert rejected[0] / 200 > 0.2


def test_the_permutation_test_does_not_depend_on_order_or_scale():
    first, second, clusters = pair(3)
    difference = second.astype(float) - first
    order = np.random.default_rng(0).permutation(len(difference))
    p = permutation(difference, clusters)
    assert permutation(difference[order], [clusters[i] for i in order]) == p
    assert permutation(-difference, clusters) == pytest.approx(p, abs=0.02)
    assert permutation(np.zeros(10), clusters[:10]) == 1
    assert permutation(np.ones(40), ["one image"] * 40) == 1, "of one image nothing can be told"


def test_the_standard_error_is_that_of_a_mean_for_single_questions_and_that_of_a_bootstrap_for_images():
    rng = np.random.default_rng(5)
    values = rng.random(300)
    assert standard_error(values, [str(i) for i in range(300)]) == pytest.approx(stats.sem(values))
    clusters = rng.integers(0, 60, 300)
    shared = rng.random(60)[clusters] + 0.3 * values
    means = []
    for _ in range(3000):
        drawn = rng.integers(0, 60, 60)
        rows = np.concatenate([np.flatnonzero(clusters == one) for one in drawn])
        means.append(shared[rows].mean())
    assert standard_error(shared, [str(i) for i in clusters]) == pytest.approx(np.std(means), rel=0.08)


def test_the_standard_error_is_statsmodels_cluster_robust_one():
    rng = np.random.default_rng(7)
    clusters = rng.integers(0, 40, 250)
    values = (rng.random(250) < rng.random(40)[clusters]).astype(float)
    fitted = OLS(values, np.ones(250)).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    assert standard_error(values, [str(one) for one in clusters]) == pytest.approx(float(fitted.bse[0]))


@pytest.mark.parametrize(("correct", "n"), [(0, 7), (1, 40), (203, 451), (40, 40)])
def test_wilson_is_statsmodels_wilson(correct, n):
    assert wilson(correct, n) == pytest.approx(proportion_confint(correct, n, method="wilson"), abs=1e-9)


def test_the_bootstrap_of_single_questions_is_scipys():
    right = np.random.default_rng(8).random(300) < 0.7
    theirs = stats.bootstrap(
        (right.astype(float),), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(0)
    ).confidence_interval
    assert clustered_bootstrap(right, [str(i) for i in range(300)]) == pytest.approx(tuple(theirs), abs=0.006)


def test_the_calibration_error_is_mapies():
    rng = np.random.default_rng(9)
    sure = rng.random(500)
    right = rng.random(500) < sure**1.5
    ours = reliability(sure, right, [str(i) for i in range(500)], bins=10)["ece"]
    # MAPIE's "uniform" takes the number of edges, 0 and 1 included, for that of bins: 11 edges are our ten bins.
    theirs = expected_calibration_error(right.astype(int), sure, num_bins=11, split_strategy="uniform")
    assert ours == pytest.approx(theirs)


def test_holm_is_statsmodels_holm():
    rng = np.random.default_rng(2)
    for size in (1, 2, 7, 30):
        ps = rng.random(size) ** 3
        ps[: size // 3] = ps[0]  # ties
        assert holm(ps.tolist()) == pytest.approx(multipletests(ps, method="holm")[1].tolist())


def test_a_detectable_difference_is_detected_four_times_of_five():
    rng = np.random.default_rng(9)
    n, changed = 400, 0.2  # a fifth of the questions are answered differently
    clusters = [str(i) for i in range(n)]
    error = np.sqrt(changed / n)
    gain = detectable(error)
    assert gain == pytest.approx(2.8016 * error, rel=1e-3)
    found = 0
    for _ in range(300):
        draw = rng.random(n)
        difference = np.where(draw < (changed + gain) / 2, 1, np.where(draw < changed, -1, 0))
        found += permutation(difference, clusters, permutations=400) < 0.05
    assert 0.72 < found / 300 < 0.88


def test_the_interval_over_seeds_and_images_holds_the_truth_as_often_as_it_says():
    """Images and seeds are both drawn anew; an interval over images alone is too narrow for that."""
    rng = np.random.default_rng(4)
    n, images, seeds = 240, 60, 3
    clusters = np.repeat(np.arange(images), n // images)
    names = [str(i) for i in clusters]
    held = np.zeros(2)
    for _ in range(400):
        skill = 0.7 + 0.15 * rng.standard_normal(images)[clusters]
        draws = np.clip(skill + 0.04 * rng.standard_normal((seeds, 1)), 0, 1)
        right = (rng.random((seeds, n)) < draws).astype(float)
        both, one = estimate(right, names), combined(right.mean(axis=0), names, [right.mean(axis=1)[:1]])
        truth = 0.7 - 0.0  # clipping moves it by less than a hundredth of its error
        held += both.low <= truth <= both.high, one.low <= truth <= one.high
    assert 0.93 <= held[0] / 400 <= 0.995
    assert held[1] < held[0]


def test_one_seed_has_no_spread_and_several_have_theirs():
    right = np.array([[1, 0, 1, 1], [1, 1, 1, 1], [0, 0, 1, 1]])
    made = estimate(right, ["a", "b", "c", "d"])
    assert made.seeds == (0.75, 1.0, 0.5)
    assert made.sd == pytest.approx(0.25)
    assert made.mean == pytest.approx(0.75)
    assert estimate(right[:1], ["a", "b", "c", "d"]).sd is None


def test_the_p_of_an_estimate_is_that_of_a_t_test_when_questions_are_single():
    values = np.random.default_rng(0).normal(0.1, 1, 50)
    made = estimate(values, [str(i) for i in range(50)])
    theirs = stats.ttest_1samp(values, 0)
    assert made.p == pytest.approx(theirs.pvalue)
    assert (made.low, made.high) == pytest.approx(tuple(theirs.confidence_interval()))
    assert estimate(np.zeros(5), list("abcde")).p == 1
