"""Named experiments: a TOML file each in `experiments/named/`, and the name is the file's. Adding one is adding a file.

title = "..."                 what it is           source = "CMDPI Fig. 8"     what it reproduces
family = "cmdpi"              whose recipes        base = "ablation"           the recipe to start from
dataset = "slake"             the data set that it is about; without it, any recipe of the family serves
protocol = "image_disjoint"   how that set is split; without it, as it was published
split = "validation"          the split that is reported where `--split` names none; without it, test
reference = "full"            the row that all others are tested against
claim = "..."                 what the paper says  sections = ["organ"]        further parts of the report
rows_of = "fig8"              takes the rows of another experiment
set = { "run.select" = "last" }                    what every row changes in its recipe ...
before = { "data.auxiliary" = [] }                 ... and in the pre-training before it

[rows."without head mixup"]   a row; what it changes in the fine-tuning recipe and in the pre-training before it
set = { "objective.mixup" = false }          before = { "objective.contra_vqa" = true }     both = { ... }
scale = { "objective.weights.mix" = 0.5 }    scale_before = { ... }     factors on the base recipe's own numbers
unset = ["objective.optional_key"]           unset_both = [...]         no_before = true    no pre-training at all
printed = { open = 74.3, closed = 85.7, overall = 78.7 }                the paper's figures, in %
at = 0.1                                     line = "CMDPI"             its place on a curve, and on which of them
recipe = "baselines/kernel_ridge"            another recipe, whose method learns from the samples of the base recipe
baseline = "plain_transformer"               the answers are this baseline's, on the features of the row's network

[rows."CMDPI"]                a line: a row for each place on a curve, named "CMDPI, 5 %" and so on
places = [0.05, 0.1, 1.0]     vary = "data.train_share"       the key that has the place as its value, or
                              vary_before = "..."             a key of the pre-training
scale_each = { "run.epochs" = [4.0, 3.0, 1.0] }               factors of each place

compare = { "CMDPI" = ["kernel ridge"] }           instead of the tests against the reference: one line against others,
                                                   at each place
axis = "pre-training"                              a curve over the images of pre-training; without it, of training

A file in `experiments/named/collections/` names several experiments that one command makes: title, source, and `parts`.
"""

from collections.abc import Sequence
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator
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
    """One row of an experiment; dotted keys of a recipe to values. `at`: its place on the curve `line`."""

    model_config = ConfigDict(strict=True)

    name: str
    set: dict[Key, Any] = {}
    before: dict[Key, Any] = {}
    both: dict[Key, Any] = {}
    scale: dict[Key, float] = {}
    scale_before: dict[Key, float] = {}
    unset: list[Key] = []
    unset_both: list[Key] = []
    no_before: bool = False
    printed: dict[Literal["open", "closed", "overall"], float] | None = None
    at: float | None = None
    line: str = ""
    recipe: str = ""
    baseline: str = ""

    @property
    def touches_before(self) -> bool:
        """Whether it says anything about pre-training."""
        return bool(self.before or self.scale_before or self.no_before)


class Line(Row):
    """A row for each of several places on a curve."""

    places: Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=1)]
    vary: Key | None = None
    vary_before: Key | None = None
    scale_each: dict[Key, list[float]] = {}

    @model_validator(mode="after")
    def _has_one_value_for_each_place(self) -> Self:
        if (self.vary is None) == (self.vary_before is None):
            raise PydanticCustomError("line", "expected one of `vary` and `vary_before`")
        if any(len(factors) != len(self.places) for factors in self.scale_each.values()):
            raise PydanticCustomError("line", "expected a factor for each place in `scale_each`")
        if self.at is not None or self.line:
            raise PydanticCustomError("line", "`at` and `line` are made of the places")
        return self

    def rows(self) -> list[Row]:
        """The row of each place."""
        own = self.model_dump(exclude={*Line.model_fields} - {*Row.model_fields})
        made = []
        for number, place in enumerate(self.places):
            changes = {
                "name": f"{self.name}, {100 * place:g} %",
                "line": self.name,
                "at": place,
                "set": self.set | ({self.vary: place} if self.vary else {}),
                "before": self.before | ({self.vary_before: place} if self.vary_before else {}),
                "scale": self.scale | {key: factors[number] for key, factors in self.scale_each.items()},
            }
            made.append(Row(**own | changes))
        return made


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
    protocol: str = "usual"
    split: str = "test"
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
    set: dict[Key, Any] = {}
    before: dict[Key, Any] = {}
    compare: dict[str, list[str]] = {}
    axis: Literal["training", "pre-training"] = "training"


class Collection(Table):
    """Several experiments that one command makes."""

    model_config = ConfigDict(strict=True)

    name: str
    title: str
    source: str
    parts: list[str]


TableT = TypeVar("TableT", bound=Table)


def folder() -> Path:
    """Where the shipped experiments lie."""
    return Path(str(files("discern_vqa.experiments") / "named"))


def names() -> list[str]:
    """All shipped experiments, sorted with Fig. 7 before Fig. 10."""
    found = [file.stem for file in folder().glob("*.toml")]
    return sorted(found, key=lambda name: (name.rstrip("0123456789"), len(name), name))


def collections() -> dict[str, Collection]:
    """The shipped collections of experiments, by name."""
    found = {}
    for path in sorted((folder() / "collections").glob("*.toml")):
        found[path.stem] = _checked(path, "", Collection, path.stem, read_toml(path, SEE))
    return found


def singles(given: Sequence[str]) -> list[str]:
    """The experiments that a command line names: each once, those of a collection in its place."""
    together = collections()
    parts = (together[name].parts if name in together else [name] for name in given)
    return list(dict.fromkeys(chain.from_iterable(parts)))


def load(name: str, seen: tuple[Path, ...] = ()) -> Experiment:
    """The experiment `name`, or the one in the file of that path; `seen`: the files that take its rows.

    Raises ConfigError: there is none (with the nearest name), or the file says something that nobody reads.
    """
    path = Path(name) if name.endswith(".toml") else folder() / f"{name}.toml"
    if not path.is_file():
        nearest = did_you_mean(name, [*names(), *collections()], cutoff=0.4)
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
        checked_rows = tuple(chain.from_iterable(_rows(path, name, row) for name, row in rows.items()))
    experiment = _checked(path, "", Experiment, path.stem, tables | {"rows": checked_rows})
    if experiment.reference not in [row.name for row in checked_rows]:
        raise ConfigError(
            f"{path}: no row is named {experiment.reference!r}, its reference",
            hint="name one of the rows as `reference`",
        )
    lines = {row.line for row in checked_rows}
    for line, others in experiment.compare.items():
        if missing := [name for name in (line, *others) if name not in lines]:
            raise ConfigError(f"{path}: compare names {missing[0]!r}, and no line has that name", hint=SEE)
    return experiment


def _rows(path: Path, name: str, content: Any) -> list[Row]:
    """The rows that a table of the file stands for."""
    if isinstance(content, dict) and "places" in content:
        return _checked(path, f"rows.{name}", Line, name, content).rows()
    return [_checked(path, f"rows.{name}", Row, name, content)]


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
