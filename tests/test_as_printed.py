"""The objectives against the losses as the paper prints them: equal values and gradients, for less work."""

import _as_printed
import pytest
import torch
from _tiny import CAPTIONS, QUESTIONS, SIMILAR, batch, finetuning, model, pretraining, rng

from discern_vqa.nn.losses import total

PROFILES = ("paper", "robust")


def compared(objective, printed, given):
    """The parts and the gradients of both ways, in float64."""
    found = []
    for way in (objective, lambda *both: printed(objective, *both)):
        objective.zero_grad()
        parts = way(given, rng(3))
        total(parts, objective.config.weights).backward()
        gradients = {name: one.grad.clone() for name, one in objective.named_parameters() if one.grad is not None}
        found.append(({name: float(part.detach()) for name, part in parts.items()}, gradients))
    return found


@pytest.mark.parametrize("profile", PROFILES)
def test_fine_tuning_equals_the_printed_equations(profile):
    net = model(profile=profile)
    given = batch(QUESTIONS, net=net, similar=SIMILAR)
    assert given.targets.partner.max() >= 0, "there are partners"
    assert given.targets.near.min() == -1 < given.targets.near.max(), "with a similar image and without"
    objective = finetuning(net, profile=profile)
    (parts, gradients), (printed, expected) = compared(objective, _as_printed.finetuning, given)
    assert parts == pytest.approx(printed, rel=1e-5)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-6, msg=name)


@pytest.mark.parametrize("profile", PROFILES)
def test_pre_training_equals_the_printed_equations(profile):
    net = model(profile=profile)
    objective = pretraining(net, profile=profile, intra_view="same")
    given = batch([*QUESTIONS, *CAPTIONS], net=net)
    (parts, gradients), (printed, expected) = compared(objective, _as_printed.pretraining, given)
    assert parts == pytest.approx(printed, rel=1e-5)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-6, msg=name)
