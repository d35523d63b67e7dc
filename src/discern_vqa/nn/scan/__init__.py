"""The selective scan of Mamba (Gu and Dao 2023): one function, and the paths it chooses from.

For each channel e of E and each state s of S (the papers' N)

    h_t = exp(dt_t A) h_(t-1) + dt_t B_t x_t        y_t = sum_s C_t h_t + D x_t

with dt already positive (after the softplus) and A negative, so that every factor exp(dt A) lies in (0, 1]. No path
divides by products of factors: they underflow, and a quotient of two of them is then wrong without a sign of it.

| path | where | what |
|---|---|---|
| `reference` | anywhere, any dtype | the definition in a loop, by autograd: the reference implementation |
| `stepwise` | anywhere, any dtype | plain torch, backward by hand, memory grows with sqrt(L) |
| `tree` | anywhere, any dtype | log2(L) steps over several (B, L, E, S) tensors |
| `compiled` | CPU, float32 | machine code made by llvmlite (extra `fast`); states stay in registers |
| `triton` | CUDA, float32 | the same in Triton (extra `gpu`; comes with torch's CUDA builds) |
| `mamba_ssm` | CUDA, float32 | the authors' kernel, where their package is installed |
"""

import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from discern_vqa.errors import ConfigError
from discern_vqa.nn.scan import mamba_ssm, parallel, reference, stepwise

PLAIN: dict[str, Callable[..., Tensor]] = {
    "reference": reference.scan,
    "stepwise": stepwise.scan,
    "tree": parallel.scan,
    "mamba_ssm": mamba_ssm.scan,
}
"""Paths that know neither padding nor direction: they are given masked and turned inputs."""

FUSED = {"compiled": "discern_vqa.nn.scan.compiled", "triton": "discern_vqa.nn.scan.triton_gpu"}
"""Paths that visit the places in a given order; their modules need packages that may be missing."""

NEEDS = {
    "mamba_ssm": ("cuda", "mamba_ssm", mamba_ssm.KERNEL),
    "triton": ("cuda", "triton", FUSED["triton"]),
    "compiled": ("cpu", "llvmlite", FUSED["compiled"]),
}
"""The device of a float32 path, the package it needs, and the module to import; the fastest first."""

PATHS = (*PLAIN, *FUSED)

MOST_STATES = 512  # the compiled path's scratch memory grows with S; up to here it fits the stack of any thread (1 MiB)
LONG = 128  # from this length on, log2(L) large steps cost an accelerator less than L small ones


def selective_scan(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor,
    *, keep: Tensor | None = None, reverse: bool = False, path: str | None = None,
) -> Tensor:  # fmt: skip
    """x, dt (B, L, E), A (E, S), B and C (B, L, S), D (E,) -> y (B, L, E) in the dtype of x.

    keep (B, L) bool, True = a real place. Any other place is left out: the state passes it unchanged, what stands there
    is not looked at, its y is 0 and no gradient reaches it; so padding at the end equals a shorter sequence exactly.
    reverse: from the last place to the first. Computed in float32 (float64 if any input is), also under autocast; each
    input gets its gradient, once. `path` forces one of PATHS, for tests and benchmarks; the environment variable
    DISCERN_SCAN does so everywhere. ValueError if shapes do not fit; ConfigError if a path cannot be taken.
    """
    _check(x, dt, A, B, C, D, keep)
    if path is None and torch.compiler.is_exporting():
        exported: Tensor = selective_scan_operator(x, dt, A, B, C, D, keep, reverse)
        return exported
    given = (x, dt, A, B, C, D)
    dtype = torch.float64 if any(tensor.dtype == torch.float64 for tensor in given) else torch.float32
    asked = path or os.environ.get("DISCERN_SCAN")
    about = (x.device, dtype, A.shape[1])
    chosen = _possible(asked, *about) if asked else choose(*about, x.shape[1])
    with torch.autocast(x.device.type, enabled=False):
        inputs = [tensor.to(dtype) for tensor in given]
        if chosen in FUSED:
            y: Tensor = sys.modules[FUSED[chosen]].scan(*inputs, keep, reverse)  # `_obstacle` has imported it
        else:
            y = _masked_and_turned(PLAIN[chosen], inputs, keep, reverse)
    return y.to(x.dtype)


