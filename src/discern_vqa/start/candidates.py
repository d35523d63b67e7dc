"""The models that `discern start` tries, the simplest first, and how long each takes.

A model further down is chosen only where it is clearly better (`choosing`). `lookup` and `image_identity` know an image
by its name alone: they say what the set gives away, and are never chosen, since they know nothing of a new image.
"""

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from discern_vqa.config import Recipe, read_recipe
from discern_vqa.paths import find_recipe
from discern_vqa.run import METRICS, WEIGHTS
from discern_vqa.training.train import train

HELD_OUT = ["data.validation_from=own", "data.validation_ratio=0.1", "data.validation_by=image"]
"""The set's own validation part, or whole images of its training part: the same questions for all models."""
_FORWARD = 1 / 3
"""What a batch of validation takes, as a share of a training step: its forward pass alone."""


@dataclass(frozen=True)
class Candidate:
    """A model: its name, its recipe, what it is, and whether it is a network, sees pixels, and may be chosen."""

    name: str
    recipe: str
    what: str
    network: bool = False
    sees_pixels: bool = False
    may_be_chosen: bool = True


CANDIDATES = (
    Candidate("majority", "baselines/majority.toml", "the commonest answer, whatever is asked"),
    Candidate("question_only", "baselines/question_only.toml", "the question's words, no image"),
    Candidate("lookup", "baselines/lookup.toml", "a table of questions and image names", may_be_chosen=False),
    Candidate("image_identity", "baselines/image_identity.toml", "which image it is, no pixels", may_be_chosen=False),
    Candidate("kernel_ridge", "baselines/kernel_ridge.toml", "a regression on words and image", sees_pixels=True),
    Candidate("cmi_mtl", "cmi_mtl/own_lite.toml", "the network CMI-MTL", network=True, sees_pixels=True),
    Candidate("cmdpi", "cmdpi/own_lite.toml", "the network CMDPI", network=True, sees_pixels=True),
)
BY_NAME = {candidate.name: candidate for candidate in CANDIDATES}


def fit(candidate: Candidate, data: Path, out: Path) -> float:
    """Fits a model to the set of a data.toml into the run folder `out`, and returns the seconds that it took. One that
    was interrupted goes on. Raises as `train`."""
    started = time.monotonic()
    train(find_recipe(Path(candidate.recipe)), data=data, overrides=HELD_OUT, out=out, resume=True, quiet=True)
    return time.monotonic() - started


@dataclass(frozen=True)
class Size:
    """How much a network has to learn from: training questions, the images of these and of validation, validation
    questions; and the seconds in which an image was encoded before."""

    questions: int
    images: int
    validation: int
    seconds_an_image: float


def estimated_seconds(candidate: Candidate, data: Path, probe: Path, size: Size) -> float:
    """How long a network would take here: a training of one step in the folder `probe`, which is removed, and its
    time multiplied. Rather too long than too short: the step that is measured is the first, and all epochs count."""
    started = time.monotonic()
    short = ["run.epochs=1", "data.limit=96", "data.views=1", "optim.batch=32"]
    shutil.rmtree(probe, ignore_errors=True)
    try:
        train(find_recipe(Path(candidate.recipe)), data=data, overrides=[*HELD_OUT, *short], out=probe, quiet=True)
        first = json.loads((probe / METRICS).read_text(encoding="utf-8").splitlines()[0])
    finally:
        shutil.rmtree(probe, ignore_errors=True)
    once = time.monotonic() - started
    whole = recipe_of(candidate)
    steps = whole.run.epochs * -(-size.questions // whole.optim.batch)
    validations = whole.run.epochs * _FORWARD * size.validation / whole.optim.batch
    states = size.images * whole.data.views * size.seconds_an_image  # the encoders of all are frozen
    return once + states + float(first["seconds"]) * (steps + validations)


def is_fitted(out: Path) -> bool:
    """Whether a run folder holds a finished model."""
    return (out / WEIGHTS).is_file()


def recipe_of(candidate: Candidate) -> Recipe:
    """The recipe that a model is fitted by."""
    return read_recipe(find_recipe(Path(candidate.recipe)))
