"""The selective scan: every path agrees with its slow twin, and padding, direction and precision are what they say."""

import subprocess
import sys

import pytest
import torch
from _scan import assert_agree, scan_inputs, slow_twin, value_and_gradients

from discern_vqa.nn.scan import selective_scan, stepwise

EXACT = ("stepwise", "tree")
"""Paths in plain torch, which compute in float64 too."""
EVERY = ("reference", *EXACT, "compiled")
"""Paths that run on a CPU."""

SHAPES = [(2, 1, 3, 4), (1, 2, 1, 1), (2, 5, 3, 4), (3, 37, 12, 6), (1, 64, 5, 16), (2, 65, 40, 3), (1, 609, 8, 16)]


def shape_id(shape):
    return "x".join(map(str, shape))


def some_places(sequences, length):
    """(B, L) bool with gaps at the ends and inside; the last row has no place at all."""
    keep = torch.rand(sequences, length, generator=torch.Generator().manual_seed(2)) < 0.6
    keep[0, 0] = keep[-1] = False
    return keep


@pytest.mark.parametrize("shape", SHAPES, ids=shape_id)
@pytest.mark.parametrize("path", EXACT)
def test_every_path_in_plain_torch_agrees_with_its_slow_twin_in_float64(path, shape):
    given = scan_inputs(*shape)
    assert_agree(value_and_gradients(given, path=path), slow_twin(given), 1e-12)


@pytest.mark.parametrize("shape", SHAPES, ids=shape_id)
@pytest.mark.parametrize("path", EVERY)
def test_every_path_agrees_with_its_slow_twin_to_the_precision_of_float32(path, shape):
    given = scan_inputs(*shape, dtype=torch.float32)
    assert_agree(value_and_gradients(given, path=path), slow_twin(given), 2e-6)


def test_states_that_are_repeated_for_the_gradient_give_the_same_as_those_that_are_kept(monkeypatch):
    given = scan_inputs(3, 37)
    kept = value_and_gradients(given, path="stepwise")
    monkeypatch.setattr(stepwise, "FEW", 0)
    for one, other in zip(value_and_gradients(given, path="stepwise"), kept, strict=True):
        assert torch.equal(one, other)
    assert torch.autograd.gradcheck(lambda *args: selective_scan(*args, path="stepwise"), scan_inputs(2, 5, 3, 4))


@pytest.mark.parametrize("path", ["reference", *EXACT])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_gradients_are_those_of_finite_differences(path, reverse):
    keep = torch.tensor([[True, True, False, True, True], [False, True, True, True, False]])
    for places in (None, keep):
        options = {"path": path, "reverse": reverse, "keep": places}
        assert torch.autograd.gradcheck(lambda *args, o=options: selective_scan(*args, **o), scan_inputs(2, 5, 3, 4))


@pytest.mark.parametrize("path", EVERY)
def test_a_scan_from_the_end_is_the_turned_scan_of_the_turned_sequence(path):
    x, dt, A, B, C, D = scan_inputs(dtype=torch.float32)
    forwards = selective_scan(x, dt, A, B, C, D, path=path)
    turned = selective_scan(x.flip(1), dt.flip(1), A, B.flip(1), C.flip(1), D, path=path, reverse=True)
    assert torch.equal(turned.flip(1), forwards)
    assert not torch.allclose(selective_scan(x, dt, A, B, C, D, path=path, reverse=True), forwards)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("path", EVERY)
