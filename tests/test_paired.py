"""The interval of a paired difference is that of the test beside it: it leaves out 0 just where there is a verdict."""

from itertools import product

import numpy as np
import pytest

from discern_vqa.scoring.compare import Answerer, compare
from discern_vqa.scoring.paired import Paired, corrected
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.scoring.statistics import combined, permutation


def drawn(seed: int, images: int, each: int, shift: float) -> tuple[np.ndarray, list[str]]:
    """Differences of -1, 0 and 1 whose mean leans to `shift`, the questions of an image alike."""
    rng = np.random.default_rng(seed)
    lean = rng.normal(shift, 0.5, images).repeat(each)
    return np.clip(np.round(lean + rng.normal(0, 0.6, images * each)), -1, 1), [
        str(image) for image in range(images) for _ in range(each)
    ]


def p_of(difference: np.ndarray, clusters: list[str], delta: float) -> float:
    """The test's p of a difference delta, by every sign pattern: another road to the same number."""
    names = sorted(set(clusters))
    rest = np.array([sum(d - delta for d, c in zip(difference, clusters, strict=True) if c == name) for name in names])
    reached = abs(rest.sum()) - 1e-9
    sums = [abs(np.dot(signs, rest)) for signs in product((1, -1), repeat=len(names))]
    return float(np.mean([total >= reached for total in sums]))


@pytest.mark.parametrize("seed", range(4))
def test_the_interval_holds_just_the_differences_that_the_test_does_not_reject(seed):
    difference, clusters = drawn(seed, images=9, each=3, shift=0.4)
    low, high = Paired.of(difference, clusters).interval(0.1)
    for inside in (low + 1e-6, (low + high) / 2, high - 1e-6):
        assert p_of(difference, clusters, inside) >= 0.1 - 0.01  # images without a difference trade at random
    for outside in (low - 0.02, high + 0.02):
        if abs(outside) < 1:
            assert p_of(difference, clusters, outside) < 0.1 + 0.01


@pytest.mark.parametrize("images", [5, 12, 13, 14, 40])
def test_an_interval_leaves_out_0_just_where_p_says_so_after_any_correction(images):
    told = 0
    for seed in range(25):
        pairs = [Paired.of(*drawn(3 * seed + k, images, 2, shift)) for k, shift in enumerate((0.0, 0.15, 0.4))]
        for p, (low, high) in corrected(pairs):
            assert (low > 0 or high < 0) == (p < 0.05)
            told += p < 0.05
    assert told > 0 or images == 5  # of five images no p is below 0.06


def test_p_is_that_of_the_permutation_test():
    for seed in range(6):
        for images in (8, 30):
            difference, clusters = drawn(seed, images, 3, 0.2)
            assert Paired.of(difference, clusters).p == permutation(difference, clusters)


def test_of_several_seeds_both_tests_have_to_tell_them_apart():
    difference, clusters = drawn(1, 30, 3, 0.35)
    unsteady = combined(difference, clusters, [np.array([0.1, 0.9]), np.array([0.4, 0.1])])
    alone, both = Paired.of(difference, clusters), Paired.of(difference, clusters, unsteady)
    assert alone.p < 0.05 < both.p == unsteady.p
    (low, high), (narrow_low, narrow_high) = both.interval(), alone.interval()
    assert low <= 0 <= high
    assert low <= narrow_low
    assert narrow_high <= high


def test_no_test_of_a_comparison_has_an_interval_against_its_verdict():
    rng = np.random.default_rng(0)
    strength = rng.normal(0, 0.2, 20).repeat(6)

    def answers(chance: float) -> list[Prediction]:
        right = rng.random(120) < chance + strength
        return [
            Prediction(id=str(n), image=str(n // 6), gold="yes", answer_type=("open", "closed")[n % 2],
                       prediction="yes" if right[n] else "no")
            for n in range(120)
        ]  # fmt: skip

    for _ in range(8):
        models = [Answerer(str(k), (answers(chance),)) for k, chance in enumerate((0.5, 0.55, 0.62, 0.7))]
        for test in compare(models)["tests"]:
            leaves_out_0 = test["ci95"][0] > 0 or test["ci95"][1] < 0
            assert leaves_out_0 == (test["verdict"] != "not distinguishable")
            assert test["ci95"][0] <= test["difference"] <= test["ci95"][1]


def test_of_one_image_nothing_can_be_told():
    pair = Paired.of(np.ones(40), ["one"] * 40)
    assert (pair.p, pair.interval()) == (1.0, [-1.0, 1.0])
