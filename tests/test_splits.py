"""Splits: what belongs together stays together, the parts have the promised size, and order does not matter."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discern_vqa.data.answers import normaliser
from discern_vqa.data.sample import Sample
from discern_vqa.data.splits import components, hold_out_validation, image_disjoint
from discern_vqa.datasets import vqa_rad
from discern_vqa.errors import ConfigError, DataError

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # machines may be busy


def sample(number: int, image: str, **fields) -> Sample:
    known = {"question": f"question {number}", "answer": "yes", "split": "train"} | fields
    return Sample(id=f"{number:04}", image=image, path=Path(image), **known)


SAMPLES = st.lists(
    st.tuples(
        st.integers(0, 9),
        st.sampled_from(["", "", "p", "q"]),
        st.sampled_from(["", "", "t"]),
        st.sampled_from(["freeform", "para", "frame"]),
        st.booleans(),
        st.integers(0, 5),
    ),
    min_size=2,
    max_size=40,
).map(
    lambda rows: [
        sample(
            number,
            f"{image}.png",
            group=group,
            twin=twin,
            phrase_type=phrase,
            **({"caption": "c", "question": "", "answer": ""} if caption else {"question": f"what {asked}?"}),
        )
        for number, (image, group, twin, phrase, caption, asked) in enumerate(rows)
    ]
)


def bonds(samples) -> set[tuple[str, str]]:
    return {
        (kind, key)
        for row in samples
        for kind, key in (("image", row.image), ("group", row.group), ("twin", row.twin))
        if key
    }


def ids(samples) -> list[str]:
    return [row.id for row in samples]


@unhurried
@given(samples=SAMPLES, seed=st.integers(0, 3))
def test_no_image_group_or_twin_is_on_both_sides_of_a_fold(samples, seed):
    if len(components(samples)) < 2:
        return
    tested = []
    for fold in (0, 1):
        train, test = image_disjoint(samples, 2, fold, seed)
        assert not bonds(train) & bonds(test)
        assert all(row.phrase_type != "frame" and not row.is_caption for row in test)
        assert {row.split for row in train} <= {"train"}
        assert {row.split for row in test} <= {"test"}
        tested += ids(test)
    assert sorted(tested) == ids(row for row in samples if row.phrase_type != "frame" and not row.is_caption)


@unhurried
@given(samples=SAMPLES, ratio=st.floats(0.1, 0.6), seed=st.integers(0, 3))
def test_validation_by_image_shares_no_image_group_or_twin_with_train(samples, ratio, seed):
    try:
        train, validation = hold_out_validation(samples, ratio, "image", seed)
    except DataError:
        return
    assert not bonds(train) & bonds(validation)
    assert sorted(ids(train) + ids(validation)) == ids(samples)
    assert {row.split for row in validation} == {"validation"}
    questions = sum(not row.is_caption for row in samples)
    assert 0 < sum(not row.is_caption for row in validation) <= ratio * questions


@unhurried
@given(samples=SAMPLES, ratio=st.floats(0.1, 0.6), seed=st.integers(0, 3))
def test_validation_by_question_has_no_rephrasing_and_divides_no_repeated_question(samples, ratio, seed):
    try:
        train, validation = hold_out_validation(samples, ratio, "question", seed)
    except DataError:
        return

    def asked(rows):
        return {(row.image, row.question) for row in rows if not row.is_caption}

    assert not asked(train) & asked(validation)
    assert all(row.phrase_type != "frame" and not row.is_caption for row in validation)
    assert sorted(ids(train) + ids(validation)) == ids(samples)


@pytest.mark.parametrize("by", ["image", "question"])
def test_a_split_depends_on_the_seed_but_not_on_the_order_of_the_samples(by):
    samples = [sample(number, f"{number % 20}.png", answer=f"a{number}") for number in range(100)]
    mixed = random.Random(1).sample(samples, len(samples))
    one, other = (sorted(ids(hold_out_validation(rows, 0.2, by, 7)[1])) for rows in (samples, mixed))
    assert one == other
    assert one != sorted(ids(hold_out_validation(samples, 0.2, by, 8)[1]))
    folds = [sorted(ids(image_disjoint(rows, 4, 1, 7)[1])) for rows in (samples, mixed)]
    assert folds[0] == folds[1]
    assert folds[0] != sorted(ids(image_disjoint(samples, 4, 1, 8)[1]))


def test_a_chain_of_bonds_is_one_component():
    chain = [
        sample(1, "a.png", group="p"),
        sample(2, "b.png", group="p"),
        sample(3, "b.png", twin="t"),
        sample(4, "c.png", twin="t"),
        sample(5, "d.png"),
    ]
    assert components(chain) == [[0, 1, 2, 3], [4]]


def test_a_group_and_an_image_of_the_same_name_are_different_things():
    assert len(components([sample(1, "a"), sample(2, "b", group="a")])) == 2


def test_folds_are_balanced_by_the_number_of_questions():
    sizes = [40, 30, 20, 20, 10, 10, 10, 5, 5]
    samples = [sample(100 * image + n, f"{image}.png") for image, size in enumerate(sizes) for n in range(size)]
    counts = [len(image_disjoint(samples, 3, fold, 0)[1]) for fold in range(3)]
    assert sum(counts) == sum(sizes)
    assert max(counts) - min(counts) <= 5


def test_a_ratio_of_nothing_takes_nothing():
    samples = [sample(1, "a.png"), sample(2, "b.png")]
    assert hold_out_validation(samples, 0.0) == (samples, [])


def test_a_paraphrase_goes_with_its_question_and_its_rephrasing_stays_in_train():
    rows = []
    for n in range(20):
        one = sample(3 * n, f"{n}.png", phrase_type="freeform", answer=f"The liver {n}", question_type=("POS",))
        rows += [
            one,
            replace(one, id=f"{3 * n + 1:04}", question="other words", phrase_type="para", answer=f"liver {n}."),
            replace(one, id=f"{3 * n + 2:04}", question="template", phrase_type="frame"),
        ]
    train, validation = hold_out_validation(rows, 0.2, "question", 0)
    assert Counter(row.phrase_type for row in validation) == {"freeform": 6, "para": 6}
    assert not {(row.image, row.phrase_type) for row in train} & {(row.image, row.phrase_type) for row in validation}
    assert {row.image for row in validation} <= {row.image for row in train}


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda rows: hold_out_validation(rows, 0.1), DataError, "no validation part of 10%"),
        (lambda rows: image_disjoint(rows, 1, 0), ConfigError, "no fold 0 of 1"),
        (lambda rows: image_disjoint(rows, 5, 5), ConfigError, "no fold 5 of 5"),
        (lambda rows: image_disjoint(rows, 5, 0), DataError, "3 independent groups .* 5 folds"),
    ],
)
def test_impossible_splits_are_refused_with_a_hint(call, kind, message):
    with pytest.raises(kind, match=message) as caught:
        call([sample(n, f"{n}.png") for n in range(3)])
    assert caught.value.hint


def test_the_five_folds_of_vqa_rad_test_each_question_once_and_share_no_image(real_data):
    root = real_data("vqa_rad")
    samples = vqa_rad.read(root, "train") + vqa_rad.read(root, "test")
    tested = []
    for fold in range(5):
        train, test = image_disjoint(samples, 5, fold, seed=0)
        assert not {row.image for row in train} & {row.image for row in test}
        assert 440 <= len(test) <= 460
        assert sum(row.phrase_type == "frame" for row in train) > 900
        tested += ids(test)
    assert len(tested) == len(set(tested)) == 2248


def test_validation_of_vqa_rad_by_question_mirrors_its_usual_test(real_data):
    """As many questions find a re-phrasing of themselves in train as in the usual test split (65 %)."""
    samples = vqa_rad.read(real_data("vqa_rad"), "train")
    plain = normaliser("lower")
    for seed in range(3):
        train, validation = hold_out_validation(samples, 0.1, "question", seed)

        def about(row):
            return row.image, row.kind, plain(row.answer)

        frames = {about(row) for row in train if row.phrase_type == "frame"}
        share = sum(about(row) in frames for row in validation) / len(validation)
        assert len(validation) == 306
        assert 0.5 <= share <= 0.7
        assert len({row.image for row in validation} - {row.image for row in train}) <= 2
