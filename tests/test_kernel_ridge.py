"""Ridge regression on words and images: its formula, its two ways to the weights, what only both together tell."""

import numpy as np
import pytest
from _tiny import question

from discern_vqa.baselines import kernel_ridge
from discern_vqa.baselines.kernel_ridge import ALONE, Model, Setting, landmarks, solved
from discern_vqa.data.answers import AnswerVocabulary
from discern_vqa.fitting.cases import Cases
from discern_vqa.fitting.given import Given
from discern_vqa.fitting.rows import Rows

WORDS = ("is there a mass", "which side is it on", "what organ is this")


class Seen:
    """Features of images that were looked at by somebody else."""

    def __init__(self, vectors: dict[str, np.ndarray]) -> None:
        self.vectors = vectors

    def of(self, samples) -> np.ndarray:
        return np.stack([self.vectors[sample.image] for sample in samples])


@pytest.fixture
def given() -> tuple[Given, Seen]:
    """Two kinds of images; each question has two answers, and which is right only the kind of image tells."""
    rng = np.random.default_rng(0)
    kinds = {f"i{n}": n % 2 for n in range(24)}
    vectors = {name: rng.normal(size=8).astype(np.float32) + 3 * (2 * kind - 1) for name, kind in kinds.items()}
    told = (("yes", "no"), ("left", "right"), ("lung", "brain"))
    asked = [
        question(3 * n + w, f"i{n}", text, told[w][kinds[f"i{n}"]]) for n in range(24) for w, text in enumerate(WORDS)
    ]
    vocabulary = AnswerVocabulary.from_answers([sample.answer for sample in asked], "none")
    return Given.of(asked, vocabulary), Seen(vectors)


def test_the_regression_is_its_formula(given: tuple[Given, Seen]) -> None:
    known, seen = given
    setting = Setting(words=2.0, images=0.7, penalty=0.2)
    cases = Cases(Rows.of(known), list(seen.vectors), np.stack(list(seen.vectors.values())))
    both = list(cases.similarities([row.question for row in known.rows], seen.of(known.rows)))
    n = len(known.rows)
    kernel = np.array(
        [
            [np.exp(-2 * (1 - words[b])) * (ALONE + np.exp(-0.7 * (1 - images[b]))) for b in range(n)]
            for words, images in both
        ]
    )
    targets = np.eye(len(known.vocabulary))[known.places]
    weights = np.linalg.solve(kernel + 0.2 * np.eye(n), targets - targets.mean(0))
    expected = np.clip(kernel @ weights + targets.mean(0), 0, 1)
    answers = Model.with_setting(setting, known, seen).answers(known.rows)
    assert [answer.text for answer in answers] == [known.vocabulary.answers[place] for place in expected.argmax(1)]
    assert [answer.score for answer in answers] == pytest.approx(expected.max(1).tolist(), abs=1e-4)


def test_words_and_image_together_are_needed_and_enough(given: tuple[Given, Seen]) -> None:
    known, seen = given
    new = {f"n{n}": np.full(8, 3.0 * (2 * (n % 2) - 1), dtype=np.float32) for n in range(4)}
    model = Model.with_setting(Setting(2.0, 0.5, 0.1), known, Seen(seen.vectors | new))
    asked = [question(n, f"n{n}", WORDS[w], "") for n in range(4) for w in range(3)]
    told = [answer.text for answer in model.answers(asked)]
    assert told == ["yes", "left", "lung", "no", "right", "brain"] * 2


def test_landmarks_that_are_all_cases_give_the_same_answers(
    given: tuple[Given, Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    known, seen = given
    setting = Setting(2.0, 0.5, 0.1)
    cases = Cases.of(known, seen)
    among = [*kernel_ridge._similar(cases, known.rows, seen)]
    exact, _ = solved(among, None, known.places, setting, len(known.vocabulary))
    through, _ = solved(among, among, known.places, setting, len(known.vocabulary))
    kernel = np.concatenate([kernel_ridge._kernel(some, setting) for some in among])
    np.testing.assert_allclose(kernel @ through, kernel @ exact, atol=0.02)
    monkeypatch.setattr(kernel_ridge, "LANDMARKS", 30)
    few = Model.with_setting(setting, known, seen)
    assert len(few.weights) == len(few.cases.rows.images) == 30
    assert [one.text for one in few.answers(known.rows)] == [row.answer for row in known.rows]
    assert [row.id for row in landmarks(known).rows] == [row.id for row in landmarks(known).rows]
