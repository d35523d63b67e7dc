"""Recipes: TOML files of the tables `[data] [model] [prior] [objective] [optim] [run]`. A recipe is checked whole
before anything starts (`recipe_check`). The recipe of a baseline (`model.name = "baselines.<name>"`) or of somebody
else's model ("outside.<name>") has three tables: neither has a [prior], an [objective] and an [optim].

The keys of a model are declared in the model's file (`models/<name>.py: Config`), those of an objective in the
objective's file. This file declares the tables that every recipe has, reads the file, applies `--set key=value`, and
reports *all* mistakes at once, each with the nearest key that exists.

Where a paper can be read in several ways, each way is a key in `[model.readings]` or `[objective.readings]`
(docs/options.md). Keys that had another name before, and keys that do not exist any more, are in `renamed_keys`.

A recipe may begin with `base = "other.toml"` (a path relative to it): then it states only what it changes. A table
replaces its base's table key by key, and so does `readings`; any other inner table (`weights = { ... }`) replaces the
base's inner table whole. Nothing is taken over from a [model] or [objective] of another name.
"""

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from discern_vqa import registry
from discern_vqa.errors import ConfigError
from discern_vqa.recipe_check import explain, impossible, suggest, unknown_names, without_none
from discern_vqa.recipe_table import Profiled as Profiled
from discern_vqa.recipe_table import Table as Table
from discern_vqa.renamed_keys import translated
from discern_vqa.toml import override, read_tables

TABLES = ("data", "model", "prior", "objective", "optim", "run")
LEARNING = ("prior", "objective", "optim")
"""Tables that only the recipe of a network has."""


def _names(given: Any) -> Any:
    """A list of names, of which one may be written as a text."""
    return ([given] if given else []) if isinstance(given, str) else given


def usual_normaliser(dataset: str) -> str:
    """How answers to a data set's questions are compared where nothing else is said."""
    if dataset not in registry.names("datasets"):
        return "plain"
    return "m3ae" if getattr(registry.reader(dataset), "SOURCE", "") else "plain"


def auxiliary_name(entry: str) -> str:
    """The folder's name of an entry of `data.auxiliary`: "slake" of "slake", "pairs" of "jsonl:pairs"."""
    return entry.rpartition(":")[2]


