"""*majority*: the commonest training answer, one for open and one for closed questions. Sees no image and no question.

It is told the answer type of each test question (as many published heads are), which a model of ours never is: without
that it would say "no" to everything. Where the answer type is not given, the commonest answer of all is.
VQA-RAD's usual split: 0.319 (closed 0.489, open 0.061).
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample
from discern_vqa.fitting.fitted import NameTable, SamplesBaseline, State, counts_from, counts_to
from discern_vqa.fitting.given import Given
from discern_vqa.fitting.shared import K

SEES = "the commonest answer of the question's type"
SEES_PIXELS = False
RANK = 6

Config = NameTable


class Model(SamplesBaseline[None]):
    """counts: for each answer type ("": all questions), {answer's place: how often}, in the order of train."""

    def __init__(self, counts: dict[str, Counter[int]], vocabulary: AnswerVocabulary) -> None:
        self.counts, self.vocabulary = counts, vocabulary
        self._by_type = {kind: self._commonest(of_kind) for kind, of_kind in counts.items()}

    @classmethod
    def learned(cls, setting: None, given: Given) -> Self:
        counts: dict[str, Counter[int]] = {"": Counter()}
        for row, place in zip(given.rows, given.places.tolist(), strict=True):
            for kind in {"", row.answer_type}:
                counts.setdefault(kind, Counter())[place] += 1
        return cls(counts, given.vocabulary)

    @classmethod
    def load(cls, config: NameTable, state: State, vocabulary: AnswerVocabulary, folder: Path) -> Self:
        return cls(counts_from(state.facts["types"], state.arrays["counts"]), vocabulary)

    def state(self) -> State:
        return State({"types": list(self.counts)}, {"counts": counts_to(self.counts)})

    def answers(self, samples: Sequence[Sample]) -> list[Answer]:
        """The score is the answer's share of the training answers of that type; of equally common answers the one that
        train has first."""
        return [self._by_type.get(sample.answer_type, self._by_type[""]) for sample in samples]

    def _commonest(self, counts: Counter[int]) -> Answer:
        ranked = counts.most_common(K)
        shares = tuple((self.vocabulary.spelling(place), count / counts.total()) for place, count in ranked)
        return Answer(*shares[0], shares, others=len(self.vocabulary) - len(shares))


answer = Model.at_once
