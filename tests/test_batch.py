"""Batches: one image for many texts, targets apart from inputs, partners, similar images; where images come from."""

from dataclasses import fields, replace

import pytest
import torch
from _tiny import CAPTIONS, LENGTH, QUESTIONS, TOKENIZER, VOCABULARY, Noise, batch, batcher, question, rng
from PIL import Image

from discern_vqa.data.batch import Batcher, Inputs
from discern_vqa.data.pairs import choose_partners
from discern_vqa.data.sources import PixelSource, StateSource, TextSource, augment
from discern_vqa.errors import ImageError


def test_an_image_is_in_a_batch_once_and_every_text_points_at_its_own():
    data = batch()
    samples = [*QUESTIONS, *CAPTIONS]
    assert len(data.inputs.image) == 4
    own = Noise().get([(sample.image, None) for sample in samples])[0]
    assert torch.equal(data.inputs.image[data.inputs.which], own)
    assert data.ids == tuple(sample.id for sample in samples)


def test_targets_say_answers_captions_and_what_is_equal():
    samples = [*QUESTIONS, *CAPTIONS, question(9, "a", QUESTIONS[0].question, "never seen")]
    targets = batch(samples).targets
    for row, sample in enumerate(samples):
        known = not sample.is_caption and sample.answer != "never seen"
        assert int(targets.answer[row]) == (VOCABULARY.index(sample.answer) if known else -1)
        assert bool(targets.is_caption[row]) is sample.is_caption
    for i, one in enumerate(samples):
        for j, other in enumerate(samples):
            assert bool(targets.image_key[i] == targets.image_key[j]) is (one.image == other.image)
            assert bool(targets.text_key[i] == targets.text_key[j]) is (one.text == other.text)


def test_what_a_model_sees_holds_no_answer():
    known = {"image", "which", "tokens", "keep", "words", "text_states", "prior"}
    assert {field.name for field in fields(Inputs)} == known
    given = batcher().inputs(QUESTIONS)
    changed = [replace(sample, answer="x", answer_type="open", question_type=()) for sample in QUESTIONS]
    other = batcher().inputs(changed)
    for field in fields(Inputs):
        one, two = getattr(given, field.name), getattr(other, field.name)
        assert one is two is None or torch.equal(one, two)


def test_inputs_with_and_without_targets_are_the_same():
    with_targets, without = batch(QUESTIONS).inputs, batcher().inputs(QUESTIONS)
    assert torch.equal(with_targets.image, without.image)
    assert torch.equal(with_targets.tokens, without.tokens)
    assert torch.equal(with_targets.which, without.which)


def test_a_partner_is_another_sample_of_the_same_organ_and_type():
    samples = [
        question(n, f"i{n}", "t", "yes", organ=("chest", "head", "")[n % 3], question_type=(("PRES",), ("POS",))[n % 2])
        for n in range(40)
    ] + [question(99, "x", "t", "yes", organ="leg"), *CAPTIONS]
    chosen = [choose_partners(samples, rng(seed)) for seed in range(20)]
    for partner in chosen:
        for row, other in enumerate(partner.tolist()):
            if row >= 40:
                assert other == -1, "no partner for one of its kind or a caption"
                continue
            assert other != row
            assert (samples[other].organ, samples[other].kind) == (samples[row].organ, samples[row].kind)
            assert not samples[other].is_caption
    assert len({int(partner[0]) for partner in chosen}) > 3, "partners change"
    assert torch.equal(chosen[0], choose_partners(samples, rng(0)))


