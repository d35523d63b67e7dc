"""Different answers that the normaliser takes for one: what is counted as right although it says something else."""

from collections.abc import Mapping, Sequence
from typing import Any

from discern_vqa.data.merged import lost, merged, warning
from discern_vqa.data.normalisers import NORMALISERS, SAFE, normaliser
from discern_vqa.measurements import Context, Scores
from discern_vqa.scoring.predictions import Prediction

ORDER = 65
_LISTED = 20


def measure(context: Context) -> Mapping[str, Any]:
    return {"merged": counted(context.rows, context.normalise)}


def counted(rows: Sequence[Prediction], normalise: str) -> dict[str, Any]:
    """{"n", "losing", "examples", "warning"}: answers that count as right although `plain` tells them from every true
    one, how many of those lose something that matters (`data.merged`), these first as [given, true], and a sentence
    about the true answers that were made one."""
    same, plain = normaliser(normalise), NORMALISERS[SAFE]
    harmless: list[list[str]] = []
    losing: list[list[str]] = []
    for row in rows:
        given = row.prediction
        equal = [true for true in row.truths if given.strip() and same(true) == same(given)]
        if equal and plain(given) not in map(plain, equal):
            (losing if lost([given, equal[0]]) else harmless).append([given, equal[0]])
    golds = warning(merged((row.gold for row in rows), normalise), normalise)
    return {
        "n": len(harmless) + len(losing),
        "losing": len(losing),
        "examples": (losing + harmless)[:_LISTED],
        "warning": golds,
    }


def lines(scores: Scores) -> list[str]:
    found = scores.get("merged") or {}
    if not found.get("n"):
        return []
    given, true = found["examples"][0]
    return [
        f"right by the normaliser alone: {found['n']:,} answers are written otherwise than the true one, as "
        f"{given!r} for {true!r}"
    ]


def warnings(scores: Scores) -> list[str]:
    found = scores.get("merged") or {}
    sentences = [found["warning"]] if found.get("warning") else []
    if found.get("losing"):
        named = "; ".join(f"{given!r} for {true!r}" for given, true in found["examples"][: min(3, found["losing"])])
        sentences.insert(
            0,
            f"{found['losing']:,} of the answers that count as right say something else than the true one, which the "
            f"normaliser does not see: {named}. With the normaliser {SAFE!r} they count as wrong",
        )
    return sentences
