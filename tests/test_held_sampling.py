"""What is shuffled is shuffled: over the epochs every pair, every place and every word has its turn; and which images
are never similar."""

from collections import Counter
from dataclasses import replace
from itertools import combinations

import pytest
import torch
import torch.nn.functional as F
from _tiny import TOKENIZER, Noise, batcher, caption, finetuning, model, question, rng

from discern_vqa.data.pairs import similar_images
from discern_vqa.data.sampling import epoch_batches
from discern_vqa.nn.masking import hide_words


def share(found: Counter, name: object) -> float:
    return found[name] / sum(found.values())


# -- hidden words ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 1, 3])
def test_every_word_is_hidden_as_often_as_any_other_wherever_the_words_begin(first):
    """3 of 7 words, behind `first` special tokens and before another and padding; 2,000 rows."""
    words = torch.zeros(2000, 16, dtype=torch.bool)
    words[:, first : first + 7] = True
    hidden = hide_words(words, 0.4, rng(1))
    assert set(hidden.sum(1).tolist()) == {3}
    often = hidden.float().mean(0)
    torch.testing.assert_close(often[first : first + 7], torch.full((7,), 3 / 7), atol=0.04, rtol=0)
    assert not often[:first].any()
    assert not often[first + 7 :].any()


def test_every_word_of_a_question_is_hidden_as_often_as_any_other():
    tokens = TOKENIZER.encode(["on which side is the large round mass"] * 2000, 12)
    assert int(tokens.words[0].sum()) == 8
    assert not tokens.words[0, 0], "a question begins with a special token"
    hidden = hide_words(tokens.words, 0.25, rng(2))
    assert set(hidden.sum(1).tolist()) == {2}
    torch.testing.assert_close(hidden.float().mean(0)[1:9], torch.full((8,), 0.25), atol=0.04, rtol=0)


# -- batches -----------------------------------------------------------------------------------------------------------


def test_over_the_epochs_a_question_is_paired_with_every_other_of_its_organ_and_type_alike():
    alike = [question(n, f"image{n}", f"text {n}", "yes") for n in range(8)]
    other = [question(8 + n, f"image{n}", f"text {n}", "yes", organ="head") for n in range(4)]
    met = Counter()
    for epoch in range(400):
        met.update(tuple(sorted(pair)) for pair in epoch_batches([*alike, *other], 2, 0, epoch))
    chest, head = list(combinations(range(8), 2)), list(combinations(range(8, 12), 2))
    assert met.keys() == {*chest, *head}
    for pairs, expected in ((chest, 400 / 7), (head, 400 / 3)):
        assert all(0.6 * expected < met[pair] < 1.4 * expected for pair in pairs)


def test_batches_of_captions_and_of_questions_come_at_every_place_of_an_epoch():
    """4 batches of captions and 8 of questions: at each of 12 places a third are captions."""
    samples = [caption(n, f"image{n}", f"caption {n}") for n in range(16)]
    samples += [question(n, f"image{n % 16}", f"text {n}", "yes") for n in range(32)]
    places = torch.zeros(12)
    for epoch in range(600):
        batches = epoch_batches(samples, 4, 0, epoch)
        assert len(batches) == 12
        places += torch.tensor([float(samples[batch[0]].is_caption) for batch in batches])
    torch.testing.assert_close(places / 600, torch.full((12,), 1 / 3), atol=0.08, rtol=0)


@pytest.mark.parametrize("mixed", [False, True])
def test_images_come_in_another_order_and_company_in_every_epoch(mixed):
    """Six images, each with two questions; two images fill a batch: each other image is one of five companions."""
    samples = [question(n, f"image{n // 2}", f"text {n}", "yes") for n in range(12)]
    first, met = Counter(), Counter()
    for epoch in range(600):
        batches = epoch_batches(samples, 4, 0, epoch, per_image=2, mixed=mixed)
        images = [tuple(sorted({samples[row].image for row in batch})) for batch in batches]
        assert [len(pair) for pair in images] == [2, 2, 2]
        met.update(images)
        first.update([samples[batches[0][0]].image])
    assert len(met) == 15
    assert all(share(met, pair) == pytest.approx(1 / 15, abs=0.03) for pair in met)
    assert len(first) == 6
    assert all(share(first, image) == pytest.approx(1 / 6, abs=0.06) for image in first)


