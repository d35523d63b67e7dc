"""Which samples travel together, and which images are similar: functions of (samples, seed, epoch); nothing is lost."""

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from _tiny import caption, question

from discern_vqa.data import pairs
from discern_vqa.data.pairs import similar_images
from discern_vqa.data.sampling import epoch_batches
from discern_vqa.lab.faults import IncompleteBatchDropped

KINDS = [("PRES",), ("POS",), ("MODALITY", "PRES")]
QUESTIONS = [
    question(n, f"image{n % 9}", f"text {n}", "yes", organ=("chest", "head")[n % 2], question_type=KINDS[n % 3])
    for n in range(50)
]
CAPTIONS = [caption(n, f"image{n % 9}", f"caption {n}") for n in range(20)]
BOTH = [*QUESTIONS, *CAPTIONS]


@pytest.mark.parametrize("settings", [{}, {"per_image": 3}, {"per_image": 3, "mixed": True}])
def test_batches_follow_from_seed_and_epoch(settings):
    first = epoch_batches(BOTH, 8, 0, 0, **settings)
    assert first == epoch_batches(BOTH, 8, 0, 0, **settings)
    assert first != epoch_batches(BOTH, 8, 0, 1, **settings)
    assert first != epoch_batches(BOTH, 8, 1, 0, **settings)


def test_every_question_comes_once_in_an_epoch():
    rows = [row for batch in epoch_batches(QUESTIONS, 8, 0, 0) for row in batch]
    assert sorted(rows) == list(range(len(QUESTIONS)))


def test_questions_travel_with_a_partner_of_the_same_organ_and_type():
    groups = Counter((sample.organ, sample.kind) for sample in QUESTIONS)
    alone = 0
    for batch in epoch_batches(QUESTIONS, 8, 3, 0):
        assert len(batch) <= 8
        here = Counter((QUESTIONS[row].organ, QUESTIONS[row].kind) for row in batch)
        alone += sum(count == 1 for count in here.values())
    assert alone <= sum(count % 2 for count in groups.values()), "only the odd one of a group may be without a partner"


def test_captions_of_a_batch_are_of_distinct_images_and_only_a_batch_of_one_is_left_out():
    batches = epoch_batches(CAPTIONS, 8, 0, 0)
    for batch in batches:
        images = [CAPTIONS[row].image for row in batch]
        assert len(images) == len(set(images)) > 1
    seen = Counter(row for batch in batches for row in batch)
    assert set(seen.values()) == {1}
    assert len(CAPTIONS) - len(seen) <= math.ceil(len(CAPTIONS) / 9)


def test_batches_are_of_one_type_unless_they_are_mixed():
    for batch in epoch_batches(BOTH, 8, 0, 0):
        assert len({BOTH[row].is_caption for row in batch}) == 1
    order = [BOTH[batch[0]].is_caption for batch in epoch_batches(BOTH, 4, 0, 0)]
    assert order != sorted(order), "types come in random order"


def test_per_image_an_images_questions_and_its_caption_stay_together():
    seen = Counter()
    for batch in epoch_batches(BOTH, 10, 0, 0, per_image=3, mixed=True):
        here = Counter(BOTH[row].image for row in batch if not BOTH[row].is_caption)
        assert set(here.values()) == {3}
        captioned = Counter(BOTH[row].image for row in batch if BOTH[row].is_caption)
        assert captioned == Counter(dict.fromkeys(here, 1))
        seen.update(here.keys())
    assert seen == Counter({f"image{n}": 1 for n in range(9)})


def test_over_the_epochs_every_question_of_an_image_has_its_turn():
    rows = {row for epoch in range(30) for batch in epoch_batches(QUESTIONS, 8, 0, epoch, per_image=2) for row in batch}
    assert rows == set(range(len(QUESTIONS)))


def test_images_of_one_group_stand_side_by_side():
    twins = [replace(sample, group=f"pair{int(sample.image[5:]) // 2}") for sample in QUESTIONS]
    rows = [row for batch in epoch_batches(twins, 12, 0, 0, per_image=2) for row in batch]
    groups = [twins[row].group for row in rows]
    changes = sum(one != other for one, other in zip(groups, groups[1:], strict=False))
    assert changes == len(set(groups)) - 1


