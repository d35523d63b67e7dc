"""The run folder: what a training leaves behind and everything else starts from. It reads alone.

    recipe.toml          as given, with its base     metrics.jsonl       a line for each logged step and validation
    config.json          resolved, with versions     model.safetensors   the weights that answer
    vocabulary.json      answers and tokenizers      state.safetensors   what --resume needs (removed at the end)
    encoders/, tokenizer/, writer/                   architecture and tokenizer files of pre-trained parts
    answering.json       what was tuned on validation (models that answer in several ways)
    similar.json, auxiliary.txt                      which images are alike; which auxiliary questions were used
    prior.safetensors    of a recipe with [prior]: its weights, and vectors of the training cases
    baseline.json                                    of a baseline: what it knows besides the weights
    predictions.<split>.jsonl, scores.<split>.json, explanations.<split>.jsonl, features.<split>.safetensors,
    within.<split>.jsonl (what the out-of-distribution detector says of each question),
    audit.json (of test), audit.<split>.json, calibration.json, ood.json, report/, README.md (the model card)

Nothing here is a pickle; weights are safetensors, all else is text.
"""

import hashlib
import json
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from discern_vqa import registry, run_folder
from discern_vqa.bases import ModelBase, ModelConfig
from discern_vqa.config import TABLES, Recipe, check_recipe
from discern_vqa.data.answer_tokens import Writer, writer_from_json
from discern_vqa.data.answers import AnswerVocabulary
from discern_vqa.data.batch import Batcher
from discern_vqa.data.prior.source import PriorSource
from discern_vqa.data.sample import Sample
from discern_vqa.data.sources import Encode, ImageSource, PixelSource, StateSource, TextSource
from discern_vqa.data.text import FolderTokenizer, Tokenizer, WordTokenizer
from discern_vqa.errors import RunError
from discern_vqa.files import atomic_path, atomic_write_text, explained, read_json
from discern_vqa.nn.encoders import ImageEncoder
from discern_vqa.nn.encoders.engines import FrozenImages, frozen_texts
from discern_vqa.parts import copy_encoder_files, weights_folder
from discern_vqa.paths import cache_dir
from discern_vqa.toml import whole_recipe
from discern_vqa.version import __version__

CONFIG, VOCABULARY, WEIGHTS = run_folder.CONFIG, run_folder.VOCABULARY, run_folder.WEIGHTS
STATE, METRICS = "state.safetensors", "metrics.jsonl"
BEST = f".best.{WEIGHTS}"
"""The best weights so far, where validation chooses; only while a training goes on."""
ANSWERING = "answering.json"
PRIOR = "prior.safetensors"
SIMILAR = "similar.json"
AUXILIARY = "auxiliary.txt"
VERSION = 1


