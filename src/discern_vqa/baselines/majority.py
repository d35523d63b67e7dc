"""*majority*: the commonest training answer, one for open and one for closed questions. Sees no image and no question.

It is told the answer type of each test question (as many published heads are), which a model of ours never is: without
that it would say "no" to everything. Where the data set gives no answer type, the commonest answer of all is given.
VQA-RAD's usual split: 0.319 (closed 0.489, open 0.061).
"""

from collections import Counter
from collections.abc import Sequence

from discern_vqa.baselines._shared import K, known_rows
from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample


def answer(
    train: Sequence[Sample], test: Sequence[Sample], *, vocabulary: AnswerVocabulary, seed: int = 0
) -> list[Answer]:
    """One answer per test question; its score is the answer's share of the training answers of that type.

    Of equally common answers the one that train has first; `seed` is not used.
    """
    rows, places = known_rows(train, vocabulary)
    by_type: dict[str, Answer] = {"": _commonest(places.tolist(), vocabulary)}
    for answer_type in {sample.answer_type for sample in rows} - {""}:
        of_type = [place for sample, place in zip(rows, places, strict=True) if sample.answer_type == answer_type]
        by_type[answer_type] = _commonest(of_type, vocabulary)
    return [by_type.get(sample.answer_type, by_type[""]) for sample in test]


def _commonest(places: list[int], vocabulary: AnswerVocabulary) -> Answer:
    ranked = Counter(places).most_common(K)
    shares = tuple((vocabulary.answers[place], count / len(places)) for place, count in ranked)
    return Answer(shares[0][0], shares[0][1], shares)
