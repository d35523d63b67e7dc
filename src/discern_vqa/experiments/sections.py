"""Further parts of an experiment's report, each read from finished runs (or the data): how many similar images there
are, how states lie, where variants disagree, every way of answering, printed results of others, false negatives.

Each is a function from a grid to {"title", "lines", "figures"}; lines are Markdown, figures go into report.json.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from discern_vqa.data.sample import Sample
from discern_vqa.data.sampling import epoch_batches
from discern_vqa.experiments.catalogue import Row
from discern_vqa.experiments.folder import ANEW, Folder, Grid
from discern_vqa.experiments.markdown import markdown_table, shown
from discern_vqa.experiments.plan import Training
from discern_vqa.experiments.report import images_of, spread
from discern_vqa.experiments.size_section import sizes
from discern_vqa.recipe_samples import Samples, find_root
from discern_vqa.report.cases import in_turn
from discern_vqa.run import SIMILAR
from discern_vqa.scoring import metrics, predictions
from discern_vqa.scoring.literature import CAVEAT, literature
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.scoring.stored import read_object

CASES = 12
EPOCHS = 5
Section = dict[str, Any]


def neighbours(grid: Grid, folder: Folder) -> Section:
    """How many images have a similar one, and how many on average (Eq. 8), by row."""
    figures = {}
    for row, trainings in _finished(grid, folder):
        files = [folder.run(training) / SIMILAR for training in trainings]
        counts = [[len(found) for found in read_object(file, ANEW).values()] for file in files]
        if all(counts):
            figures[row.name] = {
                "coverage": spread([float(np.mean(np.array(one) > 0)) for one in counts]),
                "mean": spread([float(np.mean(one)) for one in counts]),
            }
    table = [["row", "images with a similar one, %", "similar images of an image"]]
    table += [[name, shown(one["coverage"]), shown(one["mean"], 1)] for name, one in figures.items()]
    return {"title": "Similar images", "lines": markdown_table(table), "figures": figures}


def features(grid: Grid, folder: Folder) -> Section:
    """How the states that are answered from lie, by question type (`experiments.features`); a map of the first seed."""
    figures: dict[str, dict[str, Any]] = {}
    names = ("silhouette", "purity", "chance")
    for row, trainings in _finished(grid, folder):
        files = [folder.states(training) for training in trainings]
        made = [read_object(file, ANEW) for file in files if file.is_file()]
        if made:
            figures[row.name] = {name: spread([one[name] for one in made]) for name in names}
            if files[0].is_file() and "points" in made[0]:  # not of few questions, nor of an earlier version's file
                figures[row.name]["map"] = {"seed": grid.seeds[0], **made[0]}
    table = [["row", "silhouette", "purity of clusters", "... of clusters at random"]]
    table += [[row, *(shown(one[name], 1, 3) for name in names)] for row, one in figures.items()]
    lines = [
        *markdown_table(table), "",
        "Of the states from which the test questions are answered. Silhouette: of the question types as clusters, by "
        "cosine, -1 to 1. Purity: the share of questions in k-means clusters (as many as there are types) that are of "
        "their cluster's commonest type.",
    ]  # fmt: skip
    return {"title": "Clusters of question types", "lines": lines, "figures": figures}


def cases(grid: Grid, folder: Folder) -> Section:
    """Questions of the reported split on which the rows disagree, by their first seeds."""
    answers = {
        row.name: predictions.read(folder.predictions(trainings[0])) for row, trainings in _finished(grid, folder)
    }
    names = list(answers)
    right = np.stack([metrics.rights(rows, grid.normaliser) for rows in answers.values()])
    apart = np.flatnonzero(right.any(0) & ~right.all(0))
    reference = names.index(grid.experiment.reference)
    best = apart[np.argsort(~right[reference, apart], kind="stable")]
    chosen = _spread_over([answers[names[0]][place] for place in best], best.tolist())
    table = [["question", "image", "true answer", *names]]
    for place in chosen:
        row = answers[names[0]][place]
        given = [answers[name][place].prediction for name in names]
        marked = [f"{text} ({'right' if ok else 'wrong'})" for text, ok in zip(given, right[:, place], strict=True)]
        table.append([row.question, row.image.rsplit("/", 1)[-1], row.gold, *marked])
    alone = {name: int(np.sum(right[place, apart] & (right[:, apart].sum(0) == 1))) for place, name in enumerate(names)}
    told = ", ".join(f"{name} {count:,}" for name, count in alone.items())
    lines = [
        f"On {len(apart):,} of {right.shape[1]:,} questions some rows are right and some wrong (first seed each). "
        f"Right alone: {told}. {len(chosen)} of them, the question types in turn:",
        "", *markdown_table(table),
    ]  # fmt: skip
    return {"title": "Where they disagree", "lines": lines, "figures": {"apart": len(apart), "right_alone": alone}}


def modes(grid: Grid, folder: Folder) -> Section:
    figures: dict[str, dict[str, Any]] = {}
    for row, trainings in _finished(grid, folder):
        for mode in ("classify", "classify_typed", "generate", "rank", "hybrid"):
            if all(folder.predictions(training, mode).is_file() for training in trainings):
                files = [folder.predictions(training, mode) for training in trainings]
                figures.setdefault(row.name, {})[mode] = _accuracy(trainings, files)
    names = list(dict.fromkeys(mode for one in figures.values() for mode in one))
    table = [["row", *names], *([row, *(shown(one.get(mode)) for mode in names)] for row, one in figures.items())]
    return {"title": "Ways of answering (the same models)", "lines": markdown_table(table), "figures": figures}


def published(grid: Grid, folder: Folder) -> Section:
    dataset = grid.trainings[0].recipe.data.dataset
    rows = literature(dataset)
    table = [["model, as printed", "open", "closed", "overall", "known against it"]]
    for one in rows:
        figures = ["-" if value is None else f"{value:.1f}" for value in (one.open, one.closed, one.overall)]
        table.append([one.model, *figures, one.caveat or "-"])
    lines = [*markdown_table(table), "", CAVEAT] if rows else [f"No printed table is at hand for {dataset}."]
    printed = [{"model": one.model, "open": one.open, "closed": one.closed, "overall": one.overall}
               for one in rows if one.sees_image]  # fmt: skip
    return {"title": "Printed results of others", "lines": lines, "figures": {"printed": printed}}


def negatives(grid: Grid, folder: Folder) -> Section:
    """Fig. 3 as a statistic: how often a question about another image of the batch would be answered alike here."""
    training = grid.trainings[0].before or grid.trainings[0]
    data, optim = training.recipe.data, training.recipe.optim
    samples, _ = Samples(data, find_root(data, folder.data), training.recipe.run.seed).learning
    drawn = [epoch_batches(samples, optim.batch, 0, epoch, optim.per_image, True) for epoch in range(EPOCHS)]
    counted = false_negatives(samples, [batch for epoch in drawn for batch in epoch])
    known, same = counted["known"], counted["same"]
    share = f"{100 * same / known:.1f} %" if known else "an unknown share"
    lines = [
        f"Were questions contrasted, a batch of {optim.batch} would hold "
        f"{counted['pairs'] / counted['batches']:,.0f} pairs of an image and a question about another image (mean of "
        f"{counted['batches']:,} batches). Of "
        f"{100 * known / max(1, counted['pairs']):.1f} % of them the data say the answer, since the same question was "
        f"asked of that image too: {share} of these have the same answer there. They are no negatives, and would be "
        f"pushed away; {100 * counted['anchors_hit'] / max(1, counted['anchors']):.0f} % of the questions have at "
        "least one such pair that is known of.",
    ]
    return {"title": "False negatives of a contrast of questions (Fig. 3)", "lines": lines, "figures": counted}


def false_negatives(samples: Sequence[Sample], batches: Sequence[Sequence[int]]) -> dict[str, int]:
    """Counts over batches of rows of `samples`, of their questions alone.

    Returns:
        pairs: of a question and another image of its batch; known: the same question was asked of that image too;
        same: and answered alike; anchors: questions; anchors_hit: those with at least one such pair.
    """
    told: dict[tuple[str, str], str] = {(one.image, one.question): one.answer for one in samples if not one.is_caption}
    counted = dict.fromkeys(("batches", "pairs", "known", "same", "anchors", "anchors_hit"), 0)
    for batch in batches:
        asked = [samples[row] for row in batch if not samples[row].is_caption]
        images = {one.image for one in asked}
        counted["batches"] += 1
        for one in asked:
            others = [told.get((image, one.question)) for image in images if image != one.image]
            alike = sum(answer == one.answer for answer in others)
            counted["pairs"] += len(others)
            counted["known"] += sum(answer is not None for answer in others)
            counted["same"] += alike
            counted["anchors"] += 1
            counted["anchors_hit"] += alike > 0
    return counted


def curve(grid: Grid, folder: Folder) -> Section:
    """The rows that have a place on a curve, as a table of share against accuracy."""
    figures: dict[str, dict[str, Any]] = {}
    images: dict[float, float | None] = {}
    for planned in grid.planned:
        row, files = planned.row, [folder.answers_of(planned, training) for training in planned.trainings]
        if row.at is not None and files and all(file.is_file() for file in files):
            images.setdefault(row.at, images_of(planned, grid, folder) if row.line else None)
            own = "without pre-training" if row.no_before and row.name != "0 %" else "with pre-training"
            figures.setdefault(row.line or own, {})[f"{row.at:g}"] = _accuracy(planned.trainings, files)
    places = sorted({float(place) for one in figures.values() for place in one})
    counts = [f", {images[place]:,.0f} images" if images[place] is not None else "" for place in places]
    heads = [f"{100 * place:g} %{count}" for place, count in zip(places, counts, strict=True)]
    table = [[f"share of the images of {grid.experiment.axis}", *heads]]
    table += [[line, *(shown(one.get(f"{place:g}")) for place in places)] for line, one in figures.items()]
    return {"title": "Curve", "lines": markdown_table(table), "figures": figures}


SECTIONS: dict[str, Callable[[Grid, Folder], Section]] = {
    "neighbours": neighbours,
    "features": features,
    "cases": cases,
    "modes": modes,
    "literature": published,
    "negatives": negatives,
    "curve": curve,
    "sizes": sizes,
}


def extras(grid: Grid, folder: Folder) -> list[Section]:
    """The parts that the experiment asks for, in its order."""
    return [{"name": name, **SECTIONS[name](grid, folder)} for name in grid.experiment.sections if name in SECTIONS]


def _finished(grid: Grid, folder: Folder) -> list[tuple[Row, tuple[Training, ...]]]:
    """The rows that are answered by their own trainings, which have ended."""
    rows = [(one.row, one.trainings) for one in grid.planned if one.trainings and not one.row.baseline]
    return [(row, made) for row, made in rows if all(folder.predictions(training).is_file() for training in made)]


def _accuracy(trainings: Sequence[Training], files: Sequence[Path]) -> dict[str, Any] | None:
    normalise = trainings[0].recipe.data.normaliser
    return spread([float(metrics.rights(predictions.read(file), normalise).mean()) for file in files])


def _spread_over(rows: Sequence[Prediction], places: Sequence[int]) -> list[int]:
    """Up to CASES places, taking the question types in turn."""
    by_type: dict[str, list[int]] = {}
    for row, place in zip(rows, places, strict=True):
        by_type.setdefault(row.question_type, []).append(int(place))
    return in_turn(by_type.values())[:CASES]
