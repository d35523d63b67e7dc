"""What the baselines share: TF-IDF of questions, the nearest question, answers from shares."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample

K = 10  # alternatives beside each answer
_NEIGHBOURS = 64
_CELLS = 8_000_000  # similarities held in memory at once (64 MB)


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

    similarity (n,), in [0, 1]; places (n,): each row's answer."""
    best: dict[str, float] = {}
    for row in np.argsort(-similarity, kind="stable")[:_NEIGHBOURS]:
        best.setdefault(vocabulary.spelling(int(places[row])), float(np.clip(similarity[row], 0, 1)))
    alternatives = tuple(best.items())[:K]
    return Answer(alternatives[0][0], alternatives[0][1], alternatives)


def from_shares(shares: Sequence[float], vocabulary: AnswerVocabulary) -> Answer:
    """The answer of the largest share, beside those that have any; shares (A,) sum to 1."""
    best = Answer.from_scores(shares, vocabulary, K)
    named = tuple(pair for pair in best.alternatives if pair[1] > 0)
    return replace(best, alternatives=named, others=len(vocabulary) - len(named))


def known_name(image: str, known: Container[str]) -> str:
    """The training image that this one is: its own name, or, of a file that was named by its whole path, the longest
    end of the path that is a training image's name (the data may have moved)."""
    path = PurePath(image)
    if image in known or not path.is_absolute():
        return image
    ends = ("/".join(path.parts[start:]) for start in range(1, len(path.parts)))
    return next((end for end in ends if end in known), image)
