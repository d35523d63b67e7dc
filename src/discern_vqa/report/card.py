"""What `evaluate` adds to a run's model card: figures beside baselines and controls, flaws of the data. No torch."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from discern_vqa.card import Figure, Judged, write_card
from discern_vqa.report.read import read_run
from discern_vqa.report.table_files import as_markdown
from discern_vqa.report.view import view

PARTS = {
    "overall": "accuracy",
    "open": "accuracy, open",
    "closed": "accuracy, closed",
    "choice": "accuracy, multiple choice",
    "twins": "accuracy, image pairs",
}

PUBLISHED = ("test", "validation")
"""The splits whose figures a card shows, before any other that was judged."""


def write_judged_card(folder: Path, split: str) -> bool:
    """Writes README.md anew after `split` was judged; False where somebody else's README is there.

    The figures are those of test where it was judged, else of validation, else of `split`; never of train, whose
    accuracy is no result: a run that was judged on train alone has the card of one that was not evaluated.
    """
    folder = Path(folder)
    answered = [name for name in (*PUBLISHED, split) if (folder / f"predictions.{name}.jsonl").is_file()]
    published = next((name for name in answered if (folder / f"scores.{name}.json").is_file()), split)
    if published == "train":
        return write_card(folder)
    run = read_run(folder, published)
    shown = view(run)
    judged = Judged(
        split=published,
        questions=run.scores["n"],
        images=run.scores.get("images"),
        protocol=str(run.scores.get("protocol") or "usual"),
        normaliser=str(run.scores.get("normaliser") or ""),
        figures=[*_figures(run.scores, PARTS), *_of_baselines(run.scores)],
        table=as_markdown(shown["tables"][0]),
        says=[*(f"**Take care:** {one}." for one in shown["warnings"]), *shown["summary"]],
        flaws=run.audit.get("verdict") or [],
    )
    return write_card(folder, judged)


def _figures(scores: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[Figure]:
    for key, name in names.items():
        figure = scores.get(key) or {}
        if (value := figure.get("accuracy")) is not None:
            ends = figure.get("ci95")
            yield Figure(name, value, figure["n"], (ends[0], ends[1]) if ends else None)


def _of_baselines(scores: Mapping[str, Any]) -> Iterator[Figure]:
    """What the run has to be better than: a figure without it says little."""
    for baseline, row in (scores.get("baselines") or {}).items():
        if isinstance(row, Mapping):
            yield from _figures(row, {"overall": f"accuracy of the baseline {baseline}"})
