"""In which settings an experiment's reference row is not the paper's. Its resolved recipes are compared with
`recipes/<family>/base.toml` and the recipe before it, which have the paper's profile, sizes and optimiser. No torch.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from discern_vqa.config import Profiled, Recipe, Table, check_recipe
from discern_vqa.experiments.folder import Grid
from discern_vqa.experiments.plan import OF_THE_METHOD
from discern_vqa.paths import find_recipe
from discern_vqa.toml import read_tables

COMPARED = {
    "data": OF_THE_METHOD,
    "model": (),
    "objective": (),
    "optim": (),
    "run": ("epochs", "precision", "answer_head"),
}
"""The tables that are compared, and the keys of each; (): all. Which data are read, and what is kept, is no method."""


class Setting(NamedTuple):
    """A key that differs, as a dotted name ("before: ..." of the pre-training), and the two values."""

    key: str
    here: Any
    paper: Any


def deviations(grid: Grid) -> list[Setting]:
    """The settings in which the reference row (its first seed) differs from the paper's recipe; where it has no
    pre-training, or none of the same objective, that is one setting."""
    if not grid.references:
        return []
    here, (paper, paper_before) = grid.references[0], paper_recipes(grid.experiment.family)
    found = _differing(here.recipe, paper, "")
    if paper_before is None:
        return found
    if here.before is None:
        return [*found, Setting("before", "no pre-training", paper_before.objective.name)]
    return found + _differing(here.before.recipe, paper_before, "before: ")


def paper_recipes(family: str) -> tuple[Recipe, Recipe | None]:
    """The recipe of the paper's size, and the one that is trained before it."""
    path = find_recipe(Path(f"{family}/base.toml"))
    paper = check_recipe(read_tables(path), str(path))
    if not paper.run.after:
        return paper, None
    before = path.parent / paper.run.after
    return paper, check_recipe(read_tables(before), str(before))


def as_lines(report: Mapping[str, Any]) -> list[str]:
    """The settings as Markdown."""
    settings = [Setting(*one) for one in report["deviations"]]
    head = f"## Where {report['reference']} is not the paper's"
    against = f"`recipes/{report['recipe'].partition('/')[0]}/base.toml`"
    if not settings:
        return [head, "", f"Nowhere: its method has the settings of {against}."]
    return [
        head, "",
        f"Against {against}, which has the paper's profile, sizes and optimiser; in brackets the value there. A key "
        "that a profile chooses is told with what the profile chooses.",
        "", *_by_table(settings),
    ]  # fmt: skip


def _by_table(settings: Sequence[Setting]) -> list[str]:
    """A line for each table; a table of the pre-training that differs as that of the fine-tuning does says so."""
    tables: dict[str, list[str]] = {}
    for one in settings:
        table, _, key = one.key.partition(".")
        tables.setdefault(table, []).append(f"`{key or table}` {_text(one.here)} ({_text(one.paper)})")
    lines = []
    for table, told in tables.items():
        before, _, name = table.rpartition(": ")
        same = bool(before) and told == tables.get(name)
        where = f"[{name}] of the pre-training" if before else f"[{name}]" if table != "before" else "pre-training"
        lines.append(f"- {where}: {'as in fine-tuning' if same else '; '.join(told)}.")
    return lines


def _differing(here: Recipe, paper: Recipe, prefix: str) -> list[Setting]:
    found = []
    for table, keys in COMPARED.items():
        ours, theirs = _flat(getattr(here, table)), _flat(getattr(paper, table))
        for key in [key for key in ours if key in theirs and (not keys or key in keys)]:
            if ours[key] != theirs[key]:
                found.append(Setting(f"{prefix}{table}.{key}", ours[key], theirs[key]))
    return found


def _flat(table: Table) -> dict[str, Any]:
    """A table, filled by its profile, as dotted keys to plain values."""
    settled = table.resolved() if isinstance(table, Profiled) else table
    found: dict[str, Any] = {}
    pending = list(settled.model_dump(mode="json").items())
    while pending:
        key, value = pending.pop(0)
        if isinstance(value, dict) and value:
            pending[:0] = [(f"{key}.{inner}", content) for inner, content in value.items()]
        else:
            found[key] = value
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)
