"""Near-identical images: the quick search finds what comparing all in full finds, and copies are found as copies."""

import io

import numpy as np
import pytest
from _pictures import picture
from PIL import Image, ImageFilter, ImageOps

from discern_vqa.imaging import near_pairs
from discern_vqa.imaging.clusters import Clusters
from discern_vqa.imaging.fingerprints import _small, inner_box
from discern_vqa.imaging.thumbnails import NEAR, SAME_GREY, edges, features, grey, hash_distance, perceptual_hash


def thumbs(pictures) -> np.ndarray:
    rows = [_small(one) + _small(one.crop(inner_box(one))) for one in pictures]
    return np.stack([np.frombuffer(row, np.uint8).reshape(2, 32, 32) for row in rows])


def jpeg(drawn: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    drawn.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("L")


def shifted(number: int, by: int) -> Image.Image:
    """The image, moved to the side, so that similarity falls with `by`."""
    values = np.asarray(picture(number))
    return Image.fromarray(np.roll(values, by, axis=1))


@pytest.fixture(scope="module")
def many() -> np.ndarray:
    """Images of which many are a little alike: shifted and blurred copies of forty."""
    drawn = [shifted(number % 40, 2 * (number // 40)) for number in range(160)]
    drawn += [shifted(number, 1).filter(ImageFilter.GaussianBlur(number % 5)) for number in range(40)]
    return thumbs(drawn)


def in_full(one: np.ndarray, other: np.ndarray, above: float, same_grey: float) -> set[tuple[int, int]]:
    """The slow twin: every product of every pair."""
    likeness = np.maximum.reduce([features(one[:, view]) @ features(other[:, view]).T for view in range(2)])
    greys = grey(one[:, 0]) @ grey(other[:, 0]).T
    return set(zip(*map(np.ndarray.tolist, np.nonzero((likeness >= above) | (greys >= same_grey))), strict=True))


def found(blocks) -> set[tuple[int, int]]:
    return {pair for block in blocks for pair in zip(block.one.tolist(), block.other.tolist(), strict=True)}


@pytest.mark.parametrize("above", [0.5, 0.8, NEAR])
@pytest.mark.parametrize("same_grey", [SAME_GREY, 0.9, 2.0])
def test_the_quick_search_finds_exactly_what_comparing_all_finds(many, above, same_grey, monkeypatch):
    monkeypatch.setattr(near_pairs, "_BLOCK", 64)
    expected = {(one, other) for one, other in in_full(many, many, above, same_grey) if one < other}
    assert 5 < len(expected) < len(many) ** 2 / 4
    assert found(near_pairs.near_pairs(many, above=above, same_grey=same_grey)) == expected


@pytest.mark.parametrize("products", [near_pairs._PRODUCTS, 7])
def test_two_sets_are_compared_with_each_other_alone(many, products, monkeypatch):
    monkeypatch.setattr(near_pairs, "_BLOCK", 64)
    monkeypatch.setattr(near_pairs, "_PRODUCTS", products)
    one, other = many[:120], many[120:]
    assert found(near_pairs.near_pairs(one, other)) == in_full(one, other, NEAR, SAME_GREY)


@pytest.mark.parametrize("sample", [40, 10**6])
def test_the_bound_is_never_below_the_product(many, sample, monkeypatch):
    monkeypatch.setattr(near_pairs, "_SAMPLE", sample)
    wide = np.concatenate([many] * 6)  # 1,200 images of 1,024 greys
    bounds = near_pairs._bounds([wide], grey, 0)[0]
    full = grey(wide[:, 0])
    assert (bounds @ bounds.T >= full @ full.T - near_pairs._SLACK).all()
    assert (bounds[:40] @ bounds[:40].T < 1).mean() > 0.5  # and it rules pairs out


def test_numbers_that_come_with_a_pair_are_its_own(many):
    for block in near_pairs.near_pairs(many):
        for one, other, likeness, greys in zip(block.one, block.other, block.likeness, block.grey, strict=True):
            views = [float(features(many[[one], v])[0] @ features(many[[other], v])[0]) for v in range(2)]
            assert likeness == pytest.approx(max(views), abs=1e-5)
            assert greys == pytest.approx(float(grey(many[[one], 0])[0] @ grey(many[[other], 0])[0]), abs=1e-5)


@pytest.mark.parametrize(
    "again",
    [
        lambda drawn: drawn.resize((40, 40), Image.Resampling.LANCZOS),
        lambda drawn: drawn.resize((300, 220), Image.Resampling.BICUBIC),
        lambda drawn: jpeg(drawn, 20),
        lambda drawn: ImageOps.expand(drawn, 12, 0),
        lambda drawn: ImageOps.expand(drawn, (0, 30), 255),
        lambda drawn: drawn.point(lambda value: round(255 * (value / 255) ** 0.7)),
        lambda drawn: drawn.point(lambda value: max(0, min(255, round(1.3 * (value - 20))))),
        lambda drawn: drawn.rotate(1, Image.Resampling.BICUBIC),
    ],
    ids=["smaller", "stretched", "jpeg", "black border", "white bars", "gamma", "window", "rotated"],
)
def test_a_copy_is_found_as_one(again):
    originals = [picture(number) for number in range(12)]
    pairs = found(near_pairs.near_pairs(thumbs([again(one) for one in originals]), thumbs(originals)))
    assert pairs == {(number, number) for number in range(12)}


def test_what_is_another_picture_is_not_found():
    drawn = [picture(number) for number in range(60)]
    drawn += [ImageOps.mirror(one) for one in drawn[:10]] + [ImageOps.invert(one) for one in drawn[:10]]
    assert found(near_pairs.near_pairs(thumbs(drawn))) == set()


def test_an_empty_picture_is_like_no_other():
    assert found(near_pairs.near_pairs(thumbs([Image.new("L", (50, 50), 7)] * 3))) == set()
    assert list(near_pairs.near_pairs(np.zeros((0, 2, 32, 32), np.uint8))) == []


def test_likeness_is_the_mean_of_the_two_correlations(many):
    small = many[:20, 0]
    flat = small.reshape(20, -1).astype(float)
    assert np.allclose(grey(small) @ grey(small).T, np.corrcoef(flat), atol=1e-5)
    both = (grey(small) @ grey(small).T + edges(small) @ edges(small).T) / 2
    assert np.allclose(features(small) @ features(small).T, both, atol=1e-5)


def test_hashes_of_copies_differ_in_few_bits_and_those_of_others_in_many():
    drawn = thumbs([picture(number) for number in range(20)])[:, 0]
    copies = thumbs([jpeg(picture(number), 30) for number in range(20)])[:, 0]
    assert hash_distance(perceptual_hash(drawn), perceptual_hash(copies)).max() <= 4
    assert hash_distance(perceptual_hash(drawn), np.roll(perceptual_hash(drawn), 1, axis=0)).min() >= 12


def test_vectors_of_an_encoder_are_compared_within_and_between():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 8)).astype(np.float32)
    vectors[7], vectors[31] = vectors[3] * 2, vectors[3] + 0.01
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    within = [
        (a, b)
        for one, other, _ in near_pairs.near_vectors(vectors, None, 0.999, block=16)
        for a, b in zip(one, other, strict=True)
    ]
    assert sorted(within) == [(3, 7), (3, 31), (7, 31)]
    cross = near_pairs.near_vectors(vectors[:10], vectors[10:], 0.999, block=16)
    assert [(a, b) for one, other, _ in cross for a, b in zip(one, other, strict=True)] == [(3, 21), (7, 21)]


def test_clusters_are_those_of_one_search_through_all_pairs():
    rng = np.random.default_rng(0)
    clusters, neighbours = Clusters(300), {place: {place} for place in range(300)}
    for _ in range(6):
        one, other = rng.integers(0, 300, (2, 30))
        clusters.add(one, other)
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            joined = neighbours[a] | neighbours[b]
            for member in joined:
                neighbours[member] = joined
    expected = {frozenset(group) for group in neighbours.values()}
    labels = clusters.labels
    assert {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist())} == expected
    assert clusters.sizes().tolist() == sorted((len(group) for group in expected if len(group) > 1), reverse=True)
    assert all(labels[place] == min(neighbours[place]) for place in range(300))


def test_slakes_neighbouring_slices_are_found_and_strangers_are_not(real_data):
    import re

    from discern_vqa.imaging.fingerprints import fingerprints

    files = sorted((real_data("slake") / "imgs").glob("*/source.jpg"))
    numbers = np.array([int(re.sub(r"\D", "", file.parent.name)) for file in files])
    pairs = list(near_pairs.near_pairs(fingerprints(files).thumbs))
    one, other, likeness, greys = (
        np.concatenate([getattr(block, name) for block in pairs]) for name in ("one", "other", "likeness", "grey")
    )
    neighbours = abs(numbers[one] - numbers[other]) <= 5
    assert (len(one), int((greys >= SAME_GREY).sum())) == (225, 130)
    assert neighbours[likeness >= NEAR].mean() > 0.97
    assert neighbours[greys >= SAME_GREY].mean() > 0.97
