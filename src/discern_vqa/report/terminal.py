"""Anybody's `predictions.jsonl` to figures, and figures to a table for the terminal. No torch here.

What the table says is in the words of docs/metrics.md: accuracies in %, each with its 95 % interval clustered by
image, the model beside baselines that see no pixels and controls that see the wrong ones.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from discern_vqa.scoring import mirror, predictions, reliance
from discern_vqa.scoring.metrics import check_parts, score
from discern_vqa.scoring.tables import GAP, aligned, cell
from discern_vqa.trust import ood
from discern_vqa.trust.calibration import describe_rows
from discern_vqa.trust.confidence import bound_warning

COLUMNS = ("overall", "open", "closed", "unknown", "twins")
BASELINES = ("image_identity", "lookup", "question_only", "tfidf_linear", "question_prior", "majority")
"""Baselines that see no pixels, the hardest to beat first."""
SEEING = {
    "plain_transformer": "a plain model on the same features",
    "kernel_ridge": "a regression on words and pictures, without a network",
    "retrieval": "a vote of similar cases",
    "prior_alone": "the recipe's prior without a network",
    "thumbnail": "a table of words and of pictures of 32 x 32 greys",
}
"""Baselines that see pixels, and what they are; of any other name nothing is claimed."""


def score_file(path: Path, normalise: str = "m3ae") -> dict[str, Any]:
    """The scores of a predictions file; see `metrics.score`.

    Raises DataError with file and line where the file is not as the schema says, ConfigError for a normaliser that
    does not exist.
    """
    rows = predictions.read(path)
    scores = {"file": Path(path).name} | score(rows, normalise)
    check_parts(scores, str(path))
    scores["confidence"] = describe_rows(rows, normalise)
    return scores


def as_table(scores: dict[str, Any], name: str = "model") -> str:
    """The figures as lines of plain text: a row each for the model, the baselines and the controls; then warnings."""
    columns = [column for column in COLUMNS if (scores.get(column) or {}).get("n")]
    groups = [
        ("", {name: scores}),
        ("ways of answering (the same model)", _others(scores)),
        *((f"baselines ({title})", members) for title, members in by_sight(scores).items()),
        ("controls (the model, without the right image)", scores.get("controls") or {}),
    ]
    rows: list[list[str]] = [["", *columns], ["n", *(f"{scores[column]['n']:,}" for column in columns)]]
    for title, members in groups:
        if title and members:
            rows.append([title])
        rows += [
            [f"{GAP if title else ''}{member}", *(_cell(figures.get(column), scores[column]) for column in columns)]
            for member, figures in members.items()
        ]
    lines = [_headline(scores), "", *aligned(rows), ""]
    lines += reliance.lines(scores.get("reliance")) + mirror.lines(scores.get("mirror"))
    if "baselines_left_out" in scores:
        lines.append(f"no baselines: {scores['baselines_left_out']}")
    lines += [f"left out: {name}: {why}" for name, why in (scores.get("controls_left_out") or {}).items()]
    for by, figures in (scores.get("by") or {}).items():
        if figures:
            lines.append(f"by {by.replace('_', ' ')}: {', '.join(_short(key, figures[key]) for key in figures)}")
    lines += [f"vocabulary: {said}" for said in [ceiling(scores)] if said]
    lines += _sure(scores) + ood.lines(scores.get("scope"))
    lines += [f"WARNING: {warning}" for warning in warnings(scores)]
    return "\n".join(lines)


def ceiling(scores: Mapping[str, Any]) -> str:
    """What the answer table allows at most, a sentence; "" where no table is known. It binds a classifier; who writes
    freely (the ways with figures of free text) or ranks the training answers can be right beyond it."""
    vocabulary = scores.get("vocabulary")
    if not vocabulary:
        return ""
    cover = f"cover {100 * vocabulary['coverage']:.1f} % of the questions"
    mode = scores.get("mode")
    own = (scores.get("modes") or {}).get(mode) or {}
    if "free_text" in own:
        return (
            f"the classifier can give {vocabulary['size']:,} answers, which {cover}; that is no ceiling for {mode!r}, "
            "which writes others too"
        )
    if "candidates" in own:
        return (
            f"the way {mode!r} takes one of the {own['candidates']['n']:,} training answers in their own words; the "
            f"classifier can give {vocabulary['size']:,}, which {cover}"
        )
    return f"{vocabulary['size']:,} answers can be given; they {cover}, and no score can be higher"


def _others(scores: dict[str, Any]) -> dict[str, Any]:
    """The ways of answering beside the one of the first row."""
    return {mode: figures for mode, figures in (scores.get("modes") or {}).items() if mode != scores.get("mode")}


def _sure(scores: dict[str, Any]) -> list[str]:
    """What the scores of the answers are worth, and what the run's calibration makes of them, a line each."""
    lines = []
    plain, calibrated = scores.get("confidence"), scores.get("calibration") or {}
    for title, one in (("scores", plain), ("calibrated", calibrated.get("confidence"))):
        if one:
            lines.append(
                f"{title}: calibration error {100 * one['ece']:.1f} (chance alone {100 * one['ece_by_chance']:.1f}), "
                f"{cell(one['surer_half'])} of the surer half right, AURC {100 * one['risk']['aurc']:.1f}"
            )
    if calibrated.get("at_bound"):
        lines.append(f"WARNING: {bound_warning(calibrated['temperature'])}")
    if "sets" in calibrated:
        sets, given = calibrated["sets"]["answer_form"], calibrated["abstention"]
        size = "-" if sets["mean_size"] is None else f"{sets['mean_size']:.1f} answers in the mean"
        lines.append(
            f"answer sets of {100 * calibrated['sets']['coverage']:.0f} %: {cell(sets)} hold the true answer; {size}; "
            f"any answer could be true: {100 * sets['any']:.0f} %"
        )
        lines.append(f"with abstention: {100 * given['coverage']:.1f} % answered, {cell(given)} of those right")
    elif "missing" in calibrated:
        lines.append(f"not calibrated: {calibrated['missing']} (try: {calibrated['hint']})")
    return lines


