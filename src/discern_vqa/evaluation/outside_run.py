"""The run folder of somebody else's model: made at once, without training, and opened again where it is there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from discern_vqa.card import write_card
from discern_vqa.config import Recipe, read_recipe
from discern_vqa.data.answers import AnswerVocabulary
from discern_vqa.data.text import WordTokenizer
from discern_vqa.data_file import as_overrides
from discern_vqa.errors import ConfigError, DiscernError, RunError
from discern_vqa.evaluation.predict_outside import is_own
from discern_vqa.files import atomic_path, atomic_write_text, read_json
from discern_vqa.outside.endpoint import Config as EndpointConfig
from discern_vqa.paths import find_recipe
from discern_vqa.recipe_samples import Samples, find_root
from discern_vqa.registry import OUTSIDE
from discern_vqa.run import CONFIG, WEIGHTS, Run

HOW = ("endpoint", "key_from", "concurrency", "timeout", "tries", "send_own_images", "batch", "other_prompts")
"""Keys of [model] that change no answer: a run goes on with other ones."""


def is_outside(folder: Path) -> bool:
    """Whether a folder is the run of somebody else's model; what is wrong with it is said when it is opened."""
    try:
        return str(read_json(folder / CONFIG)["model"]["name"]).startswith(OUTSIDE)
    except (DiscernError, LookupError, TypeError):
        return False


def open_or_make(out: Path, recipe: Path | None, overrides: list[str], data: Path | None) -> Run:
    """The run folder `out`, which is made where there is none.

    recipe: what asks the model; None: the folder's own, which has to be there. overrides: `table.key=value`. data: the
    data set's folder, or a data.toml.

    Raises ConfigError: the recipe is not one of `outside/`, or has mistakes. RunError: the folder is the run of another
    model, or of one that is asked otherwise. DataError: the data set is not there.
    """
    if recipe is None:
        if not is_outside(out) or overrides:
            what = "--set changes a recipe, and no recipe is given" if overrides else f"{out} is no such run"
            raise ConfigError(what, hint=f"discern evaluate {out} --model outside/endpoint --set KEY=VALUE")
        return Run.open(out)
    file = find_recipe(recipe)
    root, overrides = as_overrides(data, overrides)
    settings = read_recipe(file, overrides)
    if not settings.is_outside:
        raise ConfigError(
            f"{recipe} is a recipe for training ({settings.model.name})",
            hint=f"discern train {recipe} --out {out}, then: discern evaluate {out}",
        )
    if (out / CONFIG).is_file():
        return _opened(out, settings)
    return _made(out, file, settings, root)


def _made(out: Path, file: Path, settings: Recipe, data: Path | None) -> Run:
    root = find_root(settings.data, data)
    reading = Samples(settings.data, root, settings.run.seed, may_lack_training=True)
    none = AnswerVocabulary((), settings.data.normaliser)
    vocabulary = reading.answer_vocabulary() if reading.learnable else none  # of the baselines beside it
    run = Run(out, settings, vocabulary, WordTokenizer([]), root).create(file)
    write_card(out)
    _write_identity(run)
    return run


def _write_identity(run: Run) -> None:
    """The file of weights holds none: its header says what is asked, so that what was fitted to the answers of one
    model (a calibration) is never taken for another's."""
    told = {key: value for key, value in run.recipe.to_json()["model"].items() if key not in HOW}
    none: dict[str, np.ndarray] = {}
    with atomic_path(run.folder / WEIGHTS) as partial:
        save_file(none, partial, metadata={"asks": json.dumps(told, sort_keys=True)})


def _opened(out: Path, settings: Recipe) -> Run:
    """The run that is there, with what the new command says of how it is asked."""
    if not is_outside(out):
        raise RunError(f"{out} is the run of a model that was trained", hint="choose another folder for the run")
    run = Run.open(out)
    ours, theirs = run.recipe.to_json(), settings.to_json()
    differ = [
        f"{table}.{key}"
        for table in ("data", "model")
        for key in ours[table] | theirs[table]
        if ours[table].get(key) != theirs[table].get(key) and key not in ("root", *HOW)
    ]
    if differ:
        raise RunError(
            f"{out} asks another model, or asks it otherwise: {', '.join(differ)}",
            hint="choose another folder for the run: every setting has figures of its own",
        )
    changed = {key: theirs["model"][key] for key in HOW if key in theirs["model"]}
    return _with_changes(run, changed, theirs["run"])


def _with_changes(run: Run, model: Mapping[str, Any], steps: Mapping[str, Any]) -> Run:
    content = read_json(run.folder / CONFIG)
    if content["model"] | dict(model) == content["model"] and content["run"] == dict(steps):
        return run
    content["model"] |= model
    content["run"] = dict(steps)
    atomic_write_text(run.folder / CONFIG, json.dumps(content, indent=1, ensure_ascii=False))
    return Run.open(run.folder)


def about(run: Run) -> dict[str, Any]:
    """What a report says of the model: {"model", "host", "is_this_machine", "is_public"}; host "" of one that is asked
    in this process."""
    from discern_vqa.asking import address

    config = run.recipe.model
    is_endpoint = isinstance(config, EndpointConfig)
    named = {name: str(getattr(config, name, "")) for name in ("model", "function", "folder")}
    return {
        "model": named["model"] or named["function"] or Path(named["folder"]).name,
        "host": address.host_of(config.endpoint) if is_endpoint else "",
        "is_this_machine": not is_endpoint or address.is_this_machine(config.endpoint),
        "is_public": not is_own(run.recipe.data.dataset) and run.recipe.data.dataset != "phantom",
    }
