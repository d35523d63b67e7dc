"""Recipes: TOML files of the tables `[data] [model] [prior] [objective] [optim] [run]`, checked whole before anything
starts (`recipe_check`). A baseline's (`model.name = "baselines.<name>"`) has three: it learns without [prior],
[objective] and [optim].

A model's own keys are declared beside the model (`models/<name>.py: Config`), an objective's beside the objective;
this file knows the tables that every recipe has, reads the file, applies `--set key=value`, and reports *all*
mistakes at once, each with the nearest key that exists.

A recipe may begin with `base = "other.toml"` (a path beside it): then it says only what it changes. A table is taken
over key by key, an inner table (`weights = { ... }`) whole; of a [model] or [objective] of another name nothing is.
"""

import tomllib
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from discern_vqa import registry
from discern_vqa.errors import ConfigError
from discern_vqa.recipe_check import explain, impossible, suggest, unknown_names
from discern_vqa.toml import read_tables

TABLES = ("data", "model", "prior", "objective", "optim", "run")
LEARNING = ("prior", "objective", "optim")
"""Tables that a baseline's recipe does not have."""


class Table(BaseModel):
    """A table of a recipe: frozen, unknown keys refused, and numbers that are none or infinite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def filled(self, **chosen: Any) -> Self:
        """With what is `chosen` wherever a key was left open (None)."""
        return self.model_copy(update={key: value for key, value in chosen.items() if getattr(self, key) is None})


class Profiled(Table):
    """A table with a `profile`, which chooses whatever is left None."""

    def chosen(self) -> dict[str, Any]:
        """The choice of this profile for each key that may be left open."""
        raise NotImplementedError

    def resolved(self) -> Self:
        """With the profile's choice wherever a key was left open."""
        return self.filled(**self.chosen())

    def beside(self, model: Any) -> Self:
        """[objective]: with what the recipe's [model] asks of it. Raises ValueError where the two cannot be."""
        return self


class DataConfig(Table):
    """[data]: which samples, how they are split, what counts as an answer."""

    dataset: str
    root: str = ""
    """Folder of the data set; empty: `--data`, then DISCERN_DATA, then the user's cache."""
    options: dict[str, Any] = {}
    """Keyword arguments of the reader, e.g. `{edition = "owner"}`."""
    draw: dict[str, Any] = {}
    """For `phantom` only: arguments of `phantom.draw`; the set is drawn once into the user's cache."""
    split: Literal["train", "pretrain"] = "train"
    index: str = ""
    """Folder that `discern data split` wrote: its train, validation and test are read instead of the set's own."""
    protocol: Literal["usual", "image_disjoint"] = "usual"
    folds: int = Field(5, ge=2)
    fold: int = Field(0, ge=0)
    validation_ratio: float = Field(0.1, ge=0.0, lt=1.0)
    """Share of train carved out for validation where the data set has no validation split; 0: none (a refit)."""
    validation_by: Literal["image", "question"] = "image"
    validation_from: Literal["own", "train"] = "own"
    """`own`: the data set's validation split where it has one; `train`: always carved out of train, so that the data
    set's own validation split can be reported on."""
    normaliser: str = "m3ae"
    min_count: int = Field(1, ge=1)
    vocabulary_from: list[str] = []
    """Further data sets whose *training* answers join the answer table, so that fine-tuning adds no parameter. What is
    their training part is what `protocol`, `folds` and `fold` say, so that no answer of a fold's test images joins."""
    vocabulary_min_count: dict[str, int] = {}
    """Of one of these sets only answers that occur so often there: {pmc_vqa = 5} (A11); of the others every one."""
    beside: str = ""
    """A further data set whose training questions are learned from too. Nothing is ever scored on it; it lies beside
    this one, or where `paths.find_data` looks."""
    beside_missing: Literal["refuse", "without"] = "refuse"
    """Where that set is nowhere: an error, or its own questions alone are learned from, which is said aloud and kept in
    the run folder (`beside` is empty there)."""
    beside_outside: Literal["keep", "drop"] = "keep"
    """Its questions whose answer the table lacks: kept, and all but their answer is learned from (A12), or left out."""
    beside_limit: int = Field(0, ge=0)
    """At most so many of its questions, those whose answer the table has first, the rest at random; 0: all. Which they
    are is written into the run folder."""
    exclude: list[str] = []
    """Files that name images which nothing is learned from: what `discern data audit SET ROOT --against OTHER ROOT2
    --json FILE` wrote, or a JSON list of file names. For images that a set shares with one that judges."""
    beside_share: float = Field(0.5, gt=0)
    """So many of its questions in an epoch, as a share of the own ones; every epoch draws others."""
    text_length: int = Field(32, ge=4)
    """M: text positions, the reserved answer slot included."""
    imitate: list[str] = []
    """Faults of a published program (files of `lab/faults`) to be imitated, so that their worth can be measured; each
    is printed and stands in scores.json."""
    limit: int = Field(0, ge=0)
    """At most so many samples of each split (0: all), for a quick look."""
    train_share: float = Field(1.0, gt=0, le=1)
    """This share of the training images alone is learned from, for curves over the size of the data: the same ones for
    every seed, and a smaller share is part of a larger one. The answer table stays that of the whole set."""
    views: int = Field(1, ge=1)
    """Frozen image encoder: cached views of each image (the first is not augmented)."""
    augment: bool = False
    """Pixels: a fresh small rotation, shift, scale, contrast each time; never a flip, since sides are asked about."""
    mirror: bool = False
    """Half of the images mirrored for learning, left and right changed in their questions and answers too; an image
    stays as it is where that cannot be done safely (`data/laterality.py`)."""


