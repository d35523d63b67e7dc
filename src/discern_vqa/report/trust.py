"""When the model's own certainty can be believed: reliability, answer sets, abstention, for the report. No torch.

Everything is computed anew from the run's predictions, and from `calibration.json` where there is one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from discern_vqa.report.read import RunFiles
from discern_vqa.report.svg import INK, MARKERS, SERIES, drawing
from discern_vqa.scoring.page_tables import Cell, Figure, Table, percent
from discern_vqa.trust.calibration import describe_rows
from discern_vqa.trust.calibration_view import set_rows, unkept
from discern_vqa.trust.promises import exactness

_GROUPINGS = {"all": "all questions", "answer_type": "by answer type", "answer_form": "by form of the answer given"}


@dataclass(frozen=True)
class Trust:
    """missing: why there is no calibration, "" where there is one; drawings: {"title", "svg", "words", "note"}."""

    sentences: list[str] = field(default_factory=list)
    drawings: list[dict[str, str]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    missing: str = ""


def trust(run: RunFiles, name: str) -> Trust:
    """What a score of this model is worth. name: of the run on this page, for identifiers."""
    raw = describe_rows(run.rows, run.scores.get("normaliser", "m3ae")) if run.rows else None
    made, missing = run.calibration, _missing(run)
    if raw is None:
        return Trust(missing="The predictions have no scores, so nothing can be said about confidence.")
    measured = made.measure(run.rows) if made is not None and not missing else None
    caution = [f"Take care: {made.warning}."] if made is not None and measured and made.warning else []
    if made is not None and measured:
        caution += _fitted(made.fitted_on, made.sets["coverage"])
    both = {"as given": raw} | ({"calibrated": measured["confidence"]} if measured else {})
    return Trust(
        sentences=[*caution, *_sentences(both, measured)],
        drawings=[_reliability(both, f"{name} reliability"), _risk(both, measured, f"{name} risk")],
        tables=[_figures(both), *([_sets(measured["sets"])] if measured else [])],
        missing=missing,
    )


def _fitted(on: Mapping[str, Any], coverage: float) -> list[str]:
    """What the calibration was fitted on, and how exact that makes it."""
    folds = f", each left out of one of {on['folds']} trainings of the same recipe" if "folds" in on else ""
    fitted = f"The confidence was calibrated on {on['n']:,} {on.get('what', 'held-out')} questions{folds}."
    said = exactness(on["n"], coverage)
    return [fitted, f"{said[0].upper()}{said[1:]}."]


def _missing(run: RunFiles) -> str:
    if run.calibration is not None:
        own = run.calibration.fitted_on.get("what") == run.split
        return "The calibration was fitted on these very questions, so it is not measured on them." if own else ""
    told = (run.scores.get("calibration") or {}).get("missing")
    said = f": {told}" if told else ""
    return f"The run is not calibrated{said}. What stands below is the model's score as it is."


def _sentences(both: Mapping[str, Any], measured: Mapping[str, Any] | None) -> list[str]:
    last = list(both.values())[-1]
    how = "Calibrated" if measured else "As given"
    gap = 100 * (last["mean_confidence"] - last["accuracy"])
    leaning = f"{abs(gap):.1f} percentage points too {'sure' if gap > 0 else 'modest'} on average"
    sentences = [
        f"{how}, the model is {100 * last['mean_confidence']:.1f} % sure and {100 * last['accuracy']:.1f} % right: "
        f"{leaning}. Its calibration error is {100 * last['ece']:.1f} percentage points; "
        f"{100 * last['ece_by_chance']:.1f} would be chance alone at this n ({last['n']:,}).",
        f"Of the half that it is surest about, {_said(last['surer_half'])} are right.",
    ]
    if measured:
        sets, abstention = measured["sets"]["answer_form"], measured["abstention"]
        stated = 100 * measured["sets"]["coverage"]
        sentences.append(
            f"Answer sets that promise to hold the true answer {stated:.0f} % of the time hold it {_said(sets)} of the"
            f" time; {100 * (sets['any'] or 0):.0f} % of them are no set at all, since any answer could be true."
        )
        if told := unkept(measured["sets"]):
            sentences.append(f"Take care: {told}.")
        rest = f", and {_said(abstention)} of those answers are right" if abstention["n"] else ""
        sentences.append(
            f"With abstention it answers {100 * abstention['coverage']:.1f} % of the questions{rest}"
            f" (aimed at {100 * abstention['target']:.1f} %)."
        )
    return sentences


def _said(figure: Mapping[str, Any]) -> str:
    made = percent(figure)
    return "none" if made is None else f"{made.value:.1f} % [{made.low:.1f}, {made.high:.1f}]"


def _reliability(both: Mapping[str, Any], name: str) -> dict[str, str]:
    with drawing(name, (4.6, 3.7)) as canvas:
        axes = canvas.axes
        axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=(0, (4, 3)), label="as it should be")
        for (label, figures), color, marker in zip(both.items(), (SERIES[1], SERIES[0]), MARKERS, strict=False):
            bins = figures["bins"]
            sure, hit = ([part[key] for part in bins] for key in ("confidence", "accuracy"))
            ends = np.array([part["ci95"] for part in bins]).T
            spread = np.clip(np.stack([np.array(hit) - ends[0], ends[1] - np.array(hit)]), 0, None)
            style = {"color": color, "linewidth": 1.6, "elinewidth": 1, "marker": marker, "markersize": 5}
            axes.errorbar(sure, hit, yerr=spread, label=label, **style)
        axes.set(xlabel="confidence", ylabel="share that is right", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.legend(frameon=False, fontsize=9, loc="best")
    errors = "; ".join(
        f"{label}: calibration error {100 * figures['ece']:.1f} percentage points" for label, figures in both.items()
    )
    return {"title": "Reliability", "svg": canvas.svg, "words": errors, "note": "Whiskers are 95 % intervals."}


def _risk(both: Mapping[str, Any], measured: Mapping[str, Any] | None, name: str) -> dict[str, str]:
    last = list(both.values())[-1]
    with drawing(name, (4.6, 3.7)) as canvas:
        axes = canvas.axes
        axes.axhline(last["accuracy"], color=INK, linewidth=1, linestyle=(0, (4, 3)))
        above = {"xytext": (0, 3), "textcoords": "offset points", "va": "bottom"}
        axes.annotate("everything answered", (0.01, last["accuracy"]), fontsize=8.5, color=INK, **above)
        styles = zip(both.items(), (SERIES[1], SERIES[0]), ((0, (2, 1)), "-"), strict=False)
        for (label, figures), color, line in styles:
            curve = np.array(figures["risk"]["curve"])
            axes.plot(curve[:, 0], curve[:, 1], color=color, linewidth=1.8, linestyle=line, label=label)
        if measured and (answered := measured["abstention"])["n"]:
            style = {"color": SERIES[0], "marker": "o", "markersize": 7}
            axes.plot(answered["coverage"], answered["accuracy"], label="abstains beyond", linestyle="", **style)
        low = min(float(np.array(figures["risk"]["curve"])[:, 1].min()) for figures in both.values())
        axes.set(xlabel="share answered, the surest first", ylabel="share right of those", xlim=(0, 1.02))
        floor = max(0.0, min(low, last["accuracy"]) - 0.06)
        axes.set_ylim(floor, 1 + 0.02 * (1 - floor))
        axes.legend(frameon=False, fontsize=9, loc="best")
        axes.grid(visible=True, axis="y", linewidth=0.8)
    half = f"answering half gives {_said(last['surer_half'])} right"
    title = "If it answers only what it is sure of"
    return {"title": title, "svg": canvas.svg, "words": half, "note": f"{half.capitalize()}."}


def _figures(both: Mapping[str, Any]) -> Table:
    """The figures of confidence, a column for each way of taking the scores; in % but for Brier's."""
    rows: list[list[Cell]] = [
        ["mean confidence", *(Figure(100 * one["mean_confidence"]) for one in both.values())],
        ["accuracy", *(Figure(100 * one["accuracy"]) for one in both.values())],
        ["calibration error (ECE)", *(Figure(100 * one["ece"]) for one in both.values())],
        ["calibration error by chance alone", *(Figure(100 * one["ece_by_chance"]) for one in both.values())],
        ["Brier score", *(Figure(one["brier"], digits=3) for one in both.values())],
        ["wrong among the surest (AURC)", *(Figure(100 * one["risk"]["aurc"]) for one in both.values())],
        ["right of the surer half", *(percent(one["surer_half"]) for one in both.values())],
    ]
    n = next(iter(both.values()))["n"]
    note = (
        f"In % but for the Brier score; n = {n:,}. Calibration error: how far confidence and the share that is right "
        "lie apart (expected calibration error, ECE). Brier score: the mean square of that distance, 0 at best. Wrong "
        "among the surest: the share of wrong answers when only the surest are given, averaged over how many are given "
        "(area under the risk-coverage curve, AURC)."
    )
    return Table("confidence", "Confidence", ["", *both], rows, note)


def _sets(sets: Mapping[str, Any]) -> Table:
    """Conformal answer sets: what was promised and what came, by grouping and group."""
    percentages = ("one answer, %", "none, %", "any, %")
    columns = ["threshold fitted on", "stated, %", "measured, %", "n", "mean size", *percentages]
    rows = [_set(*row) for row in set_rows(sets, _GROUPINGS, "… ")]
    note = (
        "A set holds every answer whose score reaches a threshold that was fitted on held-out questions "
        "(split-conformal prediction)."
    )
    return Table("answer_sets", "Answer sets: stated and measured coverage", columns, rows, note)


def _set(title: str, stated: str, one: Mapping[str, Any]) -> list[Cell]:
    def share(value: float | None) -> Cell:
        return None if value is None or not np.isfinite(value) else Figure(100 * value, digits=0)

    size = None if one["mean_size"] is None else Figure(one["mean_size"], digits=2)
    return [title, stated, percent(one), one["n"], size, share(one["one"]), share(one["none"]), share(one["any"])]
