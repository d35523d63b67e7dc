"""The report's first sentences: what was asked, how well it was answered, and what that is worth. No torch.

The same words for every run, from its files alone. What each measurement adds stands in its own file
(`measurements/`). A verdict ("not distinguishable") is that of `discern compare`: a paired permutation test over
images, Holm-corrected over the baselines and parts that are tested.
"""

from collections.abc import Mapping
from typing import Any

from discern_vqa import measurements
from discern_vqa.measurements import Scores
from discern_vqa.report.read import RunFiles
from discern_vqa.report.words import UNNAMED, data_in_words, what_it_sees

_KINDS = (
    ("open", "open"),
    ("closed", "closed"),
    ("choice", "multiple-choice"),
    ("unknown", "of no given type"),
)
"""The parts of the scores, and what their questions are called."""


def summary(run: RunFiles, scores: Scores) -> list[str]:
    """A handful of sentences, the most important first. scores: the run's, with "paired"."""
    sentences = [_asked(run), _answered(scores), *measurements.sentences(scores)]
    return [sentence for sentence in sentences if sentence]


def _asked(run: RunFiles) -> str:
    scores = run.scores
    images = f" about {scores['images']:,} images" if scores.get("images") else ""
    parts = ", ".join(f"{scores[part]['n']:,} {said}" for part, said in _KINDS if (scores.get(part) or {}).get("n"))
    dataset = data_in_words(run.config)
    of = f" of {dataset}" if dataset != UNNAMED else ""
    learned = (((run.audit.get("counts") or {}).get("train") or {}).get("questions")) if run.audit else None
    after = f", after learning from {learned:,} others" if learned else ""
    if str((run.config.get("model") or {}).get("name", "")).startswith("outside."):
        after = "; what it had learned from before is not known here"
    seen = what_it_sees(run.config).what
    sees = f" it is given {seen}, and" if seen else ""
    return (
        f"It was asked the {scores['n']:,} {run.split} questions{of}{images} ({parts}){after};{sees}"
        " an answer counts when it equals the true one."
    )


def _answered(scores: Mapping[str, Any]) -> str:
    overall = scores["overall"]
    if overall.get("accuracy") is None:
        return ""
    parts = " and ".join(
        f"{100 * scores[part]['accuracy']:.1f} % of the {name}"
        for part, name in _KINDS[:3]
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


def _share(figure: Mapping[str, Any]) -> str:
    ends = figure.get("ci95")
    interval = f" (95 % interval {100 * ends[0]:.1f} to {100 * ends[1]:.1f})" if ends else ""
    return f"{100 * figure['accuracy']:.1f} %{interval}"
