"""`discern data audit`, `split`, `preview`: what is wrong with a data set, how to divide it, what it looks like."""

from pathlib import Path
from typing import Annotated

import typer

from discern_vqa import registry
from discern_vqa.commands._output import progress_bars, say_next, write_json
from discern_vqa.commands._sets import (
    Name,
    Named,
    Options,
    Root,
    SkipBroken,
    named,
    parsed,
    read_and_report,
    read_set,
    refuse_over_set,
    report_skipped,
)
from discern_vqa.errors import ConfigError
from discern_vqa.registry import is_a_set

CLEAN, FLAWED = 0, 1


def audit(
    name: Name,
    root: Root = None,
    as_json: Annotated[Path | None, typer.Option("--json", help="Also write the findings to this file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write a page with the images to this file.")] = None,
    against: Annotated[
        tuple[str, Path] | None,
        typer.Option(help="Another data set, name and folder, to look for shared images in.", metavar="NAME ROOT"),
    ] = None,
    option: Options = None,
    skip_broken: SkipBroken = False,
    normalise: Annotated[
        str, typer.Option(help="How answers are compared; default: m3ae for a published set, plain for your own.")
    ] = "",
    encoder: Annotated[
        str, typer.Option(help="Compare images by this encoder's features too, e.g. mobilenet_v2_1.0_224 (slow).")
    ] = "",
) -> None:
    """Find what is wrong with a data set.

    Shared and near-identical images, test questions re-phrased in train, answers that only test has, and the accuracy
    of lookup tables. Exit code 0: no flaw was found; 1: there are flaws; 2: the command is wrong.
    """
    from discern_vqa import audit
    from discern_vqa.audit.baselines import SEE
    from discern_vqa.audit.page import write_page
    from discern_vqa.config import usual_normaliser  # brings pydantic, for which no other command shall wait
    from discern_vqa.imaging.fingerprint_cache import cache_file
    from discern_vqa.imaging.fingerprints import workers_here

    given = named(name, root, option)
    typed, (name, root, option) = option, (given.name, given.root, given.options)
    module = registry.load("datasets", name)
    if against is not None:
        registry.load("datasets", against[0])  # refuses a wrong name before anything is read
    options = _with_all_samples(name, option)
    broken: list[str] = []
    samples = read_set(name, root, [], options, broken, given.file)
    for written_to in (as_json, html):
        refuse_over_set(written_to, root, samples)
    broken = list(dict.fromkeys(broken))  # two splits may read one file
    other = None
    if against is not None:
        other = (against[0], read_set(against[0], against[1], [], _with_all_samples(against[0], None)))
    if skip_broken:
        report_skipped(broken)
    with progress_bars() as progress:
        found = audit.audit(
            samples,
            normalise=normalise or usual_normaliser(name),
            published={} if option else module.PUBLISHED,
            left_out={} if option else getattr(module, "LEFT_OUT", {}),
            broken=[] if skip_broken else broken,
            tables=tuple(SEE),
            encoder=encoder,
            against=other,
            workers=workers_here(),
            cache=cache_file(),
            progress=progress,
        )
    write_json(as_json, found)
    if html is not None:
        title = root.resolve().name if given.file is None and not is_a_set(name) else given.title
        write_page(found, html, title, samples, other[1] if other else None)
    typer.echo(audit.as_text(found))
    index = parsed(option).get("index")
    if index and given.file is not None:
        say_next("train", "baselines/kernel_ridge", "--data", str(given.file), "--out", "RUN")
    elif index:
        say_next("train", "baselines/kernel_ridge", "--set", f"data.dataset={name}", "--data", str(root), "--set",
                 f"data.index={index}", "--out", "RUN")  # fmt: skip
    else:
        say_next("data", "split", *given.typed, *_typed(typed), "--out", "split")
    raise typer.Exit(FLAWED if found["flaws"] else CLEAN)


