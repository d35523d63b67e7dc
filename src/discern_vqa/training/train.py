"""`discern train`: a recipe becomes a run folder. Pre-training and fine-tuning alike: the objective decides."""

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import torch

from discern_vqa.answering.decisions import decide_all
from discern_vqa.answering.modes import Answering, tune_hybrid
from discern_vqa.bases import ModelBase
from discern_vqa.card import CARD, write_card
from discern_vqa.config import Recipe, read_recipe
from discern_vqa.data.batch import Batcher
from discern_vqa.data.sample import CLOSED, OPEN, Sample
from discern_vqa.data_file import as_overrides
from discern_vqa.division import Place
from discern_vqa.errors import ConfigError
from discern_vqa.files import atomic_write_text
from discern_vqa.lock import locked
from discern_vqa.paths import find_recipe
from discern_vqa.recipe_samples import find_root
from discern_vqa.run import ANSWERING, CONFIG, WEIGHTS, Run, has_begun
from discern_vqa.timers import timed
from discern_vqa.training.baseline import fit_baseline
from discern_vqa.training.loop import Work, fit, remove_unneeded
from discern_vqa.training.processes import processes
from discern_vqa.training.progress import Bar
from discern_vqa.training.setup import Say, Start, same_recipe, set_up
from discern_vqa.training.state import Progress
from discern_vqa.training.trackers import check_installed


def train(
    recipe: Path,
    *,
    data: Path | None = None,
    from_run: Path | None = None,
    overrides: list[str] | None = None,
    out: Path,
    resume: bool = False,
    quiet: bool = False,
    validated: Callable[[dict[str, float]], None] | None = None,
) -> Run:
    """Trains what `recipe` says into the folder `out`.

    Args:
        recipe: a TOML file; `config.read_recipe` says what is checked.
        data: the data set's folder, or a data.toml; none: where `paths.find_data` looks.
        from_run: a finished run whose weights, words and answers are taken over (fine-tuning adds no parameter).
        overrides: `table.key=value`, as `--set`.
        resume: go on with a run that was stopped; a finished one is left as it is.
        validated: told the figures of each validation; what it raises ends the training.

    Raises RunError where another command is at work in `out`.
    """
    started = time.monotonic()
    out, recipe = Path(out), find_recipe(recipe)
    data, overrides = as_overrides(data, overrides or [])
    _check_out(out, resume)
    among, has_ended = processes(), resume and (out / WEIGHTS).is_file()
    quiet = quiet or not among.is_main_process
    with locked(out) if among.is_main_process and not has_ended else nullcontext():
        settings = read_recipe(recipe, overrides)
        check_installed(settings.run.trackers)
        if settings.run.threads:
            torch.set_num_threads(settings.run.threads)
        say: Say = partial(print, flush=True) if not quiet else lambda text: None
        if has_ended:
            run = _ended(out, settings, among.is_main_process)
            say(f"{out} has ended already; nothing to resume")
            return run
        if settings.is_outside:
            raise ConfigError(
                f"{settings.model.name} asks somebody else's model, which is not trained",
                hint=f"discern evaluate {out} --model {recipe}",
            )
        if settings.is_baseline:
            if among.is_main_process:
                fit_baseline(recipe, settings, data, from_run, out, say)
            among.wait_for_everyone()
            return Run.open(out)
        if from_run is None and settings.run.after:
            from_run = out / "before"
            _train_before(recipe, settings, data, overrides, out, resume=resume, quiet=quiet)
        with among.main_process_first():
            root = find_root(settings.data, data)
        with timed("setting up"):
            start = set_up(settings, recipe, root, out, from_run=from_run, resume=resume, among=among, say=say)
        progress = _learn(start, out, resume, quiet, say, validated)
        best = (
            f", best validation {progress.best:.3f} after epoch {progress.best_epoch + 1}" if start.validation else ""
        )
        say(f"{out}: {progress.epoch} epochs, {progress.step:,} steps in {time.monotonic() - started:.0f} s{best}")
        return Run.open(out)


def _learn(
    start: Start, out: Path, resume: bool, quiet: bool, say: Say, validated: Callable[[dict[str, float]], None] | None
) -> Progress:
    run, model, batcher, validation = start.run, start.model, start.batcher, start.validation
    settings = run.recipe

    def validate() -> dict[str, float]:
        figures = validation_figures(model, batcher, validation, batcher.place)
        if validated is not None:
            validated(figures)
        return figures

    def conclude() -> None:
        if validation and "hybrid" in model.modes:
            say(tuned(run, model, batcher, validation))
        write_card(out)

    work = Work(
        model=model,
        objective=start.objective,
        batches=start.batches,
        batch=start.batch,
        validate=validate if validation else None,
        conclude=conclude,
    )
    with Bar(settings.run.epochs, quiet) as bar:
        return fit(work, settings.optim, settings.run, out, resume=resume, show=bar)


