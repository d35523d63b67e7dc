"""How fast the selective scan is on a GPU: the Triton path against the plain ones, mambapy's and the card's limit.

    python benchmarks/scan_gpu.py [--rounds 15] [--json benchmarks/results/scan_gpu.json]

Forward and backward in float32, E = 1,536, S = 16. In every round each contender runs once; times are medians of CUDA
events, ratios medians of the rounds' ratios. Beside them stands the distance from the definition in float64: largest
difference over largest number, the worst of y and the six gradients. Needs `mambapy`; `mamba_ssm` joins where it can be
imported. How to read it: benchmarks/README.md.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch
import triton
from _contenders import STATES, Run, mambapy, output_gradient, scan_inputs, trainer

from discern_vqa.nn.scan import choose, selective_scan

SHAPES = ((16, 32), (16, 64), (16, 256), (4, 609), (16, 609))
"""Sequences and length."""
CHANNELS = 1536
SPECIAL = 16
"""Exponentials that a multiprocessor of this kind ends in a cycle (CUDA C++ Programming Guide, arithmetic
instructions, compute capability 9.0; the same from 8.0 on)."""


def event_ms(run: Run) -> float:
    """Milliseconds of one run by CUDA events."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    run()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end)


def contenders(sequences: int, length: int) -> dict[str, Run]:
    """What runs in each round: ours first."""
    train = trainer(sequences, length, CHANNELS, "cuda")
    found = {"triton": train(selective_scan, path="triton")}
    if choose(torch.device("cuda"), torch.float32, STATES, 64) == "mamba_ssm":
        found["mamba_ssm"] = train(selective_scan, path="mamba_ssm")
    return found | {"tree": train(selective_scan, path="tree"), "mambapy": train(mambapy)}


def apart(sequences: int, length: int) -> float:
    """The Triton path's distance from the definition in float64, on 96 channels."""
    given = scan_inputs(sequences, length, 96, "cuda")
    dy = output_gradient(given)
    exact = [tensor.detach().double().requires_grad_() for tensor in given]
    y, wanted_y = selective_scan(*given, path="triton"), selective_scan(*exact, path="reference")
    found = [y, *torch.autograd.grad(y, given, dy)]
    wanted = [wanted_y, *torch.autograd.grad(wanted_y, exact, dy.double())]
    with torch.no_grad():
        return max(float((a.double() - b).abs().max() / b.abs().max()) for a, b in zip(found, wanted, strict=True))


def limit_ms(sequences: int, length: int, bytes_per_ms: float) -> dict[str, float]:
    """The least that this card could take: its exponentials (one forward, one backward), and the bytes that must move
    (x, dt, B and C read forward and again backward, y written, dy read, and the gradients of these four written)."""
    steps = sequences * length
    card = torch.cuda.get_device_properties(0)
    exponentials = 2 * steps * CHANNELS * STATES / (SPECIAL * card.multi_processor_count * cycles_per_ms())
    return {"exponentials": exponentials, "bytes": 4 * steps * (8 * CHANNELS + 6 * STATES) / bytes_per_ms}


def cycles_per_ms() -> float:
    """Cycles in a millisecond at the card's highest clock."""
    device = triton.runtime.driver.active.get_current_device()
    return float(triton.runtime.driver.active.utils.get_device_properties(device)["sm_clock_rate"])


def copied_per_ms() -> float:
    """Bytes that a large copy reads and writes in a millisecond."""
    source = torch.empty(1 << 29, device="cuda", dtype=torch.bfloat16).normal_()
    target = torch.empty_like(source)
    times = [event_ms(lambda: target.copy_(source)) for _ in range(8)]
    return 2 * source.numel() * source.element_size() / statistics.median(times[3:])


def measure(sequences: int, length: int, rounds: int, bytes_per_ms: float) -> dict[str, Any]:
    """One shape: medians, ratios, peak memory beyond the inputs, distance from the definition and from the limit."""
    runs, peaks, taken = contenders(sequences, length), {}, []
    for name, run in runs.items():
        run()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        peaks[name] = round((torch.cuda.max_memory_allocated() - before) / 2**20, 1)
    for _ in range(rounds):
        taken.append({name: event_ms(run) for name, run in runs.items()})
    medians = {name: statistics.median(row[name] for row in taken) for name in runs}
    limits = limit_ms(sequences, length, bytes_per_ms)
    return {
        "ms": {name: round(ms, 3) for name, ms in medians.items()},
        "times_as_long": {
            name: round(statistics.median(row[name] / row["triton"] for row in taken), 1) for name in runs
        },
        "peak_mib": peaks,
        "apart": apart(sequences, length),
        "limit_ms": {name: round(ms, 4) for name, ms in limits.items()},
        "times_above_limit": round(min(row["triton"] for row in taken) / max(limits.values()), 1),
    }


def main() -> None:
    """Reads the arguments, measures, prints and (with --json) writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    bytes_per_ms = copied_per_ms()
    card = torch.cuda.get_device_name(0)
    print(f"{card}, torch {torch.__version__}, triton {triton.__version__}, copies {bytes_per_ms / 1e9:.2f} TB/s")
    cases = {}
    for sequences, length in SHAPES:
        found = measure(sequences, length, arguments.rounds, bytes_per_ms)
        cases[f"B{sequences} L{length}"] = found
        print(f"B{sequences} L{length}", *(f"{key} {value}" for key, value in found.items()), sep="  ", flush=True)
    if arguments.json:
        about = {"card": card, "torch": torch.__version__, "triton": triton.__version__, "channels": CHANNELS}
        content = about | {"copy_tb_per_s": round(bytes_per_ms / 1e9, 2), "rounds": arguments.rounds, "cases": cases}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
