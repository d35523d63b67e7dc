"""What `ask`, `predict` and `dicom` share where images come from an archive over DICOMweb."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discern_vqa.errors import ConfigError, DiscernError

if TYPE_CHECKING:
    from discern_vqa.evaluation.predict_file import Bring

DicomWeb = Annotated[
    str,
    typer.Option(
        "--dicomweb", help="Images come from this archive: the address of its DICOMweb service.", metavar="URL"
    ),
]
Study = Annotated[str, typer.Option(help="With --dicomweb: the study, by its UID.", metavar="UID")]
Series = Annotated[str, typer.Option(help="With --study: one of its series.", metavar="UID")]
Instance = Annotated[str, typer.Option(help="With --study: one image.", metavar="UID")]


def refuse_without_archive(url: str, **given: str) -> None:
    """Raises ConfigError for options that say nothing without --dicomweb."""
    if not url and (names := [f"--{name}" for name, value in given.items() if value]):
        raise ConfigError(
            f"{', '.join(names)}: of which archive?", hint="add --dicomweb https://pacs.example.org/dicom-web"
        )


@contextmanager
def image_of_study(url: str, study: str, series: str, instance: str) -> Iterator[tuple[Path, list[str]]]:
    """The file of an image of a study, in memory, inside the block; and lines that say what it is and whose.

    Errors about it name the image, not the file.
    """
    from discern_vqa.dicomweb.archive import Archive
    from discern_vqa.dicomweb.choosing import choose, who_and_what
    from discern_vqa.dicomweb.memory_file import memory_file
    from discern_vqa.imaging.images import open_image

    if not study:
        raise ConfigError("which study is asked about?", hint=f"--dicomweb {url} --study UID")
    with Archive(url) as archive:
        address, told = choose(archive, study, series, instance)
        content = archive.fetch(address)
    with memory_file(content) as file, named(file, str(address)):
        image = file.with_name(f"{file.name}{address.choice}")
        open_image(image)  # the guards of imaging go first
        yield image, [*who_and_what(file), *([told] if told else [])]


@contextmanager
def open_archive(url: str, command: str) -> "Iterator[Bring]":
    """What brings the images of a table: nothing for files, else what fetches them. Where the archive fails meanwhile,
    the hint says how to go on. command: what the user types for that."""
    if not url:
        yield nullcontext
        return
    from discern_vqa.dicomweb.archive import Archive
    from discern_vqa.dicomweb.connection import ArchiveError
    from discern_vqa.evaluation.archived_images import ArchivedImages

    with Archive(url) as archive:
        try:
            yield ArchivedImages(archive)
        except ArchiveError as error:
            hint = f"{error.hint}; what was answered is kept, go on: {command}"
            raise ArchiveError(str(error), hint=hint) from error


@contextmanager
def named(file: Path, name: str) -> Iterator[None]:
    """Errors that name `file` name the image of the archive instead, which is what was asked for."""
    try:
        yield
    except DiscernError as error:
        changed = type(error)(str(error).replace(str(file), name), hint=error.hint.replace(str(file), name))
        raise changed from error
