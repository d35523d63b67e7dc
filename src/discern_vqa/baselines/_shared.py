"""What the baselines share: TF-IDF of questions, the nearest question, and choosing on a validation out of train."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample
from discern_vqa.data.splits import carve_validation
from discern_vqa.errors import DataError

K = 5  # alternatives beside each answer
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


def tfidf(train: Sequence[Sample], test: Sequence[Sample]) -> tuple[csr_matrix, csr_matrix]:
    """(n, words) and (m, words), rows of unit length: words and pairs of words, weighed as in `train`."""
    vectoriser = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b", ngram_range=(1, 2), sublinear_tf=True)
    known = vectoriser.fit_transform([sample.question for sample in train])
    return known, vectoriser.transform([sample.question for sample in test])


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


def choose(
    settings: Sequence[Setting],
    give: Callable[[Setting, Sequence[Sample], Sequence[Sample]], list[Answer]],
    rows: Sequence[Sample],
    test: Sequence[Sample],
    vocabulary: AnswerVocabulary,
    seed: int,
) -> Setting:
    """The setting whose answers are most often right on a validation part of `rows`; of equal ones the earliest.

    Validation stands to the rest as `test` stands to train: where most test questions show a training image, single
    questions are taken out, elsewhere whole images. Of the test split only the images' names are looked at, and never
    an answer. Of a large set a part is enough. Where nothing can be carved, the first setting.

    Args:
        settings: what to choose from.
        give: (setting, questions to learn from, questions to answer) -> the answers.
        rows: training questions with an answer of the vocabulary.
        test: the questions that will be asked.
    """
    own = {sample.image for sample in rows}
    shared = sum(sample.image in own for sample in test) * 2 > len(test)
    try:
        learn, ask = carve_validation(
            _some_images(rows, seed), VALIDATION, by="question" if shared else "image", seed=seed
        )
    except DataError:  # a handful of questions: there is nothing to choose by
        return settings[0]
    ask = [sample for sample in ask if sample.phrase_type != "frame"]  # no test split has template re-phrasings
    truth = [vocabulary.index(sample.answer) for sample in ask]

    def right(setting: Setting) -> int:
        return sum(
            vocabulary.index(given.text) == true for given, true in zip(give(setting, learn, ask), truth, strict=True)
        )

    return max(settings, key=right)


def _some_images(rows: Sequence[Sample], seed: int) -> list[Sample]:
    """All questions of as many images as give about CHOOSE_ON questions."""
    if len(rows) <= CHOOSE_ON * 1.25:
        return list(rows)
    images = sorted({sample.image for sample in rows})
    kept = set(random.Random(seed).sample(images, max(2, round(len(images) * CHOOSE_ON / len(rows)))))
    return [sample for sample in rows if sample.image in kept]
