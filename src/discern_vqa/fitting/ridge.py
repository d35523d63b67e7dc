"""Kernel ridge regression on questions, with weights of each image's own where that is asked for. No pixels.

The linear model behind it, for question features q (TF-IDF) and image number i, and each answer a:

    score_a(q, i) = q . w_a  +  q . w_ai  +  b_ai  +  mean_a

w_a is shared by all images, w_ai and b_ai are a vector and a number that image i learns; all are shrunk towards zero.
An image that train does not have has none of its own, and is left with w_a. Solved in the dual, where the kernel is
cos(q, q') (1 + own [i = i']) + offset [i = i'].
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import scipy.linalg
from scipy.sparse import block_diag, csr_matrix

from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample
from discern_vqa.fitting.fitted import State
from discern_vqa.fitting.rows import Rows
from discern_vqa.fitting.shared import K, cosines, known_name


@dataclass(frozen=True)
class Ridge:
    """penalty: on all weights; own: how freely an image's weights may differ; offset: the same of its constant."""

    penalty: float
    own: float = 0.0
    offset: float = 0.0

    @property
    def has_images(self) -> bool:
        """Some weights are an image's own."""
        return bool(self.own or self.offset)


LARGE = 4000  # different rows from which the regression is solved by iteration: a dense kernel takes n^2 memory
ROUNDS, CLOSE = 200, 1e-4


class Regression:
    """A fitted regression.

    rows: the training questions; first: (m,) the first row of each different question (and image, where images have
    weights of their own); weights: (m, A) dual weights; mean: (A,) the answers' shares.
    """

    def __init__(self, setting: Ridge, rows: Rows, first: np.ndarray, weights: np.ndarray, mean: np.ndarray) -> None:
        self.setting, self.rows, self.first, self.weights, self.mean = setting, rows, first, weights, mean
        self._place = {image: number for number, image in enumerate(dict.fromkeys(rows.images))}
        self._image = np.array([self._place[rows.images[row]] for row in first])

    @classmethod
    def fit(cls, setting: Ridge, rows: Rows, answers: int) -> "Regression":
        """Rows of the same features are one row that counts as often: n rows with targets t_1 ... t_c of mean t cost
        what one row with target t and penalty / c costs."""
        place = {image: number for number, image in enumerate(dict.fromkeys(rows.images))}
        keys = [
            (question, place[image] if setting.has_images else 0)
            for question, image in zip(rows.questions, rows.images, strict=True)
        ]
        count, first, group, counts = _merged(keys)
        indicators = np.zeros((count, answers), dtype=np.float32)
        np.add.at(indicators, (group, rows.places), 1)
        mean = indicators.sum(axis=0) / len(rows.places)
        image = np.array([place[rows.images[row]] for row in first])
        targets, penalties = indicators / counts[:, None] - mean, setting.penalty / counts
        solve = _iterated if count > LARGE else _dense
        weights = solve(setting, rows.known[first], image, targets, penalties)
        return cls(setting, rows, np.array(first), weights, mean)

    @classmethod
    def load(cls, state: State) -> "Regression":
        arrays = state.arrays
        return cls(Ridge(**state.facts["ridge"]), Rows.load(state), arrays["first"], arrays["weights"], arrays["mean"])

    def state(self) -> State:
        facts, arrays = self.rows.state()
        learned = {"first": self.first, "weights": self.weights.astype(np.float32), "mean": self.mean}
        return State(facts | {"ridge": asdict(self.setting)}, arrays | learned)

    def answers(self, samples: Sequence[Sample], vocabulary: AnswerVocabulary) -> list[Answer]:
        """Scores are the regression's estimates of each answer's probability, cut to [0, 1]."""
        names = [known_name(sample.image, self._place) for sample in samples]
        asked = np.array([self._place.get(name, -1) for name in names])
        answers: list[Answer] = []
        for chunk in self.rows.cosines([sample.question for sample in samples], self.first):
            here = slice(len(answers), len(answers) + len(chunk))
            scores = _with_images(chunk, asked[here], self._image, self.setting) @ self.weights + self.mean
            answers += [Answer.from_scores(row, vocabulary, K) for row in np.clip(scores, 0, 1).tolist()]
        return answers


def _merged(keys: Sequence[tuple[str, int]]) -> tuple[int, list[int], np.ndarray, np.ndarray]:
    """Equal keys as one row: how many rows, the first place of each, each place's row, and how often each occurs."""
    number: dict[tuple[str, int], int] = {}
    group = np.array([number.setdefault(key, len(number)) for key in keys])
    _, first = np.unique(group, return_index=True)
    return len(number), first.tolist(), group, np.bincount(group).astype(np.float32)


def _dense(
    setting: Ridge, known: csr_matrix, image: np.ndarray, targets: np.ndarray, penalties: np.ndarray
) -> np.ndarray:
    """(n, answers) dual weights by a Cholesky factorisation: 3,000 rows take 1 s on one core."""
    kernel = np.empty((len(targets), len(targets)), dtype=np.float32)
    start = 0
    for chunk in cosines(known, known):
        rows = slice(start, start + len(chunk))
        kernel[rows] = _with_images(chunk, image[rows], image, setting)
        start += len(chunk)
    kernel[np.diag_indices_from(kernel)] += penalties
    return scipy.linalg.solve(kernel, targets, assume_a="pos", overwrite_a=True)


def _iterated(
    setting: Ridge, known: csr_matrix, image: np.ndarray, targets: np.ndarray, penalties: np.ndarray
) -> np.ndarray:
    """The same weights by conjugate gradients: the kernel is only ever multiplied, as Q Q' + blocks + penalties."""
    turned, blocks = known.T.tocsr(), _blocks(setting, known, image)

    def times(v: np.ndarray) -> np.ndarray:
        product = known @ (turned @ v) + penalties[:, None] * v
        return product if blocks is None else product + blocks @ v

    weights = np.zeros_like(targets)
    left = targets.copy()
    along, size = left.copy(), (left * left).sum(axis=0)
    goal = CLOSE**2 * size
    for _ in range(ROUNDS):
        if np.all(size <= goal):
            break
        ahead = times(along)
        length = size / np.maximum((along * ahead).sum(axis=0), 1e-30)
        weights += length * along
        left -= length * ahead
        before, size = size, (left * left).sum(axis=0)
        along = left + size / np.maximum(before, 1e-30) * along
    return weights


def _blocks(setting: Ridge, known: csr_matrix, image: np.ndarray) -> csr_matrix | None:
    """own Q_i Q_i' + offset for the rows of each image i, as one sparse matrix in the rows' own order."""
    if not setting.has_images:
        return None
    order = np.argsort(image, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(image[order])) + 1)
    squares = [setting.own * (known[rows] @ known[rows].T).toarray() + setting.offset for rows in parts]
    back = np.argsort(order, kind="stable")
    return block_diag(squares, format="csr")[back][:, back].astype(np.float32)


def _with_images(cosine: np.ndarray, asked: np.ndarray, known: np.ndarray, setting: Ridge) -> np.ndarray:
    if not setting.has_images:
        return cosine.astype(np.float32)
    same = asked[:, None] == known[None]
    return (cosine * (1 + setting.own * same) + setting.offset * same).astype(np.float32)
