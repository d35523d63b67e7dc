"""How long one training step of a recipe takes, for several settings in turn in one run.

    python benchmarks/step.py recipes/cmdpi/demo.toml --data ROOT \\
        --variant adamw 'optim.optimizer="adamw"' --variant muon 'optim.optimizer="muon"'

Each variant is a name and `table.key=value` overrides. Variants take turns (A B C A B C ...), so that a machine whose
speed drifts drifts for all of them; the table gives medians and the ratio to the first, pair by pair.

--as-printed puts before them the step of a CMDPI recipe the straightforward way, in 32 bits: as the paper prints it,
with nothing shared (tests/_as_printed.py). --memory adds what each variant holds at most beyond what it held before its
first step, in a process of its own (Linux).
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from discern_vqa.config import read_recipe
from discern_vqa.data.batch import Batch
from discern_vqa.nn.losses import total
from discern_vqa.nn.precision import computed
from discern_vqa.recipe_samples import find_root
from discern_vqa.training.loop import rng_for
from discern_vqa.training.optim import make_optimizer
from discern_vqa.training.processes import processes
from discern_vqa.training.setup import Start, set_up

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import _as_printed  # noqa: E402

AS_PRINTED = "as printed"
PRINTED = {"cmdpi_finetune": _as_printed.finetuning, "cmdpi_pretrain": _as_printed.pretraining}
Step = Callable[[int], None]


def stepper(
    recipe: Path,
    overrides: list[str],
    data: Path | None,
    folder: Path,
    as_printed: bool = False,
    change: Callable[[Start], None] = lambda start: None,
    fill: Callable[[Batch], Batch] = lambda batch: batch,
) -> Step:
    """Builds all that a training of this recipe builds; the result takes step number i of its first epoch. On a GPU if
    there is one, as training does. change: of what is trained, before the optimiser is made; fill: of each batch."""
    if as_printed:
        overrides = [*overrides, 'run.precision="fp32"']
    settings = read_recipe(recipe, overrides)
    root = find_root(settings.data, data)
    start = set_up(settings, recipe, root, folder, among=processes())
    change(start)
    device = next(start.model.parameters()).device
    optim, batches = settings.optim, start.batches(0)
    optimizer = make_optimizer(start.model, optim, settings.run.precision)
    objective = start.objective.train()
    losses = partial(PRINTED[settings.objective.name], objective) if as_printed else objective

    def step(number: int) -> None:
        rng = rng_for(0, number)
        batch = fill(start.batch(batches[number % len(batches)], rng)).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=computed(settings.run.precision) == "bf16"):
            loss = total(losses(batch, rng), objective.config.weights)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(objective.parameters(), optim.clip)
        optimizer.step()
        optimizer.zero_grad()
        objective.after_step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


def held(recipe: Path, overrides: list[str], data: Path | None, as_printed: bool, threads: int) -> int:
    """MiB that two steps hold at most, beyond what was held before them: gradients, activations, the optimiser's."""
    program = "import sys; from step import _held; _held(*sys.argv[1:])"
    given = [str(recipe), str(data or ""), str(int(as_printed)), str(threads), *overrides]
    here = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    done = subprocess.run([sys.executable, "-c", program, *given], env=here, stdout=subprocess.PIPE, check=True)
    return int(done.stdout.split()[-1])


def _held(recipe: str, data: str, as_printed: str, threads: str, *overrides: str) -> None:
    torch.set_num_threads(int(threads))
    with tempfile.TemporaryDirectory() as scratch:
        where = Path(data) if data else None
        step = stepper(Path(recipe), list(overrides), where, Path(scratch) / "run", as_printed == "1")
        before = kib("VmRSS")
        for number in range(2):
            step(number)
        print((kib("VmHWM") - before) // 1024)


def kib(field: str) -> int:
    """What /proc says of this process: VmRSS, held now; VmHWM, held at most."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(f"{field}:")[2].split()[0])


def main() -> None:
    """Reads the arguments, times, prints and (with --json) writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--variant", nargs="+", action="append", default=[], metavar=("NAME", "KEY=VALUE"))
    parser.add_argument("--as-printed", nargs="*", metavar="KEY=VALUE", help="overrides of the straightforward step")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--warm", type=int, default=3, help="steps before these, which are not timed")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    variants = [(name, overrides) for name, *overrides in arguments.variant] or [("as it stands", [])]
    if arguments.as_printed is not None:
        variants.insert(0, (AS_PRINTED, arguments.as_printed))
    with tempfile.TemporaryDirectory() as scratch:
        steps = {
            name: stepper(arguments.recipe, overrides, arguments.data, Path(scratch) / str(number), name == AS_PRINTED)
            for number, (name, overrides) in enumerate(variants)
        }
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for number in range(arguments.warm + arguments.steps):
            for name, step in steps.items():
                started = time.perf_counter()
                step(number)
                if number >= arguments.warm:
                    seconds[name].append(time.perf_counter() - started)
    first = next(iter(seconds.values()))
    rows: list[dict[str, Any]] = [
        {
            "variant": name,
            "overrides": dict(variants)[name],
            "median_ms": round(1000 * statistics.median(taken), 2),
            "ratio": round(statistics.median(a / b for a, b in zip(taken, first, strict=True)), 3),
        }
        for name, taken in seconds.items()
    ]
    if arguments.memory:
        for row in rows:
            name, given = str(row["variant"]), dict(variants)[str(row["variant"])]
            row["held_mib"] = held(arguments.recipe, given, arguments.data, name == AS_PRINTED, arguments.threads)
    print(f"{arguments.recipe.name}, {arguments.steps} steps each, {arguments.threads} thread(s)")
    for row in rows:
        memory = f"   {row['held_mib']:6} MiB" if "held_mib" in row else ""
        print(f"{row['variant']:24} {row['median_ms']:9.2f} ms   x {row['ratio']:.3f}{memory}")
    if arguments.json:
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
        about = {"machine": device, "torch": torch.__version__, "threads": arguments.threads}
        content = about | {"recipe": arguments.recipe.name, "steps": arguments.steps, "rows": rows}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
