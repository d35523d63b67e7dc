"""What every model and every objective has to keep, as checks that a test calls. The test of a new model is

    trial = model_checks.make_trial(Path("recipes/toy/phantom.toml"), folder)
    for check in model_checks.CHECKS:
        check(trial)

A training is set up as `discern train` does it, on a few drawn images and with a small network, so that no
file of weights or of data is needed. Each check raises AssertionError that says what is wrong.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from pydantic import BaseModel
from torch import Tensor

from discern_vqa.bases import ModelBase
from discern_vqa.config import read_recipe
from discern_vqa.data.batch import Batch, Inputs, PriorScores
from discern_vqa.datasets import phantom
from discern_vqa.errors import ConfigError
from discern_vqa.nn.losses import total
from discern_vqa.run import WEIGHTS, save_weights
from discern_vqa.training.optim import make_optimizer
from discern_vqa.training.processes import processes
from discern_vqa.training.setup import Start, set_up

SMALL = {
    "width": 16, "size": 32, "patch": 8, "channels": 4, "layers": 1, "heads": 2, "ffn": 32, "length": 8,
    "image_target_size": 16,
}  # fmt: skip
"""What a size is called in any model's table, and how small it is made."""
_ON_PHANTOMS = (
    "data.dataset=phantom", "data.draw={}", "data.options={}", "data.index=", "data.protocol=usual",
    "data.auxiliary=[]", "data.vocabulary_from=[]", "data.vocabulary_min_count={}", "data.exclude=[]",
    "data.imitate=[]", "data.min_count=1", "data.train_share=1.0", "data.validation_ratio=0.1", "prior.cases=false",
    "run.after=", "run.precision=fp32", "run.trackers=[]",
)  # fmt: skip
_TINY = ("kind=tiny", "weights=", "frozen=false", "train_last=0", "pool=0", "project=true")
_HIDDEN = ("mask", "grey")
_CLOSE = 1e-4  # what the order of additions may change in 32 bits


@dataclass(frozen=True)
class Trial:
    """A training before its first step."""

    start: Start
    recipe: Path

    @property
    def model(self) -> ModelBase:
        return self.start.model

    def batch(self, epoch: int = 0) -> Batch:
        """The first batch of an epoch."""
        return self.start.batch(self.start.batches(epoch)[0], _rng(epoch))

    def inputs(self, count: int = 6) -> Inputs:
        """The first questions, as the model gets them."""
        samples = [sample for sample in self.start.learned if not sample.is_caption] or self.start.learned
        return self.start.batcher.inputs(samples[:count])

    def losses(self, batch: Batch, seed: int = 0) -> dict[str, Tensor]:
        """The parts of the loss."""
        parts: dict[str, Tensor] = self.start.objective(batch, _rng(seed))
        return parts


def make_trial(recipe: Path, folder: Path) -> Trial:
    """Sets up the training of a recipe in an empty folder: its model, its objective and its samplers, with the sizes of
    SMALL, encoders without pre-trained weights, and 60 drawn images instead of its data.

    Raises ConfigError for all mistakes of the recipe at once.
    """
    if not read_recipe(recipe).is_network:
        raise ConfigError(
            f"{recipe} is a baseline's recipe, or that of somebody else's model",
            hint="these checks are for networks; see tests/test_baselines.py",
        )
    changes = [*_ON_PHANTOMS, *(f"model.{side}.{change}" for side in ("image", "text") for change in _TINY)]
    changes += ["optim.batch=16", *shrunk(read_recipe(recipe, changes).model)]
    data = folder / "phantoms"
    phantom.draw(data, images=60, size=32, regions=["chest"], workers=1)
    settings = read_recipe(recipe, changes)
    return Trial(set_up(settings, recipe, data, folder / "run", among=processes(), say=lambda text: None), recipe)


def shrunk(table: BaseModel, path: str = "model") -> list[str]:
    """Overrides that make a model small: each size of SMALL that its table and the tables in it have and that is
    larger."""
    changes = []
    for key in type(table).model_fields:
        value = getattr(table, key)
        if isinstance(value, BaseModel):
            changes += shrunk(value, f"{path}.{key}")
        elif key in SMALL and isinstance(value, int) and (value > SMALL[key] or (key == "size" and not value)):
            changes.append(f"{path}.{key}={SMALL[key]}")
    return changes


def every_part_of_the_loss_is_named_and_finite(trial: Trial) -> None:
    """The objective gives one finite number for each of its weights, and the same ones for the same draws."""
    batch, weights = trial.batch(), trial.start.objective.config.weights
    with _as_in_training(trial.model):
        torch.manual_seed(0)
        parts = trial.losses(batch)
        torch.manual_seed(0)
        again = trial.losses(batch)
    assert parts.keys() == weights.keys(), f"the objective gives {sorted(parts)}; weights name {sorted(weights)}"
    for name, part in parts.items():
        assert part.numel() == 1, f"the part {name!r} has the shape {tuple(part.shape)}; expected one number"
        assert bool(part.isfinite()), f"the part {name!r} is {float(part)}"
        assert torch.equal(part, again[name]), f"the part {name!r} draws from another generator than `rng`"


def every_parameter_learns(trial: Trial) -> None:
    """Each trained parameter gets a gradient that is not zero from one of the first batches, here or in the recipe that
    is trained before (`run.after`). Exempt is what an encoder shows instead of hidden words and cells: few objectives
    hide any."""
    idle, after = _idle(trial), read_recipe(trial.recipe).run.after
    if idle and after:
        earlier = make_trial(trial.recipe.parent / after, trial.start.run.folder.parent / "earlier")
        idle &= _idle(earlier)
    assert not idle, f"no gradient reaches {', '.join(sorted(idle))}"


