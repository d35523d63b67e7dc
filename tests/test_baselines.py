"""The baselines: each by hand on a few rows, by measured figures on VQA-RAD, and none peeks at a test answer."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from discern_vqa import registry
from discern_vqa.baselines import image_identity, lookup, majority, question_only
from discern_vqa.data.answers import AnswerVocabulary
from discern_vqa.data.sample import Sample
from discern_vqa.errors import DataError
from discern_vqa.fitting.given import Given
from discern_vqa.fitting.ridge import Regression, Ridge
from discern_vqa.scoring.metrics import score
from discern_vqa.scoring.predictions import from_answers

# Baselines over a run's frozen features are tested with a run (test_evaluate.py), those that see in test_retrieval.py.
MODULES = {name: registry.load("baselines", name) for name in registry.names("baselines")}
NAMES = [name for name, module in MODULES.items() if hasattr(module, "answer") and not hasattr(module, "NEEDS_STATES")]


def ask(number: int, image: str, question: str, answer: str = "", answer_type: str = "closed") -> Sample:
    return Sample(
        id=str(number),
        split="train",
        image=image,
        path=Path(image),
        question=question,
        answer=answer,
        answer_type=answer_type,
    )


TRAIN = [
    ask(0, "a", "is there a nodule", "Yes"),
    ask(1, "a", "is there a fracture", "no"),
    ask(2, "b", "is there a nodule", "no"),
    ask(3, "b", "is there a fracture", "no"),
    ask(4, "b", "which organ is shown", "liver", "open"),
    ask(5, "a", "which organ is shown", "lung", "open"),
    ask(6, "c", "which organ is shown", "lung", "open"),
]


def vocabulary(train: Sequence[Sample]) -> AnswerVocabulary:
    return AnswerVocabulary.from_answers([sample.answer for sample in train], "m3ae")


def texts(name: str, train: Sequence[Sample], test: Sequence[Sample], seed: int = 0) -> list[str]:
    answers = registry.load("baselines", name).answer(train, test, vocabulary=vocabulary(train), seed=seed)
    return [answer.text for answer in answers]


def test_the_four_baselines_are_there() -> None:
    assert set(NAMES) >= {"majority", "question_only", "lookup", "image_identity"}


def test_majority_answers_by_answer_type_and_without_one_with_the_commonest_of_all() -> None:
    test = [ask(9, "z", "?"), ask(10, "z", "?", answer_type="open"), ask(11, "z", "?", answer_type="")]
    first, second, third = majority.answer(TRAIN, test, vocabulary=vocabulary(TRAIN))
    assert (first.text, second.text, third.text) == ("no", "lung", "no")
    assert first.score == 0.75
    assert first.alternatives == (("no", 0.75), ("Yes", 0.25))


def test_lookup_answers_with_the_same_image_and_question_and_ties_go_to_the_earliest_row() -> None:
    test = [ask(9, "a", "is there a nodule"), ask(10, "b", "is there a nodule"), ask(11, "new", "which organ is shown")]
    assert texts("lookup", TRAIN, test) == ["Yes", "no", "liver"]
    (answer,) = lookup.answer(TRAIN, test[:1], vocabulary=vocabulary(TRAIN))
    assert answer.score == pytest.approx(1.0)
    assert answer.alternatives[0] == ("Yes", answer.score)


def test_question_only_gives_the_same_answer_whatever_the_image() -> None:
    test = [ask(9, "a", "is there a nodule"), ask(10, "b", "is there a nodule")]
    assert len(set(texts("question_only", TRAIN, test))) == 1


def test_image_identity_tells_apart_images_that_it_learned_and_only_those() -> None:
    train = [ask(i, f"i{i % 12}", "is there a nodule", "yes" if i % 12 < 6 else "no") for i in range(60)]
    test = [ask(100, "i2", "is there a nodule"), ask(101, "i9", "is there a nodule")]
    assert texts("image_identity", train, test) == ["yes", "no"]
    unseen = [ask(102, "new", "is there a nodule"), ask(103, "other", "is there a nodule")]
    assert len(set(texts("image_identity", train, unseen))) == 1


@pytest.mark.parametrize("name", NAMES)
def test_no_baseline_reads_a_test_answer_and_scores_lie_between_zero_and_one(name: str) -> None:
    train = [replace(sample, id=f"{copy}-{sample.id}") for copy in range(5) for sample in TRAIN]
    test = [ask(90 + i, sample.image, sample.question, "lung") for i, sample in enumerate(TRAIN)]
    blind = [replace(sample, answer="", phrase_type="para") for sample in test]
    assert texts(name, train, test) == texts(name, train, blind)
    known = vocabulary(train)
    for answer in registry.load("baselines", name).answer(train, test, vocabulary=known, seed=0):
        assert answer.text == answer.alternatives[0][0]
        assert known.index(answer.text) >= 0
        assert all(0 <= share <= 1 for _, share in answer.alternatives)


@pytest.mark.parametrize("name", NAMES)
def test_captions_and_answers_outside_the_vocabulary_teach_nothing(name: str) -> None:
    caption = Sample(id="c", split="train", image="a", path=Path("a"), caption="a chest film")
    rare = ask(99, "a", "is there a nodule", "maybe")
    test = [ask(9, "a", "is there a nodule")]
    module, known = registry.load("baselines", name), vocabulary(TRAIN)
    with_them = module.answer([caption, rare, *TRAIN], test, vocabulary=known, seed=0)
    assert with_them == module.answer(TRAIN, test, vocabulary=known, seed=0)
    with pytest.raises(DataError, match="no training question has an answer"):
        module.answer([rare], test, vocabulary=known, seed=0)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("majority", 0.3185, 0.3205),
        ("lookup", 0.60, 0.64),
        ("question_only", 0.50, 0.60),
        ("image_identity", 0.68, 0.72),
    ],
)
def test_on_vqa_rads_usual_split_each_reaches_what_was_measured(
    name: str, low: float, high: float, real_data: Callable[[str], Path]
) -> None:
    reader, root = registry.load("datasets", "vqa_rad"), real_data("vqa_rad")
    train, test = reader.read(root, "train"), reader.read(root, "test")
    known = vocabulary(train)
    assert known.coverage(sample.answer for sample in test) == pytest.approx(0.90, abs=0.005)
    answers = registry.load("baselines", name).answer(train, test, vocabulary=known, seed=0)
    scores = score(from_answers(test, answers))
    assert low <= scores["overall"]["accuracy"] <= high
    assert (scores["open"]["n"], scores["closed"]["n"]) == (179, 272)


def test_the_nearest_question_gives_a_third_where_no_image_is_shared(real_data: Callable[[str], Path]) -> None:
    from discern_vqa.data.splits import image_disjoint

    reader, root = registry.load("datasets", "vqa_rad"), real_data("vqa_rad")
    samples = [*reader.read(root, "train"), *reader.read(root, "test")]
    right = asked = 0
    for fold in range(5):
        train, test = image_disjoint(samples, folds=5, fold=fold)
        nearest = question_only.Model.learned(question_only.NEAREST, Given.of(train, vocabulary(train))).answers(test)
        overall = score(from_answers(test, nearest))["overall"]
        right, asked = right + overall["correct"], asked + overall["n"]
    assert right / asked == pytest.approx(0.33, abs=0.02)


def test_settings_are_chosen_without_a_test_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    train = [
        ask(i, f"i{i % 30}", f"is there a {'nodule' if i % 2 else 'mass'}", "yes" if i % 30 < 15 else "no")
        for i in range(300)
    ]
    test = [ask(1000 + i, f"i{i}", "is there a nodule", "yes") for i in range(30)]
    asked: list[list[str]] = []
    real = Regression.answers

    def spy(self, samples, known):  # type: ignore[no-untyped-def]
        asked.append([sample.id for sample in samples])
        return real(self, samples, known)

    monkeypatch.setattr(Regression, "answers", spy)
    image_identity.answer(train, test, vocabulary=vocabulary(train), seed=0)
    assert len(asked) == 6 + 1, "a try for each setting, then the test questions"
    assert all(int(id) < 300 for ids in asked[:6] for id in ids)


def _many(count: int, images: int, seed: int = 0) -> list[Sample]:
    random = np.random.default_rng(seed)
    words = ["mass", "effusion", "nodule", "left", "right", "large", "small", "lung", "heart", "rib"]
    samples = []
    for number in range(count):
        text = "is there a " + " ".join(random.choice(words, 2))
        image = f"{random.integers(images)}.png"
        said = "yes" if (len(text) + len(image)) % 3 else "no" if number % 2 else "maybe"
        samples.append(ask(number, image, text, said))
    return samples


@pytest.mark.parametrize("setting", [Ridge(0.3), Ridge(0.3, own=1.0, offset=0.3)])
def test_rows_that_repeat_count_as_often_and_iteration_reaches_what_the_factorisation_does(
    setting: Ridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = _many(400, 6), _many(40, 8, seed=1)
    table = vocabulary(train)

    def scores() -> list[float]:
        model = image_identity.Model.learned(setting, Given.of(train, table))
        return [answer.score for answer in model.answers(test)]

    merged = scores()
    monkeypatch.setattr("discern_vqa.fitting.ridge.LARGE", 0)
    iterated = scores()
    assert iterated == pytest.approx(merged, abs=2e-3)
    monkeypatch.setattr("discern_vqa.fitting.ridge.LARGE", 10**6)
    monkeypatch.setattr(
        "discern_vqa.fitting.ridge._merged",
        lambda keys: (len(keys), list(range(len(keys))), np.arange(len(keys)), np.ones(len(keys), np.float32)),
    )
    apart = scores()
    assert merged == pytest.approx(apart, abs=2e-3)
