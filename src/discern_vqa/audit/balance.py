"""Balance: how many different answers there are, how often the most frequent is right, how many occur once."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from discern_vqa.audit.inputs import AuditInputs, percent, share
from discern_vqa.data.sample import Sample

TITLE = "Balance of the answers"
_MOST_NAMED = 10
_FEW = 20
_UNEVEN = 0.7  # share of one of yes and no from which guessing it is worth more than most models' gain


def check(inputs: AuditInputs) -> dict[str, Any]:
    """Per split: the answers' number, their effective number, the most frequent, those given once; yes among yes/no.

    `effective` is exp(entropy): as many equally frequent answers would be as hard to guess. `by_type` has, for each
    question type, its questions, different answers, and the most frequent one with its share.
    """
    return {split: _of(rows, inputs) for split, rows in inputs.questions.items()}


def _of(rows: Sequence[Sample], inputs: AuditInputs) -> dict[str, Any]:
    plain = inputs.plain
    answers = Counter(plain(row.answer) for row in rows)
    types: dict[str, Counter[str]] = {}
    for row in rows:
        types.setdefault(row.kind or "untyped", Counter())[plain(row.answer)] += 1
    entropy = -sum(count / len(rows) * math.log(count / len(rows)) for count in answers.values())
    return {
        "questions": len(rows),
        "answers": len(answers),
        "effective": round(math.exp(entropy), 1),
        "once": sum(count == 1 for count in answers.values()),
        "most_frequent": [[inputs.spelled(answer), count] for answer, count in answers.most_common(_MOST_NAMED)],
        "yes": answers["yes"],
        "no": answers["no"],
        "by_type": {
            kind: {
                "questions": counts.total(),
                "answers": len(counts),
                "most_frequent": inputs.spelled(counts.most_common(1)[0][0]),
                "share": share(counts.most_common(1)[0][1], counts.total()),
            }
            for kind, counts in sorted(types.items(), key=lambda item: -item[1].total())
        },
    }


def notes(found: dict[str, Any]) -> list[str]:
    """A sentence when yes or no is much more frequent than the other, and when many answers occur once."""
    sentences = []
    for split, counts in found.items():
        both = counts["yes"] + counts["no"]
        if both >= _FEW and max(counts["yes"], counts["no"]) > _UNEVEN * both:
            word = "yes" if counts["yes"] > counts["no"] else "no"
            sentences.append(
                f"of the {both:,} yes/no questions of {split}, {100 * counts[word] / both:.0f} % are answered {word!r}:"
                " a model that always says so reaches that accuracy."
            )
    train = found.get("train")
    if train and train["once"] > max(_FEW, 0.5 * train["answers"]):
        sentences.append(
            f"{percent(train['once'], train['answers'])} different answers of train occur once: a classifier "
            "hardly learns them."
        )
    return sentences


def lines(found: dict[str, Any]) -> list[str]:
    texts = []
    for split, counts in found.items():
        most = ", ".join(f"{answer!r} {count:,}" for answer, count in counts["most_frequent"][:5])
        texts += [
            f"{split}: {counts['answers']:,} different answers to {counts['questions']:,} questions, {counts['once']:,}"
            f" given once; as hard to guess as {counts['effective']:,} equally frequent ones",
            f"  most frequent: {most}; yes {counts['yes']:,}, no {counts['no']:,}",
        ]
    return texts
