"""What `discern start` says at its end: which model was chosen and why, what each uses, what cannot be promised, and
what to do next."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discern_vqa.data.sample import CHOICE, CLOSED, OPEN
from discern_vqa.scoring.intervals import FEW
from discern_vqa.scoring.tables import aligned, cell
from discern_vqa.start.candidates import BY_NAME
from discern_vqa.start.choosing import CONTENT, IDENTITY, IN_WORDS, NOTHING
from discern_vqa.trust.calibration import FEWEST


def choice(made: Mapping[str, Any]) -> list[str]:
    """The models on validation with what each uses, the tests that led to the choice, and what the data give away."""
    rows = [["model", "validation", "it uses"]]
    rows += [
        [name, cell(figure), IN_WORDS[made["uses"][name]] if BY_NAME[name].may_be_chosen else BY_NAME[name].what]
        for name, figure in made["validation"].items()
    ]
    n = next(iter(made["validation"].values()))["n"]
    chosen = made["chosen"]
    lines = ["", f"Validation: {n:,} questions about {made['images']:,} images that no model has learned from.", ""]
    lines += [*aligned(rows), "", *made["steps"]]
    lines.append(f"Chosen: {chosen}, the simplest model that no other one is clearly better than.")
    lines.append(_about_images(made))
    lines += [f"Left out: {name}: {reason}" for name, reason in made["left_out"].items()]
    return lines


def _about_images(made: Mapping[str, Any]) -> str:
    """One sentence about what the images add."""
    chosen, uses = made["chosen"], made["uses"]
    if uses[chosen] == CONTENT:
        return "The content of the images tells answers: with another image, answers get clearly worse."
    if looking := [name for name, use in uses.items() if use == CONTENT]:
        return (
            f"{' and '.join(looking)} answers clearly worse with another image, so that the images tell something. "
            f"That it is better than {chosen} is not shown on these {made['images']:,} images."
        )
    if made["identity"]:
        return (
            "The answers follow which image it is: knowing the image helps with other questions about it. That any of "
            "this carries over to new images is not shown."
        )
    if uses[chosen] == NOTHING:
        return "Neither the words of the questions nor the images are shown to tell anything about the answers."
    few = f"not shown on these {made['images']:,} images"
    if BY_NAME[chosen].sees_pixels:
        return f"{chosen} answers better than models without images. That it needs the right image is {few}."
    return f"The answers follow the questions; that an image adds anything is {few}."


def judged(scores: Mapping[str, Any]) -> str:
    """The accuracy on test, in a line; the report has all else."""
    parts = [f"{part} {cell(scores[part])}" for part in (OPEN, CLOSED, CHOICE) if (scores.get(part) or {}).get("n")]
    more = f"; {', '.join(parts)}" if parts else ""
    return (
        f"Test: {cell(scores['overall'])} % right [95 % interval], {scores['n']:,} questions about "
        f"{scores['images']:,} images{more}"
    )


def end(made: Mapping[str, Any], scores: Mapping[str, Any], out: Path, asked: tuple[str, str]) -> list[str]:
    """What cannot be promised, where the report lies, and the next commands. asked: an image and a question to ask."""
    chosen, models = made["chosen"], out / "models"
    model, image, question = (shlex.quote(word) for word in (str(models / chosen), *asked))
    lines = [f"No promise: {promise}" for promise in not_promised(made, scores)]
    lines += [
        f"report: {out / 'report' / 'index.html'}",
        f"ask it: discern ask {model} {image} {question}",
        f"next: discern predict {model} QUESTIONS.csv --out ANSWERS.csv",
    ]
    if BY_NAME[chosen].network:
        lines.append(f"next: discern explain {model} {image} {question} --out map.png")
    others = [name for name in made["validation"] if BY_NAME[name].may_be_chosen and name != chosen]
    if others:
        other = shlex.quote(str(models / others[-1]))
        lines.append(f"next, the same test questions for {others[-1]}: discern evaluate {other}")
    return lines


def not_promised(made: Mapping[str, Any], scores: Mapping[str, Any]) -> list[str]:
    """A sentence for each promise that so few images do not allow, with what it would take."""
    promises = []
    n, images = scores["overall"]["n"], scores["images"]
    if images < FEW:
        promises.append(f"{images:,} test images give no interval for the accuracy; it takes {FEW}")
    elif ends := scores["overall"].get("ci95"):
        width = 100 * (ends[1] - ends[0]) / 2
        if width > 5:
            promises.append(
                f"the accuracy on test is known to about +-{width:.0f} percentage points ({n:,} questions about "
                f"{images:,} images); for +-5 it takes about {_needed(images, width):,} test images"
            )
    held_out = next(iter(made["validation"].values()))["n"]
    if held_out < FEWEST:
        promises.append(
            f"its confidence is not calibrated, and there are no answer sets and no abstention: there are {held_out:,} "
            f"validation questions, and it takes {FEWEST}"
        )
    if made["uses"][made["chosen"]] == IDENTITY:
        promises.append("it knows its training images by heart, which says nothing about new ones")
    return promises


def _needed(images: int, width: float) -> int:
    """Images for an interval of +-5: its width falls with the root of their number. Two leading digits."""
    number = images * (width / 5) ** 2
    step = 10 ** max(0, len(str(int(number))) - 2)
    return int(-(-number // step) * step)
