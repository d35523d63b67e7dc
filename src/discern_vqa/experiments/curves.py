"""Of an experiment whose rows are lines over places (`compare`): the paired differences between lines at each place.

Both answer the same questions and, at the same place, have learned from the same images, so that a difference is the
methods' and chance's. All differences of an experiment are corrected together. No torch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from discern_vqa.data.sample import CLOSED, OPEN
from discern_vqa.experiments.catalogue import Experiment
from discern_vqa.experiments.markdown import NOT_TOLD, markdown_table, shown
from discern_vqa.scoring.compare import Answerer, compare
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.scoring.statistics import ALPHA, holm

Tests = list[dict[str, Any]]
PARTS = ("overall", OPEN, CLOSED)


def corrected(tests: Sequence[dict[str, Any]]) -> None:
    """Sets `p_holm` and `verdict` of tests that are one family (Holm)."""
    for test, p in zip(tests, holm([test["p"] for test in tests]), strict=True):
        test["p_holm"] = p
        better = "better" if test["difference"] > 0 else "worse"
        test["verdict"] = better if p < ALPHA else NOT_TOLD


def differences(
    experiment: Experiment, answers: Mapping[str, Sequence[list[Prediction]]], normalise: str
) -> dict[str, Any]:
    """The tests that `compare` of the experiment asks for, on all questions of the split.

    answers: by row, a list for each seed. Returns {"tests": [a test of `scoring.compare`, with "line", "other", "at"],
    "correction"}; a place at which one of the two lines has no answers is left out.
    """
    places = {(row.line, row.at): row.name for row in experiment.rows if row.line and row.name in answers}
    tests: Tests = []
    for line, others in experiment.compare.items():
        for other in others:
            for (name, at), row in places.items():
                if name == line and (reference := places.get((other, at))):
                    pair = [Answerer(reference, tuple(answers[reference])), Answerer(row, tuple(answers[row]))]
                    test = next(test for test in compare(pair, normalise)["tests"] if test["part"] == "overall")
                    tests.append(test | {"line": line, "other": other, "at": at})
    corrected(tests)
    return {"tests": tests, "correction": f"Holm over {len(tests)} tests" if len(tests) > 1 else "none"}


def rows_table(report: dict[str, Any]) -> list[str]:
    """The figures of every row as Markdown, from the first line to the last."""
    table = [["line", f"images of {report['axis']}", *PARTS, "what it is"]]
    for row in report["rows"]:
        figures = row.get("figures", {})
        state = (
            f"skipped: {row['skipped']}" if "skipped" in row else f"failed: {row['failed']}" if "failed" in row else ""
        )
        changes = "; ".join(f"`{key}` {value}" for key, value in row["changes"].items())
        cells = [row["line"] or row["name"], _images(row), *(_figure(figures.get(part)) for part in PARTS)]
        table.append([*cells, "; ".join(filter(None, (state, changes))) or "the recipe"])
    return markdown_table(table)


def differences_table(report: dict[str, Any]) -> list[str]:
    """The differences as Markdown: a line for each pair, a column for each place."""
    tests: Tests = report["differences"]["tests"]
    places = sorted({test["at"] for test in tests})
    heads = {test["at"]: f"{100 * test['at']:g} %" for test in tests}
    heads |= {row["at"]: f"{_images(row)} images" for row in report["rows"] if row["images"] is not None}
    table = [["difference", *(heads[place] for place in places), "detectable"]]
    for line, other in dict.fromkeys((test["line"], test["other"]) for test in tests):
        of_pair = {test["at"]: test for test in tests if (test["line"], test["other"]) == (line, other)}
        errors = [test["detectable"] for test in of_pair.values() if test["detectable"]]
        table.append([f"{line} against {other}", *(_cell(of_pair.get(place)) for place in places), _range(errors)])
    told = sum(test["verdict"] != NOT_TOLD for test in tests)
    return [
        "## Differences at each size", "", *markdown_table(table), "",
        "Overall accuracy in percentage points, with 95 % intervals before correction. Tests are paired (the same "
        "questions, and the same images to learn from), over images and seeds, two-sided at 5 %, corrected together: "
        f"{report['differences']['correction']}; better and worse are said after it, and hold for {told} of "
        f"{len(tests)}. Detectable: a true difference under so many percentage points would be missed more often than "
        "once in five, before correction; from the smallest to the largest of the line.",
    ]  # fmt: skip


def _images(row: dict[str, Any]) -> str:
    """How many images the row has learned from; where that is not known, its share."""
    if row["images"] is not None:
        return f"{row['images']:,.0f}"
    return f"{100 * row['at']:g} %" if row["at"] is not None else "-"


def _figure(figure: dict[str, Any] | None) -> str:
    """Mean, spread over seeds, and interval over images."""
    if not figure:
        return "-"
    low, high = figure["ci95"]
    return f"{shown(figure)} [{100 * low:.1f}, {100 * high:.1f}]"


def _cell(test: dict[str, Any] | None) -> str:
    if test is None:
        return "-"
    text = f"{100 * test['difference']:+.1f}"
    if test["ci95"]:
        text += f" ({100 * test['ci95'][0]:+.1f} to {100 * test['ci95'][1]:+.1f})"
    return f"{text}, **{test['verdict']}**" if test["verdict"] != NOT_TOLD else text


def _range(sizes: Sequence[float]) -> str:
    if not sizes:
        return "-"
    low, high = 100 * min(sizes), 100 * max(sizes)
    return f"{low:.1f}" if high - low < 0.05 else f"{low:.1f} to {high:.1f}"
