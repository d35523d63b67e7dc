"""What is wrong with a data set, found before anything is trained on it. No torch here.

One file per kind of check. Each has `TITLE`, `check(given) -> dict` (JSON-able figures), `verdict(found) -> list[str]`
(plain sentences, only where something is wrong or must be known) and `lines(found) -> list[str]` (the figures to
read). A new check is one new file and its name in `CHECKS`; its figures stand in the report under that name.
"""

import textwrap
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from discern_vqa.audit import answers, counts, images, priors, repetitions, rephrasings, sides
from discern_vqa.audit._given import Given
from discern_vqa.data.answers import normaliser
from discern_vqa.data.sample import Sample
from discern_vqa.errors import DataError

CHECKS: tuple[ModuleType, ...] = (counts, images, rephrasings, repetitions, answers, priors, sides)


def audit(
    samples_by_split: Mapping[str, Sequence[Sample]], *, normalise: str = "m3ae", open_images: bool = True
) -> dict[str, Any]:
    """All checks of a data set: {"normalise", "<check>": figures, ..., "verdict": sentences}, JSON-able.

    Args:
        samples_by_split: what the reader returned for each split; empty splits are passed over.
        normalise: two answers are the same when this normaliser makes them so (see `data.answers`).
        open_images: also hash and decode every image file.

    Raises:
        DataError: there is no sample.
        ConfigError: there is no such normaliser.
    """
    normaliser(normalise)
    samples = {split: rows for split, rows in samples_by_split.items() if rows}
    if not samples:
        raise DataError("there is nothing to audit: no split has a sample", hint="check the data set's folder")
    given = Given(samples, normalise, open_images)
    report: dict[str, Any] = {"normalise": normalise}
    said: list[str] = []
    for module in CHECKS:
        name = module.__name__.rpartition(".")[2]
        report[name] = module.check(given)
        said += module.verdict(report[name])
    return report | {"verdict": said}


def as_text(report: Mapping[str, Any]) -> str:
    """The report to read in a terminal: the verdict first, then the figures of each check."""
    said = ["Verdict"]
    for sentence in report["verdict"] or ["Nothing was found that stands in the way."]:
        said += textwrap.wrap(sentence, 100, initial_indent="  - ", subsequent_indent="    ")
    for module in CHECKS:
        found = module.lines(report[module.__name__.rpartition(".")[2]])
        if found:
            said += ["", module.TITLE, *(f"  {line}" for line in found)]
    return "\n".join(said)