class DataConfig(Table):
    """[data]: which samples are used, how they are split, and what counts as an answer."""

    dataset: str
    """The name of the data set, a module of `discern_vqa/datasets/`."""
    root: str = ""
    """The folder of the data set. If it is empty, `--data` is used, then DISCERN_DATA, then the user's cache."""
    options: dict[str, Any] = {}
    """Keyword arguments for the reader of the data set, for example `{edition = "owner"}`."""
    draw: dict[str, Any] = {}
    """For `phantom` only: the arguments of `phantom.draw`. The set is drawn once, into the user's cache."""
    split: Literal["train", "pretrain"] = "train"
    """The split that the model learns from."""
    index: str = ""
    """A folder that `discern data split` wrote. Its train, validation and test replace the data set's own splits."""
    protocol: Literal["usual", "image_disjoint"] = "usual"
    """`usual`: the published splits; `image_disjoint`: folds of images, so that no test image occurs in training."""
    folds: int = Field(5, ge=2)
    """The number of folds of the protocol `image_disjoint`."""
    fold: int = Field(0, ge=0)
    """The fold that is tested on, counted from 0."""
    validation_ratio: float = Field(0.1, ge=0.0, lt=1.0)
    """The share of train that is held out where the data set has no validation split; 0 holds nothing out (a refit)."""
    validation_by: Literal["image", "question"] = "image"
    """Whether whole images are held out, or single questions."""
    validation_from: Literal["own", "train"] = "own"
    """`own`: the validation split of the data set is used where it has one. `train`: validation is always held out of
    train, so that results on the data set's own validation split can be reported."""
    refit: Literal["none", "train+validation"] = "none"
    """`train+validation`: once settings and epochs are chosen, the data set's own validation split is learned from too,
    and nothing is held out. Such a run is not evaluated on validation; `discern calibrate --folds` calibrates it."""
    out_of_fold: tuple[int, int] | None = None
    """[i, k]: of k parts of what would be learned from, the i-th (from 0) is left out, and nothing is chosen on it. The
    trainings of `discern calibrate RUN --folds k` have it."""
    normaliser: str = Field(default_factory=lambda values: usual_normaliser(str(values.get("dataset", ""))))
    """The rule by which two answers count as the same (`data/normalisers.py`). The default is `m3ae` for a published
    data set, as its published scores are, and else `plain`, which loses nothing that carries a meaning."""
    min_count: int = Field(1, ge=1)
    """An answer joins the vocabulary if it occurs at least this often in train."""
    vocabulary_from: list[str] = []
    """Other data sets whose *training* answers join the vocabulary, so that fine-tuning on them adds no parameter.
    `protocol`, `folds` and `fold` apply to them too, so that no answer about a test image of the fold joins."""
    vocabulary_min_count: dict[str, int] = {}
    """How often an answer must occur in one of these sets to join, as in {pmc_vqa = 5} (A11); elsewhere once."""
    auxiliary: Annotated[list[str], BeforeValidator(_names)] = []
    """Auxiliary data sets, which are learned from too. Results are never measured on them. Each is looked for next to
    this data set, and where `paths.find_data` looks: "slake", or "jsonl:FOLDER" for a folder in the neutral format. A
    set is read at `split` if it has a split of that name, else its training questions are."""
    auxiliary_missing: Literal["refuse", "without"] = "refuse"
    """What happens where an auxiliary set cannot be found: an error, or a training without it. The second gives a
    warning, and leaves the set out of `auxiliary` in the run folder."""
    auxiliary_outside: Literal["keep", "drop"] = "keep"
    """Auxiliary questions whose answer is not in the vocabulary are kept for all losses but the answer's (A12), or
    dropped."""
    auxiliary_limit: int = Field(0, ge=0)
    """The largest number of questions of each auxiliary set; 0: all. Questions whose answer is in the vocabulary come
    first, the others are drawn at random. The run folder lists those that were taken."""
    auxiliary_share: float = Field(0.5, gt=0)
    """The number of auxiliary questions in an epoch, relative to the main set's; each epoch draws them anew."""
    exclude: list[str] = []
    """Files that name images which nothing is learned from, because another set tests on them: the output of `discern
    data audit SET ROOT --against OTHER ROOT2 --json FILE`, or a JSON list of file names."""
    text_length: int = Field(32, ge=4)
    """M: the number of text positions, the reserved answer slot included."""
    imitate: list[str] = []
    """Defects of a published program to imitate (`lab/faults.py`), so that their effect can be measured (cmi_mtl.md
    1.4). Each is reported in a warning and in scores.json."""
    limit: int = Field(0, ge=0)
    """The largest number of samples of each split (0: all), for a quick look."""
    train_share: float = Field(1.0, gt=0, le=1)
    """The share of the training images that is learned from (of auxiliary sets too), for curves over the size of the
    data. The images are the same for every seed, a smaller share is part of a larger one, and the vocabulary stays that
    of the whole set."""
    views: int = Field(1, ge=1)
    """With a frozen image encoder: the number of cached views of each image, the first of them not augmented."""
    augment: bool = False
    """With pixels: each time a small random rotation, shift, scale and contrast; never a flip, since questions ask for
    left and right."""
    mirror: bool = False
    """Half of the training images are mirrored, with left and right exchanged in their questions and answers; an image
    for which that is not safe stays as it is (`data/laterality.py`)."""


class PriorConfig(Table):
    """[prior]: what is known before a model sees the image is added to its scores (`data/prior`). Off by default."""

    wording: bool = False
    """Uses the wording of a question: yes or no for "Is there ...?", one of the two for "cystic or solid?"."""
    cases: bool = False
    """Uses the answers to similar training questions about similar images. This needs frozen encoders."""
    share: float = Field(0.0, ge=0, lt=1)
    """The part of an answer's probability that is the prior's alone; the rest is that of prior and model together."""
    share_yes_no: float | None = Field(None, ge=0, lt=1)
    """The same for questions to which the prior expects yes or no; None: `share` applies to all questions."""

    @property
    def on(self) -> bool:
        """True when there is a prior."""
        return self.wording or self.cases


Beta = Annotated[float, Field(ge=0, lt=1)]


