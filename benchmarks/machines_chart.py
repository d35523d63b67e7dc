"""Draws how near each stage comes to its machine's ceiling, one mark for each file that `discern doctor --bench` left.

discern doctor --bench --json > benchmarks/results/machine_NAME.json
python benchmarks/machines_chart.py        # benchmarks/results/machines.png
"""

import json
from pathlib import Path
from typing import Any

from discern_vqa.experiments.figure_files import COLORS, DPI, MARKERS, canvas, foot, heading
from discern_vqa.files import atomic_path

RESULTS = Path(__file__).parent / "results"


def main(results: Path = RESULTS) -> Path:
    """Reads every `machine_*.json` of the folder and writes the chart beside them."""
    machines = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(results.glob("machine_*.json"))]
    if not machines:
        raise SystemExit(f"{results} holds no machine_*.json; discern doctor --bench --json makes one")
    stages = list(dict.fromkeys(row["name"] for machine in machines for row in machine["stages"]))
    figure = canvas(8, 1.6 + 0.36 * len(stages))
    axes = figure.subplots()
    for number, machine in enumerate(machines):
        places = [stages.index(row["name"]) for row in machine["stages"]]
        shares = [100 * row["share"] for row in machine["stages"]]
        color, marker = COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)]
        axes.plot(shares, places, marker, color=color, label=name_of(machine))
    axes.axvline(100, color="black", linewidth=0.8)
    axes.set_yticks(range(len(stages)), stages)
    axes.set_ylim(len(stages) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_xlabel("% of the ceiling")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    heading(
        figure,
        "How near each stage comes to what its machine can do",
        "necessary operations (or images opened) per second, in % of the highest speed measured in the same run",
    )
    foot(figure, [axes])
    with atomic_path(results / "machines.png") as partial:
        figure.savefig(partial, format="png", dpi=DPI)
    return results / "machines.png"


def name_of(machine: dict[str, Any]) -> str:
    """What a machine is called in the legend, with whether other work disturbed it."""
    threads = machine["threads"]
    busy = f", busy (load {machine['load']['before']:.0f})" if machine["busy"] else ""
    return f"{machine['machine']}, {threads} thread{'s' * (threads != 1)}{busy}"


if __name__ == "__main__":
    print(main())
