"""The scan against other people's, forward and backward: mambapy's parallel scan, the Mamba mixers of transformers."""

import pytest
import torch
import torch.nn.functional as F
from _scan import assert_agree, scan_inputs, value_and_gradients
from torch import Tensor
from transformers import MambaConfig
from transformers.models.mamba.modeling_mamba import MambaMixer

from discern_vqa.nn.scan import selective_scan

pscan = pytest.importorskip("mambapy.pscan", reason="compared with mambapy: pip install 'discern-vqa[dev]'").pscan


def mambapy_scan(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """The scan as a user of mambapy's `pscan` writes it."""
    a = (dt[..., None] * A).exp()
    b = (dt * x)[..., None] * B[:, :, None, :]
    return (pscan(a, b) @ C[..., None])[..., 0] + D * x


@pytest.mark.parametrize("path", ["reference", "stepwise", "tree"])
@pytest.mark.parametrize("length", [1, 3, 32, 37])
def test_the_scan_is_mambapys(path, length):
    given = scan_inputs(2, length)
    dy = torch.randn(2, length, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = mambapy_scan(*given)
    assert_agree(value_and_gradients(given, path=path), [y.detach(), *torch.autograd.grad(y, given, dy)], 1e-12)


def test_the_compiled_scan_is_mambapys():
    given = scan_inputs(2, 64, 96, 16, dtype=torch.float32)
    dy = torch.randn(2, 64, 96, generator=torch.Generator().manual_seed(1), dtype=torch.float64).float()
    y = mambapy_scan(*given)
    wanted = [tensor.double() for tensor in (y.detach(), *torch.autograd.grad(y, given, dy))]
    assert_agree(value_and_gradients(given, path="compiled"), wanted, 4e-6)


@pytest.fixture(scope="module")
def mixer() -> MambaMixer:
    """transformers' Mamba mixer on the path it takes without CUDA kernels."""
    torch.manual_seed(0)
    config = MambaConfig(hidden_size=24, state_size=8, num_hidden_layers=1, use_mambapy=False)
    mixer = MambaMixer(config, layer_idx=0)
    mixer.init_mamba_weights()
    return mixer


def with_our_scan(mixer: MambaMixer, hidden: Tensor, path: str) -> Tensor:
    """The mixer's output (Gu and Dao 2023, figure 3) with its own weights and our scan."""
    inner, z = mixer.in_proj(hidden).chunk(2, dim=-1)
    convolved = mixer.conv1d(inner.transpose(1, 2))[..., : hidden.shape[1]].transpose(1, 2)
    x = F.silu(convolved)
    ranks = [mixer.time_step_rank, mixer.ssm_state_size, mixer.ssm_state_size]
    delta, B, C = mixer.x_proj(x).split(ranks, dim=-1)
    dt = F.softplus(mixer.dt_proj(delta))
    y = selective_scan(x, dt, -mixer.A_log.exp(), B, C, mixer.D, path=path)
    return mixer.out_proj(y * F.silu(z))


@pytest.mark.parametrize("path", ["stepwise", "tree", "compiled"])
@pytest.mark.parametrize("length", [1, 29])
def test_a_mamba_mixer_of_transformers_is_the_same_with_our_scan(mixer, path, length):
    hidden = torch.randn(3, length, 24, generator=torch.Generator().manual_seed(2))
    weights = torch.randn(3, length, 24, generator=torch.Generator().manual_seed(3))
    theirs, ours = mixer(hidden), with_our_scan(mixer, hidden, path)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    names = [name for name, _ in mixer.named_parameters()]
    assert {"A_log", "D", "x_proj.weight", "dt_proj.bias"} <= set(names)
    their_gradients = torch.autograd.grad((theirs * weights).sum(), list(mixer.parameters()))
    our_gradients = torch.autograd.grad((ours * weights).sum(), list(mixer.parameters()))
    for name, one, other in zip(names, our_gradients, their_gradients, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max() + 1e-9, name