def test_places_left_out_are_as_if_they_were_not_there(path, reverse):
    given = scan_inputs(3, 37, dtype=torch.float32)
    keep = some_places(3, 37)
    y, *gradients = value_and_gradients(given, path=path, keep=keep, reverse=reverse)
    assert not y[~keep].any()
    x, dt, A, B, C, D = given
    for row, kept in enumerate(keep[:-1]):
        short = [tensor[row : row + 1, kept] for tensor in (x, dt, B, C)]
        alone = selective_scan(short[0], short[1], A, *short[2:], D, path=path, reverse=reverse)
        if path == "tree":  # the places are joined in other pairs
            torch.testing.assert_close(y[row, kept], alone[0], rtol=1e-5, atol=1e-6)
        else:
            assert torch.equal(y[row, kept], alone[0])
    for gradient in (gradients[0], gradients[1], gradients[3], gradients[4]):
        assert not gradient[~keep].any()
    assert_agree([y, *gradients], slow_twin(given, keep=keep, reverse=reverse), 2e-6)


@pytest.mark.parametrize("path", EVERY)
def test_padding_at_the_end_equals_the_shorter_sequence_exactly(path):
    x, dt, A, B, C, D = scan_inputs(2, 64, dtype=torch.float32)
    keep = torch.arange(64).expand(2, 64) < 41
    padded = selective_scan(x, dt, A, B, C, D, keep=keep, path=path)
    truncated = selective_scan(x[:, :41], dt[:, :41], A, B[:, :41], C[:, :41], D, path=path)
    assert torch.equal(padded[:, :41], truncated)


