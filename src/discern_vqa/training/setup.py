"""What a training starts from: a run folder, a model with its weights, samples, batches and a way of learning.

Everything that has to be there before the first step, and nothing of the steps themselves (`loop`).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from safetensors.torch import save_file

from discern_vqa import registry
from discern_vqa.auxiliary_sets import auxiliary_samples, folder_of, refuse_leak
from discern_vqa.bases import ModelBase, ObjectiveBase
from discern_vqa.config import Recipe, auxiliary_name
from discern_vqa.data.answers import AnswerVocabulary
from discern_vqa.data.batch import Batch, Batcher
from discern_vqa.data.languages import with_languages
from discern_vqa.data.sample import Sample
from discern_vqa.data.sampling import epoch_batches, with_auxiliary
from discern_vqa.data.sources import StateSource, TextSource
from discern_vqa.errors import ConfigError, DataError, RunError
from discern_vqa.files import atomic_path, atomic_write_text, read_json
from discern_vqa.nn.encoders.timing import time_encoders
from discern_vqa.nn.precision import computed
from discern_vqa.parts import make_tokenizer, make_writer
from discern_vqa.recipe_samples import (
    Samples,
    evaluated,
    excluded_images,
    faults_of,
    imitated,
)
from discern_vqa.run import AUXILIARY, CONFIG, SIMILAR, WEIGHTS, Run, load_weights, read_tensors
from discern_vqa.training.cautions import cautions
from discern_vqa.training.optim import check_factors
from discern_vqa.training.processes import place_of
from discern_vqa.training.recompute import recompute

Say = Callable[[str], None]


@dataclass(frozen=True)
class Start:
    """All that the loop works on. `learned`: samples of the recipe's own set (`own` of them), then auxiliary ones."""

    run: Run
    model: ModelBase
    objective: ObjectiveBase[Any, Any]
    batcher: Batcher
    learned: list[Sample]
    own: int
    validation: list[Sample]

    def batches(self, epoch: int) -> list[list[int]]:
        """The rows of `learned` in each batch of an epoch."""
        recipe = self.run.recipe
        optim, seed = recipe.optim, recipe.run.seed
        rows = with_auxiliary(self.own, len(self.learned) - self.own, recipe.data.auxiliary_share, seed, epoch)
        samples = [self.learned[row] for row in rows]
        by_type = self.batcher.pairing.same_answer_type
        batches = epoch_batches(samples, optim.batch, seed, epoch, optim.per_image, self.objective.mixed, by_type)
        for fault in faults_of(recipe.data):
            batches = fault.batches(batches, optim.batch)
        return [[rows[place] for place in batch] for batch in batches]

    def batch(self, rows: list[int], rng: torch.Generator) -> Batch:
        """The batch of these rows of `learned`."""
        return self.batcher.batch([self.learned[row] for row in rows], rng)