def test_a_partner_can_be_held_to_the_same_answer_type_and_is_none_where_nothing_says_what_is_akin():
    asked = [
        question(n, f"i{n}", "t", "yes", organ="head", question_type=("PRES",), answer_type=("open", "closed")[n % 2])
        for n in range(20)
    ]
    free, held = choose_partners(asked, rng()), choose_partners(asked, rng(), same_answer_type=True)
    assert any(asked[int(other)].answer_type != one.answer_type for one, other in zip(asked, free, strict=True))
    assert all(asked[int(other)].answer_type == one.answer_type for one, other in zip(asked, held, strict=True))
    unknown = [question(n, f"i{n}", "t", "yes", organ="", question_type=()) for n in range(4)]
    assert choose_partners(unknown, rng()).tolist() == [-1] * 4


def test_a_similar_image_is_added_once_and_never_the_samples_own():
    similar = {"a": ["b", "c"], "b": [], "c": ["d"], "d": ["a"]}
    data = batch(QUESTIONS[:2], similar=similar)  # both about a, whose similar images are elsewhere
    assert 2 <= len(data.inputs.image) <= 3
    for row in range(2):
        near = int(data.targets.near[row])
        assert near != int(data.inputs.which[row])
        picture = Noise().get([(key, None) for key in similar["a"]])[0]
        assert any(torch.equal(data.inputs.image[near], one) for one in picture)
    whole = batch(QUESTIONS, similar=similar)
    assert len(whole.inputs.image) == 4, "a similar image that is in the batch already is taken from there"
    assert [int(near) for near in whole.targets.near[2:4]] == [-1, -1]
    assert bool((batch(QUESTIONS).targets.near == -1).all())


def test_a_batch_follows_from_its_generator_and_moves_to_a_device_whole():
    similar = {key: [other for other in "abcd" if other != key] for key in "abcd"}
    one, two = batch(seed=1, similar=similar), batch(seed=1, similar=similar)
    assert torch.equal(one.targets.near, two.targets.near)
    assert torch.equal(one.targets.partner, two.targets.partner)
    moved = one.to("cpu")
    assert torch.equal(moved.inputs.image, one.inputs.image)
    assert moved.ids == one.ids


# -- images --------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path) -> list:
    torch.manual_seed(0)
    keys = []
    for name in "ab":
        array = (torch.rand(20, 24) * 255).to(torch.uint8).numpy()
        Image.fromarray(array).save(tmp_path / f"{name}.png")
        keys.append((name, tmp_path / f"{name}.png"))
    return keys


def test_pixels_come_in_one_size_with_the_picture_to_reconstruct(files):
    image, picture = PixelSource(16, 8, True, False).get(files)
    assert image.shape == (2, 3, 16, 16)
    assert picture.shape == (2, 1, 8, 8)
    assert 0 <= float(image.min()) < float(image.max()) <= 1
    torch.testing.assert_close(picture, torch.nn.functional.avg_pool2d(image.mean(1, keepdim=True), 2))
    assert PixelSource(16, 16, False, False).get(files)[1].shape == (2, 3, 16, 16)


def test_pixels_change_when_learning_and_only_then(files):
    source = PixelSource(16, 16, True, True)
    plain = source.get(files)[0]
    assert torch.equal(plain, source.get(files)[0])
    assert not torch.equal(plain, source.get(files, rng(1))[0])
    assert torch.equal(source.get(files, rng(1))[0], source.get(files, rng(1))[0])
    still = PixelSource(16, 16, True, False)
    assert torch.equal(still.get(files, rng(1))[0], plain)


def test_augmentation_never_flips_and_stays_within_range():
    image = torch.zeros(30, 1, 32, 32)
    image[..., 8:24, 2:12] = 0.8  # the left half
    moved = augment(image, rng())
    assert float(moved.min()) >= 0
    assert float(moved.max()) <= 1
    assert bool((moved[..., :16].sum((1, 2, 3)) > moved[..., 16:].sum((1, 2, 3))).all())


def encode(pixels: torch.Tensor) -> torch.Tensor:
    """A stand-in for a frozen encoder: (U, 3, 16, 16) -> (U, 5, 3)."""
    cells = torch.nn.functional.avg_pool2d(pixels, 8).flatten(2).transpose(1, 2)
    return torch.cat([cells.mean(1, keepdim=True), cells], 1)


