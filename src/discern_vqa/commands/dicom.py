"""The verb that writes answers as DICOM objects, into a folder or into an archive."""

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discern_vqa.commands._archive import DicomWeb
from discern_vqa.commands._output import AskedRun, progress_bars
from discern_vqa.commands._sets import parsed
from discern_vqa.commands.answers import DISCLAIMER
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.run_folder import require_run

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from discern_vqa.dicom_out import Reported, RunInfo
    from discern_vqa.evaluation.predict import Predictor

DONE, NOTHING_WRITTEN = 0, 1
_SHOWN = 5


def dicom(
    run: AskedRun,
    answers: Annotated[Path, typer.Argument(help="Answers of this run: predict RUN QUESTIONS --out answers.jsonl.")],
    sr: Annotated[bool, typer.Option("--sr", help="Structured reports (TID 1500), for programs.")] = False,
    sc: Annotated[bool, typer.Option("--sc", help="Secondary captures: image and answer side by side.")] = False,
    pdf: Annotated[bool, typer.Option("--pdf", help="The same pages as PDF documents.")] = False,
    seg: Annotated[
        bool, typer.Option("--seg", help="Heat maps as fractional segmentations; they are drawn on the pages too.")
    ] = False,
    gsps: Annotated[
        bool, typer.Option("--gsps", help="A presentation state that marks each heat map's strongest region.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write the objects as files into this folder.")] = None,
    store: Annotated[
        str, typer.Option(help="Store the objects in this archive: the address of its DICOMweb service.", metavar="URL")
    ] = "",
    dicomweb: DicomWeb = "",
    option: Annotated[
        list[str] | None,
        typer.Option("--option", help="How the answers are read, as for predict.", metavar="KEY=VALUE"),
    ] = None,
) -> None:
    """Write answers as DICOM objects beside the images they are about.

    Each object carries patient and study of its image. Files or --dicomweb say where the images are, --out or --store
    where the objects go. Exit code 1: nothing was written.
    """
    wanted = {"sr": sr, "sc": sc, "pdf": pdf, "seg": seg, "gsps": gsps}
    kinds = [kind for kind in wanted if wanted[kind]]
    hint = f"discern dicom {run} {answers} --sr --sc --out OUT"
    if not kinds:
        raise ConfigError("which objects are to be written?", hint=f"{hint} (or --pdf, --seg, --gsps)")
    if (out is None) == (not store):
        raise ConfigError("objects go into one folder, or into one archive", hint=f"{hint}, or --store URL")
    require_run(run, finished=False)
    from discern_vqa.dicom_out import RunInfo
    from discern_vqa.dicomweb.archive import Archive
    from discern_vqa.evaluation.answers_to_file import by_image, opened
    from discern_vqa.evaluation.questions import look_through
    from discern_vqa.reading.shapes import LINES

    if answers.suffix.lower() not in LINES:
        raise ConfigError(
            f"{answers} is no file of JSON Lines, which alone have all that is said of an answer",
            hint=f"discern predict {run} QUESTIONS --out {answers.with_suffix('.jsonl')}",
        )
    given = look_through(answers, (), parsed(option or []), archive=dicomweb)
    info = RunInfo.of(run, datetime.fromtimestamp(int(answers.stat().st_mtime)))
    problems: list[str] = []
    images = by_image(given.rows(), info.weights, problems)
    predictor: Predictor | None = None
    if seg or gsps:
        from discern_vqa.evaluation.opening import open_run

        predictor = open_run(run)
    written = 0
    with ExitStack() as stack, progress_bars() as progress:
        source = stack.enter_context(Archive(dicomweb)) if dicomweb else None
        target = source if store == dicomweb else stack.enter_context(Archive(store)) if store else None
        for number, about in enumerate(images, start=1):
            try:
                with opened(about, source) as file:
                    objects = _objects(file, about.answers, info, kinds, number, predictor)
            except DataError as error:
                problems.append(f"{about.source}: {error}")
                continue
            if target is not None:
                target.store(objects)
            elif out is not None:
                _write(out, objects)
            written += len(objects)
            progress("writing", number, len(images))
    for problem in problems[:_SHOWN]:
        typer.echo(f"NOTE: {problem}", err=True)
    if len(problems) > _SHOWN:
        typer.echo(f"NOTE: and {len(problems) - _SHOWN:,} more such rows or images", err=True)
    place = store or str(out)
    typer.echo(
        f"{written:,} object{'s' * (written != 1)} about {len(images):,} image{'s' * (len(images) != 1)}: {place}"
    )
    if out is not None and written:
        typer.echo("NOTE: these files name patients and studies, as the images do that they are about", err=True)
    typer.echo(DISCLAIMER)
    raise typer.Exit(DONE if written else NOTHING_WRITTEN)


def _objects(
    file: Path,
    answers: "Sequence[Reported]",
    info: "RunInfo",
    kinds: Sequence[str],
    number: int,
    predictor: "Predictor | None",
) -> "list[Dataset]":
    """The objects about one image; with a predictor its answers are given heat maps first."""
    from discern_vqa.dicom_out import objects_of, read_source
    from discern_vqa.imaging.decoded import decoded_once

    with decoded_once():
        source = read_source(file)
        if predictor is not None:
            from discern_vqa.evaluation.answer_heat import with_heat_map

            answers = [with_heat_map(predictor, file, one) for one in answers]
        return objects_of(answers, source, info, kinds, number)


def _write(folder: Path, objects: "Sequence[Dataset]") -> None:
    from discern_vqa.dicom_out import file_of
    from discern_vqa.files import atomic_write_bytes, explained

    with explained(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # for its owner alone: the files name patients
    for one in objects:
        atomic_write_bytes(folder / f"{str(one.Modality).lower()}-{one.SOPInstanceUID}.dcm", file_of(one))
