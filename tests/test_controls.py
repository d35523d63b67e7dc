"""Wrong images, what is gained by the right one, and sides that must follow a mirrored image."""

import numpy as np
import pytest
import torch
from _tiny import question

from discern_vqa.data.ablated_images import BlankImages, ShuffledImages
from discern_vqa.data.sources import PixelSource, StateSource
from discern_vqa.datasets import phantom
from discern_vqa.measurements import mirror, reliance, warnings
from discern_vqa.measurements.controls import controls, shuffled, wrong_organ
from discern_vqa.report.terminal import as_table
from discern_vqa.scoring.intervals import clustered_bootstrap
from discern_vqa.scoring.predictions import Prediction

ORGANS = ("chest", "head", "abdomen")


def asked(n: int = 30, organs: tuple[str, ...] = ORGANS, images: int = 9):
    return [question(i, f"{i % images}.png", "is it", "yes", organ=organs[i % images % len(organs)]) for i in range(n)]


def rows(right, prefix: str = "", kinds: str = "closed"):
    return [
        Prediction(id=str(i), image=f"{i // 3}", gold="yes", answer_type=kinds, prediction="yes" if hit else "no")
        for i, hit in enumerate(right)
    ]


# -- which images ----------------------------------------------------------------------------------------------------


def test_images_trade_places_and_none_keeps_its_own():
    many = asked(images=7)
    for seed in range(10):
        moved = shuffled(many, seed)
        assert all(one.image != other.image and one.path != other.path for one, other in zip(many, moved, strict=True))
        assert [one.id for one in moved] == [one.id for one in many]
        assert len({(one.image, other.image) for one, other in zip(many, moved, strict=True)}) == 7


def test_the_wrong_organ_is_never_the_right_one_and_follows_from_the_seed():
    many = asked()
    organ = {sample.image: sample.organ for sample in many}
    for seed in range(5):
        moved = wrong_organ(many, seed)
        assert set(moved) == set(range(len(many)))
        assert all(organ[moved[place].image] != many[place].organ for place in moved)
        assert all(str(one.path) == one.image for one in moved.values())
        assert moved == wrong_organ(many, seed)
    assert wrong_organ(many, 0) != wrong_organ(many, 1)


def test_an_image_with_two_organs_is_shown_for_neither():
    both = [question(0, "a", "is it", "yes", organ="chest"), question(1, "a", "is it", "yes", organ="abdomen")]
    both += [question(2, "b", "is it", "yes", organ="chest"), question(3, "c", "is it", "yes", organ="head")]
    for seed in range(8):
        moved = wrong_organ(both, seed)
        assert moved[0].image == moved[1].image == "c"
        assert moved[2].image == "c"
        assert moved[3].image in "ab"


def test_what_cannot_be_had_is_left_out_and_said():
    one_organ = controls(asked(organs=("chest",)))["wrong_organ_image"]
    assert (one_organ.places, one_organ.missing) == ((), "the data name one organ only, chest")
    assert controls(asked(organs=("",)))["wrong_organ_image"].missing == "the data name no organ"
    one_image = controls(asked(images=1))["shuffled_image"]
    assert one_image.places == ()
    assert "one image" in one_image.missing
    with pytest.raises(ValueError, match="1 image"):
        shuffled(asked(images=1), 0)
    some = controls(asked(organs=("chest", "", "head")))["wrong_organ_image"]
    assert 0 < len(some.places) < 30
    assert some.missing.endswith("of 30 questions are about images without a known organ")
    assert all(len(one.places) == len(one.asked) for one in controls(asked()).values())


# -- what is shown -----------------------------------------------------------------------------------------------------


@pytest.fixture
def pixels(tiny_run):
    keys = [(path.name, path) for path in sorted((tiny_run.parent / "phantoms" / "images" / "test").glob("*.png"))[:3]]
    return PixelSource(64, 32, grey=True, augment=False), keys


def test_noise_has_the_greys_of_its_image_in_another_order(pixels):
    source, keys = pixels
    real, _ = source.get(keys)
    noise, picture = ShuffledImages(source).get(keys)
    assert torch.equal(noise.flatten(2).sort().values, real.flatten(2).sort().values)
    assert picture.shape == (3, 1, 32, 32)
    near = [(image[:, :, 1:] - image[:, :, :-1]).abs().mean() for image in (real[0], noise[0])]
    assert near[1] > 4 * near[0], "neighbours have nothing to do with each other"
    assert torch.equal(noise[0, 0], noise[0, 2]), "the colours of a point stay together"
    assert torch.equal(ShuffledImages(source).get(keys[1:2])[0][0], noise[1]), "the same in every batch"
    assert not torch.equal(ShuffledImages(source, seed=1).get(keys)[0], noise)
    assert torch.equal(source.get(keys)[0], real), "the source is as it was"