def test_cached_states_are_the_encoders_own_to_bf16_and_do_not_depend_on_order(files):
    first = StateSource(PixelSource(16, 8, True, False), encode, views=3)
    second = StateSource(PixelSource(16, 8, True, False), encode, views=3)
    image, picture = first.get(files)
    pixels = PixelSource(16, 8, True, False).get(files)
    torch.testing.assert_close(image, encode(pixels[0]), atol=4e-3, rtol=8e-3)
    torch.testing.assert_close(picture, pixels[1], atol=2e-3, rtol=0)
    second.add(*files[1])
    second.add(*files[0])
    for view in range(3):
        assert torch.equal(first.get(files, view=view)[0], second.get(files, view=view)[0])
    assert not torch.equal(first.get(files, view=1)[0], image)
    drawn = {tuple(first.get(files, rng(seed))[0][0, 0].tolist()) for seed in range(20)}
    assert len(drawn) == 3, "learning sees every view"


def test_a_cache_of_states_survives_being_dumped(files):
    source = StateSource(PixelSource(16, 8, True, False), encode, views=2)
    source.get(files)
    again = StateSource(PixelSource(16, 8, True, False), None, views=2)
    again.fill(source.dump())
    assert again.has(*files[0])
    assert not again.has("c", files[0][1])
    for one, other in zip(again.get(files, view=1), source.get(files, view=1), strict=True):
        assert torch.equal(one, other)


def test_kept_states_count_only_for_the_file_that_they_were_made_of(files, tmp_path):
    source = StateSource(PixelSource(16, 8, True, False), encode, views=2)
    before = source.get(files)[0]
    Image.new("L", (24, 20), 200).save(files[1][1])
    assert source.has(*files[1]), "looked at once: a program shows one image from its beginning to its end"
    again = StateSource(PixelSource(16, 8, True, False), encode, views=2)
    again.fill(source.dump())
    assert [again.has(*file) for file in files] == [True, False]
    assert torch.equal(again.get(files)[0][0], before[0])
    assert not torch.equal(again.get(files)[0][1], before[1])
    files[0][1].unlink()
    last = StateSource(PixelSource(16, 8, True, False), encode, views=2)
    last.fill(again.dump())
    with pytest.raises(ImageError, match="is not there"):
        last.get(files)


def test_text_states_are_computed_once_for_each_text():
    calls = []

    def states(length, ids, keep):
        calls.append(len(ids))
        assert keep.sum(1).max() <= length
        return ids[..., None].float().expand(-1, -1, 2)

    made = Batcher(TOKENIZER, VOCABULARY, LENGTH, Noise(), TextSource(states))
    inputs = made.inputs([*QUESTIONS, *QUESTIONS])
    assert sum(calls) == len(QUESTIONS)
    assert torch.equal(inputs.text_states[..., 0], inputs.tokens.float())
    made.inputs(QUESTIONS)
    assert sum(calls) == len(QUESTIONS)


def test_cached_pictures_can_come_in_a_second_view(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray((torch.rand(16, 16, generator=rng()) * 255).numpy().astype("uint8")).save(path)
    source = StateSource(PixelSource(16, 16, True, False), lambda image: image.flatten(2), views=6)
    made = Batcher(TOKENIZER, VOCABULARY, LENGTH, source)
    asked = [replace(question(1, "a", "is there a mass", "yes"), path=path)]
    assert made.batch(asked, rng()).targets.second is None
    made.second_view = True
    pairs = [made.batch(asked, rng(seed)) for seed in range(10)]
    assert any(not torch.equal(pair.inputs.image, pair.targets.second) for pair in pairs)
    views = [source.get([("a", path)], view=view)[0] for view in range(6)]
    assert all(any(torch.equal(pair.targets.second, view) for view in views) for pair in pairs)
