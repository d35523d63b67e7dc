"""How fast the selective scan is: against other people's, against its own plain paths, and against this machine.

    python benchmarks/scan.py [--threads 2] [--only CASE ...] [--rest SECONDS] [--json benchmarks/results/scan.json]

Forward and backward in float32. In every round each contender runs once, one after the other, so that whatever else the
machine does falls on all of them; times are medians over the rounds, and ratios medians of the rounds' ratios. Needs
`mambapy` and `llvmlite` (both in the extra `dev`). What is measured and how to read it: benchmarks/README.md.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from _contenders import STATES, Run, mambapy, scan_inputs, trainer
from _limits import Machine, work_of
from torch import Tensor
from transformers import MambaConfig
from transformers.models.mamba.modeling_mamba import MambaMixer, mamba_selective_scan

from discern_vqa.nn.scan import choose, selective_scan
from discern_vqa.nn.scan._language import host_width

CASES = {
    "B16 L32": ("mambapy", 16, 32, 1536),
    "B16 L64": ("mambapy", 16, 64, 1536),
    "B16 L256": ("mambapy", 16, 256, 1536),
    "B4 L609": ("mambapy", 4, 609, 1536),
    "mixer B4 L228": ("mixer", 4, 228, 1024),
    "mixer's scan B4 L228": ("mixer's scan", 4, 228, 1024),
    "our paths B16 L64": ("paths", 16, 64, 1536),
}
"""Whom our scan is compared with; sequences, length and channels (E)."""
GOALS = {"B16 L32": 5, "B16 L64": 5, "B16 L256": 8, "B4 L609": 8, "mixer's scan B4 L228": 100}


def transformers_scan(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """The scan of transformers' mixer, on the path it takes without CUDA kernels."""
    x, dt, B, C = (tensor.transpose(1, 2) for tensor in (x, dt, B, C))
    return mamba_selective_scan(x, dt, A, B, C, D).transpose(1, 2)


def mixers(sequences: int, length: int, channels: int) -> dict[str, Run]:
    """The whole mixer of transformers with our scan and as it is: the same weights, projections and convolution."""
    torch.manual_seed(0)
    width = channels // 2
    mixer = MambaMixer(MambaConfig(hidden_size=width, state_size=STATES, num_hidden_layers=1), layer_idx=0)
    hidden, parameters = torch.randn(sequences, length, width), list(mixer.parameters())

    def with_ours() -> Tensor:
        inner, z = mixer.in_proj(hidden).chunk(2, dim=-1)
        x = F.silu(mixer.conv1d(inner.transpose(1, 2))[..., :length].transpose(1, 2))
        delta, B, C = mixer.x_proj(x).split([mixer.time_step_rank, STATES, STATES], dim=-1)
        y = selective_scan(x, F.softplus(mixer.dt_proj(delta)), -mixer.A_log.exp(), B, C, mixer.D)
        return mixer.out_proj(y * F.silu(z))

    def train(forward: Callable[[], Tensor]) -> Run:
        return lambda: torch.autograd.grad(forward().sum(), parameters)

    return {"ours": train(with_ours), "transformers": train(lambda: mixer(hidden))}


def contenders(case: str) -> dict[str, Run]:
    """What runs in each round of a case."""
    rival, *shape = CASES[case]
    if rival == "mixer":
        return mixers(*shape)
    train = trainer(*shape)
    ours = {"ours": train(selective_scan)}
    if rival == "mambapy":
        return ours | {"mambapy": train(mambapy)}
    if rival == "mixer's scan":
        return ours | {"transformers": train(transformers_scan)}
    return ours | {path: train(selective_scan, path=path) for path in ("stepwise", "tree", "reference")}


