"""The benchmark of the scan compares like with like, and its limits count what they say."""

import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("mambapy", reason="the benchmark compares with mambapy: pip install 'discern-vqa[dev]'")
pytest.importorskip("llvmlite", reason="the benchmark measures the compiled scan: pip install 'discern-vqa[fast]'")

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """benchmarks/scan.py with cases of toy size and limits measured in no time."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    import _limits
    import scan

    monkeypatch.setattr(_limits, "ROUNDS", 2)
    monkeypatch.setattr(_limits, "COPIED", 2**10)
    small = {case: (rival, 2, 9, 64) for case, (rival, *_) in scan.CASES.items()}
    monkeypatch.setattr(scan, "CASES", small)
    yield scan
    for name in ("scan", "_limits"):
        sys.modules.pop(name)


def test_all_contenders_of_a_case_compute_the_same_gradients(benchmark):
    for case in benchmark.CASES:
        results = {name: run() for name, run in benchmark.contenders(case).items()}
        ours = results.pop("ours")
        assert results
        for name, gradients in results.items():
            for one, other in zip(ours, gradients, strict=True):
                apart = (one - other).abs().max() / other.abs().max()
                assert apart < 1e-4, f"{case}: {name}"


def test_a_case_is_measured_and_printed(benchmark, monkeypatch):
    from _limits import Machine

    monkeypatch.setattr(benchmark, "peak_mib", lambda case, contender: 7.0)
    result = benchmark.measure("B16 L32", 0, Machine(1))
    assert result["rounds"] == 3
    assert result["times_as_long_as_ours"].keys() == {"mambapy"}
    assert result["limit"]["times_above_the_limit"] > 0
    first, second = benchmark.lines_of("B16 L32", result)
    assert "ours" in first
    assert "times the machine's limit" in first
    assert second.endswith("7  (goal 5)")


def test_peak_memory_is_measured_in_a_process_of_its_own(benchmark):
    if not sys.platform.startswith("linux"):
        pytest.skip("the kernel's account of memory is read on Linux")
    mib = benchmark.peak_mib("B16 L32", "ours")  # the real case: y, dx, ddt and the kept states, 3 MiB each
    assert 10 < mib < 60


def test_the_micro_kernels_compute_what_they_count(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import _limits

    monkeypatch.setattr(_limits, "ROUNDS", 3)
    width = _limits.host_width()
    numbers = -torch.rand(_limits.VECTORS * width, generator=torch.Generator().manual_seed(0))
    for kernel, wanted in (
        (_limits.exponentials(), 3 * numbers.exp2().view(-1, width).sum(0)),
        (_limits.multiply_adds(), None),
    ):
        data = numbers.clone()
        listed = torch.tensor([data.data_ptr()])
        kernel.translate()(listed.data_ptr())
        if wanted is None:
            factor, more = numbers[:width], numbers[width : 2 * width]
            one = torch.zeros(width)
            for _ in range(3 * _limits.VECTORS // _limits.CHAINS * 4):
                one = one * factor + more
            wanted = one * _limits.CHAINS
        torch.testing.assert_close(data[:width], wanted, rtol=1e-5, atol=1e-5)
    sys.modules.pop("_limits")
