"""The answers of a file (`discern predict --out answers.jsonl`) as what DICOM objects are made of. No torch here.

Rows about one image go together, in their order: their answers are one report. What is wrong with one row, or with one
image, is told for it, and the others are written all the same.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from discern_vqa.dicom_out import Reported
from discern_vqa.dicomweb.address import Address
from discern_vqa.dicomweb.archive import Archive
from discern_vqa.dicomweb.memory_file import memory_file
from discern_vqa.errors import DataError
from discern_vqa.evaluation.questions import Asked


@dataclass
class Answered:
    """An image with what was answered about it. image: its identity. path: its file, or its address in an archive."""

    image: str
    path: Path
    source: str  # the first row about it
    answers: list[Reported] = field(default_factory=list)


def by_image(rows: Iterable[Asked], weights: str, problems: list[str]) -> list[Answered]:
    """The images in the order of their first rows.

    weights: SHA-256 of the run's. problems: gets a sentence for each row without an answer, or with one by a model of
    other weights, which must not be filed under these.
    """
    images: dict[str, Answered] = {}
    for asked in rows:
        if asked.sample is None:
            problems.append(f"{asked.source}: {asked.problem}")
            continue
        values = asked.values or {}
        try:
            if "error" not in values or not values["error"]:
                _require_same(values.get("weights_sha256"), weights)
            reported = Reported.from_line(values, asked.sample.question)
        except DataError as error:
            problems.append(f"{asked.source}: {error}")
            continue
        sample = asked.sample
        about = images.setdefault(sample.image, Answered(sample.image, sample.path, asked.source))
        about.answers.append(reported)
    return list(images.values())


def _require_same(given: object, weights: str) -> None:
    if given != weights:
        told = "another model" if isinstance(given, str) and given else "a model that the file does not name"
        raise DataError(
            f"it was answered by {told}, and not by the weights of this run",
            hint="answer the questions anew: discern predict RUN QUESTIONS --out answers.jsonl",
        )


@contextmanager
def opened(about: Answered, archive: Archive | None) -> Iterator[Path]:
    """The file of an image inside the block; of an archive's in memory. Raises ImageError, ArchiveError; messages name
    the image as the row does."""
    if archive is None:
        yield about.path
        return
    address = Address.parse(about.image)
    with memory_file(archive.fetch(address)) as file:
        try:
            yield file.with_name(f"{file.name}{address.choice}")
        except DataError as error:
            name = about.image.removesuffix(address.choice)
            raise type(error)(str(error).replace(str(file), name), hint=error.hint) from error
