"""`discern train` on a baseline's recipe: fitted at once, kept in a run folder as a model is."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from discern_vqa import registry
from discern_vqa.card import write_card
from discern_vqa.config import Recipe
from discern_vqa.data.text import WordTokenizer
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.fitting.cases import EncoderTable
from discern_vqa.fitting.fitted import FACTS
from discern_vqa.fitting.given import Given
from discern_vqa.parts import weights_folder
from discern_vqa.recipe_samples import Samples, find_root, imitated
from discern_vqa.run import WEIGHTS, Run
from discern_vqa.training.cautions import cautions


def fit_baseline(
    recipe: Path, settings: Recipe, data: Path | None, from_run: Path | None, out: Path, say: Callable[[str], None]
) -> Run:
    """Fits the baseline that `settings` name into the folder `out`; one that was interrupted is fitted anew.

    Settings are chosen on the questions that the recipe holds out, and these teach nothing else, so that `discern
    calibrate` may use them; with `validation_ratio = 0` on a part of train, after which all of train is learned.
    """
    started = time.monotonic()
    if from_run is not None or settings.run.after:
        raise ConfigError(f"{settings.model.name} goes on from no other run", hint="leave out --from and run.after")
    root = find_root(settings.data, data)
    reading = Samples(settings.data, root, settings.run.seed)
    samples, validation = reading.learning
    if not samples:
        raise DataError(
            f"{root}: nothing to learn from", hint=f"see: discern data audit {settings.data.dataset} {root}"
        )
    vocabulary = reading.answer_vocabulary()
    sees = isinstance(settings.model, EncoderTable)
    given = replace(
        Given.of(samples, vocabulary),
        by=settings.data.validation_by,
        held_out=tuple(validation),
        seed=settings.run.seed,
        weights=weights_folder(settings.model.image, "image") if sees else None,
    )
    for warning in [*imitated(settings.data), *cautions(settings, samples)]:
        say(f"WARNING: {warning}")
    say(
        f"{len(given.rows):,} questions about {len({row.image for row in given.rows}):,} images, "
        f"{len(validation):,} for validation, {len(vocabulary):,} answers"
    )
    if unused := reading.unused_validation():
        say(f"NOTE: {unused}")
    # A baseline reads words by itself: the run's tokenizer knows none.
    run = Run(out, settings, vocabulary, WordTokenizer([]), root).create(recipe)
    model = registry.fitted_baseline(settings.model.name).Model.fit(settings.model, given)
    write_card(out)
    model.state().write(out / FACTS, out / WEIGHTS)
    say(f"{out}: {settings.model.name} fitted in {time.monotonic() - started:.0f} s")
    return run
