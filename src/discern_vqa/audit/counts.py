"""How much there is: samples, images, kinds of questions and answers in each split."""

from collections import Counter
from typing import Any

from discern_vqa.audit.inputs import AuditInputs

TITLE = "Contents"


def check(inputs: AuditInputs) -> dict[str, Any]:
    """Per split: questions, captions, images, open, closed, multiple choice, untyped, template re-phrasings, types and
    organs."""
    figures: dict[str, Any] = {}
    for split, rows in inputs.samples.items():
        questions = [row for row in rows if not row.is_caption]
        types = Counter(row.answer_type for row in questions)
        figures[split] = {
            "questions": len(questions),
            "captions": len(rows) - len(questions),
            "images": len({row.image for row in rows}),
            "open": types["open"],
            "closed": types["closed"],
            "choice": types["choice"],
            "untyped": types[""],
            "frames": sum(row.phrase_type == "frame" for row in questions),
            "masks": sum(bool(row.mask) for row in questions),
            "twins": len({row.twin for row in questions if row.twin}),
            "question_types": dict(Counter(row.kind for row in questions if row.kind).most_common()),
            "organs": dict(Counter(row.organ for row in questions if row.organ).most_common()),
        }
    return figures


def notes(found: dict[str, Any]) -> list[str]:
    """Too few questions to tell two models apart, and answer types that are missing."""
    sentences = []
    for split, counts in found.items():
        if split == "test" and 0 < counts["questions"] < 1000:
            half = 100 * 1.96 * (0.25 / counts["questions"]) ** 0.5
            sentences.append(
                f"test has {counts['questions']:,} questions about {counts['images']:,} images: an accuracy near one "
                f"half is known to about +-{half:.1f} percentage points at best, so smaller differences mean nothing."
            )
        if counts["untyped"]:
            sentences.append(
                f"{counts['untyped']:,} questions of {split} do not say whether they are open, closed or of multiple "
                "choice."
            )
    return sentences


def lines(found: dict[str, Any]) -> list[str]:
    has_choice = any(counts["choice"] for counts in found.values())
    columns = ("questions", "captions", "images", "open", "closed", *(["choice"] if has_choice else []), "frames")
    header = f"{'split':<12}" + "".join(f"{column:>11}" for column in columns)
    return [header] + [
        f"{split:<12}" + "".join(f"{counts[column]:>11,}" for column in columns) for split, counts in found.items()
    ]
