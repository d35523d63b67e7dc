"""The baselines' rows beside a run: what each answers to the questions that are judged, having learned from others."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from discern_vqa import registry
from discern_vqa.config import PriorConfig
from discern_vqa.contracts import BaselineRow, StatesBaseline
from discern_vqa.data.batch import Batcher
from discern_vqa.data.sample import Sample
from discern_vqa.data.sources import StateSource
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.files import atomic_write_text
from discern_vqa.imaging.fingerprints import content_digest
from discern_vqa.run import WEIGHTS, Run, read_tensors
from discern_vqa.scoring import predictions
from discern_vqa.training.at_once import train_at_once
from discern_vqa.trust.calibration import digest

_SAYS = [field.name for field in fields(Sample) if field.name not in ("path", "source", "extra")]

NOTHING_LEFT = "every question that they could learn from is judged here"
NO_TRAINING = "the data have no training part from which they could learn"
"""Why there are no baselines, where there are none."""


def learnable(learned: Sequence[Sample], judged: Sequence[Sample], run: Run) -> list[Sample]:
    """Those of `learned` that teach an answer and are none of the judged questions: a table that has seen what it is
    asked reaches the ceiling of the vocabulary, and nothing can be compared with that. The judged ones are among them
    when a validation split is judged, or where the epoch was chosen on the test split (D13)."""
    asked = {sample.id for sample in judged}  # unique over all splits
    return [sample for sample in learned if sample.id not in asked and run.vocabulary.index(sample.answer) >= 0]


def row(
    name: str, learned: Sequence[Sample], samples: Sequence[Sample], split: str, run: Run, network: Any
) -> list[predictions.Prediction]:
    """The baseline's predictions, kept beside the run's own: a file is read again when all that it follows from is what
    it was (`_digest`). `network`: the run's model; of a baseline's run whatever it has."""
    module, path = _module(name, run), _file(run, name, split)
    states, weights = _features(run, network) if isinstance(module, StatesBaseline) else (None, "")
    mark, known = path.with_suffix(".learned"), _digest(module, learned, samples, run, weights)
    if mark.is_file() and mark.read_text(encoding="utf-8") == known:
        earlier = _earlier(path)
        if [prediction.id for prediction in earlier] == [sample.id for sample in samples]:
            return earlier
    needs = {"batcher": states, "learn": train_at_once} if weights else {}
    answers = module.answer(learned, samples, vocabulary=run.vocabulary, seed=run.recipe.run.seed, **needs)
    rows = predictions.from_answers(samples, answers)
    predictions.write(path, rows)
    atomic_write_text(mark, known)
    return rows


def check(run: Run) -> None:
    """Raises ConfigError when one of the recipe's baselines cannot stand beside this run: before anything is asked."""
    for name in run.recipe.run.baselines:
        _module(name, run)


def drop(split: str, run: Run, samples: Sequence[Sample]) -> None:
    """Takes away what an earlier evaluation left, unless it answers these very questions: the report would hold it
    against other true answers than its own."""
    asked = [(sample.id, sample.image, sample.question, sample.answer, sample.answer_type) for sample in samples]
    for name in run.recipe.run.baselines:
        path = _file(run, name, split)
        answered = [(one.id, one.image, one.question, one.gold, one.answer_type) for one in _earlier(path)]
        if not answered or answered != asked:
            path.unlink(missing_ok=True)


def _earlier(path: Path) -> list[predictions.Prediction]:
    """What an earlier evaluation left; nothing where there is no such file, or a broken one."""
    try:
        return predictions.read(path)
    except DataError:
        return []


def _file(run: Run, name: str, split: str) -> Path:
    return run.folder / "baselines" / f"{name}.{split}.jsonl"


def _module(name: str, run: Run) -> ModuleType:
    """The baseline's. Raises ConfigError for one that cannot stand beside this run."""
    module = registry.load("baselines", name)
    if not isinstance(module, BaselineRow):
        hint = f"take it out of run.baselines, and fit it by itself: discern train baselines/{name} --out RUN"
        raise ConfigError(f"the baseline {name} has an encoder of its own, and is no row of a run", hint=hint)
    if isinstance(module, StatesBaseline) and not run.recipe.is_network:
        hint = "take it out of run.baselines"
        raise ConfigError(f"the baseline {name} learns from a model's features; {run.folder} has none", hint=hint)
    return module


def _digest(module: ModuleType, learned: Sequence[Sample], samples: Sequence[Sample], run: Run, weights: str) -> str:
    """Of all that a kept file follows from: the questions that were learned from, those that are judged (their true
    answers and kinds stand in the file, and may have been corrected since), the answers that can be given, the seed,
    for a baseline that sees pixels the image files, and for one that learns from features the encoders' weights."""
    asked = [*learned, *samples]
    seen = {} if not module.SEES_PIXELS else {one.image: content_digest(one.path).hex() for one in asked}
    told = [list(map(_told, learned)), list(map(_told, samples)), seen, run.vocabulary.to_json(), run.recipe.run.seed]
    told += [weights] if weights else []
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _told(sample: Sample) -> list[Any]:
    """All that a sample says of its question; where it lies may change."""
    return [*(getattr(sample, name) for name in _SAYS), sample.extra.get("accepted")]


def _features(run: Run, network: Any) -> tuple[Batcher, str]:
    """The states of the encoders as they came, of the run's own network when it trained none of their layers; and a
    digest of the weights that give them. Of the run's own that is its whole file: answers are at most made anew too
    often. The run's prior stays away: the baseline does not hear it, and it was fitted to the layers that were
    trained."""
    if not (run.recipe.model.text.train_last or run.recipe.model.image.train_last):
        return _learning_batcher(run, network), digest(run.folder / WEIGHTS)
    plain = run.untrained()
    plain = replace(plain, recipe=plain.recipe.model_copy(update={"prior": PriorConfig()}))
    model = plain.build_model(pretrained=True).eval()
    sides: Any = (model.image, model.text)
    return _learning_batcher(plain, model), "".join(side.frozen_digest() for side in sides)


def _learning_batcher(run: Run, network: Any) -> Batcher:
    """As training has it, every view of an image, with the states that training left in the user's cache."""
    batcher = run.batcher(network)
    source = batcher.images
    if isinstance(source, StateSource) and (path := run.cache_of_states(network.image, source.encode)).is_file():
        source.fill(read_tensors(path))
    return batcher