def set_up(
    settings: Recipe,
    recipe: Path,
    root: Path,
    out: Path,
    *,
    from_run: Path | None = None,
    resume: bool = False,
    among: PartialState,
    say: Say = print,
) -> Start:
    """Makes (or, to resume, opens) the run folder `out` and all that its training starts from.

    settings: `recipe`, read. root: its data set's folder. from_run: a finished run whose weights, words and answers are
    taken over. among: the processes that train together.

    Raises DataError if there is nothing to learn from; ConfigError and RunError if recipe and runs do not fit.
    """
    # cuDNN's attention plans anew for every length of text that it meets, in 0.1 to 1 s; the other ways need no plan.
    torch.backends.cuda.enable_cudnn_sdp(False)
    settings, auxiliary_folders = _with_auxiliary_folders(settings, root, out, resume, say)

    @cache  # a new pre-training asks twice, with the same vocabulary; the sets are read from disk once
    def auxiliary_sets(answers: AnswerVocabulary) -> list[list[Sample]]:
        return [auxiliary_samples(settings.data, *item, answers) for item in auxiliary_folders.items()]

    reading = Samples(settings.data, root, settings.run.seed)
    samples, validation = reading.learning
    validation = evaluated(settings.data, validation, settings.optim.batch)
    if not samples:
        raise DataError(
            f"{root}: nothing to learn from", hint=f"see: discern data audit {settings.data.dataset} {root}"
        )
    torch.manual_seed(settings.run.seed)
    with among.main_process_first():
        if (resume or not among.is_main_process) and (out / CONFIG).is_file():
            run = Run.open(out, finished=False)
            same_recipe(run.recipe, settings, out)
        else:
            run = _new_run(out, recipe, settings, reading, from_run, auxiliary_sets)
    model = run.build_model(pretrained=from_run is None).to(among.device)
    time_encoders(model.image, model.text)
    if from_run is not None:
        heads = model.answer_layers if settings.run.answer_head == "per_dataset" else ()
        load_weights(model, Path(from_run) / WEIGHTS, but=heads)
    check_factors(model, settings.optim)  # before anything is computed
    if settings.run.mode not in model.modes:
        raise ConfigError(
            f"[run] mode = {settings.run.mode!r}: {settings.model.name} as set here cannot answer so",
            hint=f"it can: {', '.join(model.modes)}",
        )
    if from_run is None:
        said_random(model, say)
    if settings.data.exclude:
        say(f"left out: {len(excluded_images(settings.data)):,} images that {', '.join(settings.data.exclude)} names")
    if computed(settings.run.precision) != settings.run.precision:
        say("precision: this processor has no bfloat16 arithmetic, so it computes in 32 bits")
    for warning in imitated(settings.data):
        say(f"WARNING: {warning}")
    if unused := reading.unused_validation():
        say(f"NOTE: {unused}")
    say(
        f"{len(samples):,} samples of {len({sample.image for sample in samples}):,} images, "
        f"{len(validation):,} for validation, {len(run.vocabulary):,} answers, "
        f"{sum(p.numel() for p in model.parameters() if p.requires_grad):,} trained parameters"
    )
    batcher = run.batcher(model)
    sets = auxiliary_sets(run.vocabulary)
    if settings.data.mirror:  # each set by itself: a short text has the language of its set
        samples, *sets = map(with_languages, [samples, *sets])
    auxiliary = [sample for part in sets for sample in part]
    if settings.data.auxiliary_limit and among.is_main_process:
        atomic_write_text(run.folder / AUXILIARY, "".join(f"{sample.id}\n" for sample in auxiliary))
    for entry, part in zip(auxiliary_folders, sets, strict=True):
        images = len({sample.image for sample in part})
        say(f"auxiliary: {len(part):,} samples of {images:,} images of {auxiliary_name(entry)}")
    learned = [*samples, *auxiliary]
    for warning in cautions(settings, learned, run.tokenizer, run.writer):
        say(f"WARNING: {warning}")
    with among.main_process_first():
        warm_states(run, model, batcher, [*learned, *validation], say)
        run.learn_prior(batcher, samples)
    objective = registry.objective(settings.objective.name).Objective(settings.objective, model)
    if settings.optim.recompute:
        recompute(model)  # now that the objective has made its copies, which learn nothing
    batcher.second_view, batcher.statements = objective.second_view, objective.statements
    batcher.place = place_of(among)
    if objective.finds_similar:
        with among.main_process_first():
            say(use_similar(run, objective, [samples, *sets], batcher))
    return Start(run, model, objective, batcher, learned, len(samples), validation)


def _with_auxiliary_folders(
    settings: Recipe, root: Path, out: Path, resume: bool, say: Say
) -> tuple[Recipe, dict[str, Path]]:
    """The recipe, and the folder of each auxiliary set. Without the sets that a run which goes on began without, and
    those that are nowhere and that the recipe can do without."""
    wanted, folders = settings.data.auxiliary, {}
    may_miss = settings.data.auxiliary_missing == "without"
    if may_miss and resume and (out / CONFIG).is_file():
        began_with = Run.open(out, finished=False).recipe.data.auxiliary
        wanted = [entry for entry in wanted if entry in began_with]
    for entry in wanted:
        try:
            folders[entry] = folder_of(entry, root)
        except DataError as error:
            if not may_miss:
                raise
            say(f"WARNING: {error}; learned without it. The recipe's figures were measured with it ({error.hint})")
    return settings.model_copy(update={"data": settings.data.model_copy(update={"auxiliary": [*folders]})}), folders


