"""Records: how many of the published questions are here, and which records cannot be read."""

from typing import Any

from discern_vqa.audit.inputs import AuditInputs

TITLE = "Records"
_MOST_NAMED = 20
_FEW = 0.001  # of a split: owners' own copies differ by a record or two


def check(inputs: AuditInputs) -> dict[str, Any]:
    """Per split the questions read and published (None where nobody says) and why the reader leaves some out, and what
    is wrong with broken records."""
    asked = {split: sum(not row.is_caption for row in rows) for split, rows in inputs.samples.items()}
    read = {split: asked[split] or len(rows) for split, rows in inputs.samples.items()}  # or captions, if they are all
    splits = list(dict.fromkeys([*inputs.published, *read]))
    return {
        "splits": {
            split: {
                "read": read.get(split, 0),
                "captions": bool(read.get(split)) and not asked[split],
                "published": inputs.published.get(split),
                "left_out": inputs.left_out.get(split, ""),
            }
            for split in splits
        },
        "broken": len(inputs.broken),
        "broken_named": list(inputs.broken[:_MOST_NAMED]),
    }


def verdict(found: dict[str, Any]) -> list[str]:
    """Broken records, and splits that are not as published."""
    sentences = []
    if found["broken"]:
        sentences.append(f"{found['broken']:,} records cannot be read; the first: {found['broken_named'][0]}.")
    for split, counts in found["splits"].items():
        if _is_off(counts) and counts["read"]:
            sentences.append(
                f"{split} has {counts['read']:,} questions, and {counts['published']:,} were published: this copy is "
                "another edition, or not whole; scores on it do not compare with published ones."
            )
    return sentences


def notes(found: dict[str, Any]) -> list[str]:
    """Splits that are not there at all, or off by a record or two, and why where that is known."""
    sentences = []
    for split, counts in found["splits"].items():
        if counts["published"] and not counts["read"]:
            sentences.append(f"{split} ({counts['published']:,} published questions) is not here.")
        elif counts["published"] not in (None, counts["read"]) and not _is_off(counts):
            why = f": {counts['left_out']}" if counts["left_out"] else ""
            sentences.append(f"{split} has {counts['read']:,} of the {counts['published']:,} published questions{why}.")
    return sentences


def _is_off(counts: dict[str, Any]) -> bool:
    published = counts["published"]
    return published is not None and abs(counts["read"] - published) > _FEW * published


def lines(found: dict[str, Any]) -> list[str]:
    texts = [
        f"{split}: {counts['read']:,} {'captions' if counts['captions'] else 'questions'} read"
        + (f", {counts['published']:,} published" if counts["published"] is not None else "")
        for split, counts in found["splits"].items()
    ]
    return [*texts, f"broken records: {found['broken']:,}", *(f"  {text}" for text in found["broken_named"])]
