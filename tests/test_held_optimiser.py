"""What the loop really does to the weights: gradients that are cut to a norm, rates that follow the schedule, betas."""

import math
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from _tiny import QUESTIONS, Silent, batcher, model
from torch.optim.optimizer import register_optimizer_step_pre_hook

from discern_vqa.config import OptimConfig, RunConfig
from discern_vqa.objectives import cmdpi_finetune as finetune
from discern_vqa.run import load_weights
from discern_vqa.training.loop import Work, fit
from discern_vqa.training.optim import make_optimizer


def work(net, batches=None) -> Work:
    """Fine-tuning without anything random; `batches`: how many there are in each epoch, two unless it says so."""
    made = batcher(net)
    net.train = lambda mode=True: net  # batch norm and dropout as they are when answering
    rows = list(range(len(QUESTIONS)))
    return Work(
        model=net,
        objective=finetune.Objective(finetune.Config(mixup=False, deviate=False), net),
        batches=lambda epoch: [rows[:4], rows[4:]] if batches is None else [rows] * batches[epoch],
        batch=lambda chosen, generator: made.batch([QUESTIONS[row] for row in chosen], generator),
        validate=None,
    )


@contextmanager
def watched():
    """One dict for each step of an optimiser: the gradients as they are used, and each group's rate and betas."""
    steps = []

    def look(optimizer, args, kwargs):
        groups = optimizer.param_groups
        used = [one.grad.detach().clone() for group in groups for one in group["params"] if one.grad is not None]
        steps.append(
            {"gradients": used, "lr": [group["lr"] for group in groups], "betas": {group["betas"] for group in groups}}
        )

    handle = register_optimizer_step_pre_hook(look)
    try:
        yield steps
    finally:
        handle.remove()


def norm(gradients) -> float:
    return math.sqrt(sum(float((one.double() ** 2).sum()) for one in gradients))


def trained(folder, optim: OptimConfig, epochs: int = 1, batches=None):
    """The steps of a training, and the model after it."""
    folder.mkdir(exist_ok=True)
    net = model()
    with watched() as steps:
        run = RunConfig(epochs=epochs, select="last")
        fit(work(net, batches), optim, run, folder, resume=False, show=Silent())
    return steps, net


# -- clipping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accumulate", [1, 2])
def test_gradients_are_used_scaled_down_to_the_norm_of_the_recipe(tmp_path, accumulate):
    settings = {"lr": 1e-4, "warmup": 0.0, "accumulate": accumulate}
    free, _ = trained(tmp_path / "free", OptimConfig(**settings, clip=math.inf), batches=[2])
    whole = norm(free[0]["gradients"])
    assert whole > 0.2
    cut, _ = trained(tmp_path / "cut", OptimConfig(**settings, clip=0.1), batches=[2])
    assert len(cut) == len(free) == 2 // accumulate
    for step in cut:
        assert norm(step["gradients"]) == pytest.approx(0.1, rel=1e-3)
    for one, other in zip(cut[0]["gradients"], free[0]["gradients"], strict=True):
        torch.testing.assert_close(one, other * (0.1 / whole), rtol=1e-3, atol=1e-7)


def test_gradients_below_the_norm_of_the_recipe_are_used_as_they_are(tmp_path):
    free, _ = trained(tmp_path / "free", OptimConfig(lr=1e-4, clip=math.inf))
    wide, _ = trained(tmp_path / "wide", OptimConfig(lr=1e-4, clip=2 * norm(free[0]["gradients"])))
    for one, other in zip(wide[0]["gradients"], free[0]["gradients"], strict=True):
        assert torch.equal(one, other)


# -- the rate ----------------------------------------------------------------------------------------------------------


