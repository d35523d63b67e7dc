"""How long one training step of a recipe takes, for several settings in turn in one run.

    python benchmarks/step.py recipes/cmdpi/demo.toml --data ROOT \\
        --variant adamw 'optim.optimizer="adamw"' --variant muon 'optim.optimizer="muon"'

Each variant is a name and `table.key=value` overrides. Variants take turns (A B C A B C ...), so that a machine whose
speed drifts drifts for all of them; the table gives medians and the ratio to the first, pair by pair.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from discern_vqa.config import read_recipe
from discern_vqa.nn.losses import total
from discern_vqa.recipe_samples import find_root
from discern_vqa.training.loop import rng_for
from discern_vqa.training.optim import make_optimizer
from discern_vqa.training.processes import processes
from discern_vqa.training.setup import set_up

WARM = 3


def stepper(recipe: Path, overrides: list[str], data: Path | None, folder: Path) -> Callable[[int], None]:
    """Builds all that a training of this recipe builds; the result takes step number i of its first epoch. On a GPU if
    there is one, as training does."""
    settings = read_recipe(recipe, overrides)
    start = set_up(settings, recipe, find_root(settings.data, data), folder, among=processes())
    device = next(start.model.parameters()).device
    optim, batches = settings.optim, start.batches(0)
    optimizer = make_optimizer(start.model, optim, settings.run.precision)
    objective = start.objective.train()

    def step(number: int) -> None:
        rng = rng_for(0, number)
        batch = start.batch(batches[number % len(batches)], rng).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.run.precision == "bf16"):
            loss = total(objective(batch, rng), objective.config.weights)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(objective.parameters(), optim.clip)
        optimizer.step()
        optimizer.zero_grad()
        objective.after_step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


def main() -> None:
    """Reads the arguments, times, prints and (with --json) writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--variant", nargs="+", action="append", default=[], metavar=("NAME", "KEY=VALUE"))
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    variants = [(name, overrides) for name, *overrides in arguments.variant] or [("as it stands", [])]
    with tempfile.TemporaryDirectory() as scratch:
        steps = {
            name: stepper(arguments.recipe, overrides, arguments.data, Path(scratch) / str(number))
            for number, (name, overrides) in enumerate(variants)
        }
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for number in range(WARM + arguments.steps):
            for name, step in steps.items():
                started = time.perf_counter()
                step(number)
                if number >= WARM:
                    seconds[name].append(time.perf_counter() - started)
    first = next(iter(seconds.values()))
    rows = [
        {
            "variant": name,
            "overrides": dict(variants)[name],
            "median_ms": round(1000 * statistics.median(taken), 2),
            "ratio": round(statistics.median(a / b for a, b in zip(taken, first, strict=True)), 3),
        }
        for name, taken in seconds.items()
    ]
    print(f"{arguments.recipe.name}, {arguments.steps} steps each, {arguments.threads} thread(s)")
    for row in rows:
        print(f"{row['variant']:24} {row['median_ms']:9.2f} ms   x {row['ratio']:.3f}")
    if arguments.json:
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
        about = {"machine": device, "torch": torch.__version__, "threads": arguments.threads}
        content = about | {"recipe": arguments.recipe.name, "steps": arguments.steps, "rows": rows}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