def test_a_frozen_encoder_gets_states_of_what_stands_in(pixels):
    source, keys = pixels
    states = StateSource(source, lambda image: image.flatten(2).mean(2)[:, None], views=2)
    noise, _ = ShuffledImages(states).get(keys)
    assert noise.shape == (3, 1, 3)
    assert torch.allclose(noise[:, 0], source.get(keys)[0].flatten(2).mean(2), atol=1e-5), "the mean does not move"
    assert torch.allclose(BlankImages(states).get(keys)[0], torch.full((3, 1, 3), 0.5))
    assert BlankImages(source).get(keys)[0].shape == (3, 3, 64, 64)


# -- reliance ----------------------------------------------------------------------------------------------------------


def test_reliance_is_the_gain_over_the_best_control_and_its_share_of_what_is_right():
    right = rows([True] * 45 + [False] * 15)
    wrong = {"blank_image": rows([True] * 15 + [False] * 45), "shuffled_image": rows([True] * 30 + [False] * 30)}
    found = reliance.reliance(right, wrong)
    overall = found["overall"]
    assert (overall["against"], overall["n"], overall["images"]) == ("shuffled_image", 60, 20)
    assert (overall["accuracy"], overall["without"]) == (0.75, 0.5)
    assert overall["points"] == pytest.approx(0.25)
    assert overall["share"] == pytest.approx(1 / 3)
    assert found["closed"] == overall
    assert (found["open"]["n"], found["open"]["points"]) == (0, None)
    assert found["controls"]["blank_image"]["points"] == pytest.approx(0.5)
    assert reliance.reliance(right, {}) == {}