# -- similar images ----------------------------------------------------------------------------------------------------


def similar_by_hand(keys, h_img, groups, above) -> dict[str, set[str]]:
    return {
        key: {
            other
            for j, other in enumerate(keys)
            if j != i
            and float(F.cosine_similarity(h_img[i], h_img[j], dim=0)) > above
            and not (groups[i] and groups[i] == groups[j])
        }
        for i, key in enumerate(keys)
    }


@pytest.mark.parametrize("above", [-1.0, 0.0, 0.75])
def test_images_of_one_patient_are_never_similar_and_those_of_no_known_patient_may_be(above):
    torch.manual_seed(3)
    keys, h_img = [f"image{n}" for n in range(12)], torch.randn(12, 2)
    groups = ["p1", "p1", "", "p2", "", "p1", "p3", "p2", "", "p3", "p4", "p5"]
    found = similar_images(keys, h_img, above, groups=groups)
    assert {key: set(others) for key, others in found.items()} == similar_by_hand(keys, h_img, groups, above)
    assert found["image2"], "no patient is no group"


def test_a_fallback_is_never_an_image_of_the_same_patient():
    h_img = torch.tensor([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0]])
    found = similar_images(["a", "b", "c"], h_img, 1.0, groups=["p", "p", ""], fallback=True)
    assert found == {"a": ["c"], "b": ["c"], "c": ["b"]}


def patients() -> list:
    """Twelve images of four patients, two questions each."""
    return [
        question(n, f"image{n % 12}", f"text {n}", "yes", group=f"p{n % 12 % 4}" if n % 12 < 10 else "")
        for n in range(24)
    ]


def test_fine_tuning_takes_no_image_of_the_same_patient_for_similar():
    samples = patients()
    group = {sample.image: sample.group for sample in samples}
    found = finetuning(model(), similar_above=-1.0).similar(samples, batcher())
    assert found.keys() == group.keys()
    for image, others in found.items():
        assert set(others) == {
            other for other in group if other != image and not (group[image] and group[other] == group[image])
        }
    fallback = finetuning(model(), similar_above=1.0, similar_fallback=True).similar(samples, batcher())
    assert all(group[image] != group[near] or not group[image] for image, (near,) in fallback.items())


def test_similar_images_follow_from_features_without_dropout_or_the_norms_of_a_batch():
    """A model that is being trained is asked; the answer is the one it gives when it answers questions."""
    samples = [replace(sample, group="") for sample in patients()]
    keys = [f"image{n}" for n in range(12)]
    net = model()
    net.image.blocks.append(torch.nn.Dropout(0.9))  # an encoder with dropout
    with torch.no_grad():
        h_img = net.eval().image(Noise().get([(key, key) for key in keys])[0]).h
    cosine = F.cosine_similarity(h_img[:, None], h_img[None], dim=-1)
    pairs = cosine[torch.ones(12, 12).triu(1).bool()].sort().values
    above = float(pairs[32:34].mean())  # half of the 66 pairs are above, and none is equal to it
    norms = {name: tensor.clone() for name, tensor in net.image.named_buffers()}
    assert norms, "batch norm has running figures"
    found = finetuning(net.train(), similar_above=above).similar(samples, batcher())
    assert {key: set(others) for key, others in found.items()} == similar_by_hand(keys, h_img, [""] * 12, above)
    assert net.training, "and it goes on being trained"
    assert all(torch.equal(tensor, norms[name]) for name, tensor in net.image.named_buffers())