class OptimConfig(Table):
    """[optim]: the optimiser and its schedule."""

    optimizer: Literal["adamw", "muon"] = "adamw"
    """`muon`: matrices that start from random values take Muon's step (training/muon.py), all others AdamW's."""
    muon_lr: float = Field(2e-3, gt=0)
    """The learning rate of the matrices that Muon moves."""
    lr: float = Field(7.5e-6, gt=0)
    """The learning rate of all other parameters."""
    encoder_lr: float | None = Field(None, gt=0)
    """The learning rate of the parameters of pre-trained encoders; None: `lr`."""
    layer_decay: float = Field(1.0, gt=0, le=1)
    """Each layer of a pre-trained encoder learns at this multiple of the rate of the layer above it (A23)."""
    factors: dict[str, Annotated[float, Field(ge=0)]] = {}
    """Factors on the learning rate of parts of the model, by the beginnings of their names: {head = 50.0}."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's weight decay; biases and norms have none."""
    batch: int = Field(32, ge=1)
    """The number of texts in a batch, which several processes divide among themselves."""
    per_image: int = Field(0, ge=0)
    """0: texts are drawn singly, in pairs of the same organ and question type. k > 0: up to k texts about an image come
    together, so that the image is encoded once for all of them."""
    accumulate: int = Field(1, ge=1)
    """The number of batches whose gradients are added up before a step."""
    recompute: bool = False
    """What layers compute on the way forward is computed again on the way back, and not kept: less memory, more time,
    the same losses."""
    clip: float = Field(1.0, gt=0, allow_inf_nan=True)
    """The largest norm of all gradients together; `inf` does not limit it."""
    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    """How the learning rate falls after the warm-up."""
    warmup: float = Field(0.05, ge=0, lt=1)
    """The share of all steps over which the learning rate rises from 0."""
    ema: float = Field(0.0, ge=0, lt=1)
    """The decay of the running mean of the weights, which is evaluated and saved; 0: the weights themselves."""
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    """AdamW's two decay rates."""


class RunConfig(Table):
    """[run]: how long a training takes, what it starts from, its precision, and what is kept."""

    epochs: int = Field(1, ge=1)
    """The number of passes over the training samples."""
    seed: int = Field(0, ge=0, lt=2**31)
    """The seed of all randomness; the smallest of the generators takes no larger one."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """`bf16`: products are computed in bfloat16 if the GPU or processor can; otherwise the run computes in fp32."""
    answer_head: Literal["shared", "per_dataset"] = "shared"
    """Where a run that continues from another has its vocabulary and answer layer from (A11). `shared`: from that run,
    so that no parameter is new (the paper); `per_dataset`: they are made anew from its own training answers."""
    restrict_labels: Literal["none", "dataset"] = "none"
    """Which answers of the vocabulary may be chosen: all (the paper), or only those of the data set's own training
    questions, where the vocabulary holds those of other sets too (cmdpi.md 2.6). It does not restrict a generator."""
    after: str = ""
    """A recipe (its path relative to this one) that is trained first, into `<run>/before`, unless there is `--from`."""
    select: Literal["best", "last"] = "best"
    """Whether the weights of the best epoch on validation are kept, or those of the last epoch."""
    patience: int = Field(0, ge=0)
    """The training stops after this many validations without an improvement (0: never)."""
    validate_every: int = Field(1, ge=1)
    """The number of epochs from one validation to the next."""
    save_every: int = Field(0, ge=0)
    """The number of steps between checkpoints; 0: a checkpoint at the end of every epoch."""
    views_at_test: int = Field(1, ge=1)
    """The number of cached views over which scores are averaged when answering."""
    mode: Literal["classify", "classify_typed", "generate", "rank", "hybrid"] = "classify"
    """How the run answers if its model can answer in several ways; `evaluate` reports the other ways too."""
    threads: int = Field(0, ge=0, le=1024)
    """The threads of a process on a CPU; 0: torch decides. Small models are often fastest on one (docs/LOG.md)."""
    trackers: list[Literal["tensorboard", "mlflow", "wandb", "trackio"]] = []
    """Where the figures of the training go besides `metrics.jsonl`. All of them stay on this machine unless an
    environment variable sends them elsewhere (`training/trackers.py`)."""
    baselines: list[str] = ["majority", "question_only", "lookup", "image_identity"]
    """The baselines that `evaluate` reports next to the model."""


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

    @property
    def is_outside(self) -> bool:
        """Somebody else's model, which is asked and never trained (`outside/`)."""
        return registry.is_outside(self.model.name)

    @property
    def is_network(self) -> bool:
        """A network of this package (`models/`), with an objective and an optimiser."""
        return not self.is_baseline and not self.is_outside

    def to_json(self) -> dict[str, Any]:
        """The resolved recipe as plain data, for `config.json`."""
        tables = [name for name in TABLES if self.is_network or name not in LEARNING]
        return {name: getattr(self, name).model_dump(mode="json") for name in tables}

    def resolved_tables(self) -> dict[str, Any]:
        """As `to_json`, with what the profiles choose, and without the keys that then stand for nothing (None), which
        TOML cannot write."""
        filled = {name: table.resolved() for name in ("model", "objective")
                  if isinstance(table := getattr(self, name), Profiled)}  # fmt: skip
        return without_none(self.model_copy(update=filled).to_json())


