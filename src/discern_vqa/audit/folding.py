"""The audit's lines made short for a terminal: what found nothing is named once, what repeats itself stands once.

The page and the JSON file have every line.
"""

import re
from collections.abc import Sequence

from discern_vqa.data.sample import SPLITS

WHOLE = ("Contents", "Records")
"""Checks in which a nought tells something: nothing was read."""
_SPLIT = re.compile(rf"\b({'|'.join(SPLITS)})\b")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_NORMALISER = re.compile(r"\bnormaliser (\w+)\b")


def sentences(listed: Sequence[str]) -> list[str]:
    """The sentences; those that say the same of another split are one, with the other splits' numbers behind it."""
    alike: dict[str, list[str]] = {}
    for sentence in listed:
        alike.setdefault(_NUMBER.sub("#", _SPLIT.sub("*", sentence)), []).append(sentence)
    return [f"{first}{_likewise(first, others)}" for first, *others in alike.values()]


def _likewise(first: str, others: Sequence[str]) -> str:
    named = []
    for other in others:
        splits = [name for name in dict.fromkeys(_SPLIT.findall(other)) if name not in _SPLIT.findall(first)]
        named.append(f"{', '.join(splits) or 'again'}: {', '.join(_NUMBER.findall(other))}")
    return f" (likewise {'; '.join(named)})" if named else ""


def checks(listed: Sequence[tuple[str, list[str]]]) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """(titles with their lines, titles of checks that counted nothing): without lines of noughts, lines that differ in
    the normaliser alone as one."""
    kept, empty = [], []
    for title, lines in listed:
        folded = _one_for_all_normalisers(lines)
        telling = folded if title in WHOLE else [line for line in folded if not _is_nought(line)]
        if telling:
            kept.append((title, telling))
        else:
            empty.append(title)
    return kept, empty


def _is_nought(line: str) -> bool:
    """Whether all that a line counts is nought: its numbers behind the colon (not "of 56" nor limits in brackets), or
    that nothing was asked for."""
    if line.startswith("no ") and " was named" in line:
        return True
    counts = re.sub(r"\([^()]*\)|\bof [\d,]+", "", line.rpartition(":")[2] if ";" not in line else line)
    numbers = _NUMBER.findall(counts)
    return bool(numbers) and all(float(number.replace(",", "")) == 0 for number in numbers)


def _one_for_all_normalisers(lines: Sequence[str]) -> list[str]:
    names: dict[str, list[str]] = {}
    for line in lines:
        match = _NORMALISER.search(line)
        names.setdefault(_NORMALISER.sub("normaliser *", line), []).append(match[1] if match else "")
    return [
        line.replace("normaliser *", f"normaliser{'s' * (len(which) > 1)} {', '.join(which)}") if which[0] else line
        for line, which in names.items()
    ]
