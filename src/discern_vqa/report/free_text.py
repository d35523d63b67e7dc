"""The figures of what a language model wrote, protocol beside protocol, for the terminal. No torch here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from discern_vqa.report import terminal
from discern_vqa.scoring import free_text, protocols
from discern_vqa.scoring.extraction import Extraction, in_words
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.scoring.tables import cell

SIDE_BY_SIDE = ("extracted", "ours", "medevalkit", "medevalkit_slake", "llava_med")
FOR_CHOICES = ("extracted", "ours", "medevalkit_choice")
"""The protocols that are always shown for free text, as far as the file has what they need; the latter where every
question offers options."""
APART = 0.05
"""A difference between protocols, as a share, from which a figure says little without its protocol's name."""
_SHOWN = ("token_recall", "token_f1", "rouge_l")


def score_text(rows: Sequence[Prediction], extraction: Extraction, path: Path, normalise: str) -> dict[str, Any]:
    """The scores of the answers that were taken out, as of any predictions, and beside them: `protocol`, which is
    "extracted", `extraction` (rule -> answers), `protocols` (as `protocols.score_protocols`) and `free_text` (as
    `free_text.free_text`)."""
    names = FOR_CHOICES if all(row.options for row in rows) else SIDE_BY_SIDE
    figures = protocols.score_protocols(rows, names)
    return terminal.score_rows(extraction.rows, path, normalise) | {
        "protocol": "extracted",
        "extraction": extraction.counts,
        "protocols": {name: scored for name, scored in figures.items() if "skipped" not in scored},
        "free_text": free_text.free_text(extraction.rows, normalise),
    }


def as_text(scores: dict[str, Any]) -> str:
    """The table of `terminal`, what was taken out, and the protocols side by side."""
    figures = scores["protocols"]
    shares = {name: scored["overall"]["accuracy"] for name, scored in figures.items()}
    low, high = min(shares, key=lambda name: shares[name]), max(shares, key=lambda name: shares[name])
    lines = [terminal.as_table(scores, "extracted"), in_words(scores["extraction"], scores["n"])]
    titles = {name: cell(scores["free_text"][name]["overall"], "value") for name in _SHOWN}
    lines.append(", ".join(f"{free_text.TITLES[name]} {value}" for name, value in titles.items()))
    lines += ["", protocols.as_table(figures)]
    if shares[high] - shares[low] >= APART:
        lines += [
            "",
            f"WARNING: the same answers are worth {100 * shares[low]:.1f} % by {low} and {100 * shares[high]:.1f} % by "
            f"{high}; name the protocol with every figure",
        ]
    return "\n".join(lines)


def strict_warning(names: Sequence[str], extraction: Extraction, n: int) -> str:
    """What to know before believing protocols that compare whole texts; "" where none of them does."""
    strict = [name for name in names if protocols.PROTOCOLS[name].is_strict]
    if not strict:
        return ""
    how = f"; {in_words(extraction.counts, n)}" if extraction.touched else ""
    return (
        f"WARNING: these answers are free text{how}. Whole texts are compared by {', '.join(strict)}, which were made "
        "for models that choose from a list of answers; the protocol extracted takes the answer out first"
    )