def _idle(trial: Trial) -> set[str]:
    parameters = {name: parameter for name, parameter in trial.model.named_parameters() if parameter.requires_grad}
    idle = {name for name in parameters if name.rpartition(".")[2] not in _HIDDEN}
    with _as_in_training(trial.model):
        for epoch in range(4):
            batch = trial.batch(epoch)
            total(trial.losses(batch, epoch), trial.start.objective.config.weights).backward()
            idle -= {name for name in idle if _has_gradient(parameters[name])}
    return idle


def the_same_inputs_give_the_same_answer_twice(trial: Trial) -> None:
    """Nothing is drawn and nothing is remembered while the model answers."""
    inputs = trial.inputs()
    assert torch.equal(scores(trial.model, inputs), scores(trial.model, inputs)), "the second answer is another one"


def an_answer_does_not_depend_on_its_neighbours(trial: Trial) -> None:
    """A question alone gets the scores that it gets within a batch; that holds for its state too."""
    samples = [sample for sample in trial.start.learned if not sample.is_caption][:6]
    batcher = trial.start.batcher
    together = scores(trial.model, batcher.inputs(samples))
    alone = torch.cat([scores(trial.model, batcher.inputs([sample])) for sample in samples])
    assert together.shape == (len(samples), len(batcher.vocabulary)), f"scores have the shape {tuple(together.shape)}"
    torch.testing.assert_close(
        alone, together, rtol=_CLOSE, atol=_CLOSE, msg="a question alone gets other scores than within a batch"
    )
    with torch.no_grad():
        state = trial.model.eval().answer_state(batcher.inputs(samples))
    assert state.ndim == 2, f"answer_state has the shape {tuple(state.shape)}; expected (B, w)"
    assert len(state) == len(samples), f"answer_state has {len(state)} rows for {len(samples)} questions"


def what_is_saved_loads_equal(trial: Trial) -> None:
    """The run folder gives the same model back, with what its constructor is called with when a run is opened."""
    inputs, run = trial.inputs(), trial.start.run
    before = scores(trial.model, inputs)
    save_weights(trial.model, run.folder / WEIGHTS)
    assert torch.equal(scores(run.load_model(), inputs), before), (
        "the model that was saved and loaded answers otherwise"
    )


def a_prior_is_added_to_the_scores(trial: Trial) -> None:
    """`decide` ends with `add_prior`, so that [prior] of a recipe works."""
    inputs = replace(trial.inputs(), prior=None)
    plain = scores(trial.model, inputs)
    log_p = torch.randn(plain.shape, generator=_rng()).log_softmax(-1)
    share = torch.full((len(plain),), 0.4)
    expected = plain + log_p
    given = scores(trial.model, replace(inputs, prior=PriorScores(log_p)))
    told = "`decide` gives other scores than `add_prior` where there is a prior"
    torch.testing.assert_close(given.log_softmax(-1), expected.log_softmax(-1), rtol=_CLOSE, atol=_CLOSE, msg=told)
    prior = PriorScores(log_p, share)
    given = scores(trial.model, replace(inputs, prior=prior))
    torch.testing.assert_close(given, prior.mix_with(expected), rtol=_CLOSE, atol=_CLOSE, msg=told)


def the_layers_that_it_names_are_there(trial: Trial) -> None:
    """`answer_layers` and `output_layers` are the beginnings of names of parameters."""
    names = [name for name, _ in trial.model.named_parameters()]
    for layer in sorted({*trial.model.answer_layers, *trial.model.output_layers}):
        assert any(f"{name}.".startswith(f"{layer}.") for name in names), f"there is no layer {layer!r}"


def a_batch_can_be_learned(trial: Trial) -> None:
    """Forty steps on one batch lower its loss."""
    batch, objective = trial.batch(), trial.start.objective
    before = {name: value.clone() for name, value in trial.model.state_dict().items()}
    optimizer = make_optimizer(trial.model, trial.start.run.recipe.optim.model_copy(update={"lr": 3e-3}))
    course = []
    with _as_in_training(trial.model):
        for step in range(40):
            optimizer.zero_grad()
            loss = total(trial.losses(batch, step), objective.config.weights)
            loss.backward()
            optimizer.step()
            objective.after_step()
            course.append(float(loss.detach()))
    trial.model.load_state_dict(before)
    first, last = sum(course[:5]) / 5, sum(course[-5:]) / 5
    assert last < first, f"the loss of one batch goes from {first:.3f} to {last:.3f} in 40 steps"


CHECKS: tuple[Callable[[Trial], None], ...] = (
    every_part_of_the_loss_is_named_and_finite,
    every_parameter_learns,
    the_same_inputs_give_the_same_answer_twice,
    an_answer_does_not_depend_on_its_neighbours,
    what_is_saved_loads_equal,
    a_prior_is_added_to_the_scores,
    the_layers_that_it_names_are_there,
    a_batch_can_be_learned,
)


def scores(model: ModelBase, inputs: Inputs) -> Tensor:
    """(B, K) what the model decides by when it answers."""
    with torch.no_grad():
        return model.eval().decide(inputs).scores.float()


@contextmanager
def _as_in_training(model: ModelBase) -> Iterator[None]:
    model.train()
    model.zero_grad(set_to_none=True)
    yield
    model.zero_grad(set_to_none=True)
    model.eval()


def _has_gradient(parameter: torch.nn.Parameter) -> bool:
    return parameter.grad is not None and bool(parameter.grad.abs().max() > 0)


def _rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