def _ended(out: Path, settings: Recipe, is_main_process: bool) -> Run:
    """A run that has ended; what a training that was killed at its very end left undone is done."""
    run = Run.open(out)
    same_recipe(run.recipe, settings, out)
    if is_main_process:
        remove_unneeded(out)
        if not (out / CARD).is_file():
            write_card(out)
    return run


def _train_before(
    recipe: Path, settings: Recipe, data: Path | None, overrides: list[str], out: Path, *, resume: bool, quiet: bool
) -> None:
    """Trains the recipe that `run.after` names into the folder `before` of `out`, unless that was done before."""
    folder, before = out / "before", recipe.parent / settings.run.after
    inherited = [override for override in overrides if override.startswith(("data.draw", "run.seed"))]
    if (folder / WEIGHTS).is_file():
        if not (resume and (out / CONFIG).is_file()):  # what has begun goes on from what it began with
            same_recipe(Run.open(folder).recipe, read_recipe(before, inherited), folder)
        return
    _check_before(recipe, settings)
    if not quiet:
        print(f"first: {settings.run.after} into {folder}", flush=True)
    # `--data` names the folder of this recipe's data set: the first recipe gets it only if it is of the same set.
    its_data = data if read_recipe(before).data.dataset == settings.data.dataset else None
    go_on = resume or has_begun(folder)
    train(before, data=its_data, overrides=inherited, out=folder, resume=go_on, quiet=quiet)


def _check_out(out: Path, resume: bool) -> None:
    """A run has a folder of its own. Raises ConfigError for a file, and for the folder in which the user happens to
    stand (an empty --out is that too), unless it is a run that is to be gone on with."""
    nearest = next((path for path in (out, *out.parents) if path.exists()), None)
    if nearest is not None and not nearest.is_dir():
        raise ConfigError(f"--out {out}: {nearest} is a file; a run is a folder", hint="choose another --out")
    if not out.name and not (resume and (out / CONFIG).is_file()):
        raise ConfigError(f"--out {str(out)!r} names no folder of the run's own", hint="for example: --out runs/first")


def _check_before(recipe: Path, settings: Recipe) -> None:
    """Reads every recipe that is to be trained first. Raises ConfigError for one that comes before itself."""
    seen = [recipe.resolve()]
    while settings.run.after:
        recipe = recipe.parent / settings.run.after
        if recipe.resolve() in seen:
            raise ConfigError(f"{recipe} comes before itself, by way of run.after", hint="take `after` out of one")
        seen.append(recipe.resolve())
        settings = read_recipe(recipe)


def tuned(run: Run, model: ModelBase, batcher: Batcher, validation: list[Sample]) -> str:
    """Tunes the threshold of `hybrid` on validation and keeps it in the run. Returns a line for the log."""
    answering = Answering(model, batcher, validation)
    below, figures = tune_hybrid(answering, run.recipe.data.normaliser)
    content = {"hybrid_below": below, "tuned_on": "validation"} | figures
    atomic_write_text(run.folder / ANSWERING, json.dumps(content, indent=1))
    right = {mode: figures[mode] / figures["n"] for mode in ("classify", "hybrid")}
    return (
        f"hybrid: generates where an open question's best class is below {below:.2f} "
        f"(validation: {right['classify']:.3f} classified, {right['hybrid']:.3f} hybrid)"
    )


def validation_figures(
    model: ModelBase, batcher: Batcher, samples: list[Sample], place: Place | None = None
) -> dict[str, float]:
    """Accuracy on validation (overall, open, closed) and the cross-entropy of the answers that the table knows; `place`
    of this process where several share the work."""
    probabilities = decide_all(model, batcher, samples, place=place).probabilities
    gold = torch.tensor([batcher.vocabulary.index(sample.answer) for sample in samples])
    right = (probabilities.argmax(-1) == gold).float()
    figures = {"accuracy": float(right.mean())}
    for kind in (OPEN, CLOSED):
        chosen = torch.tensor([sample.answer_type == kind for sample in samples])
        if bool(chosen.any()):
            figures[f"accuracy_{kind}"] = float(right[chosen].mean())
    known = gold >= 0
    if bool(known.any()):
        picked = probabilities[known].gather(1, gold[known, None]).clamp(min=1e-9)
        figures["loss"] = float(-picked.log().mean())
    return {name: round(value, 5) for name, value in figures.items()}
