"""The report's first sentences: what was asked, how well it was answered, and what that is worth. No torch.

The same words for every run, from its files alone. A verdict ("not distinguishable") is that of `discern compare`:
a paired permutation test over images, Holm-corrected over the baselines and parts that are tested.
"""

from collections.abc import Mapping
from typing import Any

from discern_vqa.report.read import RunFiles
from discern_vqa.report.terminal import ceiling, sight, who
from discern_vqa.scoring import mirror
from discern_vqa.scoring.compare import Answerer, compare
from discern_vqa.trust import ood

NO_PIXELS = "see no pixels"
OURS = "\0ours"
"""Stands for the run among baselines of any name."""


def paired_tests(run: RunFiles) -> dict[str, dict[str, Any]]:
    """The run minus each baseline whose predictions are kept, on all questions: {name: {"points", "ci95", "p",
    "tests", "verdict"}}, in fractions; verdict is "better", "worse" or "not distinguishable" and speaks of the run.

    Raises DataError: a baseline's file is of another edition of the questions.
    """
    ids = {row.id for row in run.rows}
    kept = {name: rows for name, rows in run.baselines.items() if {row.id for row in rows} == ids}
    if not kept:
        return {}
    answerers = [Answerer(OURS, (run.rows,)), *(Answerer(name, (rows,)) for name, rows in sorted(kept.items()))]
    compared = compare(answerers, run.scores.get("normaliser", "m3ae"))
    turned = {"better": "worse", "worse": "better"}
    return {
        test["name"]: {
            "points": 0.0 - test["difference"],
            "ci95": [0.0 - test["ci95"][1], 0.0 - test["ci95"][0]] if test["ci95"] else None,
            "p": test["p_holm"],
            "tests": len(compared["tests"]),
            "verdict": turned.get(test["verdict"], test["verdict"]),
        }
        for test in compared["tests"]
        if test["part"] == "overall"
    }


def strongest(scores: Mapping[str, Any], group: str = "") -> str:
    """The baseline with the best overall accuracy (of one group by what it sees), "" where there is none."""
    found = {
        name: one["overall"]["accuracy"]
        for name, one in (scores.get("baselines") or {}).items()
        if one["overall"]["accuracy"] is not None and (not group or sight(name) == group)
    }
    return max(found, key=lambda name: found[name]) if found else ""


def summary(run: RunFiles, tested: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A handful of sentences, the most important first."""
    scores = run.scores
    said = [_asked(run), _answered(scores)]
    for group in (NO_PIXELS, "see pixels", "of the user's own"):
        name = strongest(scores, group)
        if name:
            said.append(_against(name, scores, tested.get(name)))
    measured = [*mirror.lines(scores.get("mirror")), *ood.lines(scores.get("scope")), ceiling(scores)]
    said += [_looking(scores), *(f"{line[0].upper()}{line[1:]}." for line in measured if line)]
    return [sentence for sentence in said if sentence]


def _asked(run: RunFiles) -> str:
    scores = run.scores
    images = f" about {scores['images']:,} images" if scores.get("images") else ""
    parts = ", ".join(
        f"{scores[part]['n']:,} {said}"
        for part, said in (("open", "open"), ("closed", "closed"), ("unknown", "of no given type"))
        if (scores.get(part) or {}).get("n")
    )
    dataset = (run.config.get("data") or {}).get("dataset")
    of = f" of {dataset}" if dataset else ""
    learned = (((run.audit.get("counts") or {}).get("train") or {}).get("questions")) if run.audit else None
    after = f", after learning from {learned:,} others" if learned else ""
    return (
        f"It was asked the {scores['n']:,} {run.split} questions{of}{images} ({parts}){after}; it sees an image"
        " and a question, and an answer counts when it equals the true one."
    )


def _answered(scores: Mapping[str, Any]) -> str:
    overall = scores["overall"]
    if overall.get("accuracy") is None:
        return ""
    parts = " and ".join(
        f"{100 * scores[part]['accuracy']:.1f} % of the {part}"
        for part in ("open", "closed")
        if (scores.get(part) or {}).get("n")
    )
    twins = scores.get("twins") or {}
    pairs = (
        f" Of {twins['n']:,} pairs of images that differ in one finding, it answers both right in"
        f" {100 * twins['accuracy']:.1f} %."
        if twins.get("n")
        else ""
    )
    return f"The model answers {_share(overall)} right{f': {parts} questions' if parts else ''}.{pairs}"


def _against(name: str, scores: Mapping[str, Any], test: Mapping[str, Any] | None) -> str:
    theirs = scores["baselines"][name]["overall"]["accuracy"]
    said = (
        f"{who(name)} ({name}) reaches {100 * theirs:.1f} %"
        if who(name) != f"the baseline {name}"
        else (f"the baseline {name} reaches {100 * theirs:.1f} %")
    )
    said = said[0].upper() + said[1:]
    if test is None:
        gain = 100 * (scores["overall"]["accuracy"] - theirs)
        return f"{said}; the difference to it is {gain:+.1f} points, and without its predictions it cannot be tested."
    interval = f" [{100 * test['ci95'][0]:+.1f}, {100 * test['ci95'][1]:+.1f}]" if test["ci95"] else ""
    corrected = f"p = {test['p']:.2g}" + (f" after correction for {test['tests']} tests" if test["tests"] > 1 else "")
    verdict = {
        "better": "distinguishable, the model is better",
        "worse": "distinguishable, the model is worse",
    }.get(test["verdict"], "not distinguishable")
    return f"{said}; the difference to it is {100 * test['points']:+.1f} points{interval}: {verdict} ({corrected})."


def _looking(scores: Mapping[str, Any]) -> str:
    """What is lost without the right image: the reliance score where there is one, else each control's."""
    overall = (scores.get("reliance") or {}).get("overall") if isinstance(scores.get("reliance"), Mapping) else None
    if isinstance(overall, Mapping) and overall.get("n") and overall.get("points") is not None:
        ends = overall.get("ci95")
        interval = f" [{100 * ends[0]:+.1f}, {100 * ends[1]:+.1f}]" if ends else ""
        return (
            f"The right image adds {100 * overall['points']:+.1f} points{interval} to the best that the model does with"
            f" a wrong one ({overall['against']}, n = {overall['n']:,})."
        )
    ours = scores["overall"].get("accuracy")
    controls = scores.get("controls") or {}
    reached = {name: (one.get("overall") or {}).get("accuracy") for name, one in controls.items()}
    told = {
        "blank_image": "an empty image",
        "shuffled_image": "another question's image",
        "noise_image": "noise",
        "wrong_organ_image": "an image of another organ",
    }
    shown = [f"{told[name]} {100 * (ours - reached[name]):.1f}" for name in told if reached.get(name) is not None]
    if ours is None or not shown:
        return ""
    return f"Points lost when the image is exchanged: {', '.join(shown)}."


def _share(figure: Mapping[str, Any]) -> str:
    low, high = figure.get("ci95") or (None, None)
    interval = f" (95 % interval {100 * low:.1f} to {100 * high:.1f})" if low is not None and high is not None else ""
    return f"{100 * figure['accuracy']:.1f} %{interval}"
