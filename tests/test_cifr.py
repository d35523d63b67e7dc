"""CIFR: the joint gate spelled out, what reaches what, padding, the bank of variants, and the published defects."""

import pytest
import torch
import torch.nn.functional as F

from discern_vqa.lab import mixers
from discern_vqa.nn.cross_mamba import Cifr, CifrConfig, CrossGate

WIDTH = 8
BANK = ["gate", "random", *mixers.VARIANTS, "none"]
LEARNED = [name for name in BANK if name not in ("none", "random")]


def keep_of(*lengths: int, most: int = 0) -> torch.Tensor:
    return torch.arange(max(most, *lengths))[None] < torch.tensor(lengths)[:, None]


def config(released: bool = False, **changes) -> CifrConfig:
    return CifrConfig(**{"states": 4, "dropout": 0.0, **changes}).resolved(released)


def stack(released: bool = False, **changes) -> Cifr:
    torch.manual_seed(0)
    return Cifr(config(released, **changes), WIDTH).eval()


def streams(L: int = 6, K: int = 4, rows: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    return torch.randn(rows, L, WIDTH, generator=rng), torch.randn(rows, K, WIDTH, generator=rng)


def full(*parts: torch.Tensor) -> list[torch.Tensor]:
    return [torch.ones(part.shape[:2], dtype=torch.bool) for part in parts]


def gated(layer: CrossGate, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Section 2.2 letter by letter, with PyTorch's own pooling and interpolation."""
    block = layer.blocks[0]
    (x_in, z_x), (y_in, z_y) = (block.enter(block.norm(v)).chunk(2, -1) for v in (x, y))
    u_x, u_y = (torch.stack([way(v) for way in block.ways]).mean(0) for v in (x_in, y_in))

    def pool(v):
        return F.adaptive_avg_pool1d(v.transpose(1, 2), x.shape[1]).transpose(1, 2)

    g = F.silu(z_x * pool(z_y))
    up = F.interpolate((pool(u_y) * g).transpose(1, 2), y.shape[1], mode="linear", align_corners=True).transpose(1, 2)
    return x + (u_x * g) @ block.leave.weight.T, y + up @ block.leave.weight.T


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize(("L", "K"), [(6, 6), (6, 4), (3, 7), (1, 5)])
def test_a_layer_is_the_gate_of_section_2_2(L, K, released):
    layer = stack(released, layers=1, released_random=False).layers[0]
    x, y = streams(L, K)
    for ours, theirs in zip(layer(x, y, *full(x, y)), gated(layer, x, y), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_a_layer_that_lets_nothing_out_changes_nothing():
    net = stack()
    for layer in net.layers:
        torch.nn.init.zeros_(layer.blocks[0].leave.weight)
    x, y = streams()
    for before, after in zip((x, y), net(x, y, *full(x, y)), strict=True):
        assert torch.equal(before, after)


def test_streams_that_trade_places_trade_outputs_when_weights_and_lengths_are_shared():
    x, y = streams(5, 5)
    there, back = stack()(x, y, *full(x, y)), stack()(y, x, *full(y, x))
    torch.testing.assert_close(there[0], back[1])
    torch.testing.assert_close(there[1], back[0])
    own = stack(shared=False)
    assert not torch.allclose(own(x, y, *full(x, y))[0], own(y, x, *full(y, x))[1])


def support(net: Cifr, place: int, L: int, keep_x: torch.Tensor) -> tuple[list[int], list[int]]:
    """The text and image positions that reach the text's output at `place`."""
    x, y = (part[:1].requires_grad_() for part in streams(L, L))
    net(x, y, keep_x, full(y)[0])[0][0, place].sum().backward()
    return tuple((v.grad[0].abs() > 0).any(-1).nonzero().flatten().tolist() for v in (x, y))


def test_causal_streams_are_read_up_to_the_place_and_bidirectional_ones_whole():
    assert support(stack(bidirectional=False), 0, 8, keep_of(8)) == ([0], [0])
    assert support(stack(bidirectional=False), 5, 8, keep_of(8)) == ([*range(6)], [*range(6)])
    assert support(stack(bidirectional=True), 0, 8, keep_of(8)) == ([*range(8)], [*range(8)])
    assert support(stack(bidirectional=True), 0, 8, keep_of(5, most=8))[0] == [*range(5)], "padding reaches nothing"


@pytest.mark.parametrize("variant", LEARNED)
@torch.no_grad()
def test_padding_and_how_much_of_it_there_is_change_nothing(variant):
    net = stack(variant=variant)
    x, y = streams(7, 4)
    keep = keep_of(5, 3, most=7)
    out = net(x, y, keep, full(y)[0])
    other = torch.where(keep[..., None], x, 9.0)
    changed = net(other, y, keep, full(y)[0])
    assert torch.equal(out[0][keep], changed[0][keep])
    assert torch.equal(out[1], changed[1])
    cut = net(x[1:, :3], y[1:], keep_of(3), full(y[1:])[0])
    torch.testing.assert_close(out[0][1:, :3], cut[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(out[1][1:], cut[1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("variant", LEARNED)
def test_both_streams_learn_from_both_and_every_parameter_learns(variant):
    net = stack(variant=variant, scaled_out=False).train()
    x, y = (part.requires_grad_() for part in streams(6, 4))
    first, second = net(x, y, *full(x, y))
    (first.square().sum() + 2 * second.square().sum()).backward(retain_graph=True)
    silent = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().any()]
    assert not silent
    assert bool(torch.autograd.grad(first.square().sum(), y, retain_graph=True)[0].any())
    assert bool(torch.autograd.grad(second.square().sum(), x)[0].any())


@torch.no_grad()
def test_variants_differ_from_each_other():
    x, y = streams()
    outs = {variant: stack(variant=variant)(x, y, *full(x, y))[0] for variant in LEARNED}
    for one in LEARNED:
        for other in LEARNED:
            assert (one == other) == torch.allclose(outs[one], outs[other])


@torch.no_grad()
def test_none_changes_nothing_and_has_nothing_to_learn():
    net = stack(variant="none")
    x, y = streams()
    assert all(a is b for a, b in zip((x, y), net(x, y, *full(x, y)), strict=True))
    assert not list(net.parameters())


@pytest.mark.parametrize("net", [stack(variant="random"), stack(released=True)], ids=["random", "released"])
@torch.no_grad()
def test_d1_is_another_network_in_every_forward_and_nothing_of_it_is_trained(net):
    x, y = streams()
    assert not torch.equal(net(x, y, *full(x, y))[0], net(x, y, *full(x, y))[0])
    assert not list(net.parameters())
    assert not net.state_dict()
    mended = stack()
    assert torch.equal(mended(x, y, *full(x, y))[0], mended(x, y, *full(x, y))[0])


@torch.no_grad()
def test_d2_the_released_mixing_changes_its_streams_by_three_to_four_per_cent():
    torch.manual_seed(0)
    net = Cifr(CifrConfig().resolved(released=True), 768)
    x, y = torch.randn(2, 32, 768), torch.randn(2, 32, 768)
    outs = [net(x, y, *full(x, y))[0] for _ in range(3)]
    change = [float((out - x).norm() / x.norm()) for out in outs]
    assert all(0.03 <= one <= 0.04 for one in change), change
    spread = torch.stack(outs).std(0).mean()
    assert 0.02 < float(spread) < 0.04


def test_the_cross_mamba_of_the_paper_has_the_published_number_of_parameters():
    with torch.device("meta"):
        net = Cifr(CifrConfig(released_random=False).resolved(released=True), 768)
        mended = Cifr(CifrConfig().resolved(released=False), 768)
    count = sum(parameter.numel() for parameter in net.parameters())
    assert count == 7_546_368
    second_direction = 2 * (4 * 1536 + 1536 + 1536 * 80 + 48 * 1536 + 1536 + 16 * 1536 + 1536)
    assert sum(p.numel() for p in mended.parameters()) == count + second_direction - 2 * 768  # no unused RMS weight


def test_the_profile_chooses_what_was_left_open_and_nothing_else():
    released, fixed = CifrConfig().resolved(True), CifrConfig().resolved(False)
    assert (released.bidirectional, released.norm, released.dropout) == (False, "biasless", 0.0)
    assert (fixed.bidirectional, fixed.norm, fixed.dropout) == (True, "layer", 0.1)
    assert (released.released_random, fixed.released_random, released.scaled_out) == (True, False, False)
    assert CifrConfig(bidirectional=True, dropout=0.3).resolved(True).bidirectional is True
    assert CifrConfig(dropout=0.3).resolved(True).dropout == 0.3
