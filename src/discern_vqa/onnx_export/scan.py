# mypy: ignore-errors
# (The bodies are onnxscript's own language, which mypy takes for Python.)
"""The selective scan (`nn.scan`) in a graph of ONNX: torch sees one operator, and that becomes one `Scan`, whose body
is one place of a sequence:

    h = exp(dt_t A) h + (dt_t x_t) B_t        y_t = h C_t        h (B, E, S)

A place that is padding has dt = 0 and B = 0: the state passes it unchanged, as in `nn.scan`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from onnxscript import FLOAT, graph, script
from onnxscript import opset18 as op

from discern_vqa.nn import scan as _  # registers the operator  # noqa: F401


@script()
def scan_along(
    dt: FLOAT[...],
    drive: FLOAT[...],
    B: FLOAT[...],
    C: FLOAT[...],
    A: FLOAT[...],
    h: FLOAT[...],
    ways_in: Sequence[int],
    ways_out: Sequence[int],
) -> FLOAT[...]:
    """dt, drive = dt x (B, L, E, 1), B (B, L, 1, S), C (B, L, S, 1), A (E, S), h (B, E, S) = 0 -> y (B, L, E, 1).
    ways_in (of these four), ways_out: 0 from the first place on, 1 from the last."""

    @graph()
    def step(state: FLOAT[...], dt_t: FLOAT[...], drive_t: FLOAT[...], B_t: FLOAT[...], C_t: FLOAT[...]):
        following = op.Add(op.Mul(op.Exp(op.Mul(dt_t, A)), state), op.Mul(drive_t, B_t))
        y_t = op.MatMul(following, C_t)
        return following, y_t

    last, y = op.Scan(
        h,
        dt,
        drive,
        B,
        C,
        body=step,
        num_scan_inputs=4,
        scan_input_axes=[1, 1, 1, 1],
        scan_input_directions=ways_in,
        scan_output_axes=[1],
        scan_output_directions=ways_out,
    )
    return y


def _translated(x: Any, dt: Any, A: Any, B: Any, C: Any, D: Any, keep: Any, reverse: bool) -> Any:
    """`selective_scan_operator` in operators of ONNX."""
    if keep is not None:
        real = op.Cast(op.Unsqueeze(keep, [2]), to=1)
        dt, B = op.Mul(dt, real), op.Mul(B, real)
    h = op.Expand(op.Unsqueeze(op.Mul(A, 0.0), [0]), op.Concat(op.Shape(x, end=1), op.Shape(A), axis=0))
    given = [op.Unsqueeze(dt, [3]), op.Unsqueeze(op.Mul(dt, x), [3]), op.Unsqueeze(B, [2]), op.Unsqueeze(C, [3])]
    way = int(reverse)
    y = op.Squeeze(scan_along(*given, A, h, ways_in=[way] * 4, ways_out=[way]), [3])
    y = op.Add(y, op.Mul(D, x))
    return y if keep is None else op.Mul(y, real)


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """For the exporter: what becomes of our own operators."""
    return {torch.ops.discern.selective_scan.default: _translated}
