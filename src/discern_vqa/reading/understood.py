"""A data set as it was understood, in words: how much there is, and some of its rows field by field."""

from collections.abc import Mapping, Sequence
from textwrap import shorten

from discern_vqa.data.sample import Sample

_SHOWN = 100
"""Characters of a text that are shown."""
_FIELDS = ("image", "question", "answer", "caption", "answer_type", "question_type", "choices", "patient", "study")


def counts(samples: Mapping[str, Sequence[Sample]]) -> str:
    """One line: questions, captions, images, patients, and how many questions are open, closed or untyped; behind it
    the splits, where there are several."""
    rows = [sample for part in samples.values() for sample in part]
    questions = [row for row in rows if not row.is_caption]
    numbers = {
        "questions": len(questions),
        "captions": len(rows) - len(questions),
        "images": len({row.image for row in rows}),
        "patients": len({row.patient for row in rows if row.patient}),
        "studies": len({row.study for row in rows if row.study}),
    }
    kinds = {
        "open": sum(row.answer_type == "open" for row in questions),
        "closed": sum(row.answer_type == "closed" for row in questions),
        "multiple choice": sum(row.answer_type == "choice" for row in questions),
        "without a type": sum(not row.answer_type for row in questions),
    }
    text = ", ".join(f"{number:,} {name}" for name, number in numbers.items() if number)
    text += f" ({', '.join(f'{number:,} {name}' for name, number in kinds.items() if number)})" if questions else ""
    parts = {split: len(part) for split, part in samples.items() if part}
    return text + (f"; {', '.join(f'{split} {number:,}' for split, number in parts.items())}" if len(parts) > 1 else "")


def rows(samples: Mapping[str, Sequence[Sample]], number: int = 3) -> list[str]:
    """Lines that show so many samples, spread over all: where each stands, and its fields."""
    everything = [sample for part in samples.values() for sample in part]
    count = min(number, len(everything))
    places = sorted({round(place * (len(everything) - 1) / max(1, count - 1)) for place in range(count)})
    return [line for place in places for line in _lines(everything[place])]


def _lines(sample: Sample) -> list[str]:
    fields = {name: getattr(sample, name) for name in _FIELDS}
    texts = {
        name.replace("_", " "): ", ".join(value) if isinstance(value, tuple) else value
        for name, value in fields.items()
        if value
    }
    return [sample.source, *(f"  {name:<13} {shorten(text, _SHOWN)}" for name, text in texts.items())]