@dataclass(frozen=True)
class Run:
    """An open run folder."""

    folder: Path
    recipe: Recipe
    vocabulary: AnswerVocabulary
    tokenizer: Tokenizer
    root: Path  # where the data lay when the run was made
    writer: Writer | None = None  # for models that write their answers

    def create(self, source: Path, began_from: Path | None = None) -> Self:
        """Writes all that is known before the first step; `source` is the recipe's file, `began_from` the run whose
        weights are taken over. Raises RunError when the folder is another run's; of one that has kept no step there is
        nothing to lose, and what it left is removed."""
        folder = self.folder
        if (folder / CONFIG).exists():
            if has_begun(folder):
                raise RunError(f"{folder} already holds a run", hint="add --resume to go on, or choose another --out")
            with explained(folder):
                _forget(folder)
        with explained(folder):
            copy_encoder_files(folder, self.recipe, self.tokenizer, self.writer)
        atomic_write_text(folder / "recipe.toml", whole_recipe(source))
        content = {"answers": self.vocabulary.to_json(), "text": self.tokenizer.to_json()}
        if self.writer is not None:
            content["writer"] = self.writer.to_json()
        atomic_write_text(folder / VOCABULARY, json.dumps(content, indent=1, ensure_ascii=False))
        root = str(self.root.resolve())
        config = self.recipe.to_json() | {
            "version": VERSION,
            "name": folder.name,
            "root": root,
            "from": str(began_from.resolve()) if began_from is not None else "",
            "environment": environment(),
        }
        config["data"]["root"] = root
        atomic_write_text(folder / CONFIG, json.dumps(config, indent=1, ensure_ascii=False))
        return self

    @classmethod
    def open(cls, folder: Path, *, finished: bool = True) -> "Run":
        """Reads a run folder. Raises RunError: not a run, half written, or (when `finished`) without weights."""
        folder = Path(folder)
        run_folder.require_run(folder, finished=False)
        config, content = read_json(folder / CONFIG), read_json(folder / VOCABULARY)
        if type(version := config.get("version", VERSION)) is not int or version < 1:
            hint = "restore the file, or train again"
            raise RunError(f"{folder / CONFIG} is broken: its version is {version!r}", hint=hint)
        if version > VERSION:  # it may mean something else by the same keys
            raise RunError(
                f"{folder / CONFIG} was written by a newer discern: it is of version {version}, this program reads "
                f"{VERSION}",
                hint="pip install --upgrade discern-vqa, or train the run again",
            )
        run_folder.require_run(folder, finished=finished)
        tables: dict[str, Any] = {name: config[name] for name in TABLES if name in config}
        recipe = check_recipe(tables, str(folder / CONFIG), kept=True)
        try:
            vocabulary = AnswerVocabulary.from_json(content["answers"])
            if not vocabulary.answers and not recipe.is_outside:
                raise ValueError("the answer vocabulary is empty")
            tokenizer = _tokenizer(content["text"], folder)
            root = Path(config["root"])
            writer = writer_from_json(content["writer"], folder / "writer") if "writer" in content else None
        except (LookupError, TypeError, AttributeError, ValueError, OSError) as error:
            raise RunError(f"{folder} has a broken {VOCABULARY} or {CONFIG}: {error}", hint="train it again") from error
        return cls(folder, recipe, vocabulary, tokenizer, root, writer)

    def began_from(self) -> Path | None:
        """The run whose weights this one began with; None: it began with none. Runs that do not say it began with
        their folder `before`, or with none."""
        named = read_json(self.folder / CONFIG).get("from")
        before = self.folder / "before"
        if named is None:
            return before if (before / WEIGHTS).is_file() else None
        return Path(named) if named else None

    def build_model(self, *, pretrained: bool = False) -> ModelBase:
        """The model of this run: with its encoders' pre-trained weights (before training), or bare, to be loaded."""
        config: ModelConfig = self.recipe.model
        more: dict[str, int | Path | None] = {}
        if self.writer is not None:
            more["symbols"] = self.writer.tokenizer.size
        for name, part in config.parts().items():
            architecture = self.folder / "encoders" / name
            there = architecture if architecture.is_dir() else None
            more[f"{name}_folder"] = weights_folder(part.config, name) if pretrained else there
        model: ModelBase = registry.model(config.name).Model(
            config,
            answers=len(self.vocabulary),
            vocabulary=self.tokenizer.size,
            length=self.recipe.data.text_length,
            text_ids=list(self.tokenizer.used) or None,
            **more,
        )
        return model

    def untrained(self) -> "Run":
        """This run with its encoders as they came, frozen whole: what a baseline on the same features starts from."""
        model, frozen = self.recipe.model, {"frozen": True, "train_last": 0}
        encoders = {side: getattr(model, side).model_copy(update=frozen) for side in ("image", "text")}
        return replace(self, recipe=self.recipe.model_copy(update={"model": model.model_copy(update=encoders)}))

    def load_model(self) -> ModelBase:
        """The trained model in eval mode; every name and shape must fit."""
        model = self.build_model()
        load_weights(model, self.folder / WEIGHTS)
        return model.eval()

    def batcher(self, model: ModelBase, *, views: int | None = None) -> Batcher:
        """What turns samples into this model's batches; frozen encoders' states are cached through it."""
        data, config = self.recipe.data, self.recipe.model
        side, grey = self.recipe.model.target_image()
        pixels = PixelSource(model.image.size, side or model.image.size, grey, data.augment and not config.image.frozen)
        images: ImageSource = pixels
        if config.image.frozen:
            images = StateSource(pixels, FrozenImages(model.image), views or data.views)
        texts = TextSource(frozen_texts(model.text)) if config.text.frozen else None
        prior, length = self._prior(model), data.text_length
        return Batcher(self.tokenizer, self.vocabulary, length, images, texts, data.mirror, self.writer, prior)

    def _prior(self, model: ModelBase) -> PriorSource | None:
        """The prior that training left here, or one that has still to learn; none where the recipe asks for none."""
        wanted = self.recipe.prior
        if not wanted.on:
            return None
        source = PriorSource(self.vocabulary.answers, wanted.share, wanted.wording, wanted.share_yes_no)
        if wanted.cases:
            source.use_encoders(model.text, FrozenImages(model.image))
        if (self.folder / PRIOR).is_file():
            source.fill(read_tensors(self.folder / PRIOR))
        return source

    def learn_prior(self, batcher: Batcher, samples: list[Sample]) -> None:
        """Fits the batcher's prior to the training samples, unless that was done before, and keeps it in the run."""
        source = batcher.prior
        if source is None:
            return
        questions = [sample for sample in samples if not sample.is_caption]
        answers = torch.tensor([self.vocabulary.index(sample.answer) for sample in questions])
        path = self.folder / PRIOR
        if source.prior is None and path.is_file():  # of several processes the first has fitted it
            source.fill(read_tensors(path))
        source.learn(questions, answers, self.recipe.data.validation_by, batcher.inputs)
        if not path.is_file():
            with atomic_path(path) as partial:
                save_file(source.dump(), partial)

    def hybrid_below(self) -> float:
        """The threshold of the way of answering `hybrid`: what was tuned on validation, else the recipe's."""
        path = self.folder / ANSWERING
        if path.is_file():
            return float(read_json(path).get("hybrid_below", 0.5))
        return float(self.recipe.model.generates_below())

    def cache_of_states(self, encoder: ImageEncoder, encode: Encode) -> Path:
        """Where the states of this run's frozen image encoder are kept between commands, by its settings and weights
        and by what computes them; of which image files they are stands in it."""
        image, data = self.recipe.model.image, self.recipe.data
        # The images to reconstruct are kept with the states, so their size belongs to the name.
        about = [
            image.model_dump(),
            data.views,
            self.recipe.model.target_image(),
            str(self.root.resolve()),
            encoder.frozen_digest(),
            encode.name,
        ]
        key = json.dumps(about, sort_keys=True)
        return cache_dir() / "states" / f"{data.dataset}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.safetensors"


