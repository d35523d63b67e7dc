"""Left and right: a mirrored picture's words are mirrored too, or it is left as it is. Whole data sets are tried."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from _tiny import LENGTH, TOKENIZER, Noise, question, rng

from discern_vqa import registry
from discern_vqa.data.answers import AnswerVocabulary
from discern_vqa.data.batch import Batcher
from discern_vqa.data.languages import with_languages
from discern_vqa.data.laterality import asks_side, is_mirrored, mirrored, mirrored_text, names_side, plain_name
from discern_vqa.data.pairs import Pairing
from discern_vqa.data.sample import Sample
from discern_vqa.data.sources import PixelSource, StateSource
from discern_vqa.datasets import phantom
from discern_vqa.imaging.images import load_image


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("Is the left lung normal?", "Is the right lung normal?"),
        ("Right-sided effusion, LEFT lobe", "Left-sided effusion, RIGHT lobe"),
        ("the leftmost organ, rightwards", "the rightmost organ, leftwards"),
        ("R vs L, (R) kidney, L-sided", "L vs R, (L) kidney, R-sided"),
        ("Rt. lung, LUL, rlq", "Lt. lung, RUL, llq"),
        ("L/R", "R/L"),
        ("\u56fe\u50cf\u5de6\u4fa7\u7684, \u53f3\u80ba", "\u56fe\u50cf\u53f3\u4fa7\u7684, \u5de6\u80ba"),
        ("a bright spot in the upright film, both lateral ventricles", None),
        ("cleft palate, leftover, brightness", None),
        ("", None),
    ],
)
def test_the_words_of_a_side_are_swapped_and_others_stay(text, other):
    assert mirrored_text(text) == (text if other is None else other)
    assert names_side(text) is (other is not None)
    assert mirrored_text(mirrored_text(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "dextrocardia", "situs inversus", "right middle lobe", "RML", "left ventricular aneurysm", "LAD stenosis",
        "a right-to-left shunt", "at 3 o'clock", "what is left?", "all right", "there is no fluid left.", "L 4-5",
        "L4 fracture", "R/O pneumonia", "bladde r", "small left colon syndrome", "\u5de6\u53f3\u5bf9\u79f0",
        "a mirror image",
    ],
)  # fmt: skip
def test_what_cannot_be_swapped_safely_is_refused(text):
    assert mirrored_text(text) is None
    assert mirrored(question(1, "a", text, "yes")) is None
    assert mirrored(question(1, "a", "What is it?", text)) is None


def test_a_question_about_the_side_needs_an_answer_that_names_it():
    assert asks_side("Which side is abnormal?")
    assert mirrored(question(1, "a", "Which side is abnormal?", "both")) is None
    assert mirrored(question(1, "a", "Which side is abnormal?", "the left")).answer == "the right"
    assert mirrored(question(1, "a", "Is the effusion unilateral?", "yes")) is None


def test_a_mirrored_sample_is_another_image_and_keeps_no_boxes():
    sample = question(1, "a.png", "Is the left lung normal?", "no", mask="m.png", extra={"boxes": [1]})
    copy = mirrored(replace(sample, path=Path("x/a.png")))
    assert (copy.image, copy.path, copy.mask) == ("a.png#mirror=yes", Path("x/a.png#mirror=yes"), "m.png#mirror=yes")
    assert dict(copy.extra) == {}
    assert (is_mirrored(copy), plain_name(copy.image)) == (True, "a.png")
    assert mirrored(copy) is None


# Whole data sets

SIDE = re.compile("left|right|(?<![a-z0-9])[lr]t?(?![a-z0-9])|[lr][ul][lq]\\b|\u5de6|\u53f3", re.IGNORECASE)
SWAPPED = {"left": "right", "l": "r", "lt": "rt"} | {f"l{which}": f"r{which}" for which in ("ul", "ll", "uq", "lq")}
SWAPPED |= {"\u5de6": "\u53f3"}
SWAPPED |= {other: one for one, other in SWAPPED.items()}


def check(samples: list[Sample]) -> tuple[int, int, int]:
    """(as they are, words changed, refused); fails on a sample that is mirrored with a side's word left standing."""
    counts = [0, 0, 0]
    for sample in samples:
        copy = mirrored(sample)
        if copy is None:
            counts[2] += 1
            continue
        for before, after in (
            (sample.question, copy.question),
            (sample.answer, copy.answer),
            (sample.caption, copy.caption),
        ):
            one, two = (re.sub(r"\w*(?:b|p|c|f|w)(?:right|left)\w*", "", text.lower()) for text in (before, after))
            sides, turned = SIDE.findall(one), SIDE.findall(two)
            assert [SWAPPED[side] for side in sides] == turned, f"{sample.source}: {before!r} -> {after!r}"
            assert SIDE.sub("", one) == SIDE.sub("", two)
        changed = (copy.question, copy.answer, copy.caption) != (sample.question, sample.answer, sample.caption)
        counts[int(changed)] += 1
    return counts[0], counts[1], counts[2]


