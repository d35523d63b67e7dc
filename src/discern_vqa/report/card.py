"""What `evaluate` adds to a run's model card: figures beside baselines and controls, flaws of the data. No torch."""

from pathlib import Path

from discern_vqa.card import Judged, write_card
from discern_vqa.report.read import read_run
from discern_vqa.report.table_files import as_markdown
from discern_vqa.report.view import view

PARTS = {
    "overall": "accuracy",
    "open": "accuracy, open",
    "closed": "accuracy, closed",
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
    accuracies = {key: (run.scores.get(key) or {}).get("accuracy") for key in PARTS}
    judged = Judged(
        split=published,
        questions=run.scores["n"],
        images=run.scores.get("images"),
        figures={PARTS[key]: value for key, value in accuracies.items() if value is not None},
        table=as_markdown(shown["tables"][0]),
        says=[*(f"**Take care:** {one}." for one in shown["warnings"]), *shown["summary"]],
        flaws=run.audit.get("verdict") or [],
    )
    return write_card(folder, judged)
