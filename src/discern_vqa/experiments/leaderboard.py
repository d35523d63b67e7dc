"""What is printed for each data set, as the tables of docs/leaderboard.md."""

from discern_vqa.experiments.markdown import markdown_table
from discern_vqa.scoring.literature import everything

TITLES = {"vqa_rad": "VQA-RAD", "slake": "SLAKE", "pathvqa": "PathVQA", "ovqa": "OVQA", "rexvqa": "ReXVQA"}
_COLUMNS = ("model", "open", "closed", "overall", "protocol", "split", "n", "judge", "source", "known against it")


def table(dataset: str) -> str:
    """The printed rows of a data set, those without pixels last, in Markdown."""
    rows = [list(_COLUMNS)]
    for row in everything(dataset):
        figures = [_as_printed(value) for value in (row.open, row.closed, row.overall)]
        name = row.model if row.sees_image else f"no pixels: {row.model}"
        rows.append([name, *figures, row.protocol, row.split, row.n, row.judge, row.source, row.caveat])
    return "\n".join(markdown_table(rows))


def _as_printed(value: float | None) -> str:
    """With one decimal, or two where two are printed."""
    return "-" if value is None else f"{value:.2f}".removesuffix("0")
