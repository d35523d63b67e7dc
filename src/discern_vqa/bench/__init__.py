"""`discern doctor --bench`: what this machine can do at most, and how near to it each stage of the program comes.

    ceilings    the machine's own speeds, measured by plain loops of torch, Pillow and pydicom in the same run
    stages      parts of the program at the size of the shipped phantom recipes, random weights, drawn images

A stage's share of its ceiling counts only operations that are *necessary*: the matrix products, convolutions and
attention of one pass over its images and texts (and of the way back, where it learns), each computed once. Whatever
else a stage does, its reading, choosing, adding up and its optimiser, costs time and counts for nothing.
"""

import time
from collections.abc import Callable
from typing import Any

from discern_vqa.bench.ceilings import Ceilings
from discern_vqa.bench.machine import about_this_machine, load
from discern_vqa.bench.stages import measured_stages

VERB = "doctor --bench"
BUSY = 0.5
"""A machine whose load for each core was above this before it began was busy: its figures are too low."""


def bench(say: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """All figures, as JSON has them; one to two minutes on two cores.

    `ceilings`: name -> {per_second, unit}; `stages`: rows of name, seconds, necessary (of what its ceiling counts),
    ceiling (its name) and share; `load`: what other work ran at the beginning and the end; `busy`: whether it did.
    """
    started = time.monotonic()
    machine, before = about_this_machine(), load()
    say("ceilings of this machine")
    ceilings = Ceilings.measured()
    stages = measured_stages(ceilings, say)
    per_core = None if before is None else before / machine["cores"]
    return {
        **machine,
        "load": {"before": before, "after": load()},
        "busy": per_core is not None and per_core > BUSY,
        "ceilings": ceilings.as_json(),
        "stages": [stage.as_json(ceilings) for stage in stages],
        "seconds": round(time.monotonic() - started, 1),
    }


def as_text(figures: dict[str, Any]) -> str:
    """The figures as two tables."""
    lines = [
        f"{figures['machine']}, {figures['threads']} threads on {figures['cores']} cores, torch "
        f"{figures['versions']['torch']}, {figures['seconds']:.0f} s",
        "",
        f"{'ceiling':44} {'per second':>14}",
    ]
    lines += [f"{name:44} {_rounded(row['per_second']):>10} {row['unit']}" for name, row in figures["ceilings"].items()]
    lines += ["", f"{'stage':52} {'ms':>9} {'share of its ceiling':>24}"]
    lines += [
        f"{row['name']:52} {1000 * row['seconds']:9.2f} {row['share']:10.0%} of {row['ceiling']}"
        for row in figures["stages"]
    ]
    if figures["busy"]:
        of = f"a load of {figures['load']['before']:.1f} on {figures['cores']} cores before it began"
        again = f"Run it again when nothing else runs: discern {VERB}"
        lines += ["", f"WARNING: the machine was busy ({of}): all figures are too low. {again}"]
    return "\n".join(lines)


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