def split(
    name: Name,
    root: Root = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder to write the split to; with --folds, a folder for each.",
            show_default="split, beside a data.toml",
        ),
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            help="Kept together besides image, patient and study: near (near-identical images). image: nothing else;"
            " patient, study: required in the data. Commas between: near,patient."
        ),
    ] = "near",
    test: Annotated[float, typer.Option(help="Share of the questions for the test part.")] = 0.2,
    validation: Annotated[float, typer.Option(help="Share of the questions for validation; 0 for none.")] = 0.1,
    folds: Annotated[int, typer.Option(help="Number of splits, each testing another part; 0 for one split.")] = 0,
    seed: Annotated[int, typer.Option(help="Another seed, another split.")] = 0,
    option: Options = None,
    skip_broken: SkipBroken = False,
) -> None:
    """Split a data set so that related samples are in one part.

    Samples of one image, patient or study are never divided, by near neither are those of near-identical images.
    Recipes read the split with index = "DIR" in [data], the commands about data with --option index=DIR. The
    split keeps each --option that is given here.
    """
    from functools import partial

    from discern_vqa.imaging.fingerprint_cache import cache_file
    from discern_vqa.imaging.fingerprints import fingerprints, workers_here
    from discern_vqa.reading import splitting

    settings = splitting.SplitSettings(by=by, test=test, validation=validation, folds=folds, seed=seed)
    source = named(name, root, option, split=False)
    given = parsed(source.options)
    out = _folder_of_split(source) if out is None else out
    if "index" in given:
        message = "a split is made from the data set itself, not from another split"
        raise ConfigError(message, hint="leave out --option index")
    samples = read_and_report(source.name, source.root, source.options, skip_broken, file=source.file)
    with progress_bars() as progress:
        look = partial(
            fingerprints,
            workers=workers_here(),
            cache=cache_file(),
            progress=lambda done, total: progress("reading images", done, total),
        )
        about = {"dataset": source.name, "options": given, "skip_broken": skip_broken}
        made = splitting.make(samples, settings, out, about, look)
    for summary in made:
        typer.echo(
            f"{summary['folder']}: {summary['clusters']:,} clusters, the largest of {summary['largest']:,} samples"
        )
        if summary["unnamed"]:
            wanted = " or no ".join(way for way in settings.ways if way in ("patient", "study"))
            typer.echo(
                f"  {summary['unnamed']:,} samples name no {wanted}: they are kept together by their images alone"
            )
        for part, counts in summary["parts"].items():
            share = f"({100 * counts['share']:.1f} %)"
            typer.echo(f"  {part:<11}{counts['judged']:>8,} questions {share}, {counts['images']:,} images")
    first = made[0]["folder"]
    typer.echo(f'recipes read it with index = "{first}" in [data]')
    if source.file is not None:
        from discern_vqa.data_file import relative

        typer.echo(f'{source.file} reads it with: index = "{relative(Path(first), source.file)}"')
    say_next("data", "audit", *source.typed, "--option", f"index={first}")


def preview(
    name: Name,
    out: Annotated[Path, typer.Option(help="The folder to write the sheets and index.html to.")],
    root: Root = None,
    by: Annotated[
        str,
        typer.Option(
            help="A sheet for each: modality, organ, question_type or split.",
            show_default="modality,organ,question_type; split where the data set says nothing of these",
        ),
    ] = "",
    images: Annotated[int, typer.Option(help="Largest number of images on a sheet.", min=1)] = 40,
    seed: Annotated[int, typer.Option(help="Another seed, other images.")] = 0,
    option: Options = None,
    skip_broken: SkipBroken = False,
) -> None:
    """Draw contact sheets of a data set.

    Writes a PNG for each modality, organ and question type, and a page that shows them.
    """
    from discern_vqa.audit.preview import write_preview

    given = named(name, root, option)
    samples = read_and_report(given.name, given.root, given.options, skip_broken, file=given.file)
    kinds = [part.strip() for part in by.split(",") if part.strip()]
    if not kinds:
        rows = [row for part in samples.values() for row in part]
        kinds = ["modality", "organ", "question_type"]
        if not any(getattr(row, kind) for row in rows for kind in kinds):
            typer.echo(f"{given.title} says nothing of {', '.join(kinds)}: a sheet for each split", err=True)
            kinds = ["split"]
    page = write_preview(samples, out, given.title, kinds, images, seed)
    typer.echo(f"wrote {page}")
    say_next("data", "audit", *given.typed, *_typed(option))


def _folder_of_split(source: Named) -> Path:
    """Where a split is written if nobody says. Raises ConfigError: there is no data.toml, or a split is there."""
    from discern_vqa.data_file import SPLIT

    if source.file is None:
        raise ConfigError("where is the split to be written?", hint="add --out split")
    out = source.file.parent / SPLIT
    if out.exists():  # a model may have learned from it
        raise ConfigError(f"{out} is there already", hint=f"name another folder: --out {out.with_name('split2')}")
    return out


def _typed(option: list[str] | None) -> list[str]:
    """The reader's options as they were typed."""
    return [word for text in option or [] for word in ("--option", text)]


def _with_all_samples(name: str, options: list[str] | None) -> list[str]:
    """The options with which the reader leaves nothing out (its `WHOLE`), and those that were given."""
    given = options or []
    if any(option.startswith("index=") for option in given):  # a split knows only what the reader gives by default
        return given
    whole = getattr(registry.load("datasets", name), "WHOLE", {})
    return [*(f"{key}={value}" for key, value in whole.items()), *given]
