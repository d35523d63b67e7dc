"""Named experiments: a TOML file each in `experiments/named/`, and the name is the file's. Adding one is adding a file.

title = "..."                 what it is           source = "CMDPI Fig. 8"     what it reproduces
family = "cmdpi"              whose recipes        base = "ablation"           the recipe to start from
dataset = "slake"             the data set that it is about; without it, any recipe of the family serves
reference = "full"            the row that all others are tested against
claim = "..."                 what the paper says  sections = ["organ"]        further parts of the report
rows_of = "fig8"              takes the rows of another experiment

[rows."without head mixup"]   a row; what it changes in the fine-tuning recipe and in the pre-training before it
set = { "objective.mixup" = false }          before = { "objective.contra_vqa" = true }     both = { ... }
scale = { "objective.weights.mix" = 0.5 }    scale_before = { ... }     factors on the base recipe's own numbers
unset = ["objective.optional_key"]           no_before = true           no pre-training at all
printed = { open = 74.3, closed = 85.7, overall = 78.7 }                the paper's figures, in %
"""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from discern_vqa.errors import ConfigError, did_you_mean
from discern_vqa.recipe_check import explain
from discern_vqa.recipe_table import Table
from discern_vqa.toml import read_toml

SEE = "see the docstring of experiments/catalogue.py"


def _dotted(key: str) -> str:
    if "." not in key:
        raise PydanticCustomError("dotted", "expected a dotted key of a recipe, as in optim.lr")
    return key


Key = Annotated[str, AfterValidator(_dotted)]


class Row(Table):
    """One row of an experiment; dotted keys of a recipe to values. `at`: its place on a curve."""

    model_config = ConfigDict(strict=True)

    name: str
    set: dict[Key, Any] = {}
    before: dict[Key, Any] = {}
    both: dict[Key, Any] = {}
    scale: dict[Key, float] = {}
    scale_before: dict[Key, float] = {}
    unset: list[Key] = []
    no_before: bool = False
    printed: dict[Literal["open", "closed", "overall"], float] | None = None
    at: float | None = None

    @property
    def touches_before(self) -> bool:
        """Whether it says anything about pre-training."""
        return bool(self.before or self.scale_before or self.no_before)


class Experiment(Table):
    """A named experiment, as its file says."""

    model_config = ConfigDict(strict=True)

    name: str
    title: str
    source: str
    family: str
    rows: tuple[Row, ...]
    base: str = "ablation"
    dataset: str = ""
    reference: str = "full"
    claim: str = ""
    note: str = ""
    sections: list[
        Literal[
            "organ",
            "question_type",
            "neighbours",
            "features",
            "cases",
            "modes",
            "literature",
            "negatives",
            "curve",
            "sizes",
        ]
    ] = []


TableT = TypeVar("TableT", bound=Table)


def folder() -> Path:
    """Where the shipped experiments lie."""
    return Path(str(files("discern_vqa.experiments") / "named"))


def names() -> list[str]:
    """All shipped experiments, sorted with Fig. 7 before Fig. 10."""
    found = [file.stem for file in folder().glob("*.toml")]
    return sorted(found, key=lambda name: (name.rstrip("0123456789"), len(name), name))


def load(name: str, seen: tuple[Path, ...] = ()) -> Experiment:
    """The experiment `name`, or the one in the file of that path; `seen`: the files that take its rows.

    Raises ConfigError: there is none (with the nearest name), or the file says something that nobody reads.
    """
    path = Path(name) if name.endswith(".toml") else folder() / f"{name}.toml"
    if not path.is_file():
        nearest = did_you_mean(name, names(), cutoff=0.4)
        hint = f"{nearest} (discern experiment --list)" if nearest else "discern experiment --list"
        raise ConfigError(f"there is no experiment {name!r}", hint=hint)
    if path.resolve() in seen:
        raise ConfigError(f"{path} takes its rows from itself (rows_of)", hint="name another experiment, or give rows")
    tables = read_toml(path, SEE)
    rows = tables.pop("rows", {})
    if not isinstance(rows, dict):
        raise ConfigError(f"{path}: rows = {rows!r}: expected a table for each row", hint=SEE)
    if "rows_of" in tables:
        if not isinstance(other := tables.pop("rows_of"), str):
            raise ConfigError(f"{path}: rows_of = {other!r}: expected the name of an experiment", hint=SEE)
        checked_rows = load(other, (*seen, path.resolve())).rows
    else:
        checked_rows = tuple(_checked(path, f"rows.{name}", Row, name, row) for name, row in rows.items())
    experiment = _checked(path, "", Experiment, path.stem, tables | {"rows": checked_rows})
    if experiment.reference not in [row.name for row in checked_rows]:
        raise ConfigError(
            f"{path}: no row is named {experiment.reference!r}, its reference",
            hint="name one of the rows as `reference`",
        )
    return experiment


def _checked(path: Path, table: str, cls: type[TableT], name: str, content: Any) -> TableT:
    """What a table of the file says; "" is the file's own. Raises ConfigError with all mistakes in it."""
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: {table} = {content!r}: expected a table", hint=SEE)
    if "name" in content:  # it is the file's or the table's
        raise ConfigError(f"{path}: unknown key {f'{table}.name' if table else 'name'}", hint=SEE)
    try:
        return cls.model_validate(content | {"name": name})
    except ValidationError as error:
        mistakes = [explain(table, "", cls, detail)[0].removeprefix("[] ") for detail in error.errors()]
        raise ConfigError(f"{path}: {'; '.join(mistakes)}", hint=SEE) from None
