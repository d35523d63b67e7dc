"""What `evaluate` adds to a run's model card: figures beside baselines and controls, flaws of the data. No torch."""

from pathlib import Path

from discern_vqa.card import Judged, write_card
from discern_vqa.evaluation.report.read import read_run
from discern_vqa.evaluation.report.table_files import as_markdown
from discern_vqa.evaluation.report.view import view

PARTS = {"overall": "accuracy", "open": "accuracy, open", "closed": "accuracy, closed", "twins": "accuracy, twins"}


def write_judged_card(folder: Path, split: str) -> bool:
    """Writes README.md anew from the run's files of that split; False where somebody else's README is there."""
    run = read_run(folder, split)
    shown = view(run)
    found = {key: (run.scores.get(key) or {}).get("accuracy") for key in PARTS}
    judged = Judged(
        split=split,
        questions=run.scores["n"],
        images=run.scores.get("images"),
        figures={PARTS[key]: value for key, value in found.items() if value is not None},
        table=as_markdown(shown["tables"][0]),
        says=[*(f"**Take care:** {one}." for one in shown["warnings"]), *shown["summary"]],
        flaws=run.audit.get("verdict") or [],
    )
    return write_card(folder, judged)
