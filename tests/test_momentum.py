"""The slow twin of Eq. 6 and the running mean of the weights."""

import pytest
import torch
from torch import nn

from discern_vqa.nn.momentum import Momentum, RunningMean


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))


def moved(module: nn.Module) -> None:
    """As an optimiser step would."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 1.0


def test_the_twin_moves_by_one_minus_m_and_copies_buffers():
    module = network()
    twin = Momentum(module, 0.9)
    before = [parameter.clone() for parameter in twin.twin.parameters()]
    moved(module)
    module.train()
    module(torch.randn(8, 3))  # batch norm's running figures change
    twin.update(module)
    for slow, old, fast in zip(twin.twin.parameters(), before, module.parameters(), strict=True):
        torch.testing.assert_close(slow, 0.9 * old + 0.1 * fast.detach())
    for slow, fast in zip(twin.twin.buffers(), module.buffers(), strict=True):
        assert torch.equal(slow, fast)


def test_the_twin_never_trains():
    module = network()
    twin = Momentum(module, 0.9)
    parent = nn.ModuleDict({"fast": module, "slow": twin})
    parent.train()
    assert module.training
    assert not any(part.training for part in twin.modules())
    x = torch.randn(4, 3, requires_grad=True)
    assert not twin(x).requires_grad
    assert not any(parameter.requires_grad for parameter in twin.parameters())


def test_a_parameter_that_is_not_trained_stays():
    module = network()
    module[0].weight.requires_grad_(False)
    twin = Momentum(module, 0.5)
    kept = twin.twin[0].weight.clone()
    moved(module)
    twin.update(module)
    assert torch.equal(twin.twin[0].weight, kept)


def test_swapping_the_running_mean_twice_changes_nothing():
    module = network()
    mean = RunningMean(module, 0.99)
    moved(module)
    mean.update(module, 100)
    weights = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    means = {name: tensor.clone() for name, tensor in mean.mean.items()}
    mean.swap(module)
    assert not torch.equal(module[0].weight, weights["0.weight"])
    assert torch.equal(module[0].weight, means["0.weight"])
    mean.swap(module)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in module.state_dict().items())
    assert all(torch.equal(tensor, means[name]) for name, tensor in mean.mean.items())


@pytest.mark.parametrize(("step", "decay"), [(0, 0.1), (10, 11 / 20), (10_000, 0.99)])
def test_the_running_mean_forgets_the_first_steps_faster(step, decay):
    module = network()
    mean = RunningMean(module, 0.99)
    old = mean.mean["0.weight"].clone()
    moved(module)
    mean.update(module, step)
    torch.testing.assert_close(mean.mean["0.weight"], decay * old + (1 - decay) * module[0].weight.detach())
