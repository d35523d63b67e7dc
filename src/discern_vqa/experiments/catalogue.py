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

import difflib
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from discern_vqa.errors import ConfigError
from discern_vqa.scoring.stored import is_number
from discern_vqa.toml import read_toml

SECTIONS = ("organ", "question_type", "neighbours", "features", "cases", "modes", "literature", "negatives", "curve")
_PRINTED = ("open", "closed", "overall")
_EXPECTED = {
    **dict.fromkeys(("set", "before", "both"), "a table of dotted keys of a recipe"),
    **dict.fromkeys(("scale", "scale_before"), "a table of dotted keys of a recipe, to numbers"),
    "unset": "a list of dotted keys of a recipe", "no_before": "true or false", "at": "a number",
    "printed": f"a table of numbers, of {', '.join(_PRINTED)}",
}  # fmt: skip
_ROW = set(_EXPECTED)
SEE = "see the docstring of experiments/catalogue.py"
_FIELDS = {"title", "source", "family", "base", "dataset", "reference", "claim", "note", "sections", "rows_of", "rows"}


@dataclass(frozen=True)
class Row:
    """One row of an experiment; dotted keys of a recipe to values. `at`: its place on a curve."""

    name: str
    set: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    both: dict[str, Any] = field(default_factory=dict)
    scale: dict[str, float] = field(default_factory=dict)
    scale_before: dict[str, float] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    no_before: bool = False
    printed: dict[str, float] | None = None
    at: float | None = None

    @property
    def touches_before(self) -> bool:
        """Whether it says anything about pre-training."""
        return bool(self.before or self.scale_before or self.no_before)


@dataclass(frozen=True)
class Experiment:
    """A named experiment, as its file says."""

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
    sections: tuple[str, ...] = ()


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
        near = difflib.get_close_matches(name, names(), n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}? (discern experiment --list)" if near else "discern experiment --list"
        raise ConfigError(f"there is no experiment {name!r}", hint=hint)
    if path.resolve() in seen:
        raise ConfigError(f"{path} takes its rows from itself (rows_of)", hint="name another experiment, or give rows")
    return _checked(path, read_toml(path, SEE), (*seen, path.resolve()))


def _checked(path: Path, told: dict[str, Any], seen: tuple[Path, ...]) -> Experiment:
    if odd := _odd(told):
        raise ConfigError(f"{path}: {odd}", hint=SEE)
    wrong = sorted(told.keys() - _FIELDS)
    wrong += [f"rows.{row}.{key}" for row, said in told.get("rows", {}).items() for key in sorted(said.keys() - _ROW)]
    wrong += [f"sections: {one}" for one in told.get("sections", []) if one not in SECTIONS]
    missing = [key for key in ("title", "source", "family") if key not in told]
    if wrong or missing:
        said = [f"{what}: {', '.join(names)}" for what, names in (("unknown", wrong), ("missing", missing)) if names]
        raise ConfigError(f"{path}: {'; '.join(said)}", hint=SEE)
    if "rows_of" in told:
        rows = load(told["rows_of"], seen).rows
    else:
        rows = tuple(
            Row(name=name, **said | {"unset": tuple(said.get("unset", ()))})
            for name, said in told.get("rows", {}).items()
        )
    made = {key: told[key] for key in told if key not in ("rows", "rows_of", "sections")}
    experiment = Experiment(name=path.stem, rows=rows, sections=tuple(told.get("sections", ())), **made)
    if experiment.reference not in [row.name for row in rows]:
        raise ConfigError(
            f"{path}: no row is named {experiment.reference!r}, its reference",
            hint="name one of the rows as `reference`",
        )
    return experiment


def _odd(told: dict[str, Any]) -> str:
    """The first value that is of another kind than its key takes; "" where there is none."""
    for key in sorted(_FIELDS - {"rows", "sections"}):
        if not isinstance(told.get(key, ""), str):
            return f"{key} = {told[key]!r}: expected text"
    if not _are_texts(told.get("sections", [])):
        return f"sections = {told['sections']!r}: expected a list of names"
    rows = told.get("rows", {})
    if not isinstance(rows, dict):
        return f"rows = {rows!r}: expected a table for each row"
    for name, row in rows.items():
        if not isinstance(row, dict):
            return f"rows.{name} = {row!r}: expected a table"
        if wrong := next((key for key, value in row.items() if key in _ROW and not _fits(key, value)), ""):
            return f"rows.{name}: {wrong} = {row[wrong]!r}: expected {_EXPECTED[wrong]}"
    return ""


def _fits(key: str, value: Any) -> bool:
    """Whether a value is what the key of a row takes (`_EXPECTED`)."""
    if key == "no_before":
        return isinstance(value, bool)
    if key == "at":
        return is_number(value)
    if key == "unset":
        return _are_texts(value) and all("." in one for one in value)
    if not isinstance(value, dict):
        return False
    if key == "printed":
        return set(value) <= set(_PRINTED) and all(map(is_number, value.values()))
    return all("." in one for one in value) and (not key.startswith("scale") or all(map(is_number, value.values())))


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