def timed(run: Run) -> float:
    """Seconds of one run."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(case: str, seconds: float, machine: Machine) -> dict[str, Any]:
    """Rounds of every contender and of the machine's own limits: at least 3, and until `seconds` have passed."""
    runs, limits = contenders(case), machine.runs
    for run in (runs["ours"], *limits.values()):  # machine code is made and threads are started before the rounds
        run()
    rounds: list[dict[str, float]] = []
    began = time.perf_counter()
    while len(rounds) < 3 or (time.perf_counter() - began < seconds and len(rounds) < 25):
        rounds.append({name: timed(run) for name, run in {**runs, **limits}.items()})
    result: dict[str, Any] = {
        "rounds": len(rounds),
        "load": round(os.getloadavg()[0], 1),
        "seconds": {name: statistics.median(each[name] for each in rounds) for name in runs},
        "times_as_long_as_ours": {
            name: statistics.median(each[name] / each["ours"] for each in rounds) for name in runs if name != "ours"
        },
        "peak_mib": {name: peak_mib(case, name) for name in runs},
    }
    if case != "mixer B4 L228":
        result["limit"] = machine.limit(rounds, work_of(*CASES[case][1:], STATES))
    return result


def peak_mib(case: str, contender: str) -> float:
    """How much a run adds to the peak memory of a process of its own, which holds the inputs already; NaN off Linux."""
    if not sys.platform.startswith("linux"):
        return float("nan")
    command = [sys.executable, __file__, "--memory", case, contender]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak_mib(case: str, contender: str) -> None:
    """The other side of `peak_mib`."""
    run = contenders(case)[contender]
    timed(lambda: selective_scan(*scan_inputs(1, 2, 32)).sum().backward())  # libraries and machine code
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the highest mark falls to what is resident now
    run()
    print((_memory("VmHWM") - before) / 2**10)


def _memory(key: str) -> int:
    """KiB of this process by the kernel's account."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1])


def about(threads: int) -> dict[str, Any]:
    """The machine and the versions."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    packages = ("torch", "llvmlite", "mambapy", "transformers")
    versions = {name: importlib.metadata.version(name) for name in packages}
    return {
        "processor": models[0] if models else platform.processor(),
        "lanes": host_width(),
        "cores": os.cpu_count(),
        "threads": threads,
        "path": choose(torch.device("cpu"), torch.float32, STATES, 64),
        "python": platform.python_version(),
        **versions,
    }


def lines_of(case: str, result: dict[str, Any]) -> list[str]:
    """A case as lines of the table: one for each contender."""
    lines = []
    for name, seconds in result["seconds"].items():
        ratio = result["times_as_long_as_ours"].get(name)
        slower = f"{ratio:8.1f}" if ratio else " " * 8
        goal = f"  (goal {GOALS[case]})" if ratio and case in GOALS else ""
        line = f"{case:22} {name:13} {seconds * 1e3:10.2f} {slower} {result['peak_mib'][name]:9.0f}{goal}"
        if name == "ours" and "limit" in result:
            limit = result["limit"]
            best, times = limit["best_seconds"] * 1e3, limit["times_above_the_limit"]
            line += f"  best {best:.2f}, {times:.2f} times the machine's limit"
        lines.append(line)
    return lines


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    parser.add_argument("--seconds", type=float, default=15, help="of each case, at least three rounds")
    parser.add_argument("--rest", type=float, default=0, help="seconds of idling between cases, for a shared machine")
    parser.add_argument("--json", type=Path, help="also write the figures here; other cases in the file stay")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.memory:
        print_peak_mib(*options.memory)
        return
    machine, cases = about(options.threads), {}
    if options.json and options.json.is_file():  # cases measured earlier stay, if it was here
        earlier = json.loads(options.json.read_text(encoding="utf-8"))
        cases = earlier["cases"] if earlier["machine"] == machine else {}
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    print(f"{'case':22} {'':13} {'ms':>10} {'x ours':>8} {'peak MiB':>9}")
    limits = Machine(options.threads)
    for case in options.only:
        cases[case] = measure(case, options.seconds, limits)
        print("\n".join(lines_of(case, cases[case])), flush=True)
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps({"machine": machine, "cases": cases}, indent=2) + "\n", encoding="utf-8")
        time.sleep(options.rest)


if __name__ == "__main__":
    main()
