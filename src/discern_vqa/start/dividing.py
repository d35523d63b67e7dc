"""How `discern start` divides the data, and which images it leaves out because they cannot be opened."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from discern_vqa.data.sample import Sample
from discern_vqa.data_file import SPLIT, DataFile
from discern_vqa.errors import DataError, ImageError
from discern_vqa.imaging.fingerprint_cache import cache_file
from discern_vqa.imaging.fingerprints import Fingerprints, fingerprints, workers_here
from discern_vqa.imaging.images import open_recorded
from discern_vqa.reading import splitting
from discern_vqa.reading.guess import Doubt

NAMED = 5
"""Damaged images that are named."""
_SMALL = 2500
"""Questions below which a fifth is held out for validation, a tenth from there on: calibration takes at least 50."""


def prints_of(paths: Sequence[Path]) -> Fingerprints:
    """The fingerprints of images, kept in the user's cache."""
    return fingerprints(paths, workers=workers_here(), cache=cache_file())


def damaged_images(samples: Sequence[Sample]) -> dict[str, str]:
    """The images that cannot be opened -> why. Opens all of them."""
    paths = {sample.image: sample.path for sample in samples}
    reasons = prints_of(list(paths.values())).reasons
    # The path may name a patient where the image's own name is a pseudonym.
    return {
        image: reason.replace(str(path), image)
        for (image, path), reason in zip(paths.items(), reasons, strict=True)
        if reason
    }


def about_damage(damaged: Mapping[str, str], samples: Sequence[Sample]) -> tuple[list[str], Doubt]:
    """(a line for each of the first damaged images, the question whether all are to be left out)."""
    asked = sum(sample.image in damaged for sample in samples)
    lines = [f"  {reason}" for reason in list(damaged.values())[:NAMED]]
    if len(damaged) > NAMED:
        lines.append(f"  and {len(damaged) - NAMED:,} more")
    question = f"{_counted(damaged)} cannot be opened."
    choices = (f"going on without the {asked:,} questions about them", "stopping, to replace these files")
    return lines, Doubt(question, choices)


def left_out(damaged: Mapping[str, str], samples: Sequence[Sample]) -> str:
    """How many images and questions are left out, with names."""
    asked = sum(sample.image in damaged for sample in samples)
    names = ", ".join(list(damaged)[:NAMED]) + (", ..." if len(damaged) > NAMED else "")
    return f"left out: {_counted(damaged)} that cannot be opened ({names}), {asked:,} questions"


def _counted(damaged: Mapping[str, str]) -> str:
    return f"{len(damaged):,} {'image' if len(damaged) == 1 else 'images'}"


def divide(parts: Mapping[str, Sequence[Sample]], content: DataFile, out: Path, damaged: Mapping[str, str]) -> DataFile:
    """Writes a split of the data into OUT/split, in which damaged images are in no part, and returns the data file that
    names it. Data with a test part of their own keep their parts, and get a split only where images are damaged.

    Raises DataError: there are too few images; or parts of their own, of which some are to be left out, share images.
    """
    about = {"dataset": content.reader, "options": content.options}
    if any(not sample.is_caption for sample in parts.get("test", ())):
        if damaged:
            try:
                splitting.keep(parts, out / SPLIT, about, damaged)
            except DataError as error:
                message = f"images that cannot be opened cannot be left out, since the parts share others: {error}"
                raise DataError(
                    message, hint="replace these files, or take their questions out of the table"
                ) from error
        return content.model_copy(update={"index": SPLIT if damaged else ""})
    questions = sum(map(len, parts.values()))
    settings = splitting.SplitSettings(by="near", test=0.2, validation=0.2 if questions < _SMALL else 0.1)
    try:
        splitting.make(parts, settings, out / SPLIT, about, prints_of, damaged)
    except DataError as error:
        hint = "add images: without new ones to test on nothing can be said of a model"
        raise DataError(f"the data cannot be divided: {error}", hint=hint) from error
    return content.model_copy(update={"index": SPLIT})


def in_words(parts: Mapping[str, Sequence[Sample]], file: Path) -> list[str]:
    """How the data are divided, and what that cannot promise, as lines. `file`: the data.toml."""
    counts = [
        f"{part} {len(rows):,} questions about {len({row.image for row in rows}):,} images"
        for part, rows in parts.items()
    ]
    samples = [sample for rows in parts.values() for sample in rows]
    named = {
        "patients": any(sample.patient for sample in samples),
        "studies": any(sample.study for sample in samples),
    }
    together = ", ".join([*(name for name, is_named in named.items() if is_named), "images"])
    lines = [f"split: {'; '.join(counts)}; {together} and near-identical images are kept together"]
    if not named["patients"]:
        lines.append(
            "No patients are named: images of one patient may be learned from and tested on, so that figures may be "
            f"too good. Name their column in {file}: columns.patient"
        )
    return lines


def require_left(samples: Sequence[Sample], damaged: Mapping[str, str]) -> None:
    """Raises DataError where no image can be opened."""
    if samples and all(sample.image in damaged for sample in samples):
        hint = "replace these files"
        try:
            open_recorded(samples[0].path)
        except ImageError as error:
            hint = error.hint or hint
        raise DataError(f"none of the images can be opened; the first: {damaged[samples[0].image]}", hint=hint)
