"""The Triton path: on a GPU where there is one, and everywhere that Triton is installed in its interpreter."""

import importlib.util
import os
import subprocess
import sys

import pytest
import torch
from _scan import assert_agree, scan_inputs, slow_twin, value_and_gradients

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed: pip install 'discern-vqa[gpu]'"
)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")


def compare(device: str, *shape: int) -> None:
    """The Triton path with and without padding, from both ends, against the slow twin on the CPU."""
    given = scan_inputs(*shape, dtype=torch.float32)
    keep = torch.rand(shape[:2], generator=torch.Generator().manual_seed(2)) < 0.7
    keep[-1] = False
    for places in (None, keep):
        for reverse in (False, True):
            there = None if places is None else places.to(device)
            moved = [tensor.to(device) for tensor in given]
            found = value_and_gradients(moved, path="triton", keep=there, reverse=reverse)
            wanted = slow_twin(given, keep=places, reverse=reverse)
            assert_agree([tensor.cpu() for tensor in found], wanted, 5e-6)


@needs_triton
@needs_gpu
@pytest.mark.parametrize("shape", [(2, 1, 3, 4), (3, 37, 70, 6), (2, 64, 96, 16), (1, 609, 33, 16)])
def test_on_a_gpu_the_triton_path_agrees_with_its_slow_twin(shape):
    compare("cuda", *shape)


@needs_triton
@needs_gpu
def test_on_a_gpu_the_result_is_the_same_each_time():
    given = [tensor.cuda() for tensor in scan_inputs(4, 100, 300, 16, dtype=torch.float32)]
    first, second = (value_and_gradients(given, path="triton") for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@needs_triton
def test_interpreted_the_triton_path_agrees_with_its_slow_twin():
    """In a process of its own: the interpreter has to be asked for before anything imports Triton."""
    code = "from test_scan_triton import compare; compare('cpu', 2, 19, 37, 3)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=os.path.dirname(__file__),
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