def has_begun(folder: Path) -> bool:
    """Whether a training in this folder has kept a step: its state, or its weights."""
    return (folder / STATE).exists() or (folder / WEIGHTS).exists()


def _forget(folder: Path) -> None:
    """Removes what a training makes before its first save: the next one would take it for its own."""
    for name in (CONFIG, VOCABULARY, METRICS, ANSWERING, PRIOR, BEST, SIMILAR, AUXILIARY):
        (folder / name).unlink(missing_ok=True)
    for name in ("encoders", "tokenizer", "writer"):
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)


def save_weights(model: torch.nn.Module, path: Path) -> None:
    """The model's parameters and buffers as safetensors, whole or not at all; equal weights are equal files."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_path(path) as partial:
        save_file(tensors, partial, metadata={"format": "pt"})  # a second entry: in random order


def load_weights(model: torch.nn.Module, path: Path, but: Sequence[str] = ()) -> None:
    """Strictly: a name or shape that does not fit is a RunError which lists it. `but`: names of layers that keep what
    they have."""
    exempt = tuple(f"{name}." for name in but)
    present = {name: tensor for name, tensor in model.state_dict().items() if name.startswith(exempt)}
    tensors = read_tensors(path) | present
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        problem = f"{path} does not fit the model: {shorten(str(error), 200)}"
        raise RunError(problem, hint="use the recipe it was trained with") from error


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """A safetensors file; RunError when it is missing or broken."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path} is missing or damaged: {error}", hint="restore the file, or train again") from error


def environment() -> dict[str, Any]:
    """What a reader needs to judge or repeat a result; no host name, no user name."""
    from importlib.metadata import version

    names = ("torch", "transformers", "accelerate", "numpy", "scikit-learn")
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "versions": {"discern-vqa": __version__} | {name: version(name) for name in names},
    }


def _tokenizer(content: dict[str, Any], folder: Path) -> Tokenizer:
    if content["kind"] == "words":
        return WordTokenizer(content["words"], content.get("cut", "end"))
    return FolderTokenizer(folder / "tokenizer", used=content["used"], cut=content.get("cut", "end"))
