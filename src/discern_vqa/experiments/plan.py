"""From a named experiment to trainings: every row's recipe, resolved and checked before anything starts.

A training is known by its key, a digest of its resolved recipe (seed included) and of the training before it. Rows,
seeds and experiments that want the same training share it: a pre-training serves all rows that do not change it.
"""

import copy
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from discern_vqa import registry
from discern_vqa.config import LEARNING, TABLES, Profiled, Recipe, Table, check_recipe
from discern_vqa.data_file import data_keys
from discern_vqa.errors import ConfigError, did_you_mean
from discern_vqa.experiments.catalogue import Experiment, Row
from discern_vqa.paths import find_recipe
from discern_vqa.renamed_keys import former
from discern_vqa.toml import as_toml, innermost, read_tables

Tables = dict[str, dict[str, Any]]
NO_PART = ("after", "baselines", "threads", "trackers")
"""Keys of [run] that change no weight."""
OF_THE_METHOD = ("text_length", "views", "augment", "mirror")
"""Keys of [data] that say how a method reads its samples; all others say which samples they are."""


@dataclass(frozen=True)
class Training:
    """One training: its key, its recipe's tables, its checked recipe, and the training it starts from."""

    key: str
    tables: Tables
    recipe: Recipe
    before: "Training | None" = None

    @property
    def file(self) -> str:
        return f"{self.key}.toml"

    def text(self, label: str) -> str:
        """Its recipe as a file that `discern train` takes, the training before it included."""
        tables = copy.deepcopy(self.tables)
        tables["run"].pop("after", None)
        if self.before is not None:
            tables["run"]["after"] = self.before.file
        comment = "".join(f"# {line}\n" for line in [*label.splitlines(), "written by `discern experiment`"])
        return comment + as_toml(tables)


@dataclass(frozen=True)
class Planned:
    """A row with its trainings, one for each seed; or why it cannot be made of this recipe."""

    row: Row
    trainings: tuple[Training, ...] = ()
    skipped: str = ""

    def task(self, training: Training) -> str:
        """Of one of its trainings: the name of the task whose answers are the row's."""
        return f"{training.key}:{self.row.baseline}" if self.row.baseline else training.key


@dataclass(frozen=True)
class Base:
    """The recipe that the rows change, and the one that is trained before it."""

    name: str
    main: Tables
    before: Tables | None


def base_of(experiment: Experiment, on: str = "", data: Path | None = None) -> Base:
    """The recipe to start from: the experiment's own, or `on`, the name of another one of its family, or a path.

    data: a data.toml, whose set the recipe then learns from; what it is pre-trained on stays.

    Raises ConfigError where there is none, or it is of another family.
    """
    name = on or experiment.base
    path = find_recipe(Path(name) if name.endswith(".toml") else Path(f"{experiment.family}/{name}.toml"))
    base = _read(path)
    main = base.main
    if data is not None:
        main["data"] = main.get("data", {}) | data_keys(data)
    family = main.get("model", {}).get("name")
    if family != experiment.family:
        raise ConfigError(
            f"{path} is a recipe of {family}, and {experiment.name} is about {experiment.family}",
            hint=f"choose one of recipes/{experiment.family}/ with --on",
        )
    dataset, protocol = (main.get("data", {}).get(key, "usual") for key in ("dataset", "protocol"))
    if experiment.dataset and (dataset, protocol) != (experiment.dataset, experiment.protocol):
        split = "" if protocol == "usual" else f" ({protocol})"
        wanted = "usual" if experiment.protocol == "usual" else experiment.protocol.replace("_", "-")
        raise ConfigError(
            f"{path} is a recipe for {dataset}{split}; {experiment.name} reports {experiment.dataset}'s {wanted} split",
            hint=f"leave out --on: {experiment.name} then takes recipes/{experiment.family}/{experiment.base}.toml",
        )
    return _with_common(experiment, base)


def _read(path: Path) -> Base:
    """A recipe and the one before it, without what the papers do not have: their mechanisms are measured without it."""
    main = read_tables(path)
    main.pop("prior", None)
    main.get("data", {}).pop("auxiliary", None)
    after = main.get("run", {}).get("after", "")
    return Base(path.stem, main, read_tables(path.parent / after) if after else None)


def _with_common(experiment: Experiment, base: Base) -> Base:
    """With what the experiment changes in every row."""
    if not (experiment.set or experiment.before):
        return base
    common = Row(name=f"all of {experiment.name}", set=experiment.set, before=experiment.before)
    before = apply(base.before, common, "before") if base.before is not None else None
    return replace(base, main=apply(base.main, common, "main"), before=before)


def method(experiment: Experiment, base: Base, row: Row) -> Base:
    """What the row changes: the base recipe, or the one that it names, which then learns from the base's samples."""
    if not row.recipe:
        return base
    other = _read(find_recipe(Path(row.recipe)))
    own = {key: value for key, value in other.main.get("data", {}).items() if key in OF_THE_METHOD}
    shared = {key: value for key, value in base.main["data"].items() if key not in OF_THE_METHOD}
    return _with_common(experiment, replace(other, main=other.main | {"data": shared | own}))


