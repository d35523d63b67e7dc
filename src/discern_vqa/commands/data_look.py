"""`discern data look`: one image file as a model sees it, what was done to get there, and a warning about text."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from discern_vqa.imaging.decoded import DecodedImage

MEDICAL = ("DICOM", "NIfTI", "Analyze")
"""Kinds of file of which a model sees a part: a frame, a slice, a window."""


def look(
    image: Annotated[Path, typer.Argument(help="An image file; a.dcm#frame=3 names one frame of it.")],
    out: Annotated[Path | None, typer.Option("--out", help="Write the image here, as PNG, without any tag.")] = None,
) -> None:
    """Show what a model sees of an image file.

    Prints what was done (frame, slice, window), and warns when text may be burned into the image.
    """
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
