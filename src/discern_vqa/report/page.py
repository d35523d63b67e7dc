"""`discern report`: run folders to one page that needs no other file; also Markdown, JSON, CSV and LaTeX. No torch.

    index.html            the page; it loads nothing from anywhere and holds no script
    report.md             words and tables
    report.json           figures only
    tables/*.csv, *.tex   each table of the page; of several runs each has a folder of its own in tables/

The page is `templates/report.html.j2`; one file beside this one fills each of its sections.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from discern_vqa.audit import CHECKS
from discern_vqa.data.judged import shown_percent, shown_share
from discern_vqa.errors import RunError
from discern_vqa.files import atomic_write_text
from discern_vqa.pages import style, templates
from discern_vqa.report.cases import gallery
from discern_vqa.report.compare import comparison, unique_names
from discern_vqa.report.confusion import confusions
from discern_vqa.report.feature_map import feature_map
from discern_vqa.report.figures import best_epoch, curves
from discern_vqa.report.provenance import beside_literature, facts, settings
from discern_vqa.report.read import BEFORE, RunFiles, evaluate_anew, read_run
from discern_vqa.report.table_files import as_markdown, write_tables
from discern_vqa.report.trust import trust
from discern_vqa.report.view import view
from discern_vqa.scoring.page_tables import Figure, Table, said
from discern_vqa.scoring.stored import own_file
from discern_vqa.version import __version__

CASES = 24


def write_report(run: Path, out: Path) -> Path:
    """Writes the report of one run into `out`, and returns the page's path.

    Raises RunError, DataError: the run folder is not one, was not evaluated, or a file of it is broken.
    """
    return write_reports([run], out)


def write_reports(runs: Sequence[Path], out: Path) -> Path:
    """The same for several runs: a comparison first, then each of them. Raises RunError when there is none."""
    if not runs:
        raise RunError("there is no run to report", hint="discern report RUN")
    read = [read_run(Path(run)) for run in runs]
    names = unique_names(read)
    single = len(read) == 1
    shown = []
    for number, (files, name) in enumerate(zip(read, names, strict=True), start=1):
        with own_file(f"a file of {files.folder}", evaluate_anew(files.folder)):
            shown.append(_show(files, name, number, CASES if single else max(6, CASES // len(read))))
    compared = None if single else comparison(read, names)
    page: dict[str, Any] = {
        "title": names[0] if single else f"{len(read)} runs compared",
        "runs": shown,
        "compared": compared,
        "version": __version__,
        "groups": [*(compared["groups"] if compared else []), *(group for run in shown for group in run["groups"])],
    }
    everyone = [case for group in page["groups"] for cards in group.sets for case in cards]
    page |= {f"any_{layer}": any(getattr(case, layer) for case in everyone) for layer in ("heat", "outline")}
    out = Path(out)
    atomic_write_text(out / "index.html", _filled("report.html.j2", autoescape=True, **page))
    atomic_write_text(out / "report.md", _filled("report.md.j2", autoescape=False, **page))
    figures = {"runs": [_plain(run, view) for run, view in zip(read, shown, strict=True)]}
    if compared:
        figures["comparison"] = [_as_json(table) for table in compared["tables"]]
        write_tables(compared["tables"], out / "tables")
    atomic_write_text(out / "report.json", json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    for run, name in zip(shown, names, strict=True):
        folder = out / "tables" if single else out / "tables" / (re.sub(r"[^\w.-]+", "_", name).strip(".") or "run")
        write_tables(run["all_tables"], folder)
    return out / "index.html"


def _show(run: RunFiles, name: str, place: int, cases: int) -> dict[str, Any]:
    key = f"r{place}"
    shown = view(run) | {"name": name, "key": key}
    titles = {BEFORE: "The stage before", "": "Learning"}
    stages = [
        {"title": titles[stage], "drawings": curves(run.learning.get(stage, []), f"{key} {stage}")}
        for stage in (BEFORE, "")
    ]
    trusted, confused, printed = trust(run, key), confusions(run), beside_literature(run)
    by = [_by_table(group) for group in shown["by"]]
    return shown | {
        "groups": gallery(run, cases),
        "heat_method": next((str(one.get("method", "")) for one in run.heat.values()), "").replace("_", " "),
        "stages": [stage for stage in stages if stage["drawings"]],
        "best": best_epoch(run.learning.get("", [])),
        "verdict": list(run.audit.get("verdict") or []) if run.audit else None,
        "audit_lines": _audit_lines(run.audit),
        "paired": any(row["difference"] for row in shown["rows"]),
        "trust": trusted,
        "confusions": confused,
        "map": feature_map(run, key),
        "literature": printed,
        "facts": facts(run),
        "recipe": run.recipe,
        "settings": settings(run.config),
        "all_tables": [
            *shown["tables"],
            *by,
            *trusted.tables,
            *(one.table() for one in confused),
            *([printed] if printed else []),
        ],
    }


def _by_table(group: dict[str, Any]) -> Table:
    rows = [
        [bar["name"], bar["n"], Figure(bar["value"], bar["low"], bar["high"], bar["n"])]
        for bar in group["bars"]
        if bar["value"] is not None
    ]
    note = "Accuracy in %" + (f". {group['note']}" if group["note"] else "")
    return Table(f"by_{group['key']}", group["title"], [group["title"][3:], "n", "accuracy"], rows, note)


def _audit_lines(report: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Each check of the audit with its lines, as the terminal prints them; of checks that this version has."""
    told = []
    for name, check in CHECKS.items():
        if isinstance(figures := report.get(name), dict):
            try:
                lines = check.lines(figures)
            except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError):  # of an earlier version
                lines = ["(figures of another version of Discern; `discern evaluate` writes them anew)"]
            told.append((check.TITLE, lines))
    return told


def _plain(run: RunFiles, shown: dict[str, Any]) -> dict[str, Any]:
    """What `report.json` holds of one run: figures only, no images."""
    return {
        "name": shown["name"],
        "model": shown["model"],
        "dataset": shown["dataset"],
        "split": run.split,
        "summary": shown["summary"],
        "scores": run.scores,
        "differences": {row["name"]: row["difference"] for row in shown["rows"] if row["difference"]},
        "warnings": shown["warnings"],
        "audit": shown["verdict"],
        "best_epoch": shown["best"],
        "environment": dict(shown["facts"]),
        "map": None if not shown["map"] else {one["title"]: one["words"] for one in shown["map"]["drawings"]},
        "tables": [_as_json(table) for table in shown["all_tables"]],
    }


def _as_json(table: Table) -> dict[str, Any]:
    return {key: value for key, value in asdict(table).items() if key != "marked"}


def _filled(name: str, autoescape: bool, **page: Any) -> str:
    environment = templates("discern_vqa.report", autoescape=autoescape)
    environment.filters |= {"said": said, "markdown": as_markdown, "share": shown_share, "share_percent": shown_percent}
    environment.tests["figure"] = lambda cell: isinstance(cell, Figure)
    return environment.get_template(name).render(**page, css=style("discern_vqa.report", "report.css"))