class PriorConfig(Table):
    """[prior]: what is known before a model looks is added to its scores (`data/prior`). All off: nothing is."""

    wording: bool = False
    """What the wording of a question says: yes or no for "Is there ...?", one of the two for "cystic or solid?"."""
    cases: bool = False
    """What was answered to training questions that are like this one, about images that are like this one. Needs frozen
    encoders."""
    share: float = Field(0.0, ge=0, lt=1)
    """This much of an answer's probability is the prior's alone, the rest that of prior and model together."""
    share_yes_no: float | None = Field(None, ge=0, lt=1)
    """The same for questions to which the prior expects yes or no; none: `share` for all."""

    @property
    def on(self) -> bool:
        """True when there is a prior."""
        return self.wording or self.cases


Beta = Annotated[float, Field(ge=0, lt=1)]


class OptimConfig(Table):
    """[optim]: AdamW and its schedule."""

    optimizer: Literal["adamw", "muon"] = "adamw"
    """"muon": matrices of what starts from nothing take Muon's step, the rest AdamW's (training/muon.py)."""
    muon_lr: float = Field(2e-3, gt=0)
    """Learning rate of the matrices that Muon moves."""
    lr: float = Field(7.5e-6, gt=0)
    encoder_lr: float | None = Field(None, gt=0)
    """Learning rate of the pre-trained encoders' own parameters; none: `lr`."""
    layer_decay: float = Field(1.0, gt=0, le=1)
    """Of the pre-trained encoders each layer learns this much slower than the one above it (A23); 1: all alike."""
    factors: dict[str, Annotated[float, Field(ge=0)]] = {}
    """Factors on the learning rate of parts of the model, by the beginnings of their names: {head = 50.0}."""
    weight_decay: float = Field(0.01, ge=0)
    batch: int = Field(32, ge=1)
    """Texts in a batch (per process)."""
    per_image: int = Field(0, ge=0)
    """0: texts drawn one by one, in pairs of the same organ and question type. k > 0: up to k texts of an image
    travel together, so that the image is encoded once for all of them."""
    accumulate: int = Field(1, ge=1)
    clip: float = Field(1.0, gt=0, allow_inf_nan=True)
    """Of all gradients together; `inf`: they are taken as they come."""
    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    warmup: float = Field(0.05, ge=0, lt=1)
    """Share of all steps over which the learning rate rises from 0."""
    ema: float = Field(0.0, ge=0, lt=1)
    """Decay of the running mean of the weights that is evaluated and saved; 0: the weights themselves."""
    betas: tuple[Beta, Beta] = (0.9, 0.999)


class RunConfig(Table):
    """[run]: how long, from what, how precisely, and what is kept."""

    epochs: int = Field(1, ge=1)
    seed: int = Field(0, ge=0, lt=2**31)
    """Below what the smallest of the generators takes."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: products in bfloat16, where GPU or processor have it; a processor that has not computes in fp32."""
    answer_head: Literal["shared", "per_dataset"] = "shared"
    """Of a run that goes on from another (A11): its answer table and the layer that answers are taken over, so that no
    parameter is new (the paper); or both begin anew, from the own training answers."""
    restrict_labels: Literal["none", "dataset"] = "none"
    """Which answers of the table may be chosen: all of them (the paper), or those that the own data set's training
    questions have, where other sets' are in the table too (cmdpi.md 2.6). What a generator writes is not restricted."""
    after: str = ""
    """A recipe (path beside this one) that is trained first, into `<run>/before`, when `--from` names no run."""
    select: Literal["best", "last"] = "best"
    """Which weights are kept: the best epoch on validation, or the last."""
    patience: int = Field(0, ge=0)
    """Stop after so many validations without gain (0: never)."""
    validate_every: int = Field(1, ge=1)
    save_every: int = Field(0, ge=0)
    """Steps between checkpoints; 0: at the end of every epoch."""
    views_at_test: int = Field(1, ge=1)
    """Cached views over which the scores are averaged when answering."""
    mode: Literal["classify", "classify_typed", "generate", "rank", "hybrid"] = "classify"
    """How the run answers, where its model can in several ways; `evaluate` scores the others beside it."""
    threads: int = Field(0, ge=0, le=1024)
    """Threads of a process on a CPU, no more than any machine has; 0: torch's own choice. Small models are often
    fastest on one (docs/LOG.md)."""
    tensorboard: bool = False
    baselines: list[str] = ["majority", "question_only", "lookup", "image_identity"]
    """Rows that `evaluate` prints beside the model."""