def plan(experiment: Experiment, base: Base, seeds: Sequence[int]) -> list[Planned]:
    """Every row's trainings. Raises ConfigError with the row where a change does not fit the recipe, and where rows
    remain of which none could be made."""
    planned = [_planned(experiment, base, row, seeds) for row in experiment.rows]
    if not any(one.trainings for one in planned if one.row.name != experiment.reference) and len(planned) > 1:
        reason = next(row.skipped for row in planned if row.skipped)
        raise ConfigError(
            f"{experiment.name} cannot be made of {base.name}: {reason}",
            hint="leave out --on, or name a recipe that has a pre-training (`run.after`)",
        )
    return planned


def apply(tables: Tables, row: Row, part: str) -> Tables:
    """The recipe `tables` as `row` has it; `part` is "main" or "before". A number that the recipe leaves at its default
    is scaled from that default, and a row that names one entry of a table such as `objective.weights` keeps the
    others."""
    full = check_recipe(tables, f"the recipe that row {row.name!r} changes").to_json()
    made = copy.deepcopy(tables)
    values, factors, unset = _changes_of(row, part)
    for key, factor in factors.items():
        table, last, default = _table(made, key, full)
        number = table.get(last, default.get(last))
        if not isinstance(number, int | float):
            raise ConfigError(f"row {row.name!r}: {key} is no number in the recipe", hint="scale a number")
        is_count = isinstance(number, int) and not isinstance(number, bool)
        table[last] = max(1, round(number * factor)) if is_count else number * factor
    for key, value in values.items():
        table, last, _ = _table(made, key, full)
        table[last] = copy.deepcopy(value)
    for key in unset:
        table, last, _ = _table(made, key, full)
        table.pop(last, None)
    return made


def changes(row: Row) -> dict[str, str]:
    """What a row says it changes, for people: dotted key (pre-training's with "before:") to its new value."""
    texts = {key: name for key, name in (("recipe", row.recipe), ("baseline", row.baseline)) if name}
    for part, prefix in (("main", ""), ("before", "before: ")):
        values, factors, unset = _changes_of(row, part)
        texts |= {f"{prefix}{key}": _as_text(value) for key, value in values.items()}
        texts |= {f"{prefix}{key}": "unset" for key in unset}
        texts |= {f"{prefix}{key}": f"x {factor:g}" for key, factor in factors.items()}
    if row.baseline:  # it learns from the same samples, and in its own way
        return {key: text for key, text in texts.items() if key in ("recipe", "baseline") or key.startswith("data.")}
    return texts | ({"before": "none"} if row.no_before else {})


def _changes_of(row: Row, part: str) -> tuple[dict[str, Any], dict[str, float], list[str]]:
    """(values, factors, keys to take out) of a part of the row."""
    if part == "main":
        return row.both | row.set, row.scale, [*row.unset, *row.unset_both]
    return row.both | row.before, row.scale_before, row.unset_both


def training(tables: Tables, where: str, before: Training | None = None) -> Training:
    """Checks the tables and gives them their key."""
    recipe = check_recipe(tables, where)
    content = {"before": before.key if before else ""} | meant(recipe)
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
    return Training(key, tables, recipe, before)


def meant(recipe: Recipe) -> dict[str, Any]:
    """What of a recipe makes a training another one, as plain data."""
    told: dict[str, Any] = {}
    for name in (name for name in TABLES if recipe.is_network or name not in LEARNING):
        table: Table = getattr(recipe, name)
        settled = table.resolved() if isinstance(table, Profiled) else table
        # What is at its default is left out, so that a key that recipes gain later does not make all trainings others.
        told[name] = settled.model_dump(mode="json", exclude_defaults=True)
    # The digest is of the former names of keys, so that what was trained before they were renamed is found again.
    objective = recipe.objective.name if recipe.is_network else ""
    told = former(told, recipe.model.name, objective)
    told["run"] = {key: value for key, value in told["run"].items() if key not in NO_PART}
    told["names"] = [recipe.model.name, objective]
    return told


def _planned(experiment: Experiment, base: Base, row: Row, seeds: Sequence[int]) -> Planned:
    base = method(experiment, base, row)
    if row.touches_before and base.before is None:
        return Planned(row, skipped=f"it changes the pre-training, and {base.name} has none")
    where = f"{experiment.name}, row {row.name!r}, on {base.name}"
    if row.baseline and row.baseline not in (known := registry.names("baselines")):
        raise ConfigError(f"{where}: there is no baseline {row.baseline!r}", hint=did_you_mean(row.baseline, known))
    made = []
    for seed in seeds:
        before = None
        if base.before is not None and not row.no_before:
            before = training(_seeded(apply(base.before, row, "before"), seed), f"{where} (pre-training)")
        main = _seeded(apply(base.main, row, "main"), seed)
        if before is None:
            main["run"].pop("after", None)
        made.append(training(main, where, before))
    return Planned(row, tuple(made))


def _seeded(tables: Tables, seed: int) -> Tables:
    tables["run"]["seed"] = seed
    return tables


def _table(tables: Tables, key: str, full: Tables) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """The table of a dotted key, the key's last part, and the same table of `full`, the recipe with all its defaults.
    A table of numbers of which the recipe states nothing begins with its defaults: weights are legal only whole."""
    table, last = innermost(tables, key.split("."), key)
    default, _ = innermost(full, key.split("."), key)
    if not table and all(isinstance(value, int | float) for value in default.values()):
        table.update(default)
    return table, last, default


def _as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