def test_of_one_control_it_is_the_paired_bootstrap():
    rng = np.random.default_rng(0)
    right, wrong = rng.random(90) < 0.7, rng.random(90) < 0.5
    clusters = [str(i // 3) for i in range(90)]
    found = reliance.gap(right.astype(float), {"blank": wrong.astype(float)}, clusters)
    assert found["ci95"] == pytest.approx(clustered_bootstrap(right.astype(float) - wrong, clusters))
    assert found["share_ci95"][0] < found["share"] < found["share_ci95"][1]


def test_what_is_claimed_for_the_picture_is_there():
    """Three controls of the same true accuracy: the lower end may lie above the truth once in forty, no more."""
    rng = np.random.default_rng(3)
    above, points = 0, []
    for _ in range(200):
        skill = np.repeat(rng.beta(4, 4, 60), 4)  # what an image's questions share
        clusters = [str(i // 4) for i in range(240)]
        right = (rng.random(240) < skill + 0.2 * (1 - skill)).astype(float)
        wrong = {name: (rng.random(240) < skill).astype(float) for name in "abc"}
        found = reliance.gap(right, wrong, clusters)
        above += found["ci95"][0] > 0.1
        points.append(found["points"])
    assert above / 200 <= 0.05
    assert 0.05 < np.mean(points) < 0.1, "a little too low, as the best of three is a little lucky"


def test_questions_that_a_control_did_not_ask_are_out_of_the_whole_and_in_the_others():
    right = rows([True] * 60)
    wrong = {"blank_image": rows([False] * 60), "wrong_organ_image": rows([False] * 60)[:36]}
    found = reliance.reliance(right, wrong)
    assert (found["overall"]["n"], found["controls"]["blank_image"]["n"]) == (36, 60)


def test_few_images_have_no_interval_and_nothing_right_has_no_share():
    few = reliance.reliance(rows([True] * 9), {"blank_image": rows([False] * 9)})["overall"]
    assert (few["points"], few["ci95"]) == (1.0, None)
    none = reliance.reliance(rows([False] * 60), {"blank_image": rows([False] * 60)})["overall"]
    assert (none["points"], none["share"], none["share_ci95"]) == (0, None, None)


def test_a_picture_that_adds_nothing_is_warned_of():
    scores = {"overall": {"accuracy": 0.5, "ci95": [0.4, 0.6]}}
    same = rows([True] * 30 + [False] * 30)
    blind = scores | {"reliance": reliance.reliance(same, {"blank_image": same})}
    assert "not shown to matter" in warnings(blind)[0]
    seeing = scores | {"reliance": reliance.reliance(same, {"blank_image": rows([False] * 60)})}
    assert warnings(seeing) == []


# -- the mirror --------------------------------------------------------------------------------------------------------

SIDED = [
    question(0, "a", "On which side is it?", "left"),
    question(1, "b", "Where is it, left or right?", "right"),
    question(2, "c", "Is it on the left?", "yes"),
    question(3, "d", "Is it there?", "no"),
    question(4, "e", "Which lobe is it in?", "right middle lobe"),
]


def answers(samples, texts):
    return [
        Prediction(id=s.id, image=s.image, gold=s.answer, answer_type="closed", prediction=text)
        for s, text in zip(samples, texts, strict=True)
    ]


def outcome(group: str, before: list[str], after: list[str], copies: int = 12):
    turned = mirror.questions(SIDED)[group]
    plain = answers([SIDED[place] for place in turned.places] * copies, before * copies)
    plain = [Prediction(**{**vars(row), "image": str(i)}) for i, row in enumerate(plain)]
    return mirror.compared(plain, answers(turned.asked * copies, after * copies), group=group, normalise="lower")


def test_questions_about_sides_are_mirrored_in_picture_and_words_or_counted():
    found = mirror.questions(SIDED)
    in_answer, in_question = found[mirror.IN_ANSWER], found[mirror.IN_QUESTION]
    assert (in_answer.places, in_answer.left_out) == ((0, 1), 1), "only the right lung has a middle lobe"
    assert [sample.answer for sample in in_answer.asked] == ["right", "left"]
    assert all(sample.path.name.endswith("#mirror=yes") for sample in in_answer.asked)
    assert in_question.places == (2,)
    assert (in_question.asked[0].question, in_question.asked[0].answer) == ("Is it on the right?", "yes")


def test_looking_follows_the_mirror_and_never_looking_does_not():
    looks = outcome(mirror.IN_ANSWER, ["left", "right"], ["right", "left"])
    assert [looks[key]["accuracy"] for key in ("plain", "mirrored", "both", "followed")] == [1, 1, 1, 1]
    blind = outcome(mirror.IN_ANSWER, ["left", "right"], ["left", "right"])
    assert [blind[key]["accuracy"] for key in ("plain", "mirrored", "both", "followed")] == [1, 0, 0, 0]
    wrong_but_looks = outcome(mirror.IN_ANSWER, ["right", "no"], ["left", "no"])
    assert wrong_but_looks["followed"] | {"ci95": 0} == {"n": 12, "correct": 12, "accuracy": 1, "ci95": 0}
    assert wrong_but_looks["both"]["correct"] == 0
    stays = outcome(mirror.IN_QUESTION, ["no"], ["no"])
    assert (stays["followed"]["accuracy"], stays["plain"]["accuracy"]) == (1, 0)


def test_sides_that_do_not_follow_are_warned_of_and_both_are_printed():
    scores = {"n": 24, "overall": {"n": 24, "correct": 24, "accuracy": 1.0, "ci95": [0.9, 1.0]}}
    blind = scores | {"mirror": {mirror.IN_ANSWER: outcome(mirror.IN_ANSWER, ["left", "right"], ["left", "right"])}}
    assert "left and right are not to be believed: 0 of 24" in as_table(blind)
    followed = {"n": 1, "correct": 0, "accuracy": 0.0, "ci95": [0.0, 0.79]}
    (few,) = mirror.warnings({"mirror": {mirror.IN_ANSWER: {"followed": followed}}})
    assert few.startswith("left and right are not shown to follow the image: 0 of 1 answers")
    looks = scores | {"mirror": {mirror.IN_ANSWER: outcome(mirror.IN_ANSWER, ["left", "right"], ["right", "left"])}}
    assert warnings(looks) == []
    assert "24 of 24 answers changed sides with the image" in as_table(looks)


def test_the_phantoms_have_both_kinds(tiny_run):
    found = mirror.questions([s for s in phantom.read(tiny_run.parent / "phantoms", "test") if not s.is_caption])
    assert all(found[group].places for group in mirror.GROUPS)