@torch.library.custom_op("discern::selective_scan", mutates_args=())
def selective_scan_operator(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, keep: Tensor | None, reverse: bool
) -> Tensor:
    """`selective_scan` as one node of a graph that `torch.export` makes, however it is computed where that graph runs;
    `onnx_export/scan.py` translates it. For answering: it has no gradient."""
    return selective_scan(x, dt, A, B, C, D, keep=keep, reverse=reverse)


@selective_scan_operator.register_fake
def _(x, dt, A, B, C, D, keep, reverse):
    return x.new_empty(x.shape)


def choose(device: torch.device, dtype: torch.dtype, states: int, length: int) -> str:
    """The fastest path for these. It does not depend on the batch: a sample gives the same alone and among others."""
    if torch.jit.is_tracing():  # type: ignore[attr-defined]
        return "reference"
    if torch.compiler.is_compiling():  # with gradients: the compiled path is one node, the others are traced
        return "compiled" if not _obstacle("compiled", device, dtype, states) else "reference"
    for path in NEEDS:
        if not _obstacle(path, device, dtype, states):
            return path
    return "tree" if device.type != "cpu" and length >= LONG else "stepwise"


def _possible(path: str, device: torch.device, dtype: torch.dtype, states: int) -> str:
    if path not in PATHS:
        raise ConfigError(f"there is no way to scan called {path!r}", f"there are: {', '.join(PATHS)}")
    if obstacle := _obstacle(path, device, dtype, states):
        raise ConfigError(f"the scan cannot go by {path!r}: {obstacle}", "leave the choice open, or ask for 'stepwise'")
    return path


@torch.compiler.assume_constant_result
def _obstacle(path: str, device: torch.device, dtype: torch.dtype, states: int) -> str:
    """Why a path cannot be taken; empty if it can."""
    if path not in NEEDS:
        return ""
    kind, package, module = NEEDS[path]
    interpreted = path == "triton" and os.environ.get("TRITON_INTERPRET") == "1"
    if device.type != kind and not interpreted:
        return f"it runs on {kind}, not on {device.type}"
    if dtype != torch.float32:
        return f"it computes in float32, not in {str(dtype).removeprefix('torch.')}"
    if path == "compiled" and states > MOST_STATES:
        return f"it takes at most {MOST_STATES} states, not {states}"
    return _cannot_import(package, module)


@cache
def _cannot_import(package: str, module: str) -> str:
    """Why a module cannot be imported; empty if it can. A package that is there and does not load is warned about."""
    if importlib.util.find_spec(package) is None:
        return f"{package} is not installed"
    try:
        importlib.import_module(module)
    except Exception as error:  # a binary package fails in many ways: a missing library, another version of torch
        warnings.warn(f"{package} is installed and does not load; the scan goes another way: {error}", stacklevel=2)
        return f"{package} does not load: {error}"
    return ""


def _masked_and_turned(scan: Callable[..., Tensor], inputs: list[Tensor], keep: Tensor | None, reverse: bool) -> Tensor:
    """Padding by dt = 0, which is exact: exp(0) = 1, and nothing is added. B and C are hidden too: 0 * inf is not 0."""
    x, dt, A, B, C, D = inputs
    if keep is not None:
        x, dt, B, C = (tensor.masked_fill(~keep[..., None], 0) for tensor in (x, dt, B, C))
    if reverse:
        x, dt, B, C = (tensor.flip(1) for tensor in (x, dt, B, C))
    y = scan(x, dt, A, B, C, D)
    y = y.flip(1) if reverse else y
    return y if keep is None else y.masked_fill(~keep[..., None], 0)


def _check(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, keep: Tensor | None) -> None:
    if x.dim() != 3 or A.dim() != 2:
        raise ValueError(f"x is (B, L, E) and A is (E, S), not {tuple(x.shape)} and {tuple(A.shape)}")
    (sequences, length, E), S = x.shape, A.shape[1]
    if 0 in (sequences, length, E, S):
        raise ValueError(f"there is nothing to scan in x {tuple(x.shape)} with {S} states")
    states, given = (sequences, length, S), {"dt": dt, "A": A, "B": B, "C": C, "D": D}
    for name, shape in {"dt": x.shape, "A": (E, S), "B": states, "C": states, "D": (E,)}.items():
        if given[name].shape != shape:
            raise ValueError(f"with x {tuple(x.shape)} {name} is {tuple(shape)}, not {tuple(given[name].shape)}")
    if keep is not None and (keep.dtype != torch.bool or keep.shape != x.shape[:2]):
        raise ValueError(f"keep is bool and {tuple(x.shape[:2])}, not {keep.dtype} and {tuple(keep.shape)}")
