"""What a calibration says, as lines of plain text and as an image. No torch here."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from discern_vqa.files import atomic_path
from discern_vqa.scoring.tables import aligned, cell
from discern_vqa.trust.calibration import Calibration
from discern_vqa.trust.confidence import CONFIDENCE
from discern_vqa.trust.promises import exactness

_PROMISED = {"all": "", "answer_type": "answer type: ", "answer_form": "answer given: "}
_GROUPINGS = {"all": "all", "answer_type": "by answer type", "answer_form": "by answer form"}
_SET_COLUMNS = ["answer sets", "stated", "measured", "n", "mean size", "one answer", "empty", "any answer"]


def as_text(made: Calibration) -> str:
    """What was fitted, on what, and what it promises."""
    on = made.fitted_on
    lone = ", each score by itself, since those of a question add up to more than 1 or some are missing"
    lines = [
        f"calibrated on {on['n']:,} {on.get('what', 'held-out')} questions about {on['images']:,} images, of which "
        f"{100 * on['accuracy']:.1f} % are answered right",
        *([f"each was left out of one of {on['folds']} trainings, which learned from less"] if "folds" in on else []),
        f"temperature: {made.temperature:.2f}" + (lone if made.kind == CONFIDENCE else ""),
        *([f"WARNING: {made.warning}"] if made.warning else []),
        _abstention(made),
        exactness(on["n"], made.sets["coverage"]),
        f"answer sets that hold the true answer {100 * made.sets['coverage']:.0f} % of the time:",
    ]
    for grouping, title in _PROMISED.items():
        lines += [f"  {title}{group}: {_promise(one)}" for group, one in made.sets.get(grouping, {}).items()]
    return "\n".join(lines)


def measured_text(measured: Mapping[str, Any], raw: Mapping[str, Any] | None, name: str) -> str:
    """What it does on the questions of `name`; `raw`: the same before the temperature."""
    after = measured["confidence"]
    columns = ["", *(["as given"] if raw else []), "calibrated"]
    columns_of = [figures for figures in (raw, after) if figures]
    rows = [
        columns,
        ["confidence, mean", *(f"{100 * figures['mean_confidence']:.1f}" for figures in columns_of)],
        ["calibration error", *(f"{100 * figures['ece']:.1f}" for figures in columns_of)],
        ["  by chance alone", *(f"{100 * figures['ece_by_chance']:.1f}" for figures in columns_of)],
        ["Brier score", *(f"{figures['brier']:.3f}" for figures in columns_of)],
        ["wrong among the surest (AURC)", *(f"{100 * figures['risk']['aurc']:.1f}" for figures in columns_of)],
        ["surer half, right", *(cell(figures["surer_half"]) for figures in columns_of)],
        ["  gain over all", *(f"{100 * figures['surer_half']['gain']:+.1f}" for figures in columns_of)],
    ]
    answered = measured["abstention"]
    lines = [
        f"{name}: {after['n']:,} questions, {100 * after['accuracy']:.1f} % right; in %",
        "",
        *aligned(rows),
        "",
        f"{100 * answered['coverage']:.1f} % are answered, {cell(answered)} of those right; "
        f"aimed at {100 * answered['target']:.1f}",
        "",
        *([f"WARNING: {told}", ""] if (told := unkept(measured["sets"])) else []),
        *aligned([_SET_COLUMNS, *(_set_row(*row) for row in set_rows(measured["sets"], _GROUPINGS, "  "))]),
    ]
    return "\n".join(lines)


def figure(measured: Mapping[str, Any], raw: Mapping[str, Any] | None, name: str, out: Path) -> None:
    """An image (PNG or SVG by its ending) of two panels: reliability, and accuracy over coverage."""
    from matplotlib.figure import Figure

    after = measured["confidence"]
    drawing = Figure(figsize=(9, 4.2), layout="constrained")
    left, right = drawing.subplots(1, 2)
    left.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--", label="as it should be")
    for figures, color, label in ((raw, "#b26a00", "as given"), (after, "#1f5fa8", "calibrated")):
        if figures is None:
            continue
        bins = figures["bins"]
        sure, hit = np.array([b["confidence"] for b in bins]), np.array([b["accuracy"] for b in bins])
        ends = np.array([b["ci95"] for b in bins]).T
        spread = np.clip(np.stack([hit - ends[0], ends[1] - hit]), 0, None)
        error = f"{100 * figures['ece']:.1f}"
        left.errorbar(sure, hit, yerr=spread, color=color, linewidth=1.2, capsize=2, label=f"{label}, error {error}")
        left.scatter(sure, hit, s=[12 + 120 * b["n"] / figures["n"] for b in bins], color=color, zorder=3)
        curve = np.array(figures["risk"]["curve"])
        wrong = f"{100 * figures['risk']['aurc']:.1f} % wrong on average"
        right.plot(curve[:, 0], curve[:, 1], color=color, label=f"{label}, {wrong}")
    left.set(xlabel="confidence", ylabel="right", xlim=(0, 1), ylim=(0, 1), title="Reliability")
    answered = measured["abstention"]
    if answered["n"]:
        right.plot(answered["coverage"], answered["accuracy"], "o", color="#1f5fa8", label="below this it abstains")
    right.axhline(after["accuracy"], color="0.6", linewidth=1, linestyle="--", label="all answered")
    right.set(xlabel="share answered, the surest first", ylabel="right of those", xlim=(0, 1))
    right.set_title("Selective accuracy")
    right.set_ylim(min(0.95 * after["accuracy"], right.get_ylim()[0]), 1.005)
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=8, loc="best")
        axes.spines[["top", "right"]].set_visible(False)
    drawing.suptitle(f"{name}: {after['n']:,} questions", fontsize=10)
    kind = out.suffix.lstrip(".").lower() or "png"
    with atomic_path(out) as partial:
        drawing.savefig(partial, format=kind, dpi=150)


def _promise(one: Mapping[str, Any]) -> str:
    if one["threshold"] is not None:
        return f"the answers with a score of {one['threshold']:.3f} or more (n {one['n']:,})"
    said = f"no list can promise that: at most {100 * one['reachable']:.0f} % of the true answers are named"
    instead = f"; {100 * one['instead']['coverage']:.0f} % instead" if "instead" in one else ""
    return f"{said}{instead} (n {one['n']:,})"


def _abstention(made: Calibration) -> str:
    bar = made.bar
    if bar.threshold is None:
        return (
            f"no confidence reaches the accuracy aimed at, {100 * bar.target:.1f} %: it would rather not answer at all"
        )
    assert bar.accuracy is not None
    return (
        f"answers are given from a confidence of {bar.threshold:.2f} up: {100 * bar.coverage:.1f} % of the questions, "
        f"of which {100 * bar.accuracy:.1f} % are right (aimed at {100 * bar.target:.1f})"
    )


def unkept(sets: Mapping[str, Any]) -> str:
    """Where answer sets hold the true answer less often than they promise, a sentence; "" where they keep the promise.

    sets: of `Calibration.measure`. Of all questions together, at each coverage that was measured.
    """
    levels = {float(level): one for level, one in sets.get("levels", {}).items() if one["n"]}
    if (together := sets.get("all")) and together["n"]:
        levels[sets["coverage"]] = together
    below = {level: one for level, one in sorted(levels.items()) if one["accuracy"] < level}
    surely = {level: one for level, one in below.items() if one["ci95"][1] < level}
    every = len(below) == len(levels) > 2
    if surely:
        named = ", ".join(f"{cell(one)} % instead of {100 * level:.0f}" for level, one in surely.items())
        more = "; at every level that was measured it is less than stated" if every else ""
        return f"answer sets do not keep their promise: they hold the true answer in {named}{more}"
    if every:
        return (
            "answer sets hold the true answer less often than stated at every level that was measured, though at "
            "none of "
            "them by more than chance allows"
        )
    return ""


def set_rows(
    sets: Mapping[str, Any], titles: Mapping[str, str], indent: str
) -> list[tuple[str, str, Mapping[str, Any]]]:
    """(name, stated coverage in %, what was measured) of every grouping and its groups, then of all questions at the
    other coverages. titles: of the groupings; indent: before the name of a group."""
    stated = f"{100 * sets['coverage']:.0f}"
    rows = []
    for grouping, title in titles.items():
        if grouping in sets:
            rows.append((title, stated, sets[grouping]))
            rows += [(f"{indent}{group}", stated, part) for group, part in sets[grouping].get("groups", {}).items()]
    for level, measured in sets.get("levels", {}).items():
        if float(level) != sets["coverage"]:
            rows.append((titles["all"], f"{100 * float(level):.0f}", measured))
    return rows


def _set_row(name: str, stated: str, one: Mapping[str, Any]) -> list[str]:
    def share(value: float | None) -> str:
        return "-" if value is None or math.isnan(value) else f"{100 * value:.0f}"

    size = "-" if one["mean_size"] is None else f"{one['mean_size']:.2f}"
    return [name, stated, cell(one), f"{one['n']:,}", size, share(one["one"]), share(one["none"]), share(one["any"])]
