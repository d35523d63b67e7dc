"""What grows with what: seconds and memory against the size of a batch, of an image, of a text, of the vocabulary, of a
data set; with the exponent b of seconds ~ size^b, fitted to all of each curve and to its last two points, and a chart.

    python benchmarks/cost_curves.py [--curve NAME ...] [--threads 2]
    # benchmarks/results/cost_curves.json, cost_curves.png

Steps are those of `recipes/cmdpi/phantom.toml` (drawn images, random weights), of which one thing is changed. A point
is measured in a process of its own: the median of five steps, and what the process holds at most beyond what it held
before the first (Linux; of an audit all that it holds). A busy machine makes all points slower, the exponents hardly.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from audit_many_images import draw, run
from step import kib, stepper

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
RECIPE = HERE.parent / "recipes" / "cmdpi" / "phantom.toml"
SMALL = ["data.draw={counts={pretrain=0,train=400,validation=20,test=20},seed=0}", "run.after=", "run.baselines=[]"]
TIMED, WARM = 5, 2
PATCH = 16
"""Pixels of a cell's side."""


@dataclass(frozen=True)
class Curve:
    """`sizes` of `axis`; `measure`: one of them to seconds, and MiB held at most beyond what was held before."""

    axis: str
    sizes: tuple[int, ...]
    measure: Callable[[int], tuple[float, float]]
    note: str


def _grown(before: int) -> float:
    return (kib("VmHWM") - before) / 1024


def _timed(step: Callable[[int], None]) -> tuple[float, float]:
    before, seconds = kib("VmRSS"), []
    for number in range(WARM + TIMED):
        started = time.perf_counter()
        step(number)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[WARM:]), _grown(before)


def _step(*overrides: str, **more: Any) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as scratch:
        return _timed(stepper(RECIPE, [*SMALL, *overrides], None, Path(scratch) / "run", **more))


def _texts(count: int) -> tuple[float, float]:
    return _step(f"optim.batch={count}")


def _cells(count: int) -> tuple[float, float]:
    side = round(count**0.5) * PATCH
    return _step("optim.batch=16", f"model.image.size={side}", f"model.image.patch={PATCH}")


def _positions(count: int) -> tuple[float, float]:
    return _step("optim.batch=32", f"data.text_length={count}")


def _words(count: int) -> tuple[float, float]:
    """Texts of so many words: those of the phantoms, said again."""
    import torch

    def fill(batch: Any) -> Any:
        inputs = batch.inputs
        tokens, keep = inputs.tokens.clone(), torch.ones_like(inputs.keep)
        keep[:, -1] = False
        tokens[:, :-1] = tokens[:, 1:2]
        return replace(batch, inputs=replace(inputs, tokens=tokens, keep=keep, words=keep))

    return _step("optim.batch=32", f"data.text_length={count + 1}", fill=fill)


def _answers(count: int) -> tuple[float, float]:
    from torch import nn

    def change(start: Any) -> None:
        start.model.ffn_answer = nn.Linear(start.model.config.width, count)

    return _step("optim.batch=64", change=change)


def _similar(count: int) -> tuple[float, float]:
    import torch

    from discern_vqa.data.pairs import similar_images

    features = torch.randn(count, 64, generator=torch.Generator().manual_seed(0))
    keys, organs = [str(number) for number in range(count)], [str(number % 8) for number in range(count)]
    before, started = kib("VmRSS"), time.perf_counter()
    similar_images(keys, features, percentile=0.95, organs=organs)
    return time.perf_counter() - started, _grown(before)


def _states(count: int) -> tuple[float, float]:
    """Encoding so many images by a frozen MobileNetV2 of random weights at 224 pixels."""
    import torch

    from discern_vqa.nn.encoders import EncoderConfig, image_encoder
    from discern_vqa.nn.encoders.engines import FrozenImages

    states = FrozenImages(image_encoder(EncoderConfig(kind="lite", frozen=True, pool=4), 192, None).eval())
    drawn = torch.Generator().manual_seed(0)
    states(torch.rand(1, 3, 224, 224, generator=drawn))  # the engine is made
    before, started = kib("VmRSS"), time.perf_counter()
    for _ in range(count):
        states(torch.rand(1, 3, 224, 224, generator=drawn))
    return time.perf_counter() - started, _grown(before)


