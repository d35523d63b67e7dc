"""Outside: what a reader must know of figures of somebody else's model, and what they would be by other protocols. No
torch here.

Whoever asks the model writes how it answered (`FACTS`) and its answers as it wrote them (`AS_WRITTEN`), before the
answer was taken out of them. Published figures of one model differ by tens of percentage points with the protocol, so
both stand side by side under each of them.
"""

from collections.abc import Mapping
from typing import Any

from discern_vqa.files import read_json
from discern_vqa.measurements import Context, Scores
from discern_vqa.scoring import predictions
from discern_vqa.scoring.extraction import extract, in_words
from discern_vqa.scoring.page_tables import Cell, Table, percent
from discern_vqa.scoring.protocols import score_protocols

ORDER = 5
FACTS, AS_WRITTEN = "outside/facts.{split}.json", "predictions.{split}.as_written.jsonl"
_APART = 0.05
"""A difference between protocols, as a share, from which a reader is warned."""
_MANY = 0.02
"""A share of answers that are cut off, empty or missing from which on a reader is warned."""


def measure(context: Context) -> Mapping[str, Any]:
    """{"outside": the facts, and "protocols": the figures of the answers as they were written}; {} of other runs."""
    file = context.folder / FACTS.format(split=context.split)
    if not context.run.recipe.is_outside or not file.is_file():
        return {}
    rows = predictions.read(context.folder / AS_WRITTEN.format(split=context.split))
    protocols = score_protocols(rows, answers=context.run.vocabulary.givable or None)
    return {"outside": read_json(file) | {"extraction": extract(rows).counts, "protocols": protocols}}


def lines(scores: Scores) -> list[str]:
    found = scores.get("outside") or {}
    if not found:
        return []
    where = f" at {found['host']}" if found["host"] else ""
    parts = [
        f"{found[key]:,} {words}"
        for key, words in (
            ("unanswered", "without an answer"),
            ("empty", "empty"),
            ("cut", "cut off at the largest number of tokens"),
            ("no_confidence", "without the confidence that was asked for"),
            ("tried_again", "after several tries"),
        )
        if found[key]
    ]
    told = f": {', '.join(parts)}" if parts else ""
    return [
        f"asked {found['model']}{where}: {found['requests']:,} answers, {found['seconds']:.2f} s each{told}",
        in_words(found["extraction"], scores["n"]),
    ]


def sentences(scores: Scores) -> list[str]:
    return [f"{line[0].upper()}{line[1:]}." for line in lines(scores)]


def warnings(scores: Scores) -> list[str]:
    found = scores.get("outside") or {}
    if not found:
        return []
    texts = []
    worth = {
        name: figures["overall"]["accuracy"]
        for name, figures in found["protocols"].items()
        if (figures.get("overall") or {}).get("n") == scores["n"]
    }
    low, high = (pick(worth, key=lambda name: worth[name], default="") for pick in (min, max))
    if low and worth[high] - worth[low] >= _APART:
        texts.append(
            f"the same answers are worth {100 * worth[low]:.1f} % by the protocol {low} and {100 * worth[high]:.1f} % "
            f"by {high}: name the protocol with every figure"
        )
    if found["is_public"]:
        texts.append(
            f"the questions are public, and what {found['model']} learned from is not known here: it may have learned"
            " these very questions and their answers, and then no figure says what it does on new images"
        )
    for key, words, remedy in (
        ("unanswered", "have no answer and count as wrong", f": {'; '.join(found['problems'])}"),
        ("empty", "are empty and count as wrong", ""),
        ("cut", "were cut off", ", which a larger model.max_tokens avoids"),
        ("no_confidence", "come without the confidence that was asked for, and count as 50 % sure", ""),
    ):
        if found[key] > _MANY * found["requests"]:
            texts.append(f"{found[key]:,} of {found['requests']:,} answers {words}{remedy}")
    return texts


def tables(scores: Scores) -> list[Table]:
    """Each protocol on the answers as they were taken out, and as they were written."""
    written = (scores.get("outside") or {}).get("protocols") or {}
    taken = scores.get("protocols") or {}
    rows: list[list[Cell]] = [
        [name, figures["n"], percent(taken[name]["overall"]), percent(figures["overall"])]
        for name, figures in written.items()
        if figures.get("overall") and (taken.get(name) or {}).get("overall")
    ]
    note = (
        "What programs would print for these answers: for the answer that was taken out of each text (docs/score.md has"
        " the rules), and for the text as the model wrote it; overall, in %"
    )
    columns = ["protocol", "n", "the answer in the text", "the text as it was written"]
    return [Table("as_written", "The protocol decides", columns, rows, note)] if rows else []
