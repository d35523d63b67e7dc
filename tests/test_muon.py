"""Muon: what is orthogonal is so, the library's own Muon takes the same steps, everything else stays AdamW's."""

import pytest
import torch
from _tiny import model, rng
from torch import nn

from discern_vqa.config import OptimConfig
from discern_vqa.training.muon import MuonAdamW, _directly, orthogonal
from discern_vqa.training.optim import make_optimizer


@pytest.mark.parametrize("shape", [(3, 8, 20), (2, 20, 8), (1, 16, 16)])
def test_the_direction_keeps_the_singular_vectors_and_levels_the_singular_values(shape):
    matrices = torch.randn(shape, generator=rng())
    U, _, V = torch.linalg.svd(matrices, full_matrices=False)
    found = U.mT @ orthogonal(matrices) @ V.mT  # diagonal: the singular vectors are unchanged
    values = found.diagonal(dim1=-2, dim2=-1)
    assert values.min() > 0.3
    assert values.max() < 1.3
    torch.testing.assert_close(found, torch.diag_embed(values), atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", [(3, 12, 48), (48, 12)])
def test_wide_matrices_get_the_same_direction_from_products_of_their_gram_matrix(shape):
    matrices = torch.randn(shape, generator=rng()).view(-1, *shape[-2:])
    matrices[0, :, 0] *= 100  # one direction far above the others: the smallest singular values are near nothing
    exact = orthogonal(matrices.bfloat16().double())
    X = matrices.bfloat16().double()
    X = X.mT if shape[-2] > shape[-1] else X
    X = _directly(X / X.norm(dim=(-2, -1), keepdim=True))
    torch.testing.assert_close(exact, X.mT if shape[-2] > shape[-1] else X, atol=1e-7, rtol=1e-7)
    torch.testing.assert_close(orthogonal(matrices.bfloat16().float()).double(), exact, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("shape", [(12, 30), (30, 12)])
def test_a_matrix_moves_as_by_torchs_own_muon(shape):
    ours, theirs = (nn.Parameter(torch.randn(shape, generator=rng())) for _ in range(2))
    settings = {"lr": 0.02, "weight_decay": 0.1}
    mine = MuonAdamW([{"params": [ours], "orthogonal": True, **settings}], precision=torch.bfloat16)
    reference = torch.optim.Muon([theirs], momentum=0.95, nesterov=True, adjust_lr_fn="original", **settings)
    for step in range(4):
        ours.grad = theirs.grad = torch.randn(shape, generator=rng(step))
        mine.step()
        reference.step()
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=1e-2)  # bf16 rounding of four steps of about 0.02


def test_a_kernel_moves_as_the_matrix_that_it_is():
    kernel = nn.Parameter(torch.randn(4, 2, 3, 3, generator=rng()))
    matrix = nn.Parameter(kernel.detach().reshape(4, 18).clone())
    optimizer = MuonAdamW([{"params": [kernel, matrix], "orthogonal": True, "lr": 0.1, "weight_decay": 0.0}])
    kernel.grad = torch.randn(4, 2, 3, 3, generator=rng(1))
    matrix.grad = kernel.grad.reshape(4, 18).clone()
    before = kernel.detach().clone()
    optimizer.step()
    assert not torch.equal(kernel, before)
    assert torch.equal(kernel.reshape(4, 18), matrix)


def test_linear_and_convolutional_layers_are_muons_and_everything_else_is_adamws():
    net = model()
    optimizer = make_optimizer(net, OptimConfig(optimizer="muon", muon_lr=0.003, lr=0.001))
    moved = {id(p) for group in optimizer.param_groups if group["orthogonal"] for p in group["params"]}
    names = {name for name, parameter in net.named_parameters() if id(parameter) in moved}
    assert "blocks.0.qkv.weight" in names
    assert any(name.startswith("image.stem") for name in names)
    assert not any(name.startswith(("ffn_answer", "ffn_text", "ffn_image")) for name in names)
    assert not any("embed" in name or "pos" in name or name.endswith("bias") for name in names)
    assert {group["lr"] for group in optimizer.param_groups if group["orthogonal"]} == {0.003}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(net.parameters()))


def test_without_matrices_it_is_adamw_to_the_last_bit():
    ours, theirs = (nn.Parameter(torch.randn(7, generator=rng())) for _ in range(2))
    mine = MuonAdamW([{"params": [ours], "orthogonal": False}], lr=0.1, fused=True)
    reference = torch.optim.AdamW([theirs], lr=0.1, fused=True)
    for step in range(3):
        ours.grad = theirs.grad = torch.randn(7, generator=rng(step))
        mine.step()
        reference.step()
    assert torch.equal(ours, theirs)
