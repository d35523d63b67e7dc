"""`discern report`: run folders to one page that needs no other file, and the same as Markdown and JSON. No torch.

The page is `templates/report.html.j2` filled by `report_view` (figures), `report_figures` (curves) and `report_cases`
(examples); it loads nothing from anywhere and holds no script.
"""

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from discern_vqa.errors import RunError
from discern_vqa.evaluation.report_read import BEFORE, RunFiles, read_run
from discern_vqa.files import atomic_write_text

CASES = 24
_TEMPLATES = files("discern_vqa.evaluation") / "templates"


def write_report(run: Path, out: Path) -> Path:
    """Writes index.html, report.md and report.json of one run into `out`, and returns the page's path.

    Raises RunError, DataError: the run folder is not one, was not evaluated, or a file of it is broken.
    """
    return write_reports([run], out)


def write_reports(runs: Sequence[Path], out: Path) -> Path:
    """The same for several runs: a comparison first, then each of them. Raises RunError when there is none."""
    if not runs:
        raise RunError("there is no run to report", hint="discern report RUN")
    read = [read_run(Path(run)) for run in runs]
    shown = [_show(run, CASES // len(read) if len(read) > 1 else CASES) for run in read]
    title = read[0].name if len(read) == 1 else f"{len(read)} runs"
    out = Path(out)
    page: dict[str, Any] = {"title": title, "runs": shown, "version": _version(), "shared": _shared(shown)}
    page |= {f"any_{layer}": any(run[f"has_{layer}"] for run in shown) for layer in ("heat", "outline")}
    css = (_TEMPLATES / "report.css").read_text("utf-8")
    figures = [_plain(run, view) for run, view in zip(read, shown, strict=True)]
    atomic_write_text(out / "index.html", _template("report.html.j2", autoescape=True).render(**page, css=css))
    atomic_write_text(out / "report.md", _template("report.md.j2", autoescape=False).render(**page))
    atomic_write_text(out / "report.json", json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    return out / "index.html"


def _show(run: RunFiles, cases: int) -> dict[str, Any]:
    from discern_vqa.evaluation.report_cases import gallery
    from discern_vqa.evaluation.report_figures import best_epoch, curves
    from discern_vqa.evaluation.report_view import view

    shown = view(run)
    groups = gallery(run, cases)
    everyone = [case for group in groups for cards in group.sets for case in cards]
    titles = {BEFORE: "The stage before", "": "Learning"}
    stages = [{"title": titles[stage], "drawings": curves(run.learning.get(stage, []))} for stage in (BEFORE, "")]
    return shown | {
        "groups": groups,
        "has_heat": any(case.heat for case in everyone),
        "has_outline": any(case.outline for case in everyone),
        "stages": [stage for stage in stages if stage["drawings"]],
        "best": best_epoch(run.learning.get("", [])),
        "verdict": list(run.audit.get("verdict") or []) if run.audit else None,
        "audit_lines": _audit_lines(run.audit),
        "paired": any(row["difference"] for row in shown["rows"]),
        "by_key": {card["name"]: card for card in shown["cards"]},
    }


def _audit_lines(report: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Each check of the audit with its lines, as the terminal prints them; of checks that this version has."""
    from discern_vqa.audit import CHECKS

    named = [(check, report.get(check.__name__.rpartition(".")[2])) for check in CHECKS]
    return [(check.TITLE, check.lines(found)) for check, found in named if isinstance(found, dict)]


def _shared(shown: Sequence[dict[str, Any]]) -> list[str]:
    """The columns that any of the runs has, in order."""
    return list(dict.fromkeys(column["key"] for run in shown for column in run["columns"]))


def _plain(run: RunFiles, shown: dict[str, Any]) -> dict[str, Any]:
    """What `report.json` holds of one run: figures only, no pictures."""
    return {
        "name": run.name,
        "model": shown["model"],
        "dataset": shown["dataset"],
        "split": run.split,
        "scores": run.scores,
        "differences": {row["name"]: row["difference"] for row in shown["rows"] if row["difference"]},
        "warnings": shown["warnings"],
        "audit": shown["verdict"],
        "best_epoch": shown["best"],
    }


def _template(name: str, autoescape: bool) -> Any:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=autoescape, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string((_TEMPLATES / name).read_text("utf-8"))


def _version() -> str:
    from discern_vqa import __version__

    return __version__
