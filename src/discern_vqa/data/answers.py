"""Answers before and after the model: normalisers by name, the vocabulary, and what an answer is. No torch here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """One answer with its score in [0, 1] and the next best, best first (itself included)."""

    text: str
    score: float
    alternatives: tuple[tuple[str, float], ...] = ()
