"""The section `sizes` of a report: on how many samples our rows and others were pre-trained (CMDPI's Figure 1)."""

from typing import Any

from discern_vqa.auxiliary_sets import auxiliary_samples, folder_of
from discern_vqa.errors import DiscernError
from discern_vqa.experiments.folder import Folder, Grid
from discern_vqa.experiments.plan import Training
from discern_vqa.recipe_samples import Samples, find_root
from discern_vqa.run import CONFIG, Run
from discern_vqa.scoring.literature import TABLES
from discern_vqa.scoring.pretraining_sizes import sizes as printed_sizes

PAPERS = "vqa_rad"
"""The data set of the paper's figure, which is shown where ours has no printed table."""


def sizes(grid: Grid, folder: Folder) -> dict[str, Any]:
    """Printed sizes beside printed accuracies, and the pre-training samples of our own rows: of those that learn from
    all training images of a data set with a printed table."""
    own = grid.trainings[0].recipe.data.dataset
    dataset = own if own in TABLES else PAPERS
    told = printed_sizes(dataset)
    rows = [(planned.row.name, planned.trainings[0]) for planned in grid.planned if planned.trainings]
    whole = [(name, training) for name, training in rows if training.recipe.data.train_share == 1]
    ours, unknown = {}, []
    for name, training in whole if own == dataset else ():
        try:
            ours[name] = samples_before(training, folder)
        except DiscernError as error:  # the sets of its pre-training are no longer there
            unknown.append(f"- here, {name}: not known, since {error}")
    figures = {
        "dataset": dataset,
        "placed": [
            {"model": size.model, "samples": size.samples, "printed_size": size.words, "overall": overall}
            for size, overall in told.placed
        ],
        "ours": ours,
        "no_size": list(told.no_size),
        "no_accuracy": [f"{size.model} ({size.words})" for size in told.no_accuracy],
    }
    table = [f"- {size.model}: {size.words} ({size.counted})" for size, _ in told.placed]
    table += [*(f"- here, {name}: {samples:,}" for name, samples in ours.items()), *unknown]
    lines = [f"Samples of the pre-training of models whose overall accuracy on {dataset} is printed:", "", *table]
    if own != dataset:
        lines += ["", f"Our rows are not among them: they answer {own}, for which nothing is printed."]
    return {"title": "Size of the pre-training set (Fig. 1)", "lines": lines, "figures": figures}


def samples_before(training: Training, folder: Folder) -> int:
    """On how many samples the training before this one learns, auxiliary sets included; 0 where there is none.

    A recipe may do without an auxiliary set: where the training has begun, those count that it began with. Raises
    DataError where a set is no longer found.
    """
    if training.before is None:
        return 0
    recipe, run = training.before.recipe, folder.run(training.before)
    data, root = recipe.data, find_root(recipe.data, folder.data_of(training.before))
    reading = Samples(data, root, recipe.run.seed)
    names = Run.open(run, finished=False).recipe.data.auxiliary if (run / CONFIG).is_file() else data.auxiliary
    sets = [auxiliary_samples(data, name, folder_of(name, root), reading.answer_vocabulary()) for name in names]
    return len(reading.learning[0]) + sum(map(len, sets))