def _new_run(
    out: Path,
    source: Path,
    settings: Recipe,
    reading: Samples,
    from_run: Path | None,
    auxiliary_sets: Callable[[AnswerVocabulary], list[list[Sample]]],
) -> Run:
    shares_vocabulary = settings.run.answer_head == "shared"
    before = Run.open(from_run) if from_run is not None else None
    if before is not None and from_run is not None:
        if before.recipe.model.resolved() != settings.model.resolved():
            raise ConfigError(
                f"[model] of {source} differs from that of {from_run}: {_differences(before.recipe, settings)}",
                hint="fine-tuning adds no parameter: use the same [model] table in both recipes",
            )
        refuse_leak(settings.data, before.recipe.data, from_run, shares_vocabulary)
    vocabulary = before.vocabulary if before is not None and shares_vocabulary else reading.answer_vocabulary()
    own_answers = [sample.answer for sample in reading.learnable if not sample.is_caption]
    vocabulary = vocabulary.respelled(own_answers)  # as the data set itself writes them, not an auxiliary one
    if settings.run.restrict_labels == "none":
        vocabulary = replace(vocabulary, own=())
    else:
        vocabulary = vocabulary.restricted(own_answers)
    if before is not None:
        tokenizer, writer = before.tokenizer, before.writer
    else:
        samples = reading.vocabulary()
        texts = [sample.text for sample in samples]
        if settings.data.split == "pretrain":  # the words of auxiliary captions are to be reconstructed too
            texts += [sample.text for part in auxiliary_sets(vocabulary) for sample in part]
        tokenizer = make_tokenizer(settings, texts)
        writer = make_writer(settings, [sample.answer for sample in samples if not sample.is_caption])
    return Run(out, settings, vocabulary, tokenizer, reading.root, writer).create(source, from_run)


def _differences(before: Recipe, now: Recipe) -> str:
    old, new = before.model.resolved().model_dump(), now.model.resolved().model_dump()
    return ", ".join(f"{key} = {old[key]!r} there, {new[key]!r} here" for key in old if old[key] != new.get(key))


def same_recipe(before: Recipe, now: Recipe, out: Path) -> None:
    """What was begun in `out` must go on with its own recipe; only the data folder may have moved. Raises RunError."""
    old, new = before.to_json(), now.to_json()
    if now.data.auxiliary_missing == "without":  # some may have been nowhere when the run began
        new["data"]["auxiliary"] = [entry for entry in now.data.auxiliary if entry in before.data.auxiliary]
    for tables in (old, new):
        tables["data"].pop("root")
    keys = [(table, key) for table in old for key in old[table]]
    changed = [f"[{table}] {key}" for table, key in keys if old[table][key] != new.get(table, {}).get(key)]
    if changed:
        raise RunError(
            f"{out} was started with another recipe: {', '.join(changed)}",
            hint="go on with the same recipe, or train into another --out",
        )


def said_random(model: ModelBase, say: Say) -> None:
    """Lists the parameters that no pre-trained file filled."""
    about = model.config.parts()
    for name, part in model.parts().items():
        if part.random:
            more = f" and {len(part.random) - 4} more" if len(part.random) > 4 else ""
            say(f"{about[name].name}: stays random: {', '.join(part.random[:4])}{more}")


def use_similar(run: Run, objective: ObjectiveBase[Any, Any], sets: list[list[Sample]], batcher: Batcher) -> str:
    """Hands the similar-image index (Eq. 8) to the batcher, each image's of its own data set; it is kept in the run, so
    that a resumed training has the same one. Returns a line for the log (A25: the share of images that have any)."""
    path = run.folder / SIMILAR
    if not path.is_file():
        index: dict[str, list[str]] = {}
        for samples in filter(None, sets):
            index |= objective.similar(samples, batcher)
        atomic_write_text(path, json.dumps(index, ensure_ascii=False))
    similar = read_json(path)
    batcher.pairing = objective.pairing(similar, [*chain(*sets)])
    counts = [len(others) for others in similar.values()]
    if not any(counts):
        return "similar images: none"
    share = sum(count > 0 for count in counts) / len(counts)
    return f"similar images: {share:.0%} of {len(counts):,} have one, {sum(counts) / len(counts):.1f} on average"


def warm_states(run: Run, model: ModelBase, batcher: Batcher, samples: list[Sample], say: Say) -> None:
    """Computes the states of frozen encoders: all texts in a fixed order, and the images that the cache lacks or holds
    as they were before."""
    if isinstance(batcher.texts, TextSource):
        texts = sorted({sample.text for sample in samples})
        batcher.texts.add(batcher.tokenizer.encode(texts, batcher.length))
    source = batcher.images
    if not isinstance(source, StateSource):
        return
    path = run.cache_of_states(model.image, source.encode)
    keys = {sample.image: sample.path for sample in samples}
    if path.is_file():
        source.fill({name: value for name, value in read_tensors(path).items() if name.partition(":")[2] in keys})
    missing = [(key, file) for key, file in keys.items() if not source.has(key, file)]
    if not missing:
        return
    say(f"frozen image encoder: states of {len(missing):,} images, {source.views} views each")
    for key, file in missing:
        source.add(key, file)
    with atomic_path(path) as partial:
        save_file(source.dump(), partial)
