"""`discern train`: a recipe becomes a run folder. Pre-training and fine-tuning alike: the objective decides."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from safetensors.torch import save_file

from discern_vqa import registry
from discern_vqa.card import write_card
from discern_vqa.config import Recipe, read_recipe
from discern_vqa.data.answers import AnswerVocabulary
from discern_vqa.data.batch import Batcher
from discern_vqa.data.sample import CLOSED, OPEN, Sample
from discern_vqa.data.sampling import drawn_beside, epoch_batches, without_incomplete
from discern_vqa.data.sources import StateSource
from discern_vqa.datasets._load import (
    beside_samples,
    find_beside,
    find_root,
    imitated,
    learning_samples,
    vocabulary_samples,
)
from discern_vqa.errors import ConfigError, DataError, RunError
from discern_vqa.files import atomic_path, atomic_write_text
from discern_vqa.models._answering import answer_scores
from discern_vqa.models._modes import Answering, modes_of, tune_hybrid
from discern_vqa.parts import make_tokenizer, make_writer
from discern_vqa.paths import find_recipe
from discern_vqa.run import (
    ANSWERING,
    CONFIG,
    WEIGHTS,
    Run,
    load_weights,
    read_tensors,
)
from discern_vqa.training.baseline import fit_baseline
from discern_vqa.training.loop import Work, fit
from discern_vqa.training.progress import Bar

PRETRAINED = {
    "image": "image encoder",
    "text": "text encoder",
    "fvta": "query transformer",
    "generator": "generator",
}
"""Parts of a model that may come with weights, and what they are called."""


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
        data: the data set's folder; none: where `paths.find_data` looks.
        from_run: a finished run whose weights, words and answers are taken over (fine-tuning adds no parameter).
        overrides: `table.key=value`, as `--set`.
        resume: go on with a run that was stopped; a finished one is left as it is.
        validated: told the figures of each validation; what it raises ends the training.
    """
    started = time.monotonic()
    out, recipe = Path(out), find_recipe(recipe)
    settings = read_recipe(recipe, overrides)
    if settings.run.threads:
        torch.set_num_threads(settings.run.threads)
    among = PartialState(cpu=not torch.cuda.is_available())
    quiet = quiet or not among.is_main_process
    say = (lambda text: None) if quiet else lambda text: print(text, flush=True)
    if resume and (out / WEIGHTS).is_file():
        say(f"{out} has ended already; nothing to resume")
        return Run.open(out)
    if settings.is_baseline:
        if not among.is_main_process:
            among.wait_for_everyone()
            return Run.open(out)
        run = fit_baseline(recipe, settings, data, from_run, out, say)
        write_card(out)
        among.wait_for_everyone()
        return run
    if from_run is None and settings.run.after:
        from_run = out / "before"
        if not (from_run / WEIGHTS).is_file():
            say(f"first: {settings.run.after} into {from_run}")
            before = recipe.parent / settings.run.after
            inherited = [one for one in overrides or [] if one.startswith(("data.draw", "run.seed"))]
            train(before, data=_data_for(before, settings, data), overrides=inherited, out=from_run,
                  resume=resume or (from_run / CONFIG).is_file(), quiet=quiet)
    with among.main_process_first():
        root = find_root(settings.data, data)
    further = find_beside(settings.data, root)
    samples, validation = learning_samples(settings.data, root, settings.run.seed)
    if not samples:
        raise DataError(f"{root}: nothing to learn from", hint="see: discern data audit")
    torch.manual_seed(settings.run.seed)
    with among.main_process_first():
        if (resume or not among.is_main_process) and (out / CONFIG).is_file():
            run = Run.open(out, finished=False)
            _same_recipe(run.recipe, settings, out)
        else:
            run = _new_run(out, recipe, settings, root, from_run)
    model = run.build_model(pretrained=from_run is None).to(among.device)
    if from_run is not None:
        load_weights(model, Path(from_run) / WEIGHTS)
    if settings.run.mode not in modes_of(model):
        raise ConfigError(
            f"[run] mode = {settings.run.mode!r}: {settings.model.name} as set here cannot answer so",
            hint=f"it can: {', '.join(modes_of(model))}",
        )
    if from_run is None:
        said_random(model, say)
    for warning in imitated(settings.data):
        say(f"WARNING: {warning}")
    say(
        f"{len(samples):,} samples of {len({sample.image for sample in samples}):,} images, "
        f"{len(validation):,} for validation, {len(run.vocabulary):,} answers, "
        f"{sum(p.numel() for p in model.parameters() if p.requires_grad):,} trained parameters"
    )
    batcher = run.batcher(model)
    beside = beside_samples(settings.data, further, run.vocabulary) if further is not None else []
    if beside:
        images = len({sample.image for sample in beside})
        say(f"beside them: {len(beside):,} questions about {images:,} images of {settings.data.beside}")
    learned = [*samples, *beside]
    with among.main_process_first():
        warm_states(run, batcher, [*learned, *validation], say)
        run.learn_prior(batcher, samples)
    objective = registry.load("objectives", settings.objective.name).Objective(settings.objective, model)
    if hasattr(objective, "similar"):
        with among.main_process_first():
            say(use_similar(run, objective, learned, batcher))

    def batches(epoch: int) -> list[list[int]]:
        optim = settings.optim
        rows = drawn_beside(len(samples), len(beside), settings.data.beside_share, settings.run.seed, epoch)
        chosen = [learned[row] for row in rows]
        drawn = epoch_batches(chosen, optim.batch, settings.run.seed, epoch, optim.per_image, objective.mixed)
        drawn = without_incomplete(drawn, optim.batch) if "D7" in settings.data.imitate else drawn
        return [[rows[place] for place in batch] for batch in drawn]

    def validate() -> dict[str, float]:
        figures = validation_figures(model, batcher, validation)
        if validated is not None:
            validated(figures)
        return figures

    work = Work(
        model=model,
        objective=objective,
        batches=batches,
        batch=lambda rows, rng: batcher.batch([learned[row] for row in rows], rng),
        validate=validate if validation else None,
    )
    with Bar(settings.run.epochs, quiet) as bar:
        progress = fit(work, settings.optim, settings.run, out, resume=resume, show=bar)
    if validation and "hybrid" in modes_of(model) and among.is_main_process:
        say(tuned(run, model, batcher, validation))
    if among.is_main_process:
        write_card(out)
    best = f", best validation {progress.best:.3f} after epoch {progress.best_epoch + 1}" if validation else ""
    say(f"{out}: {progress.epoch} epochs, {progress.step:,} steps in {time.monotonic() - started:.0f} s{best}")
    return Run.open(out)