def _audit(count: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "set"
        folder.mkdir()
        draw(folder, count)
        figures = run(folder, Path(name) / "cache")
    return figures["seconds"], figures["peak_mib"]


CURVES = {
    "batch": Curve("texts in a batch", (8, 16, 32, 64, 128), _texts, "a training step"),
    "cells": Curve("cells of an image", (16, 36, 64, 144, 256), _cells, "a training step, 16 texts"),
    "padding": Curve("text positions", (20, 40, 80, 160), _positions, "a training step, the same short texts"),
    "words": Curve("words of a text", (10, 20, 40, 80, 160), _words, "a training step, 32 texts"),
    "answers": Curve("answers", (458, 1000, 3000, 10_000, 20_000), _answers, "a training step, 64 texts"),
    "states": Curve("images", (8, 16, 32, 64), _states, "states of a frozen MobileNetV2"),
    "audit": Curve("images", (300, 1000, 3000, 10_000), _audit, "the audit of a data set, from nothing"),
    "similar": Curve("images", (1000, 3000, 10_000, 30_000, 100_000), _similar, "the index of similar images"),
}


def point(curve: str, size: int) -> None:
    """Prints one point as JSON; in a process of its own."""
    seconds, mib = CURVES[curve].measure(size)
    print(json.dumps({"size": size, "seconds": round(seconds, 4), "mib": round(mib)}))


def fitted(points: list[dict[str, Any]]) -> float:
    """b of seconds ~ size^b, by least squares of the logarithms."""
    sizes, seconds = (np.log([row[name] for row in points]) for name in ("size", "seconds"))
    return float(np.polyfit(sizes, seconds, 1)[0])


def chart(found: dict[str, Any], to: Path) -> None:
    """One panel for each curve: seconds on the left, memory on the right, both axes by powers of ten."""
    from matplotlib.ticker import LogLocator

    from discern_vqa.experiments.figure_files import COLORS, DPI, canvas, foot, heading
    from discern_vqa.files import atomic_path

    figure = canvas(11, 5.6)
    panels = figure.subplots(2, 4).flatten()
    for panel, (name, told) in zip(panels, found["curves"].items(), strict=False):
        sizes = [row["size"] for row in told["points"]]
        panel.loglog(sizes, [row["seconds"] for row in told["points"]], "o-", color=COLORS[0], label="seconds (left)")
        right = panel.twinx()
        right.loglog(sizes, [max(1, row["mib"]) for row in told["points"]], "s--", color=COLORS[1])
        panel.plot([], [], "s--", color=COLORS[1], label="MiB at most (right)")
        of_all, at_end = fitted(told["points"]), fitted(told["points"][-2:])
        panel.set_title(f"{CURVES[name].note}\nseconds ~ size^{of_all:.2f}, at the end {at_end:.2f}", fontsize=8)
        panel.set_xlabel(CURVES[name].axis, fontsize=8)
        panel.set_xticks(sizes, [f"{size:,}" for size in sizes], rotation=25)
        for axes in (panel, right):
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.tick_params(labelsize=7)
            axes.minorticks_off()
    heading(
        figure, "What grows with what", f"{found['machine']}, {found['threads']} threads, drawn data, random weights"
    )
    foot(figure, panels)
    with atomic_path(to) as partial:
        figure.savefig(partial, format="png", dpi=DPI)


def main() -> None:
    """Measures the curves that are asked for, each point in its turn, and draws all that are known."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--curve", action="append", choices=list(CURVES))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--draw", action="store_true", help="only draw what is known")
    parser.add_argument("--point", nargs=2, metavar=("CURVE", "SIZE"), help="one point; the program asks itself")
    given = parser.parse_args()
    if given.point:
        return point(given.point[0], int(given.point[1]))
    from discern_vqa.bench.machine import about_this_machine

    file = RESULTS / "cost_curves.json"
    if given.draw:
        return chart(json.loads(file.read_text(encoding="utf-8")), RESULTS / "cost_curves.png")
    kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"curves": {}}
    machine = about_this_machine()["machine"]
    if kept.get("machine") != machine or kept.get("threads") != given.threads:
        kept = {"machine": machine, "threads": given.threads, "curves": {}}
    environment = os.environ | {"OMP_NUM_THREADS": str(given.threads)}
    for name in given.curve or CURVES:
        points = []
        for size in CURVES[name].sizes:
            command = [sys.executable, str(HERE / "cost_curves.py"), "--point", name, str(size)]
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
            points.append(json.loads(done.stdout.splitlines()[-1]))
            print(name, points[-1], flush=True)
        end = round(fitted(points[-2:]), 2)
        kept["curves"][name] = {"exponent": round(fitted(points), 2), "exponent_at_the_end": end, "points": points}
        file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    kept["curves"] = {name: kept["curves"][name] for name in CURVES if name in kept["curves"]}
    chart(kept, RESULTS / "cost_curves.png")


if __name__ == "__main__":
    main()
