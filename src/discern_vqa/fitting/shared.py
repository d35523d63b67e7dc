"""What the baselines share: TF-IDF of questions, the nearest question, and choosing on a validation out of train."""

import random
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Literal, TypeVar

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample
from discern_vqa.data.splits import hold_out_validation
from discern_vqa.errors import DataError

K = 10  # alternatives beside each answer
CHOOSE_ON = 3000  # training questions that are enough to choose a setting
VALIDATION = 0.12
_NEIGHBOURS = 64
_CELLS = 8_000_000  # similarities held in memory at once (64 MB)

Setting = TypeVar("Setting")


def known_rows(train: Sequence[Sample], vocabulary: AnswerVocabulary) -> tuple[list[Sample], np.ndarray]:
    """The training questions whose answer is in the vocabulary, and the answers' places in it (n,).

    Captions are passed over. Raises DataError when nothing is left.
    """
    pairs = [(sample, vocabulary.index(sample.answer)) for sample in train if not sample.is_caption]
    pairs = [pair for pair in pairs if pair[1] >= 0]
    if not pairs:
        raise DataError(
            "no training question has an answer of the vocabulary",
            hint="give the baseline the training split that the vocabulary was built from",
        )
    return [sample for sample, _ in pairs], np.array([place for _, place in pairs])


def vectoriser() -> TfidfVectorizer:
    """Words and pairs of words, rows of unit length."""
    return TfidfVectorizer(token_pattern=r"(?u)\b\w+\b", ngram_range=(1, 2), sublinear_tf=True)


def letters() -> TfidfVectorizer:
    """Two to five letters of a word, rows of unit length: what inflected, misspelt and compound words share."""
    return TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)


def tfidf(train: Sequence[Sample], test: Sequence[Sample]) -> tuple[csr_matrix, csr_matrix]:
    """(n, words) and (m, words), rows of unit length: words and pairs of words, weighed as in `train`."""
    words = vectoriser()
    known = words.fit_transform([sample.question for sample in train])
    return known, words.transform([sample.question for sample in test])


def cosines(asked: csr_matrix, known: csr_matrix) -> Iterator[np.ndarray]:
    """Chunks (some of m, n) of the cosines of each asked question with every known one, in order.

    Rounded, so that equal questions tie exactly and the earliest row wins on every machine.
    """
    step = max(1, _CELLS // known.shape[0])
    turned = known.T.tocsr()
    for start in range(0, asked.shape[0], step):
        yield (asked[start : start + step] @ turned).toarray().round(9)


def nearest_answer(similarity: np.ndarray, places: np.ndarray, vocabulary: AnswerVocabulary) -> Answer:
    """The answer of the most similar row, of equal ones the earliest; its score is the similarity.

    Args:
        similarity: (n,) in [0, 1].
        places: (n,) each row's answer.
    """
    best: dict[str, float] = {}
    for row in np.argsort(-similarity, kind="stable")[:_NEIGHBOURS]:
        best.setdefault(vocabulary.answers[places[row]], float(np.clip(similarity[row], 0, 1)))
    alternatives = tuple(best.items())[:K]
    return Answer(alternatives[0][0], alternatives[0][1], alternatives)


def from_shares(shares: Sequence[float], vocabulary: AnswerVocabulary) -> Answer:
    """The answer of the largest share, beside those that have any; shares (A,) sum to 1."""
    best = Answer.from_scores(shares, vocabulary, K)
    named = tuple(pair for pair in best.alternatives if pair[1] > 0)
    return replace(best, alternatives=named, others=len(vocabulary) - len(named))


def stands(rows: Sequence[Sample], test: Sequence[Sample]) -> Literal["question", "image"]:
    """How `test` stands to the training questions: "question" where most of it shows training images, else "image"."""
    own = {sample.image for sample in rows}
    return "question" if sum(sample.image in own for sample in test) * 2 > len(test) else "image"


def choose(
    settings: Sequence[Setting],
    give: Callable[[Setting, Sequence[Sample], Sequence[Sample]], list[Answer]],
    rows: Sequence[Sample],
    vocabulary: AnswerVocabulary,
    seed: int,
    *,
    by: Literal["question", "image"],
    held_out: Sequence[Sample] = (),
) -> Setting:
    """The setting whose answers are most often right on validation; of equal ones the earliest.

    Validation is what the recipe holds out, else a part of `rows`: single questions or whole images, as the questions
    that will be asked stand to them (`stands`). Of a large set a part is enough. Where nothing can be held out, the
    first.

    Args:
        settings: what to choose from.
        give: (setting, questions to learn from, questions to answer) -> the answers.
        rows: training questions with an answer of the vocabulary.
        held_out: questions that are none of `rows`.
    """
    if len(settings) == 1:
        return settings[0]
    learn, ask = carved(rows, seed, by, held_out)
    if not ask:
        return settings[0]
    truth = [vocabulary.index(sample.answer) for sample in ask]

    def right(setting: Setting) -> int:
        return sum(
            vocabulary.index(given.text) == true for given, true in zip(give(setting, learn, ask), truth, strict=True)
        )

    return max(settings, key=right)


def carved(
    rows: Sequence[Sample], seed: int, by: Literal["question", "image"], held_out: Sequence[Sample] = ()
) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """Questions to learn from and questions to choose on; of a handful of questions, none to choose on."""
    some = _some_images(rows, seed)
    if held_out:
        return some, held_out
    try:
        learn, ask = hold_out_validation(some, VALIDATION, by=by, seed=seed)
    except DataError:
        return some, []
    return learn, [one for one in ask if one.phrase_type != "frame"]  # no test split has template re-phrasings


def known_name(image: str, known: Container[str]) -> str:
    """The training image that this one is: its own name, or, of a file that was named by its whole path, the longest
    end of the path that is a training image's name (the data may have moved)."""
    path = PurePath(image)
    if image in known or not path.is_absolute():
        return image
    ends = ("/".join(path.parts[start:]) for start in range(1, len(path.parts)))
    return next((end for end in ends if end in known), image)


def _some_images(rows: Sequence[Sample], seed: int) -> list[Sample]:
    """All questions of as many images as give about CHOOSE_ON questions."""
    if len(rows) <= CHOOSE_ON * 1.25:
        return list(rows)
    images = sorted({sample.image for sample in rows})
    kept = set(random.Random(seed).sample(images, max(2, round(len(images) * CHOOSE_ON / len(rows)))))
    return [sample for sample in rows if sample.image in kept]
