"""The intervals and p values that are printed: questions about one image count as one observation, seeds count too."""

import math

import numpy as np
import pytest
from scipy import stats

from discern_vqa.scoring.compare import Answerer, compare
from discern_vqa.scoring.metrics import score
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.scoring.statistics import permutation

RIGHT = [n % 3 != 0 for n in range(40)]
"""Which of 40 images a model answers right, whatever is asked about them: 26."""


def row(number: int, image: int, right: bool, **more: str) -> Prediction:
    fields = {"answer_type": "closed", "organ": "head", "question_type": "PRES"} | more
    return Prediction(id=str(number), image=f"{image}.png", gold="yes", prediction="yes" if right else "no", **fields)


def asked(times: int, **more: str) -> list[Prediction]:
    """Every image `times` times, each time answered alike."""
    return [row(n, n // times, RIGHT[n // times], **more) for n in range(40 * times)]


def figures(rows: list[Prediction]) -> dict[str, dict]:
    """All figures of a set of predictions, by name."""
    scores = score(rows)
    found = {name: scores[name] for name in ("overall", "open", "closed", "unknown") if name in scores}
    for by, groups in scores["by"].items():
        found |= {f"{by} {name}": figure for name, figure in groups.items()}
    return {name: figure for name, figure in found.items() if figure["n"]}


@pytest.mark.parametrize("answer_type", ["open", "closed", ""])
def test_asking_the_same_about_an_image_again_makes_no_printed_interval_narrower(answer_type):
    given = {"answer_type": answer_type, "phrase_type": "freeform"}
    once, often = figures(asked(1, **given)), figures(asked(6, **given))
    assert once.keys() == often.keys()
    assert {name.partition(" ")[0] for name in once} >= {"overall", "organ", "question_type", "phrase_type"}
    for name, figure in often.items():
        assert figure["n"] == 6 * once[name]["n"]
        assert figure["ci95"] == pytest.approx(once[name]["ci95"]), name


def test_every_printed_interval_is_the_percentiles_over_images_drawn_with_replacement():
    """The questions of an image go together: drawn here with plain numpy, image by image."""
    rng = np.random.default_rng(5)
    organs, kinds, phrases = ("head", "chest"), ("PRES", "POS", "SIZE"), ("freeform", "para")
    rows, skill = [], rng.random(60)
    for image in range(60):
        for number in range(8):
            right = rng.random() < (0.98 if skill[image] < 0.6 else 0.05)
            rows.append(
                row(8 * image + number, image, right, answer_type=("open", "closed", "")[number % 3],
                    organ=organs[image % 2], question_type=kinds[number % 3], phrase_type=phrases[number % 2])
            )  # fmt: skip
    of = {
        "overall": lambda one: True,
        **{part: lambda one, part=part: one.answer_type == part for part in ("open", "closed")},
        "unknown": lambda one: one.answer_type == "",
        **{f"organ {name}": lambda one, name=name: one.organ == name for name in organs},
        **{f"question_type {name}": lambda one, name=name: one.question_type == name for name in kinds},
        **{f"phrase_type {name}": lambda one, name=name: one.phrase_type == name for name in phrases},
    }
    found = figures(rows)
    assert found.keys() == of.keys()
    for name, figure in found.items():
        chosen = [one for one in rows if of[name](one)]
        images = sorted({one.image for one in chosen})
        right = np.array([sum(one.prediction == "yes" for one in chosen if one.image == image) for image in images])
        count = np.array([sum(one.image == image for one in chosen) for image in images])
        drawn = rng.integers(0, len(images), (4000, len(images)))
        low, high = np.percentile(right[drawn].sum(1) / count[drawn].sum(1), [2.5, 97.5])
        assert figure["accuracy"] == pytest.approx(right.sum() / count.sum())
        assert figure["ci95"] == pytest.approx([low, high], abs=0.02), name
        alone = 2 * 1.96 * math.sqrt(figure["accuracy"] * (1 - figure["accuracy"]) / len(chosen))
        assert figure["ci95"][1] - figure["ci95"][0] > 1.2 * alone, "wider than that of as many single questions"


# -- p values ----------------------------------------------------------------------------------------------------------


def answerer(name: str, *seeds: list[bool]) -> Answerer:
    return Answerer(name, tuple([row(n, n, right) for n, right in enumerate(one)] for one in seeds))


def overall(reference: Answerer, other: Answerer) -> dict:
    return next(test for test in compare([reference, other])["tests"] if test["part"] == "overall")


def test_no_drawn_permutation_as_large_as_what_was_seen_leaves_a_p_of_one_in_one_more_than_were_drawn():
    assert permutation(np.ones(40), [str(n) for n in range(40)]) == pytest.approx(1 / 10_001)
    assert permutation(np.ones(40), [str(n) for n in range(40)], permutations=99) == pytest.approx(1 / 100)


def test_the_p_of_drawn_permutations_counts_what_was_seen_as_one_of_them():
    """Both answerers are equally good on 40 images, so that every sign pattern reaches the difference, which is 0."""
    difference = np.array([1.0, -1.0] * 20)
    for permutations in (1, 50):
        assert permutation(difference, [str(n) for n in range(40)], permutations=permutations) == 1
    few = permutation(np.array([1.0] * 12 + [-1.0] * 6), [str(n) for n in range(18)], permutations=49)
    assert (few * 50) % 1 == pytest.approx(0, abs=1e-9), "a whole number of 50"
    assert few >= 1 / 50


def test_with_several_seeds_a_difference_that_the_seeds_do_not_share_is_not_told_apart():
    """One of three seeds is right on 30 of 60 images more, the others on none: over images that is significant."""
    n = 60
    base = [place < 20 for place in range(n)]
    lucky = [place < 50 for place in range(n)]
    test = overall(answerer("a", base, base, base), answerer("b", lucky, base, base))
    gain = 30 / 60 / 3
    assert test["difference"] == pytest.approx(gain)
    each = np.array([1 / 3 if 20 <= place < 50 else 0.0 for place in range(n)])
    over_images = np.var(each, ddof=1) / n
    over_seeds = np.var([0.5, 0.0, 0.0], ddof=1) / 3
    freedom = (over_images + over_seeds) ** 2 / (over_images**2 / (n - 1) + over_seeds**2 / 2)
    t = gain / math.sqrt(over_images + over_seeds)
    by_t = 2 * stats.t.sf(t, freedom)
    images = [str(number) for number in range(n)]
    assert permutation(each, images) == pytest.approx(1 / 10_001), "all 30 images go the same way"
    assert by_t > 0.3
    assert test["p"] == pytest.approx(by_t)
    assert test["p_holm"] >= test["p"]
    assert test["verdict"] == "not distinguishable"


def test_with_several_seeds_a_difference_on_too_few_images_is_not_told_apart():
    """Five of ten images are answered otherwise, by both seeds: of the 2^5 sign patterns two are as one-sided."""
    base, better = [False] * 10, [place < 5 for place in range(10)]
    test = overall(answerer("a", base, base), answerer("b", better, better))
    error = math.sqrt(0.25 * 10 / 9 / 10)
    assert 2 * stats.t.sf(0.5 / error, 9) < 0.05, "a t-test alone would find it"
    assert test["p"] == pytest.approx(2 / 2**5)
    assert test["verdict"] == "not distinguishable"


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_difference_that_all_seeds_and_many_images_share_is_found(seeds):
    base, better = [place < 20 for place in range(60)], [place < 50 for place in range(60)]
    test = overall(answerer("a", *[base] * seeds), answerer("b", *[better] * seeds))
    assert test["p"] < 0.001
    assert test["verdict"] == "better"
