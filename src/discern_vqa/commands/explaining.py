"""The verb explain: a heat map of one answer, or the heat maps' own score."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discern_vqa.commands._output import AskedRun, progress_bars
from discern_vqa.data.judged import shown_share
from discern_vqa.errors import ConfigError, DiscernError
from discern_vqa.files import read_json

if TYPE_CHECKING:
    from discern_vqa.data.answers import Answer

FORMATS = (".png", ".svg", ".pdf")
ONE_ANSWER, SCORING = ("out", "method", "words"), ("split", "methods", "limit", "data")
"""The options of either form."""


def explain(
    context: typer.Context,
    run: AskedRun,
    image: Annotated[Path | None, typer.Argument(help="An image file, as for `ask`.")] = None,
    question: Annotated[str, typer.Argument(help="A question about it, in quotes.")] = "",
    out: Annotated[Path | None, typer.Option(help="The figure to write: PNG, SVG or PDF.")] = None,
    method: Annotated[str, typer.Option(help="How; auto: the best measured one.")] = "auto",
    words: Annotated[
        bool, typer.Option("--words", help="Draw a map for each word of the question instead (CMI-MTL).")
    ] = False,
    score: Annotated[bool, typer.Option("--score", help="Measure the run's heat maps instead.")] = False,
    split: Annotated[str, typer.Option(help="With --score: on which split.")] = "test",
    methods: Annotated[str, typer.Option(help="With --score: these only, with commas between.")] = "",
    limit: Annotated[int, typer.Option(help="With --score: about so many questions; 0: all.")] = 400,
    data: Annotated[Path | None, typer.Option(help="With --score: the data set's folder, if it moved.")] = None,
) -> None:
    """Show what an answer rests on, or measure how far such maps can be believed.

    One answer: RUN IMAGE "QUESTION" --out FILE.png draws the image with its heat map, and with --words a map for each
    word of the question. Measuring: RUN --score holds
    every method's maps against the regions that the questions are about.
    """
    _refuse_baseline(run)
    if score:
        measuring = f"discern explain {run} --score"
        if image is not None:
            raise ConfigError("--score measures a whole split: no image is given", hint=measuring)
        _refuse_options(context, ONE_ANSWER, "drawing one answer", measuring)
        _score(run, data, split, [name.strip() for name in methods.split(",") if name.strip()], limit)
        return
    if image is None or not question or out is None:
        raise ConfigError(
            "explain takes an image, a question and --out, or --score",
            hint=f'discern explain {run} IMAGE "Is there a mass?" --out map.png',
        )
    hint = f'discern explain {run} {image} "{question}" --out {out}'
    _refuse_options(context, SCORING, "--score", hint)
    if out.suffix.lower() not in FORMATS:
        raise ConfigError(f"--out {out}: expected a name in {', '.join(FORMATS)}", hint=f"--out {out.stem}.png")
    from discern_vqa.imaging.decoded import decoded_once

    with decoded_once():
        if words:
            _refuse_options(context, ("method",), "a heat map of the answer", f"{hint} --words")
            _draw_words(run, image, question, out)
        else:
            _draw(run, image, question, out, method)


def _refuse_baseline(run: Path) -> None:
    """Raises ConfigError for the run of a baseline, before torch is loaded; what else is wrong with a run is said when
    it is opened."""
    try:
        name = str(read_json(run / "config.json")["model"]["name"])
    except (DiscernError, LookupError, TypeError):
        return
    if name.startswith("baselines."):
        raise ConfigError(
            f"{run} is a baseline's run: it has no network that looks anywhere",
            hint=f"similar cases say more of it: discern ask {run} IMAGE QUESTION --similar 5"
            if name in ("baselines.kernel_ridge", "baselines.retrieval")
            else "explain a network's run",
        )


def _refuse_options(context: typer.Context, names: tuple[str, ...], form: str, hint: str) -> None:
    """Raises ConfigError for options that were typed, even with their default's value, and would do nothing here."""
    sources = {name: context.get_parameter_source(name) for name in names}
    given = [f"--{name}" for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if given:
        raise ConfigError(f"{', '.join(given)}: only for {form}", hint=hint)


def _draw(run: Path, image: Path, question: str, out: Path, method: str) -> None:
    from discern_vqa.commands.data_look import seen
    from discern_vqa.evaluation.body import warning as outside
    from discern_vqa.evaluation.explain import explain as explained
    from discern_vqa.evaluation.explain_view import DISCLAIMER, figure
    from discern_vqa.evaluation.opening import open_run
    from discern_vqa.imaging.image_ref import file_of
    from discern_vqa.imaging.images import open_image
    from discern_vqa.paths import refuse_own_input

    refuse_own_input(out, file_of(image))
    made = explained(open_run(run), image, question, method)
    answer = _in_words(made.answer)
    about = "" if made.explained == made.answer.text else f", of the answer {made.explained!r}"
    said = {"question": question, "answer": answer, "method": f"{made.summary}{about}", "measured": made.measured}
    if part := seen(image):
        typer.echo(part, err=True)
    picture = open_image(image)
    if told := outside(picture, made.grid):
        said["measured"] = f"Take care: {told}. {made.measured}".rstrip()
    figure(picture, made.grid, said, out)
    typer.echo(f"{answer}\n{made.method}: {said['method']}")
    if said["measured"]:
        typer.echo(said["measured"])
    for note in made.answer.notes:
        typer.echo(f"NOTE: {note}")
    if made.words:
        gates = ", ".join(f"{word} {gate:.3f}" for word, gate in made.words)
        typer.echo(f"how far each word opens the gate to the image (mean of |g|): {gates}")
    typer.echo(f"figure: {out}\n{DISCLAIMER}")


def _draw_words(run: Path, image: Path, question: str, out: Path) -> None:
    from discern_vqa.commands.data_look import seen
    from discern_vqa.evaluation.explain import explain_words
    from discern_vqa.evaluation.explain_view import DISCLAIMER
    from discern_vqa.evaluation.opening import open_run
    from discern_vqa.evaluation.word_view import figure, times_even
    from discern_vqa.imaging.image_ref import file_of
    from discern_vqa.imaging.images import open_image
    from discern_vqa.paths import refuse_own_input

    refuse_own_input(out, file_of(image))
    made = explain_words(open_run(run), image, question)
    answer = _in_words(made.answer)
    if part := seen(image):
        typer.echo(part, err=True)
    figure(open_image(image), made.words, {"question": question, "answer": answer, "measured": made.measured}, out)
    peaks = ", ".join(f"{word} {times_even(grid).max():.1f}" for word, grid in made.words)
    typer.echo(f"{answer}\nweight of each word's strongest cell, times an even share: {peaks}")
    if made.measured:
        typer.echo(made.measured)
    typer.echo(f"figure: {out}\n{DISCLAIMER}")


def _in_words(answer: "Answer") -> str:
    """The same verdict as `ask` gives."""
    verdict = answer.verdict
    if verdict.abstains:
        return verdict.in_words
    uncalibrated = "" if verdict.is_calibrated else ", not calibrated"
    return f"{verdict.answer}  (confidence {shown_share(verdict.confidence)}{uncalibrated})"


def _score(run: Path, data: Path | None, split: str, names: list[str], limit: int) -> None:
    from discern_vqa.evaluation.explain_scores import score
    from discern_vqa.evaluation.explain_view import as_table

    with progress_bars() as progress:
        made = score(run, data=data, split=split, names=names, limit=limit, progress=partial(progress, "explaining"))
    typer.echo(f"{as_table(made)}\n\nscores: {run / f'explanation_scores.{split}.json'}")
