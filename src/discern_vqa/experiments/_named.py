"""Named experiments: a TOML file each in `experiments/named/`, and the name is the file's. Adding one is adding a file.

title = "..."                 what it is           source = "CMDPI Fig. 8"     what it reproduces
family = "cmdpi"              whose recipes        base = "ablation"           the recipe to start from
reference = "full"            the row that all others are tested against
claim = "..."                 what the paper says  sections = ["organ"]        further parts of the report
rows_of = "fig8"              takes the rows of another experiment

[rows."without head mixup"]   a row; what it changes in the fine-tuning recipe and in the pre-training before it
set = { "objective.mixup" = false }          before = { "objective.contra_vqa" = true }     both = { ... }
scale = { "objective.weights.mix" = 0.5 }    scale_before = { ... }     factors on the base recipe's own numbers
unset = ["objective.similar_percentile"]     no_before = true           no pre-training at all
printed = { open = 74.3, closed = 85.7, overall = 78.7 }                the paper's figures, in %
"""

import difflib
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from discern_vqa.errors import ConfigError
from discern_vqa.toml import read_toml

SECTIONS = ("organ", "question_type", "neighbours", "features", "cases", "modes", "literature", "negatives", "curve")
_ROW = {"set", "before", "both", "scale", "scale_before", "unset", "no_before", "printed", "at"}
_FIELDS = {"title", "source", "family", "base", "reference", "claim", "note", "sections", "rows_of", "rows"}


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


def load(name: str) -> Experiment:
    """The experiment `name`, or the one in the file of that path.

    Raises ConfigError: there is none (with the nearest name), or the file says something that nobody reads.
    """
    path = Path(name) if name.endswith(".toml") else folder() / f"{name}.toml"
    if not path.is_file():
        near = difflib.get_close_matches(name, names(), n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}? (discern experiment --list)" if near else "discern experiment --list"
        raise ConfigError(f"there is no experiment {name!r}", hint=hint)
    return _checked(path, read_toml(path, "see the docstring of experiments/_named.py"))


def _checked(path: Path, told: dict[str, Any]) -> Experiment:
    wrong = sorted(told.keys() - _FIELDS)
    wrong += [f"rows.{row}.{key}" for row, said in told.get("rows", {}).items() for key in sorted(said.keys() - _ROW)]
    wrong += [f"sections: {one}" for one in told.get("sections", []) if one not in SECTIONS]
    missing = [key for key in ("title", "source", "family") if key not in told]
    if wrong or missing:
        said = [f"{what}: {', '.join(names)}" for what, names in (("unknown", wrong), ("missing", missing)) if names]
        raise ConfigError(f"{path}: {'; '.join(said)}", hint="see the docstring of experiments/_named.py")
    if "rows_of" in told:
        rows = load(str(told["rows_of"])).rows
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