def read_recipe(path: Path, overrides: list[str] | None = None) -> Recipe:
    """Reads a TOML recipe, applies `key=value` overrides, and checks everything.

    Raises ConfigError: the file is missing or is no TOML (with line), or a list of every wrong key and value.
    """
    tables = read_tables(Path(path))
    for setting in overrides or []:
        override(tables, setting)
    return check_recipe(tables, str(path))


def check_recipe(tables: dict[str, Any], where: str, *, kept: bool = False) -> Recipe:
    """A Recipe from plain tables (a TOML file's, or a run's config.json). Raises ConfigError with all mistakes.

    kept: they are those of a run, which may be of an earlier version (`renamed_keys`), and which answers without the
        data that it learned from, so that names of data sets are not looked up. Raises RunError where it was trained
        with something that this version cannot compute.
    """
    if kept:
        tables = translated(tables, where)
    mistakes = [f"unknown table [{name}]{suggest(name, list(TABLES))}" for name in tables if name not in TABLES]
    hints: list[str] = []
    classes: dict[str, type[Table]] = {"data": DataConfig, "prior": PriorConfig, "optim": OptimConfig, "run": RunConfig}
    loads: dict[str, Any] = {"model": registry.load_model, "objective": partial(registry.load, "objectives")}
    named = _name(tables, "model")
    is_table = registry.is_baseline(named) or registry.is_outside(named)
    if is_table:
        del classes["optim"], classes["prior"], loads["objective"]
        who, is_made = ("a baseline", "fitted") if registry.is_baseline(named) else ("somebody else's model", "asked")
        mistakes += [f"[{name}]: {who} is {is_made} without this table" for name in LEARNING if name in tables]
        if isinstance(tables.get("data"), dict) and tables["data"].get("auxiliary"):
            learns = "learns from one data set alone" if registry.is_baseline(named) else "learns from none"
            mistakes.append(f"[data] auxiliary: {who} {learns}")
    if registry.is_outside(named) and isinstance(tables.get("run", {}), dict):  # it writes, whatever it is
        tables = tables | {"run": tables.get("run", {}) | {"mode": "generate"}}
    for name, load in loads.items():
        chosen = _name(tables, name)
        if not chosen:
            mistakes.append(f"[{name}] needs `name`: one of {', '.join(registry.names(f'{name}s'))}")
            continue
        try:
            classes[name] = load(chosen).Config
            if not issubclass(classes[name], Table if is_table else Profiled):
                base = "Table" if is_table else f"{name.title()}Config"
                mistakes.append(f"[{name}] the Config of {chosen!r} is not derived from {base} (docs/adding.md)")
                del classes[name]
        except ConfigError as error:
            mistakes.append(f"[{name}] {error}; {error.hint}")
    built: dict[str, Any] = {}
    for name, cls in classes.items():
        try:
            built[name] = cls.model_validate(tables.get(name, {}))
        except ValidationError as error:
            for detail in error.errors():
                mistake, hint = explain(name, _name(tables, name), cls, detail)
                mistakes.append(mistake)
                hints += [hint] if hint else []
    if "model" in built and isinstance(built.get("objective"), Profiled):
        try:
            built["objective"] = built["objective"].suited_to(built["model"])
        except ValueError as error:
            mistakes.append(f"[objective] {error}")
    mistakes += impossible(built)
    if not kept:
        mistakes += unknown_names(built)
    if mistakes:
        count = f"{len(mistakes)} mistakes" if len(mistakes) > 1 else "a mistake"
        hint = "; ".join(hints) or "correct the recipe and start again"
        raise ConfigError(f"{count} in {where}: " + "; ".join(mistakes), hint=hint)
    return Recipe(**built)


def _name(tables: dict[str, Any], table: str) -> str:
    content = tables.get(table, {})
    return str(content.get("name", "")) if isinstance(content, dict) else ""
