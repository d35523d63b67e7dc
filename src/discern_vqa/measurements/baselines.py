"""Baselines: what the same questions give without this model, in groups by what each baseline sees.

A baseline says of itself, in its own file, what it sees (`SEES`, `SEES_PIXELS`), how hard it is to beat (`RANK`) and,
where that says more, what it is (`SUBJECT`). `scores.json` keeps these next to its figures, under "sees"; of an older
file they are looked up by the baseline's name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from discern_vqa import registry
from discern_vqa.measurements import Context, Group, Scores
from discern_vqa.scoring import predictions
from discern_vqa.scoring.compare import Answerer, compare
from discern_vqa.scoring.metrics import brief
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.scoring.tables import cell

ORDER = 10
NO_PIXELS, PIXELS, OWN = "see no pixels", "see pixels", "of the user's own"
LAST = 1000
"""The rank of a baseline that says none."""
OURS = "\0ours"
"""Stands for the run among baselines of any name."""


@dataclass(frozen=True)
class Sees:
    """what: it sees; pixels: whether the image itself is among that; rank: 1 is the hardest to beat; subject: what it
    is, as the subject of a sentence, "" where its name has to do."""

    what: str = ""
    pixels: bool | None = None
    rank: int = LAST
    subject: str = ""

    @property
    def group(self) -> str:
        """What baselines of its kind have in common."""
        return OWN if self.pixels is None else PIXELS if self.pixels else NO_PIXELS


PRIOR = Sees(
    what="what the recipe's [prior] knows before the network looks",
    pixels=True,
    rank=3,
    subject="the recipe's prior without a network",
)
PRIOR_NAME = "prior_alone"


def measure(context: Context) -> Mapping[str, Any]:
    """{"baselines": {name: figures and "sees"}, "paired": see `paired_tests`}, and "baselines_left_out": why there are
    none, where there are none."""
    content: dict[str, Any] = {"baselines": {}}
    answered: dict[str, list[Prediction]] = {}
    if context.asker.no_baselines:
        context.say(f"no baselines: {context.asker.no_baselines}")
        content["baselines_left_out"] = context.asker.no_baselines
    for name in context.asker.baselines:
        context.say(f"baseline: {name}")
        answered[name] = context.asker.baseline(name)
        content["baselines"][name] = _row(answered[name], sees(name), context.normalise)
    if context.run.recipe.prior.on:
        rows = predictions.from_answers(context.samples, context.asker.prior_answers())
        predictions.write(context.folder / "baselines" / f"{PRIOR_NAME}.{context.split}.jsonl", rows)
        content["baselines"][PRIOR_NAME] = _row(rows, PRIOR, context.normalise)
        answered[PRIOR_NAME] = rows
    return content | {"paired": paired_tests(context.rows, answered, context.normalise)}


def _row(rows: Sequence[Prediction], seen: Sees, normalise: str) -> dict[str, Any]:
    return brief(rows, normalise) | {"sees": asdict(seen)}


def sees(name: str, figures: Mapping[str, Any] | None = None) -> Sees:
    """What a baseline sees: as its figures in `scores.json` say, else as its own file says; of the user's own where
    there is no such file."""
    if figures and figures.get("sees"):
        return Sees(**figures["sees"])
    if name == PRIOR_NAME:
        return PRIOR
    if name not in registry.names("baselines"):
        return Sees()
    module = registry.load("baselines", name)
    default = "a model that sees pixels" if module.SEES_PIXELS else "a model that sees no pixels"
    subject = getattr(module, "SUBJECT", default)
    return Sees(what=module.SEES, pixels=module.SEES_PIXELS, rank=module.RANK, subject=subject)


def lines(scores: Scores) -> list[str]:
    return [f"no baselines: {scores['baselines_left_out']}"] if "baselines_left_out" in scores else []


def groups(scores: Scores) -> list[Group]:
    """Three groups by what they see, the hardest to beat first."""
    members: dict[str, dict[str, Any]] = {NO_PIXELS: {}, PIXELS: {}, OWN: {}}
    told = {}
    for name, figures, seen in _sorted(scores):
        members[seen.group][name] = figures
        told[name] = seen.what
    return [
        Group("baseline", f"baselines that {title}" if title != OWN else f"baselines {title}", rows, told)
        for title, rows in members.items()
    ]


def strongest(scores: Scores, group: str = "") -> str:
    """The baseline with the best overall accuracy (of one group by what it sees), "" where there is none."""
    accuracies = {
        name: figures["overall"]["accuracy"]
        for name, figures, seen in _sorted(scores)
        if figures["overall"]["accuracy"] is not None and (not group or seen.group == group)
    }
    return max(sorted(accuracies), key=lambda name: accuracies[name]) if accuracies else ""


def warnings(scores: Scores) -> list[str]:
    """A sentence for each baseline that may be as good as the model. Where a paired test was made, that decides; else
    whether its accuracy reaches the model's interval, and then it is said whether the two intervals overlap."""
    model, texts = scores["overall"], []
    if not model.get("ci95"):
        return []
    low, high = model["ci95"]
    for name, figures, view in _sorted(scores):
        baseline, test = figures["overall"], (scores.get("paired") or {}).get(name)
        who = view.subject or f"the baseline {name}"
        if baseline["accuracy"] is None:
            continue
        reaches = f"{name} reaches {100 * baseline['accuracy']:.1f}, the model {100 * model['accuracy']:.1f}"
        if test is None:
            if baseline["accuracy"] >= low:
                apart = bool(baseline.get("ci95")) and baseline["ci95"][0] > high
                verdict = f"{who} is above the model" if apart else f"the model is not shown to be better than {who}"
                compared = f"{name} reaches {cell(baseline)}, the model {cell(model)}"
                texts.append(f"{verdict}: {compared}; the intervals {'do not overlap' if apart else 'overlap'}")
        elif test["verdict"] == "worse":
            texts.append(f"{who} does better: {reaches} ({_p(test)})")
        elif test["verdict"] != "better":
            texts.append(f"the model is not shown to be better than {who}: {reaches} ({_p(test)})")
    return texts


