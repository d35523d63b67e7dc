"""Length of questions and captions: how many are longer than what a model reads, so that a part of them is left out."""

from typing import Any

from discern_vqa.audit.inputs import AuditInputs, percent
from discern_vqa.config import DataConfig

TITLE = "Length of the texts"
_ADDED = 2
"""Tokens that an encoder puts around a text."""
_RESERVED = 1
"""Text positions that hold no token: the answer slot."""


def check(inputs: AuditInputs) -> dict[str, Any]:
    """{"tokenizer", "text_length", "splits": {split: {"texts", "longest", "cut"}}, "example"}.

    `longest` and `cut` are in tokens of the tokenizer named, or in words where no tokenizer is on this machine (a word
    is a token or more). `text_length` is the recipes' default; `needed` would hold every text.
    """
    usual: int = DataConfig.model_fields["text_length"].default
    splits, example, longest = {}, "", 0
    for split, rows in inputs.samples.items():
        texts = sorted({row.text for row in rows})
        counts = dict(zip(texts, inputs.tokens(texts), strict=True))
        cut = [row for row in rows if counts[row.text] + _ADDED + _RESERVED > usual]
        splits[split] = {"texts": len(rows), "longest": max(counts.values()), "cut": len(cut)}
        longest = max(longest, splits[split]["longest"])
        example = example or (cut[0].source if cut else "")
    return {
        "tokenizer": inputs.tokenizer_name,
        "text_length": usual,
        "needed": longest + _ADDED + _RESERVED,
        "splits": splits,
        "example": example,
    }


def notes(found: dict[str, Any]) -> list[str]:
    cut = {split: counts for split, counts in found["splits"].items() if counts["cut"]}
    if not cut:
        return []
    named = ", ".join(f"{percent(counts['cut'], counts['texts'])} of {split}" for split, counts in cut.items())
    return [
        f"questions or captions are longer than the {found['text_length']} text positions of a recipe: {named} "
        f"(the first: {found['example']}). The middle of them is not read; text_length = {found['needed']} in [data] "
        "would hold every one, where the text encoder has as many positions."
    ]


def lines(found: dict[str, Any]) -> list[str]:
    unit = f"tokens of {found['tokenizer']}" if found["tokenizer"] else "words (no tokenizer is on this machine)"
    return [
        f"{split}: the longest of {counts['texts']:,} has {counts['longest']:,} {unit}; {counts['cut']:,} do not "
        "fit into "
        f"text_length = {found['text_length']}"
        for split, counts in found["splits"].items()
    ]