@pytest.mark.parametrize("rubbish", [float("nan"), float("inf"), 1e30])
@pytest.mark.parametrize("path", EVERY)
def test_what_stands_at_a_padded_place_is_not_looked_at(path, rubbish):
    given = scan_inputs(3, 20, dtype=torch.float32)
    keep = some_places(3, 20)
    clean = value_and_gradients(given, path=path, keep=keep)
    soiled = [t.detach().masked_fill(~keep[..., None], rubbish) if t.dim() == 3 else t for t in given]
    for one, other in zip(value_and_gradients(soiled, path=path, keep=keep), clean, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("path", EVERY)
def test_a_step_of_no_time_changes_nothing(path):
    x, dt, A, B, C, D = scan_inputs(1, 30, dtype=torch.float32)
    still = dt.detach().clone()
    still[:, 10:] = 0
    same_readout = C.detach()[:, :1].expand_as(C)
    read = selective_scan(x, still, A, B, same_readout, torch.zeros_like(D), path=path)
    exact = path != "tree"  # which add the same terms in another order at each place
    tolerances = {"rtol": 0, "atol": 0} if exact else {"rtol": 0, "atol": 1e-6}
    torch.testing.assert_close(read[:, 10:], read[:, 9:10].expand(1, 20, -1), **tolerances)


@pytest.mark.parametrize("path", EVERY)
def test_a_batch_of_one_equals_the_same_sample_in_any_batch(path):
    x, dt, A, B, C, D = scan_inputs(5, 33, dtype=torch.float32)
    together = selective_scan(x, dt, A, B, C, D, path=path)
    for row in range(5):
        one = slice(row, row + 1)
        assert torch.equal(selective_scan(x[one], dt[one], A, B[one], C[one], D, path=path), together[one])


@pytest.mark.parametrize("path", EVERY)
def test_long_steps_over_long_sequences_stay_finite_and_right(path):
    """Factors down to exp(-48) and their products over 609 places: where formulas with quotients fail."""
    x, dt, A, B, C, D = scan_inputs(1, 609, 8, 16, dtype=torch.float32)
    given = [x, torch.full_like(dt, 3.0), A, B, C, D]
    assert_agree(value_and_gradients(given, path=path), slow_twin(given), 2e-6)


@pytest.mark.parametrize("path", EVERY)
def test_factors_that_underflow_forget_and_nothing_else(path):
    x, dt, A, B, C, D = scan_inputs(1, 40, 8, 16, dtype=torch.float32)
    given = [x, torch.full_like(dt, 500.0), A, B, C, D]
    assert_agree(value_and_gradients(given, path=path), slow_twin(given), 2e-6)


@pytest.mark.parametrize("path", EVERY)
def test_a_number_that_is_none_is_not_hidden(path):
    for position in range(6):
        given = [tensor.detach().clone() for tensor in scan_inputs(2, 20, dtype=torch.float32)]
        given[position].view(-1)[0] = float("nan")
        assert selective_scan(*given, path=path).isnan().any()


@pytest.mark.parametrize("path", EVERY)
def test_inside_autocast_the_scan_computes_in_float32_and_answers_in_the_dtype_of_x(path):
    given = [tensor.detach() for tensor in scan_inputs(dtype=torch.float32)]
    given[0], given[3], given[4] = (given[i].bfloat16() for i in (0, 3, 4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = value_and_gradients(given, path=path)
    assert [tensor.dtype for tensor in found[1:]] == [tensor.dtype for tensor in given]
    wide = [tensor.float() for tensor in given]
    y, *_ = value_and_gradients(wide, path=path)
    assert torch.equal(found[0], y.bfloat16())
    assert_agree([tensor.float() for tensor in found], slow_twin(wide), 1e-2)


@pytest.mark.parametrize("path", EVERY)
def test_inputs_may_be_views_of_larger_tensors(path):
    given = scan_inputs(2, 19, 12, 6, dtype=torch.float32)
    x, dt, A, B, C, D = given
    turned = [tensor.detach().transpose(1, 2).contiguous().transpose(1, 2) for tensor in (x, dt, B, C)]
    joined = torch.cat([x.detach(), dt.detach(), B.detach(), C.detach()], dim=-1).split([12, 12, 6, 6], dim=-1)
    wanted = selective_scan(*given, path=path)
    for x_, dt_, B_, C_ in (turned, joined):
        torch.testing.assert_close(selective_scan(x_, dt_, A, B_, C_, D, path=path), wanted, rtol=1e-6, atol=1e-7)
    y = selective_scan(*given, path=path)
    (whole,) = torch.autograd.grad(y.sum(), x)  # the gradient of a sum is one number, repeated by strides of 0
    (again,) = torch.autograd.grad(selective_scan(*given, path=path), x, torch.ones_like(y))
    assert torch.equal(whole, again)


@pytest.mark.parametrize("path", ["stepwise", "tree", "compiled"])
def test_a_gradient_of_a_gradient_is_refused(path):
    given = scan_inputs(1, 4, 3, 2, dtype=torch.float32)
    y = selective_scan(*given, path=path)
    (gradient,) = torch.autograd.grad(y, given[0], torch.ones_like(y, requires_grad=True), create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable|no autograd formula"):
        gradient.sum().backward()


@pytest.mark.parametrize("path", EVERY)
def test_without_gradients_the_value_is_the_same(path):
    given = scan_inputs(2, 50, dtype=torch.float32)
    wanted = selective_scan(*given, path=path)
    with torch.no_grad():
        assert torch.equal(selective_scan(*given, path=path), wanted)
    frozen = [tensor.detach() for tensor in given]
    frozen[1].requires_grad_()
    y = selective_scan(*frozen, path=path)
    assert torch.equal(y, wanted)
    (ddt,) = torch.autograd.grad(y.sum(), frozen[1])
    torch.testing.assert_close(ddt, torch.autograd.grad(wanted.sum(), given[1])[0])


def test_importing_the_scan_needs_none_of_the_optional_packages():
    code = (
        "import sys\n"
        "for name in ('llvmlite', 'triton', 'mamba_ssm'): sys.modules[name] = None\n"
        "import torch\nfrom discern_vqa.nn.scan import choose, selective_scan\n"
        "assert choose(torch.device('cpu'), torch.float32, 2, 8) == 'stepwise'\n"
        "x = torch.ones(1, 8, 4)\n"
        "print(selective_scan(x, x, -torch.ones(4, 2), x[..., :2], x[..., :2], x[0, 0]).shape)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.stdout == "torch.Size([1, 8, 4])\n", done.stderr