def _data_for(before: Path, settings: Recipe, data: Path | None) -> Path | None:
    """`--data` names the folder of this recipe's data set: the first recipe gets it only if it is of the same set."""
    return data if read_recipe(before).data.dataset == settings.data.dataset else None


def _new_run(
    out: Path, source: Path, settings: Recipe, root: Path, from_run: Path | None
) -> Run:
    if from_run is not None:
        before = Run.open(from_run)
        if before.recipe.model.resolved() != settings.model.resolved():
            raise ConfigError(
                f"[model] of {source} differs from that of {from_run}: {_differences(before.recipe, settings)}",
                hint="fine-tuning adds no parameter: use the same [model] table in both recipes",
            )
        vocabulary, tokenizer, writer = before.vocabulary, before.tokenizer, before.writer
    else:
        learned = vocabulary_samples(settings.data, root)
        asked = [sample for sample in learned if not sample.is_caption]
        answers, kinds = [sample.answer for sample in asked], [sample.answer_type for sample in asked]
        vocabulary = AnswerVocabulary.from_answers(answers, settings.data.normaliser, settings.data.min_count, kinds)
        tokenizer = make_tokenizer(settings, [sample.text for sample in learned])
        writer = make_writer(settings, answers)
    return Run.create(out, source, settings, vocabulary, tokenizer, root, writer)


def _differences(before: Recipe, now: Recipe) -> str:
    old, new = before.model.resolved().model_dump(), now.model.resolved().model_dump()
    return ", ".join(f"{key} = {old[key]!r} there, {new[key]!r} here" for key in old if old[key] != new.get(key))


def _same_recipe(before: Recipe, now: Recipe, out: Path) -> None:
    """A resumed run must go on with its own recipe; only the data folder may have moved."""
    old, new = before.to_json(), now.to_json()
    for tables in (old, new):
        tables["data"].pop("root")
    odd = [f"[{table}] {key}" for table in old for key in old[table] if old[table][key] != new[table].get(key)]
    if odd:
        raise RunError(f"{out} was started with another recipe: {', '.join(odd)}", hint="resume with the same recipe")


def said_random(model: Any, say: Any) -> None:
    """Lists the parameters that no pre-trained file filled."""
    for side, what in PRETRAINED.items():
        names = getattr(model, side).random if hasattr(model, side) else []
        if names:
            shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
            say(f"{what}: stays random: {shown}")


def use_similar(run: Run, objective: Any, samples: list[Sample], batcher: Batcher) -> str:
    """Hands the similar-image index (Eq. 8) to the batcher; it is kept in the run, so that a resumed training has the
    same one. Returns a line for the log (A25: the share of images that have any)."""
    path = run.folder / "similar.json"
    if not path.is_file():
        atomic_write_text(path, json.dumps(objective.similar(samples, batcher), ensure_ascii=False))
    similar: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
    batcher.use_similar(similar, samples)
    batcher.similar_in_batch = objective.config.similar_in_batch
    found = [len(others) for others in similar.values()]
    if not any(found):
        return "similar images: none"
    share = sum(count > 0 for count in found) / len(found)
    return f"similar images: {share:.0%} of {len(found):,} have one, {sum(found) / len(found):.1f} on average"


def warm_states(run: Run, batcher: Batcher, samples: list[Sample], say: Any) -> None:
    """Computes the states of frozen encoders: all texts in a fixed order, and the images that the cache lacks."""
    if batcher.texts is not None:
        texts = sorted({sample.text for sample in samples})
        for start in range(0, len(texts), 64):
            batcher.texts.add(batcher.tokenizer.encode(texts[start : start + 64], batcher.length))
    source = batcher.images
    if not isinstance(source, StateSource):
        return
    path = run.cache_of_states()
    keys = {sample.image: sample.path for sample in samples}
    if path.is_file():
        source.fill({name: value for name, value in read_tensors(path).items() if name.partition(":")[2] in keys})
    missing = [(key, file) for key, file in keys.items() if not source.has(key)]
    if not missing:
        return
    say(f"frozen image encoder: states of {len(missing):,} images, {source.views} views each")
    for key, file in missing:
        source.add(key, file)
    with atomic_path(path) as partial:
        save_file(source.dump(), partial)


def tuned(run: Run, model: Any, batcher: Batcher, validation: list[Sample]) -> str:
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


def validation_figures(model: Any, batcher: Batcher, samples: list[Sample]) -> dict[str, float]:
    """Accuracy on validation (overall, open, closed) and the cross-entropy of the answers that the table knows."""
    probabilities = answer_scores(model, batcher, samples)
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
