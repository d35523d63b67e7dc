"""The Mamba block against its recurrence spelled out, and its padding: exact, on either side, in both directions."""

import pytest
import torch
import torch.nn.functional as F

from discern_vqa.nn.mamba import BiaslessNorm, MambaBlock, MambaShape, SelectiveSsm

SHAPE = MambaShape(width=8, inner=12, states=4)


def keep_of(*lengths: int, most: int) -> torch.Tensor:
    return torch.arange(most)[None] < torch.tensor(lengths)[:, None]


def recurrence(ssm: SelectiveSsm, x: torch.Tensor) -> torch.Tensor:
    """u (L, E) of one row x (L, E), step by step as the paper's equations stand."""
    padded = torch.cat([torch.zeros(3, x.shape[1]), x])
    x = F.silu(torch.stack([(padded[t : t + 4] * ssm.taps).sum(0) + ssm.tap_bias for t in range(len(x))]))
    A, h, out = -ssm.A_log.exp(), torch.zeros(x.shape[1], ssm.A_log.shape[1]), []
    for t in range(len(x)):
        delta, B, C = ssm.x_proj(x[t]).split(ssm.splits)
        dt = F.softplus(ssm.dt_proj(delta))
        h = torch.exp(dt[:, None] * A) * h + (dt * x[t])[:, None] * B
        out.append(h @ C + ssm.D * x[t])
    return torch.stack(out)


def block(**changes) -> MambaBlock:
    torch.manual_seed(0)
    return MambaBlock(MambaShape(**{**SHAPE.__dict__, **changes}))


def test_a_scan_is_the_recurrence_of_the_paper():
    torch.manual_seed(0)
    ssm = SelectiveSsm(SHAPE)
    x = torch.randn(2, 7, 12)
    for row, u in zip(x, ssm(x), strict=True):
        torch.testing.assert_close(u, recurrence(ssm, row), atol=1e-5, rtol=1e-5)


def test_the_block_is_its_equations():
    net = block(bidirectional=False)
    v = torch.randn(2, 5, 8)
    x, z = net.enter(F.layer_norm(v, (8,), net.norm.weight, net.norm.bias)).chunk(2, -1)
    u = torch.stack([recurrence(net.ways[0], row) for row in x])
    torch.testing.assert_close(net(v), v + (u * F.silu(z)) @ net.leave.weight.T, atol=1e-5, rtol=1e-5)


def test_the_first_time_steps_lie_in_the_papers_range():
    dt = F.softplus(SelectiveSsm(MambaShape(width=64, inner=512)).dt_proj.bias.detach())
    assert 1e-3 <= float(dt.min()) < 3e-3
    assert 3e-2 < float(dt.max()) <= 1e-1 + 1e-6


def test_reversed_twice_is_the_scan_itself():
    torch.manual_seed(0)
    there = SelectiveSsm(SHAPE)
    back = SelectiveSsm(SHAPE, reverse=True)
    back.load_state_dict(there.state_dict())
    x, keep = torch.randn(2, 6, 12), keep_of(6, 6, most=6)
    torch.testing.assert_close(back(x.flip(1), keep).flip(1), there(x, keep), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_padded_sequence_equals_the_cut_one(bidirectional):
    net = block(bidirectional=bidirectional)
    v = torch.randn(1, 5, 8)
    padded = F.pad(v, (0, 0, 0, 4), value=7.0)
    out = net(padded, keep_of(5, most=9))
    # Sums over one position more or less may be split up differently by the matrix kernels: bit for bit row by row.
    torch.testing.assert_close(out[:, :5], net(v, keep_of(5, most=5)), atol=1e-6, rtol=1e-6)
    assert torch.equal(out[:, 5:], padded[:, 5:]), "nothing is added to padding"
    assert torch.equal(net(F.pad(v, (0, 0, 0, 4), value=-3.0), keep_of(5, most=9))[:, :5], out[:, :5])


def support(net: MambaBlock, length: int, place: int, keep: torch.Tensor) -> list[int]:
    """The positions that reach position `place` of the output."""
    v = torch.randn(1, length, 8, requires_grad=True)
    net(v, keep)[0, place].sum().backward()
    return (v.grad[0] != 0).any(-1).nonzero().flatten().tolist()


def test_one_direction_reads_what_came_before_and_two_read_all_that_is_real():
    keep = keep_of(6, most=9)
    assert support(block(bidirectional=False), 9, 3, keep) == [0, 1, 2, 3]
    assert support(block(bidirectional=True), 9, 3, keep) == [0, 1, 2, 3, 4, 5]


def test_the_biasless_norm_scales_and_never_adds():
    norm = BiaslessNorm(8)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    v = torch.randn(3, 8)
    torch.testing.assert_close(norm(v), F.layer_norm(v, (8,)) * norm.weight)
    assert [tuple(parameter.shape) for parameter in norm.parameters()] == [(8,)] * 3


def test_deeper_stacks_start_with_a_smaller_output():
    ratio = block(depth=1).leave.weight / block(depth=4).leave.weight
    torch.testing.assert_close(ratio, torch.full_like(ratio, 2.0))


def test_bf16_autocast_scans_in_full_precision():
    net = block()
    v = torch.randn(2, 6, 8)
    with torch.autocast("cpu", torch.bfloat16):
        driven = net.ways[0].read(net.halves(v)[0])
        assert driven.dt.dtype == torch.float32
        rough = net(v)
    torch.testing.assert_close(rough.float(), net(v), atol=0.05, rtol=0.05)
