"""The scan of Mamba-2 in chunks: equal to the selective scan with one factor per head, whatever the chunk."""

import pytest
import torch
import torch.nn.functional as F

from discern_vqa.nn.scan import selective_scan
from discern_vqa.nn.scan.ssd import ssd

HEADS, P, S = 3, 4, 5


def ssd_inputs(sequences=2, length=37, dtype=torch.float64):
    """x, dt, A, B, C, D, requiring gradients."""
    rng = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    rows = (sequences, length)
    dt, A = F.softplus(draw(*rows, HEADS) - 1), -draw(HEADS).abs() * 4 - 0.5
    given = (draw(*rows, HEADS, P), dt, A, draw(*rows, S), draw(*rows, S), draw(HEADS))
    return [tensor.to(dtype).requires_grad_() for tensor in given]


def by_channels(x, dt, A, B, C, D, **options):
    """The same by the selective scan: dt, A and D repeated for the channels of a head, A for the states too."""
    wide = A.repeat_interleave(P)[:, None].expand(-1, S)
    y = selective_scan(
        x.flatten(2), dt.repeat_interleave(P, 2), wide, B, C, D.repeat_interleave(P), path="reference", **options
    )
    return y.view_as(x)


@pytest.mark.parametrize(("length", "chunk"), [(1, 64), (2, 1), (37, 5), (64, 64), (65, 64), (130, 64)])
def test_it_equals_the_selective_scan_with_one_factor_per_head(length, chunk):
    given = ssd_inputs(length=length)
    dy = torch.randn(2, length, HEADS, P, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ours, wanted = ssd(*given, chunk=chunk), by_channels(*given)
    torch.testing.assert_close(ours, wanted, rtol=1e-11, atol=1e-11)
    for one, other in zip(torch.autograd.grad(ours, given, dy), torch.autograd.grad(wanted, given, dy), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


def test_its_gradients_are_those_of_finite_differences():
    given = ssd_inputs(1, 5)
    assert torch.autograd.gradcheck(lambda *args: ssd(*args, chunk=2), given)
    keep = torch.tensor([[True, False, True, True, False]])
    assert torch.autograd.gradcheck(lambda *args: ssd(*args, keep=keep, chunk=2), given)


def test_places_left_out_pass_the_state_on_and_are_not_looked_at():
    given = ssd_inputs()
    keep = torch.rand(2, 37, generator=torch.Generator().manual_seed(2)) < 0.6
    y = ssd(*given, keep=keep)
    torch.testing.assert_close(y, by_channels(*given, keep=keep), rtol=1e-11, atol=1e-11)
    assert not y[~keep].any()
    hide = {4: ~keep[..., None, None], 3: ~keep[..., None]}
    soiled = [t.detach().masked_fill(hide[t.dim()], float("nan")) if t.dim() > 2 else t for t in given]
    assert torch.equal(ssd(*soiled, keep=keep), y)


def test_long_steps_over_long_sequences_stay_finite_and_right():
    """exp of cumulative sums reaches exp(-16000): a quotient of two of them would be 0 / 0."""
    x, dt, A, B, C, D = ssd_inputs(1, 609, torch.float32)
    given = [x, torch.full_like(dt, 3.0), A * 2, B, C, D]
    y = ssd(*given)
    (dx,) = torch.autograd.grad(y.sum(), x)
    assert dx.isfinite().all()
    torch.testing.assert_close(y.double(), by_channels(*(tensor.double() for tensor in given)), rtol=1e-4, atol=1e-5)


def test_inside_autocast_it_computes_in_float32_and_answers_in_the_dtype_of_x():
    given = [tensor.detach() for tensor in ssd_inputs(dtype=torch.float32)]
    given[0] = given[0].bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = ssd(*given)
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, ssd(given[0].float(), *given[1:]).bfloat16())
