"""`discern data look`: one image file as a model sees it, what was done to get there, and a warning about text."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discern_vqa.commands._sets import named, read_set
from discern_vqa.errors import ConfigError

if TYPE_CHECKING:
    from discern_vqa.imaging.decoded import DecodedImage

MEDICAL = ("DICOM", "NIfTI", "Analyze")
"""Kinds of file of which a model sees a part: a frame, a slice, a window."""


def look(
    image: Annotated[Path, typer.Argument(help="An image file (a.dcm#frame=3 names one frame of it), or a data.toml.")],
    out: Annotated[Path | None, typer.Option("--out", help="Write the image here, as PNG, without any tag.")] = None,
) -> None:
    """Show what a model sees of an image file, or how a data.toml is understood.

    Of an image it prints what was done (frame, slice, window), and warns when text may be burned into it. Of a
    data.toml it prints how many questions each split has, and three of them.
    """
    from discern_vqa.data_file import is_data_file

    if is_data_file(image):
        _look_at_set(image, out)
        return
    from discern_vqa.files import atomic_path
    from discern_vqa.imaging.burned_in import text_lines
    from discern_vqa.imaging.image_ref import file_of
    from discern_vqa.imaging.images import open_recorded
    from discern_vqa.paths import refuse_own_input

    refuse_own_input(out, file_of(image))
    opened = open_recorded(image)
    typer.echo(as_text(opened))
    found = text_lines(opened.image)
    if found:
        first = found[0]
        typer.echo(
            f"warning: text may be burned in ({len(found)} {'rows' if len(found) > 1 else 'row'}, the longest at "
            f"{first.left},{first.top} to {first.right},{first.bottom}): it may name the patient"
        )
    if out is not None:
        with atomic_path(out) as partial:
            opened.image.save(partial, "PNG")
        typer.echo(f"image: {out}")


def _look_at_set(file: Path, out: Path | None) -> None:
    from discern_vqa.reading import understood

    if out is not None:
        raise ConfigError(
            f"--out is for an image, and {file} names a data set", hint=f"discern data preview {file} --out DIR"
        )
    source = named(str(file), None)
    samples = read_set(source.name, source.root, [], source.options, file=source.file)
    typer.echo("\n".join([understood.counts(samples), *understood.rows(samples)]))
    typer.echo(f"next: discern data audit {file}")


def as_text(opened: "DecodedImage") -> str:
    """The record as lines: what it is, its facts, each step, each warning."""
    width, height = opened.image.size
    colour = "colour" if opened.image.mode == "RGB" else "grey"
    facts = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in opened.facts.items())
    lines = [f"{opened.kind}: seen as {width} x {height} pixels, {colour}", f"  {facts}"]
    return "\n".join([*lines, *(f"- {step}" for step in opened.steps), *(f"warning: {one}" for one in opened.warnings)])


def seen(image: Path) -> str:
    """Lines about the part of a medical file that is seen, and about what a person should look at; "" for an ordinary
    image without warnings, which is seen whole."""
    from discern_vqa.imaging.images import open_recorded

    opened = open_recorded(image)
    part = [f"seen: {'; '.join(opened.steps)}"] if opened.kind in MEDICAL else []
    return "\n".join([*part, *(f"warning: {one}" for one in opened.warnings)])
