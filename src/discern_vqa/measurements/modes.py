"""Modes: a model with a generator has several ways of answering, and each is scored on the same questions."""

from collections.abc import Mapping
from typing import Any

from discern_vqa.measurements import Context, Group, Scores
from discern_vqa.scoring import predictions
from discern_vqa.scoring.free_text import free_text
from discern_vqa.scoring.metrics import brief

ORDER = 50
WRITING = ("generate", "hybrid")
"""Modes that write free text."""


def measure(context: Context) -> Mapping[str, Any]:
    """The figures of every mode, whose answers are kept as `predictions.<split>.<mode>.jsonl`; of those that write,
    also token F1 and BLEU-1."""
    asker, figures = context.asker, {}
    if len(asker.modes) < 2:
        return {}
    context.say(f"ways of answering: {', '.join(asker.modes)}")
    for mode in asker.modes:
        rows = predictions.from_answers(context.samples, asker.answers(mode))
        file = f"predictions.{context.split}.{mode}.jsonl"
        predictions.write(context.folder / file, rows)
        figures[mode] = brief(rows, context.normalise) | {"file": file}
        if mode in WRITING:
            text = free_text(rows, context.normalise)
            figures[mode]["free_text"] = {name: text[name] for name in ("exact", "token_f1", "bleu_1")}
        if mode == "rank":
            assert context.run.writer is not None
            figures[mode]["candidates"] = {"n": len(context.run.writer.candidates), "scope": "training answers"}
        if mode == "hybrid":
            figures[mode]["generates_below"] = asker.generates_below
    return {"modes": figures}


def groups(scores: Scores) -> list[Group]:
    """The modes next to the run's own, which is the first row."""
    others = {mode: figures for mode, figures in (scores.get("modes") or {}).items() if mode != scores.get("mode")}
    sees = dict.fromkeys(others, "the image and the question")
    return [Group("mode", "other ways of answering (the same model)", others, sees)]