def sentences(scores: Scores) -> list[str]:
    """The strongest baseline of each group against the model."""
    names = [strongest(scores, group) for group in (NO_PIXELS, PIXELS, OWN)]
    return [_against(name, scores) for name in names if name]


def _against(name: str, scores: Scores) -> str:
    figures, test = scores["baselines"][name], (scores.get("paired") or {}).get(name)
    subject = sees(name, figures).subject
    who = f"{subject} ({name})" if subject else f"the baseline {name}"
    text = f"{who[0].upper()}{who[1:]} reaches {100 * figures['overall']['accuracy']:.1f} %"
    if test is None:
        gain = 100 * (scores["overall"]["accuracy"] - figures["overall"]["accuracy"])
        return (
            f"{text}; the difference to it is {gain:+.1f} percentage points, and without its predictions it cannot be"
            " tested."
        )
    interval = f" [{100 * test['ci95'][0]:+.1f}, {100 * test['ci95'][1]:+.1f}]" if test["ci95"] else ""
    verdict = {
        "better": "distinguishable, the model is better",
        "worse": "distinguishable, the model is worse",
    }.get(test["verdict"], "not distinguishable")
    return (
        f"{text}; the difference to it is {100 * test['points']:+.1f} percentage points{interval}: {verdict} "
        f"({_p(test)})."
    )


def _p(test: Mapping[str, Any]) -> str:
    corrected = f" after correction for {test['tests']} tests" if test["tests"] > 1 else ""
    return f"p = {test['p']:.2g}{corrected}"


def paired_tests(
    rows: Sequence[Prediction], baselines: Mapping[str, Sequence[Prediction]], normalise: str
) -> dict[str, dict[str, Any]]:
    """The run minus each baseline that answers the same questions: {name: {"points", "ci95", "p", "tests",
    "verdict"}}, in fractions; verdict is "better", "worse" or "not distinguishable" and speaks of the run. The interval
    leaves out 0 just where there is a verdict (`scoring.paired`).

    Raises DataError: a baseline's file is of another edition of the questions.
    """
    ids = {row.id for row in rows}
    comparable = {name: list(theirs) for name, theirs in sorted(baselines.items()) if {row.id for row in theirs} == ids}
    if not comparable:
        return {}
    answerers = [Answerer(OURS, (list(rows),)), *(Answerer(name, (theirs,)) for name, theirs in comparable.items())]
    compared = compare(answerers, normalise)
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


def _sorted(scores: Scores) -> list[tuple[str, Mapping[str, Any], Sees]]:
    """Name, figures and what it sees of each baseline, the hardest to beat first."""
    rows = [(name, figures, sees(name, figures)) for name, figures in (scores.get("baselines") or {}).items()]
    return sorted(rows, key=lambda row: (row[2].rank, row[0]))
