"""The compiled path: vectors of every width, any number of threads, and the power of two it is built on."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from _scan import assert_agree, scan_inputs, slow_twin, value_and_gradients

pytest.importorskip("llvmlite", reason="the compiled scan needs llvmlite: pip install 'discern-vqa[fast]'")

from discern_vqa.nn import scan  # noqa: E402
from discern_vqa.nn.scan import _language, _threads, compiled  # noqa: E402
from discern_vqa.nn.scan._order import visits  # noqa: E402


@pytest.fixture
def threads():
    """`threads(n)` sets torch's number of threads for a test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def power_of_two(z):
    """2**z by the kernels' own function; z holds a multiple of 16 numbers."""
    kernel = _language.Kernel("powers", ["count", "z", "out"], 16)
    with kernel.loop(kernel.given["count"], step=16) as (i, _):
        (kernel.place("out") + i).put(_language.exp2((kernel.place("z") + i).lanes()))
    kernel.builder.ret_void()
    out = torch.empty_like(z)
    given = torch.tensor([z.numel(), z.data_ptr(), out.data_ptr()])
    kernel.translate()(given.data_ptr())
    return out


def test_powers_of_two_are_right_to_the_last_bits():
    z = -torch.rand(2**20, generator=torch.Generator().manual_seed(0)) * 125
    exact = torch.exp2(z.double())
    assert ((power_of_two(z) - exact) / exact).abs().max() < 9e-8  # 1.5 units in the last place


def test_powers_of_two_at_the_ends_are_exact():
    nan, inf = float("nan"), float("inf")
    z = torch.tensor([0.0, -0.0, -1, -126, -127, -1e9, -inf, 1, 127, 128, 1e9, inf, nan, -nan, -125, 3])
    least = 2.0**-126
    wanted = torch.tensor(
        [1, 1, 0.5, least, least, least, least, 2, 2.0**127, inf, inf, inf, nan, nan, 2 * least, 8], dtype=torch.float32
    )
    assert torch.equal(power_of_two(z).nan_to_num(nan=-1), wanted.nan_to_num(nan=-1))


def test_the_nearer_to_one_a_factor_the_smaller_its_error():
    """1 - a is what a slow state forgets: it has to be right for itself, not only beside 1."""
    z = -torch.logspace(-6, -1, 1024)
    exact = -torch.expm1(z.double() * 0.6931471805599453)
    rounding = 2.0**-24
    assert ((1 - power_of_two(z).double()) - exact).abs().max() <= rounding * 1.01
    large = z < -1e-3
    apart = ((1 - power_of_two(z).double()) - exact)[large] / exact[large]
    assert apart.abs().max() < 1e-4


@pytest.mark.parametrize("width", [4, 8, 16])
def test_vectors_of_every_width_give_the_same(monkeypatch, width):
    """Any processor runs any width, wider ones in pieces."""
    monkeypatch.setattr(compiled, "host_width", lambda: width)
    for shape in ((2, 37, 70, 5), (1, 3, 1, 1)):
        given = scan_inputs(*shape, dtype=torch.float32)
        keep = torch.arange(shape[1]).expand(shape[:2]) % 3 != 1
        for options in ({}, {"keep": keep, "reverse": True}):
            found = value_and_gradients(given, path="compiled", **options)
            assert_agree(found, slow_twin(given, **options), 2e-6)


@pytest.mark.parametrize("channels", [31, 32, 33, 256, 300, 600])
@pytest.mark.parametrize("states", [1, 2, 3, 16, 40])
def test_channels_and_states_need_not_fill_vectors_blocks_or_groups(channels, states):
    given = scan_inputs(2, 18, channels, states, dtype=torch.float32)
    assert_agree(value_and_gradients(given, path="compiled"), slow_twin(given), 3e-6)


def test_the_most_states_fit_the_stack_of_every_thread(threads):
    threads(3)
    given = scan_inputs(2, 20, 40, scan.MOST_STATES, dtype=torch.float32)
    assert_agree(value_and_gradients(given, path="compiled"), slow_twin(given), 5e-6)


@pytest.mark.parametrize("length", [15, 16, 17, 31, 32, 33, 48])
def test_chunks_need_not_be_full(length):
    given = scan_inputs(2, length, 20, 4, dtype=torch.float32)
    assert_agree(value_and_gradients(given, path="compiled"), slow_twin(given), 2e-6)


@pytest.mark.parametrize("openmp", [True, False])
def test_the_number_of_threads_changes_no_bit(threads, monkeypatch, openmp):
    if not openmp:
        monkeypatch.setattr(_threads, "_openmp", lambda: None)
    given = scan_inputs(5, 48, 300, 16, dtype=torch.float32)
    assert 5 * 48 * 300 * 16 > compiled.SMALL  # more than one thread takes part
    threads(1)
    alone = value_and_gradients(given, path="compiled")
    for number in (2, 3, 7):
        threads(number)
        for one, other in zip(value_and_gradients(given, path="compiled"), alone, strict=True):
            assert torch.equal(one, other)


def test_torchs_own_threads_are_found_where_torch_uses_gnus_openmp():
    if not any("libgomp" in line for line in Path("/proc/self/maps").read_text().splitlines()):
        pytest.skip("torch runs on another OpenMP library here")
    assert _threads._openmp() is not None


@pytest.mark.parametrize("openmp", [True, False])
def test_several_callers_at_once_do_not_disturb_each_other(threads, monkeypatch, openmp):
    if not openmp:
        monkeypatch.setattr(_threads, "_openmp", lambda: None)
    threads(3)
    inputs = [scan_inputs(4, 40, 300, 8, dtype=torch.float32, seed=seed) for seed in range(4)]
    wanted = [value_and_gradients(given, path="compiled") for given in inputs]
    start = threading.Barrier(4)

    def call(given):
        start.wait()
        return [value_and_gradients(given, path="compiled") for _ in range(5)]

    with ThreadPoolExecutor(4) as pool:
        for found, right in zip(pool.map(call, inputs), wanted, strict=True):
            assert all(torch.equal(a, b) for once in found for a, b in zip(once, right, strict=True))


def test_each_place_is_visited_once_and_padding_not_at_all():
    keep = torch.tensor([[True, False, True, True], [False, False, False, False], [True, True, True, True]])
    order, counts = visits(3, 4, keep, False, torch.device("cpu"))
    assert counts.tolist() == [3, 0, 4]
    assert order[0, :3].tolist() == [0, 2, 3]
    assert order[2].tolist() == [0, 1, 2, 3]
    order, counts = visits(3, 4, keep, True, torch.device("cpu"))
    assert order[0, :3].tolist() == [3, 2, 0]
    order, counts = visits(2, 3, None, True, torch.device("cpu"))
    assert order.tolist() == [[2, 1, 0]] * 2
    assert counts.tolist() == [3, 3]


def test_the_memory_kept_for_the_gradient_is_a_small_part_of_all_states():
    given = scan_inputs(1, 512, 64, 16, dtype=torch.float32)
    held = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: (held.append(tensor.nbytes), tensor)[1], lambda t: t):
        compiled.scan(*given, None, False)
    all_states = 512 * 64 * 16 * 4
    assert sum(held) < all_states / 3  # x, dt, and one state in 16: 5 / 16 of it
