"""The accuracy without an image: the most frequent answer, and the most frequent answer of the same question."""

from collections import Counter, defaultdict
from typing import Any

from discern_vqa.audit.inputs import AuditInputs, share

TITLE = "Accuracy without the image"
_MOST_ASKED = 20


def check(inputs: AuditInputs) -> dict[str, Any]:
    """Per evaluation split, correct answers and accuracy of two rules learned from train.

    `majority`: the most frequent answer among train's questions of the same answer type. `same_question`: the most
    frequent answer to the same words in train, and train's most frequent answer where the words are new
    (`questions_seen` says how often they are not). `asked_most` has train's most frequent questions, how often each is
    asked, its most frequent answer and that answer's share.
    """
    figures: dict[str, Any] = {}
    plain, spelled = inputs.plain, inputs.spelled
    for known, judged in inputs.pairs:
        by_type: dict[str, Counter[str]] = defaultdict(Counter)
        by_words: dict[str, Counter[str]] = defaultdict(Counter)
        overall: Counter[str] = Counter()
        for row in inputs.questions[known]:
            answer = plain(row.answer)
            overall[answer] += 1
            by_type[row.answer_type][answer] += 1
            by_words[plain(row.question)][answer] += 1
        rows = inputs.questions[judged]
        most_asked = sorted(by_words.items(), key=lambda item: (-item[1].total(), item[0]))
        majority = sum(plain(row.answer) == _most(by_type.get(row.answer_type) or overall) for row in rows)
        same = sum(plain(row.answer) == _most(by_words.get(plain(row.question)) or overall) for row in rows)
        seen = sum(plain(row.question) in by_words for row in rows)
        figures[judged] = {
            "questions": len(rows),
            "majority": {"correct": majority, "accuracy": share(majority, len(rows))},
            "same_question": {"correct": same, "accuracy": share(same, len(rows))},
            "questions_seen": seen,
            "answers": {kind or "untyped": spelled(_most(counts)) for kind, counts in sorted(by_type.items())},
            "asked_most": [
                {"question": spelled(words), "n": counts.total(), "answer": spelled(_most(counts))}
                | {"share": share(counts[_most(counts)], counts.total())}
                for words, counts in most_asked[:_MOST_ASKED]
                if counts.total() > 1
            ],
        }
    return figures


def _most(counts: Counter[str]) -> str:
    """The most frequent answer; of equally frequent ones the first in the alphabet."""
    return min(counts, key=lambda answer: (-counts[answer], answer))


def notes(found: dict[str, Any]) -> list[str]:
    return [
        f"the words of the question alone answer {100 * counts['same_question']['accuracy']:.0f} % of {judged} "
        f"(the most frequent answer: {100 * counts['majority']['accuracy']:.0f} %), without an image."
        for judged, counts in found.items()
        if counts["same_question"]["accuracy"] > counts["majority"]["accuracy"] + 0.1
    ]


def lines(found: dict[str, Any]) -> list[str]:
    said = []
    for judged, counts in found.items():
        answers = ", ".join(f"{kind} {answer!r}" for kind, answer in counts["answers"].items())
        said += [
            f"{judged}, the most frequent answer of its type ({answers}): {100 * counts['majority']['accuracy']:.1f} %",
            f"{judged}, the most frequent answer to the same words ({counts['questions_seen']:,} of "
            f"{counts['questions']:,} are in train): {100 * counts['same_question']['accuracy']:.1f} %",
        ]
    return said
