"""The report of an experiment as Markdown, JSON and CSV: fit to be kept in docs/experiments/ (no paths, no names)."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discern_vqa.experiments import curves, paper_settings
from discern_vqa.experiments import figures as drawings
from discern_vqa.experiments.markdown import NOT_TOLD, markdown_table, shown
from discern_vqa.experiments.report import PARTS
from discern_vqa.files import atomic_write_text
from discern_vqa.scoring.tables import cell


def write(report: dict[str, Any], out: Path) -> Path:
    """report.md, report.json, rows.csv and the figures in `out`; returns the Markdown's path."""
    atomic_write_text(out / "report.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    atomic_write_text(out / "rows.csv", as_csv(report))
    atomic_write_text(out / "report.md", as_markdown(report, drawings.draw(report, out)))
    return out / "report.md"


def as_markdown(report: dict[str, Any], figures: Mapping[str, str]) -> str:
    """The page; `figures`: names of image files beside it by section (`figures.draw`)."""
    seeds = ", ".join(map(str, report["seeds"]))
    same = "see the same images and questions"
    if "differences" in report:
        same = "of one size learn from the same images, and all answer the same questions"
    lines = [
        f"# {report['title']} ({report['source']})",
        "",
        f"Recipe `{report['recipe']}`, split `{report['split']}`: {report['n']:,} questions about {report['images']:,} "
        f"images"
        + (f", {report['twin_pairs']:,} image pairs" if report["twin_pairs"] else "")
        + f"; answers compared by `{report['normaliser']}`. Seeds {seeds}: accuracy in %, mean +- standard deviation "
        f"over the seeds, which change the training alone (all rows {same}). The split was "
        "opened after the last training had ended.",
        "",
    ]
    if report["claim"]:
        lines += [f"In print: {report['claim']}.", ""]
    lines += drawings.shown(drawings.ROWS, figures)
    if "differences" in report:
        lines += [*curves.rows_table(report), "", *curves.differences_table(report)]
    else:
        lines += [*_main_table(report), "", *_verdicts(report)]
    for section, groups in report.get("by", {}).items():
        lines += ["", *_group_table(section, groups, report["reference"], drawings.shown(section, figures))]
    for extra in report.get("extra", []):
        lines += ["", f"## {extra['title']}", "", *drawings.shown(extra["name"], figures), *extra["lines"]]
    lines += ["", *_baselines(report)]
    lines += ["", *paper_settings.as_lines(report)]
    if report["note"]:
        lines += ["", report["note"]]
    versions = ", ".join(f"{name} {number}" for name, number in report["made_with"].items())
    lines += ["", "## How", "", f"    {report['command']}", "",
              f"{report['date']}; {report['machine']}; {versions}. Not for diagnosis.", ""]  # fmt: skip
    return "\n".join(lines)


def as_csv(report: dict[str, Any]) -> str:
    """A line for each row, seed and part: the figures that everything else is made of."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["experiment", "recipe", "row", "seed", "part", "accuracy"])
    for row in report["rows"]:
        for part, figure in row.get("figures", {}).items():
            for seed, value in zip(row["seeds"], figure["values"], strict=True):
                writer.writerow([report["name"], report["recipe"], row["name"], seed, part, f"{value:.6f}"])
    return file.getvalue()


def _main_table(report: dict[str, Any]) -> list[str]:
    parts = [part for part in PARTS if any(part in row.get("figures", {}) for row in report["rows"])]
    tests = {test["name"]: test for test in report["tests"] if test["part"] == "overall"}
    printed = any(row["printed"] for row in report["rows"])
    head = ["row", "changes", *parts, f"overall against {report['reference']}"]
    head += ["printed open / closed / overall", "printed difference"] if printed else []
    table = [head]
    for row in report["rows"]:
        name = f"**{row['name']}**" if row["name"] == report["reference"] else row["name"]
        changes = "; ".join(f"`{key}` {value}" for key, value in row["changes"].items()) or "nothing"
        cells = [name, changes, *(shown(row.get("figures", {}).get(part)) for part in parts)]
        cells.append(_difference(row, tests, report["reference"]))
        if printed:
            difference = row.get("printed_difference", {}).get("overall")
            cells += [_printed(row["printed"]), "-" if difference is None else f"{difference:+.1f}"]
        table.append(cells)
    return markdown_table(table)


def _difference(row: dict[str, Any], tests: dict[str, Any], reference: str) -> str:
    if row["name"] in tests:
        test = tests[row["name"]]
        said = f"{100 * test['difference']:+.1f}"
        if test["ci95"]:
            said += f" ({100 * test['ci95'][0]:+.1f} to {100 * test['ci95'][1]:+.1f})"
        return f"{said}, {test['verdict']}"
    if row["name"] == reference:
        return "reference"
    return f"skipped: {row['skipped']}" if "skipped" in row else f"failed: {row.get('failed', 'no answers')}"


def _verdicts(report: dict[str, Any]) -> list[str]:
    if not report["tests"]:
        return []
    told = [test for test in report["tests"] if test["verdict"] != NOT_TOLD]
    errors = [test["detectable"] for test in report["tests"] if test["part"] == "overall" and test["detectable"]]
    lines = [
        f"Tests are paired (the same questions), over images and seeds, two-sided at 5 %, corrected together: "
        f"{report['correction']}."
    ]
    if errors:
        low, high = 100 * min(errors), 100 * max(errors)
        size = f"{low:.1f}" if high - low < 0.05 else f"{low:.1f} to {high:.1f}"
        lines[0] += (
            f" A true difference under {size} percentage points (before correction; it depends on the row) would be "
            "missed more often than once in five."
        )
    lines += ["", *(f"- {test['words']}" for test in told)] if told else ["", "No row can be told from the reference."]
    alike = len(report["tests"]) - len(told)
    if told and alike:
        lines += ["", f"The other {alike} of {len(report['tests'])} comparisons are {NOT_TOLD}."]
    return lines


def _group_table(section: str, groups: dict[str, Any], reference: str, figure: list[str]) -> list[str]:
    names = list(next(iter(groups.values()))["rows"])
    table = [[section.replace("_", " "), "n", "images", *(f"**{one}**" if one == reference else one for one in names)]]
    for group, told in groups.items():
        cells = [group, f"{told['n']:,}", f"{told['images']:,}"]
        for name in names:
            text, test = shown(told["rows"][name]), told["tests"].get(name)
            if test is not None:
                mark = {"better": ", better", "worse": ", worse"}.get(test["verdict"], "")
                text += f" ({100 * test['difference']:+.1f}{mark})"
            cells.append(text)
        table.append(cells)
    tests = sum(len(told["tests"]) for told in groups.values())
    return [
        f"## By {section.replace('_', ' ')}", "", *figure, *markdown_table(table), "",
        f"In brackets the difference from {reference}; better and worse are said after correction for the {tests} "
        "tests of this table, everything else is not distinguishable.",
    ]  # fmt: skip


def _baselines(report: dict[str, Any]) -> list[str]:
    table = [["beside it", "", "overall", "open", "closed", "twins"]]
    for kind in ("baseline", "control"):
        for name, figures in report.get(f"{kind}s", {}).items():
            table.append([name, kind, *(cell(figures.get(part)) for part in PARTS)])
    if len(table) == 1:
        return []
    return [
        "## Baselines and controls", "", *markdown_table(table), "",
        f"Of the first seed of {report['reference']}, with 95 % intervals clustered by image. Baselines learn from the "
        "same questions and see no pixels (unless they are named otherwise); controls are the model shown another "
        "image or none.",
    ]  # fmt: skip


def _printed(figures: dict[str, float] | None) -> str:
    if not figures:
        return "-"
    return " / ".join(f"{figures[part]:.1f}" if part in figures else "-" for part in ("open", "closed", "overall"))