def by_sight(scores: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The baselines in three groups by what they see, the hardest to beat first; empty groups are left out."""
    groups: dict[str, dict[str, Any]] = {"see no pixels": {}, "see pixels": {}, "of the user's own": {}}
    for name, figures in _sorted(scores.get("baselines") or {}).items():
        groups[sight(name)][name] = figures
    return {title: members for title, members in groups.items() if members}


def sight(name: str) -> str:
    """What a baseline sees: the title of its group."""
    return "see no pixels" if name in BASELINES else "see pixels" if name in SEEING else "of the user's own"


def who(name: str) -> str:
    """A baseline as the subject of a sentence."""
    return SEEING.get(name) or ("a model that sees no pixels" if name in BASELINES else f"the baseline {name}")


def warnings(scores: dict[str, Any], beaten: Collection[str] = ()) -> list[str]:
    """What a reader must know before believing the score, a sentence each.

    A baseline or control does as well as the model when its overall accuracy reaches the model's interval, unless a
    paired test says otherwise: `beaten` names the baselines than which the model was found better.
    """
    model = scores["overall"]
    said = [f"this run {fault}" for fault in scores.get("imitates") or []]
    if not model.get("ci95"):
        return said
    low, high = model["ci95"]
    interval = f"the model's interval is {100 * low:.1f} to {100 * high:.1f}"
    for name, figures in _sorted(scores.get("baselines") or {}).items():
        accuracy = figures["overall"]["accuracy"]
        if accuracy is not None and accuracy >= low and name not in beaten:
            how = "as well" if accuracy <= model["accuracy"] else "better"
            said.append(f"{who(name)} does {how}: {name} reaches {100 * accuracy:.1f}, {interval}")
    for name, figures in (scores.get("controls") or {}).items():
        accuracy = (figures.get("overall") or {}).get("accuracy")  # a control may be of another shape
        if accuracy is not None and accuracy >= low:
            said.append(f"the image hardly matters to this model: {name} reaches {100 * accuracy:.1f}, {interval}")
    said += [reliance.warning(scores.get("reliance")), mirror.warning(scores.get("mirror"))]
    return [text for text in said if text]


def _cell(one: dict[str, Any] | None, model: dict[str, Any]) -> str:
    """A figure, with its n where it is of fewer questions than the model's."""
    return cell(one) + (f" (n {one['n']:,})" if one and one.get("n") and one["n"] != model["n"] else "")


def _sorted(baselines: dict[str, Any]) -> dict[str, Any]:
    """The hardest to beat first; baselines of the user's own after ours."""
    order = {name: place for place, name in enumerate(BASELINES)}
    return dict(sorted(baselines.items(), key=lambda item: (order.get(item[0], len(order)), item[0])))


def _headline(scores: dict[str, Any]) -> str:
    what = scores.get("split") or scores.get("file") or "predictions"
    images = f" about {scores['images']:,} images" if "images" in scores else ""
    how = f", answers compared by {scores['normaliser']!r}" if "normaliser" in scores else ""
    return f"{what}: {scores['n']:,} questions{images}{how}; accuracy in % [95 % interval, clustered by image]"


def _short(name: str, figure: dict[str, Any]) -> str:
    return f"{name} {100 * figure['accuracy']:.1f} (n {figure['n']:,})"
