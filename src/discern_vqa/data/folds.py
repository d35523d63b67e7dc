"""Parts of what is learned from, each of which is left out once: for predictions on questions that were not learned
(out-of-fold predictions) where nothing is held out for good. No torch."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from discern_vqa.data.sample import Sample
from discern_vqa.data.splits import components, is_evaluated, question_units
from discern_vqa.errors import DataError


def without_fold(
    samples: Sequence[Sample], folds: int, fold: int, by: Literal["image", "question"] = "image"
) -> tuple[list[Sample], list[Sample]]:
    """(the samples without a fold, the questions of the fold), both in the order of `samples`.

    "image": all samples of an image are left out together, with those of its patient, study and group; "question":
    questions are, with their paraphrases, and their re-phrasings stay (see `splits.hold_out_validation`). Of what is
    left out only questions as people asked them are returned: no captions and no template re-phrasings. The folds are
    balanced by the number of such questions, are the same for every order of the samples, and together ask each of them
    once.

    Raises DataError when there are fewer independent parts than folds.
    """
    units = [unit for unit in (components(samples) if by == "image" else question_units(samples))
             if any(is_evaluated(samples[place]) for place in unit)]  # fmt: skip
    if len(units) < folds:
        what = "images (those of one patient or group count once)" if by == "image" else "questions"
        raise DataError(
            f"{len(units)} independent {what} cannot be divided into {folds} folds",
            hint=f"ask for {max(len(units), 2)} folds or fewer, or give more data",
        )
    loads, left_out = [0] * folds, set()
    sizes = {id(unit): sum(is_evaluated(samples[place]) for place in unit) for unit in units}
    for unit in sorted(units, key=lambda unit: (-sizes[id(unit)], min(samples[place].id for place in unit))):
        lightest = loads.index(min(loads))
        loads[lightest] += sizes[id(unit)]
        if lightest == fold:
            left_out.update(unit)
    rest = [sample for place, sample in enumerate(samples) if place not in left_out]
    asked = [replace(samples[place], split="validation") for place in sorted(left_out) if is_evaluated(samples[place])]
    return rest, asked