def test_no_phantom_is_mirrored_with_its_words_unchanged(tmp_path):
    phantom.draw(tmp_path, images=150, size=32, seed=0)
    samples = [sample for split in phantom.SPLITS for sample in phantom.read(tmp_path, split)]
    same, changed, refused = check(samples)
    print(f"phantom: {same} as they are, {changed} changed, {refused} refused")
    assert same > 500
    assert changed > 150


@pytest.mark.parametrize(
    ("name", "parts", "least_changed", "most_refused"),
    [("vqa_rad", ("train", "test"), 600, 30), ("vqa_med_2019", ("train",), 40, 40)],
)
def test_no_sample_of_a_real_set_is_mirrored_with_its_words_unchanged(
    real_data, name, parts, least_changed, most_refused
):
    module, root = registry.load("datasets", name), real_data(name)
    same, changed, refused = check(with_languages([sample for part in parts for sample in module.read(root, part)]))
    print(f"{name}: {same} as they are, {changed} changed, {refused} refused")
    assert changed >= least_changed
    assert refused <= most_refused
    assert same > changed


@pytest.mark.parametrize("language", ["en", "zh"])
def test_slake_in_both_languages(real_data, language):
    files = [real_data("slake") / f"{part}.json" for part in ("train", "validate")]
    rows = [row for file in files for row in json.loads(file.read_text(encoding="utf-8"))]
    samples = [
        question(row["qid"], row["img_name"], row["question"], row["answer"])
        for row in rows
        if row["q_lang"] == language
    ]
    same, changed, refused = check(samples)
    print(f"slake {language}: {same} as they are, {changed} changed, {refused} refused")
    assert changed > 700
    assert refused < 40


# In batches

ANSWERS = ["yes", "no", "left lung", "right lung", "left"]


def learning(mirror: bool, source=None) -> Batcher:
    return Batcher(TOKENIZER, AnswerVocabulary.from_answers(ANSWERS, "lower"), LENGTH, source or Noise(), mirror=mirror)


def asked(image: str, path: Path = Path("x.png")) -> list[Sample]:
    return [
        replace(question(1, image, "Where is the mass?", "left lung"), path=path),
        replace(question(2, image, "Is there a mass?", "yes"), path=path),
    ]


def test_half_of_the_images_are_mirrored_with_all_that_is_said_about_them():
    made = learning(True)
    turned = 0
    for seed in range(60):
        first, second = made._mirrored(asked("a"), rng(seed))
        assert (first.answer, first.image) in (("left lung", "a"), ("right lung", "a#mirror=yes"))
        assert second.image == first.image
        turned += is_mirrored(first)
    assert 15 < turned < 45


def test_an_image_stays_when_one_text_cannot_follow():
    made = learning(True)
    for seed in range(20):
        for text, answer in (("Is this dextrocardia?", "no"), ("Which side?", "left")):  # "right" is not in the table
            samples = [*asked("a"), question(3, "a", text, answer)]
            assert made._mirrored(samples, rng(seed)) == samples


def test_without_the_switch_nothing_is_drawn_or_changed():
    plain = Batcher(TOKENIZER, AnswerVocabulary.from_answers(ANSWERS, "lower"), LENGTH, Noise())
    for seed in range(5):
        one, two = plain.batch(asked("a"), rng(seed)), learning(False).batch(asked("a"), rng(seed))
        assert torch.equal(one.inputs.image, two.inputs.image)
        assert torch.equal(one.targets.answer, two.targets.answer)
        assert torch.equal(one.inputs.image, Noise().get([("a", None)])[0])


@pytest.mark.parametrize("cached", [False, True])
def test_the_pixels_are_mirrored_with_the_answer_and_the_similar_image_too(tmp_path, cached):
    from PIL import Image

    paths = {}
    for number, name in enumerate(("a", "b")):
        picture = np.random.default_rng(number).integers(0, 255, (16, 16)).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
        paths[name] = tmp_path / f"{name}.png"
    pixels = PixelSource(16, 16, True, False)
    source = StateSource(pixels, lambda image: image.flatten(2), views=1) if cached else pixels
    made = learning(True, source)
    samples = asked("a", paths["a"])
    made.pairing = Pairing({"a": ["b"]}, paths)
    seen = set()
    for seed in range(20):
        data = made.batch(samples, rng(seed))
        turned = made.vocabulary.answers[int(data.targets.answer[0])] == "right lung"
        seen.add(turned)
        for row, name in ((0, "a"), (int(data.targets.near[0]), "b")):
            expected = torch.from_numpy(load_image(paths[name], 16, "grey")[..., 0].copy()).float() / 255
            expected = expected.flip(1) if turned else expected
            torch.testing.assert_close(data.targets.image[row, 0], expected, atol=3e-3, rtol=0)
            given = data.inputs.image[row, 0].reshape(16, 16)
            torch.testing.assert_close(given, expected, atol=4e-3, rtol=4e-3)
    assert seen == {False, True}


def test_the_same_seed_mirrors_the_same_images():
    for seed in range(5):
        one, two = (learning(True).batch(asked("a"), rng(seed)) for _ in range(2))
        assert torch.equal(one.inputs.image, two.inputs.image)
        assert torch.equal(one.targets.answer, two.targets.answer)