class Recipe(Table):
    """A whole recipe. `model` and `objective` are instances of the `Config` classes of the modules they name."""

    data: DataConfig
    model: Any
    prior: PriorConfig = PriorConfig()
    objective: Any = None
    """None: a baseline's."""
    optim: OptimConfig = OptimConfig()
    run: RunConfig

    @property
    def is_baseline(self) -> bool:
        """Fitted at once, without an objective and an optimiser (`baselines/`)."""
        return registry.is_baseline(self.model.name)

    def to_json(self) -> dict[str, Any]:
        """The resolved recipe as plain data, for `config.json`."""
        tables = [name for name in TABLES if not (self.is_baseline and name in LEARNING)]
        return {name: getattr(self, name).model_dump(mode="json") for name in tables}


def read_recipe(path: Path, overrides: list[str] | None = None) -> Recipe:
    """Reads a TOML recipe, applies `key=value` overrides, and checks everything.

    Raises ConfigError: the file is missing or is no TOML (with line), or a list of every wrong key and value.
    """
    tables = read_tables(Path(path))
    for override in overrides or []:
        _override(tables, override)
    return check_recipe(tables, str(path))


def check_recipe(tables: dict[str, Any], where: str, *, kept: bool = False) -> Recipe:
    """A Recipe from plain tables (a TOML file's, or a run's config.json). Raises ConfigError with all mistakes.

    kept: they are a run's, which answers without what it once learned from: names of data sets are not looked up.
    """
    mistakes = [f"unknown table [{name}]{suggest(name, list(TABLES))}" for name in tables if name not in TABLES]
    classes: dict[str, type[BaseModel] | None] = {
        "data": DataConfig,
        "prior": PriorConfig,
        "optim": OptimConfig,
        "run": RunConfig,
    }
    loads: dict[str, Any] = {"model": registry.load_model, "objective": partial(registry.load, "objectives")}
    if registry.is_baseline(str(_name(tables, "model"))):
        del classes["optim"], classes["prior"], loads["objective"]
        mistakes += [f"[{name}]: a baseline is fitted without this table" for name in LEARNING if name in tables]
        if isinstance(tables.get("data"), dict) and tables["data"].get("beside"):
            mistakes.append("[data] beside: a baseline learns from one set alone")
    for name, load in loads.items():
        chosen = _name(tables, name)
        if not chosen:
            mistakes.append(f"[{name}] needs `name`: one of {', '.join(registry.names(f'{name}s'))}")
            classes[name] = None
            continue
        try:
            classes[name] = load(str(chosen)).Config
        except ConfigError as error:
            mistakes.append(f"[{name}] {error}; {error.hint}")
            classes[name] = None
    built: dict[str, Any] = {}
    for name, cls in classes.items():
        if cls is None:
            continue
        try:
            built[name] = cls.model_validate(tables.get(name, {}))
        except ValidationError as error:
            mistakes += [explain(name, cls, detail) for detail in error.errors()]
    if "model" in built and isinstance(built.get("objective"), Profiled):
        try:
            built["objective"] = built["objective"].beside(built["model"])
        except ValueError as error:
            mistakes.append(f"[objective] {error}")
    mistakes += impossible(built)
    if not kept:
        mistakes += unknown_names(built)
    if mistakes:
        count = f"{len(mistakes)} mistakes" if len(mistakes) > 1 else "a mistake"
        raise ConfigError(f"{count} in {where}: " + "; ".join(mistakes), hint="mend the recipe and start again")
    return Recipe(**built)


def _name(tables: dict[str, Any], table: str) -> Any:
    found = tables.get(table, {})
    return found.get("name", "") if isinstance(found, dict) else ""


def _override(tables: dict[str, Any], override: str) -> None:
    """`optim.lr=1e-4` into the tables; the value is read as TOML, then as a bare string."""
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or len(parts) < 2 or not all(parts):
        raise ConfigError(f"--set {override!r}: expected table.key=value", hint="for example: --set optim.lr=1e-4")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    table = tables
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {override!r}: {part!r} is a value, no table", hint="see the recipe's own keys")
    table[parts[-1]] = value