def cosine(progress: float, warmup: float) -> float:
    if progress < warmup:
        return progress / warmup
    return (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))) / 2


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_every_step_is_taken_at_the_rate_of_the_schedule(tmp_path, schedule):
    """Epochs of 2, 4 and 1 batches: each is a third of the training, and a batch its share of its epoch."""
    optim = OptimConfig(lr=1e-3, schedule=schedule, warmup=0.25, factors={"ffn_answer": 10.0})
    steps, net = trained(tmp_path, optim, epochs=3, batches=[2, 4, 1])
    done = [0, 1 / 6, 2 / 6, 5 / 12, 6 / 12, 7 / 12, 2 / 3]
    after = {
        "cosine": lambda share: cosine(share, 0.25),
        "linear": lambda share: 1 - (share - 0.25) / 0.75,
        "constant": lambda share: 1.0,
    }[schedule]
    expected = [share / 0.25 if share < 0.25 else after(share) for share in done]
    first = [group["lr"] for group in make_optimizer(net, optim).param_groups]
    assert {round(rate, 9) for rate in first} == {1e-3, 1e-2}
    assert len(steps) == len(done)
    for step, factor in zip(steps, expected, strict=True):
        assert step["lr"] == pytest.approx([rate * factor for rate in first])


def test_the_first_step_of_a_warmup_moves_nothing_and_the_second_does(tmp_path):
    before = model().state_dict()
    for batches, moved in (([1], False), ([2], True)):
        folder = tmp_path / str(batches[0])
        trained(folder, OptimConfig(lr=1e-2, warmup=0.9, weight_decay=0.1), batches=batches)
        after = model(1)
        load_weights(after, folder / "model.safetensors")
        assert torch.equal(after.ffn_answer.weight, before["ffn_answer.weight"]) is not moved


def test_a_training_that_is_gone_on_with_keeps_to_the_rates_of_an_unbroken_one(tmp_path):
    optim = OptimConfig(lr=1e-3, schedule="linear", warmup=0.0)
    unbroken, _ = trained(tmp_path / "whole", optim, epochs=3)
    folder = tmp_path / "broken"
    folder.mkdir()

    class StopError(Exception):
        """The machine goes down."""

    def going(net, until: int) -> Work:
        made = work(net)

        def batches(epoch: int) -> list[list[int]]:
            if epoch == until:
                raise StopError
            return made.batches(epoch)

        return replace(made, batches=batches)

    run = RunConfig(epochs=3, select="last")
    with watched() as steps:
        with pytest.raises(StopError):
            fit(going(model(), 2), optim, run, folder, resume=False, show=Silent())
        fit(work(model()), optim, run, folder, resume=True, show=Silent())
    assert [step["lr"] for step in steps] == [step["lr"] for step in unbroken]
    assert [step["lr"][0] for step in steps] == pytest.approx([1e-3 * (1 - done / 6) for done in range(6)])


# -- betas -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("betas", [(0.9, 0.98), (0.5, 0.7)])
def test_adamw_steps_with_the_betas_of_the_recipe(optimizer, betas):
    """A bias gets two gradients; its place after them is AdamW's formula, written out."""
    net = model()
    bias = net.ffn_answer.bias
    made = make_optimizer(net, OptimConfig(lr=0.1, betas=betas, weight_decay=0.0, optimizer=optimizer))
    start, gradients = bias.detach().double().clone(), [0.3, -2.0]
    for gradient in gradients:
        made.zero_grad()
        bias.grad = torch.full_like(bias, gradient)
        made.step()
    first, second = betas
    mean = square = 0.0
    moved = 0.0
    for count, gradient in enumerate(gradients, 1):
        mean = first * mean + (1 - first) * gradient
        square = second * square + (1 - second) * gradient**2
        moved -= 0.1 * (mean / (1 - first**count)) / (math.sqrt(square / (1 - second**count)) + 1e-8)
    torch.testing.assert_close(bias.detach().double(), start + moved, rtol=1e-4, atol=1e-5)


def test_the_betas_of_the_recipe_reach_the_steps_of_the_loop(tmp_path):
    steps, _ = trained(tmp_path, OptimConfig(lr=1e-4, betas=(0.8, 0.91)))
    assert all(step["betas"] == {(0.8, 0.91)} for step in steps)
    usual, _ = trained(tmp_path / "usual", OptimConfig(lr=1e-4))
    assert all(step["betas"] == {(0.9, 0.999)} for step in usual)