def test_one_sample_is_one_batch_and_none_is_none():
    assert epoch_batches(QUESTIONS[:1], 8, 0, 0) == [[0]]
    assert epoch_batches([], 8, 0, 0) == []
    assert epoch_batches(CAPTIONS[:1], 8, 0, 0) == [], "a caption alone has no negatives"


# -- similar images --------------------------------------------------------------------------------

KEYS = [f"image{n}" for n in range(12)]
D7 = IncompleteBatchDropped()


def features() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(12, 3)


def test_the_batch_that_was_not_filled_can_be_left_out():
    batches = [[1, 2, 3, 4], [5, 6], [7, 8, 9], [10, 11, 12, 13]]
    assert D7.batches(batches, 4) == [[1, 2, 3, 4], [7, 8, 9], [10, 11, 12, 13]]
    assert D7.batches([[1, 2, 3], [4, 5, 6, 7]], 4) == [[1, 2, 3], [4, 5, 6, 7]], "pairs are not torn apart"
    assert D7.batches([[1]], 4) == [[1]]


@pytest.mark.parametrize(("count", "left"), [(8, 8), (9, 8), (11, 8), (3, 3), (0, 0)])
def test_of_what_is_judged_the_last_samples_that_fill_no_batch_can_be_left_out(count, left):
    assert D7.evaluated(QUESTIONS[:count], 4) == QUESTIONS[:left]


@pytest.mark.parametrize("threshold", [0.75, 0.0, -1.0, 0.999])
def test_similar_images_are_those_above_the_threshold_without_the_image_itself(threshold):
    h_img = features()
    found = similar_images(KEYS, h_img, threshold)
    for i, key in enumerate(KEYS):
        expected = {
            KEYS[j] for j in range(12) if j != i and float(F.cosine_similarity(h_img[i], h_img[j], dim=0)) > threshold
        }
        assert set(found[key]) == expected
        assert key not in found[key]


def test_similar_images_can_be_held_to_one_organ_to_a_quantile_and_to_the_nearest():
    h_img = features()
    organs = ["chest", "head"] * 6
    for key, others in similar_images(KEYS, h_img, -1.0, organs).items():
        assert {organs[KEYS.index(other)] for other in others} == {organs[KEYS.index(key)]}
    share = sum(map(len, similar_images(KEYS, h_img, percentile=0.75).values())) / (12 * 11)
    assert share == pytest.approx(0.25, abs=0.02)
    nearest = similar_images(KEYS, h_img, -1.0, nearest=2)
    cosine = F.cosine_similarity(h_img[:, None], h_img[None], dim=-1)
    for i, key in enumerate(KEYS):
        order = sorted((j for j in range(12) if j != i), key=lambda j: -float(cosine[i, j]))  # noqa: B023
        assert set(nearest[key]) == {KEYS[j] for j in order[:2]}


def test_an_image_without_a_similar_one_can_fall_back_on_the_nearest_that_is_allowed():
    h_img, organs = features(), ["chest", "head"] * 5 + ["leg", "arm"]
    found = similar_images(KEYS, h_img, 1.0, organs, fallback=True)
    cosine = F.cosine_similarity(h_img[:, None], h_img[None], dim=-1)
    for i, key in enumerate(KEYS[:10]):
        like = [j for j in range(12) if j != i and organs[j] == organs[i]]
        assert found[key] == [KEYS[max(like, key=lambda j: float(cosine[i, j]))]]  # noqa: B023
    assert found[KEYS[10]] == found[KEYS[11]] == [], "nothing of their organ"


def test_many_images_are_compared_piece_by_piece_and_keep_their_nearest(monkeypatch):
    h_img = features()
    organs, groups = ["chest", "head", "chest"] * 4, ["p", "", "q"] * 4
    settings = [{"percentile": 0.6}, {"organs": organs, "groups": groups}, {"similar_above": 1.0, "fallback": True}]
    whole = [similar_images(KEYS, h_img, **given) for given in settings]
    nearest = similar_images(KEYS, h_img, -1.0, nearest=3)
    monkeypatch.setattr(pairs, "MOST_PAIRS", 12 * 11)
    assert [similar_images(KEYS, h_img, **given) for given in settings] == whole
    monkeypatch.setattr(pairs, "MOST_PAIRS", 12 * 3)
    assert similar_images(KEYS, h_img, -1.0) == nearest


def test_a_single_image_has_nobody():
    assert similar_images(["only"], torch.randn(1, 3), percentile=0.5) == {"only": []}
