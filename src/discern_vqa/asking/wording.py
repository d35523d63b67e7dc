"""What is asked in words, and what is read from the words that come back. No torch here."""

import re
import string
from collections.abc import Sequence

from discern_vqa.asking.tables import CHOICES, QUESTION

ASK_CONFIDENCE = (
    "\nThen write a new line with 'Confidence:' and a number from 0 to 100: how sure you are that the answer is right."
)
CONFIDENCE_LINE = "\nConfidence: {:.4g}%"
"""How a number stands behind an answer that came without words."""
UNSAID = 0.5
"""Stands for the confidence that a model was asked for and did not say; such answers are counted."""

_THOUGHTS = re.compile(r"<(think|thinking|thought)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_LATE_THOUGHTS = re.compile(r"\A.*</(?:think|thinking|thought)>", re.DOTALL | re.IGNORECASE)
_CONFIDENCE = re.compile(
    r"^[ \t>*_#-]*confidence(?:[ \t]+level|[ \t]+score)?[ \t*_]*(?:[:=]|is)[ \t*_]*"
    r"(?P<number>\d+(?:\.\d+)?)[ \t]*(?P<unit>%|/[ \t]*100|/[ \t]*10)?[^\n]*$",
    re.IGNORECASE | re.MULTILINE,
)


def filled(prompt: str, question: str, choices: Sequence[str], with_confidence: bool) -> str:
    """The prompt about one question; the offered answers stand at `{choices}`, or else follow the question."""
    offered = "\n".join(f"{letter}. {text}" for letter, text in zip(string.ascii_uppercase, choices, strict=False))
    if offered and CHOICES not in prompt:
        prompt = prompt.replace(QUESTION, f"{QUESTION}\n{CHOICES}")
    parts = re.split(f"({re.escape(QUESTION)}|{re.escape(CHOICES)})", prompt)  # a question may hold braces itself
    text = "".join({QUESTION: question, CHOICES: offered}.get(part, part) for part in parts)
    return text + ASK_CONFIDENCE if with_confidence else text


def said_confidence(text: str) -> float | None:
    """The last confidence that a text states, in [0, 1]; None where it states none, or none within its range."""
    stated = None
    for match in _CONFIDENCE.finditer(without_thoughts(text)):
        number, unit = float(match["number"]), (match["unit"] or "").replace(" ", "")
        whole = 10.0 if unit == "/10" else 1.0 if not unit and "." in match["number"] and number <= 1 else 100.0
        if 0 <= number <= whole:
            stated = number / whole
    return stated


def without_thoughts(text: str) -> str:
    """The text without what a reasoning model writes before its answer."""
    return _LATE_THOUGHTS.sub("", _THOUGHTS.sub("", text)).strip()


def without_confidence(text: str) -> str:
    """The text without its lines of confidence."""
    return _CONFIDENCE.sub("", text).strip()
