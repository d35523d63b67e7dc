"""`discern experiment search`: hyper-parameters of a recipe, sought with Optuna on validation alone.

The space is a TOML file; a table for each dotted key of the recipe:

    ["optim.lr"]              low = 1e-4      high = 1e-2     log = true
    ["model.layers"]          low = 1         high = 4                       # whole numbers when both ends are
    ["objective.mixup"]       choices = [true, false]

Each trial is a training with a run folder of its own, OUT/trials/<number>; what is maximised is the accuracy on
validation of the weights that the recipe keeps. A trial that is below the median of the others after as many
validations is stopped (pruned). The study is kept in a database, SQLite in OUT by default; several commands, on several
machines, share one with a server's address.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from discern_vqa.config import Recipe, read_recipe
from discern_vqa.data_file import as_overrides
from discern_vqa.errors import ConfigError, DiscernError
from discern_vqa.experiments.data_digest import digest_of
from discern_vqa.experiments.plan import meant
from discern_vqa.files import atomic_write_text
from discern_vqa.paths import find_recipe
from discern_vqa.recipe_samples import Samples, faults_of, find_root
from discern_vqa.scoring.stored import is_number
from discern_vqa.toml import read_toml, toml_value
from discern_vqa.training.train import train

Space = dict[str, dict[str, Any]]
_VALUES = (bool, int, float, str, list, dict)
_LEGAL = ({"low", "high"}, {"low", "high", "log"}, {"low", "high", "step"}, {"choices"})


def search(
    recipe: Path,
    space: Path,
    out: Path,
    *,
    trials: int,
    storage: str = "",
    data: Path | None = None,
    overrides: list[str] | None = None,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Goes on with the study until it has `trials` trials; writes OUT/search.json.

    Returns:
        {"recipe", "best": {"number", "validation", "set": {key: value}} or None, "trials": [{"number", "state",
        "validation", "epochs", "set"}]}.

    Raises ConfigError: no Optuna, no validation to choose on, a space that fits no recipe.
    """
    optuna = _optuna()
    recipe_file, ranges = find_recipe(recipe), read_space(space)
    data, overrides = as_overrides(data, overrides or [])
    settings = read_recipe(recipe_file, [*overrides, *_middle(ranges)])
    if any(fault.chooses_on_test for fault in faults_of(settings.data)):
        raise ConfigError("this recipe chooses on test (data.imitate): nothing may be sought so", hint="leave it out")
    root = find_root(settings.data, data)
    learned, held_out = Samples(settings.data, root, settings.run.seed).learning
    if not held_out:
        raise ConfigError(f"{recipe_file} holds nothing out to choose on", hint="--set data.validation_ratio=0.1")
    out.mkdir(parents=True, exist_ok=True)
    study = _study(optuna, f"{recipe_file.parent.name}/{recipe_file.stem}", storage, out)
    study.sampler = optuna.samplers.TPESampler(seed=_sampler_seed(seed, len(study.trials)))
    _goes_on(study, ranges, overrides, settings, digest_of([*learned, *held_out]))
    ended = sum(trial.state.is_finished() for trial in study.trials)
    say(f"{ended} of {trials} trials are there")

    def measured(trial: Any) -> float:
        chosen = {key: _suggest(trial, key, values) for key, values in ranges.items()}
        folder = out / "trials" / f"{trial.number:04d}"
        shutil.rmtree(folder, ignore_errors=True)
        changes = [*overrides, *as_sets(chosen)]
        try:
            return _trial(trial, recipe_file, root, changes, folder, optuna.TrialPruned)
        except DiscernError as error:
            trial.set_user_attr("error", str(error))
            raise

    def told(study: Any, trial: Any) -> None:
        value = f"{trial.value:.4f}" if trial.value is not None else "-"
        why = f": {trial.user_attrs['error']}" if "error" in trial.user_attrs else ""
        say(f"[{trial.number + 1:3d}/{trials}] {trial.state.name.lower()}, validation {value}, {trial.params}{why}")

    study.optimize(measured, n_trials=max(0, trials - ended), callbacks=[told], catch=(DiscernError,))
    return _written(study, recipe_file, out)


def read_space(path: Path) -> Space:
    """The space. Raises ConfigError where a table says something else than a range or choices."""
    try:
        tables = read_toml(Path(path), hint='a table for each key: ["optim.lr"]')
    except FileNotFoundError:
        raise ConfigError(f"there is no space {path}", hint="see the docstring of experiments/search.py") from None
    example = 'for example ["optim.lr"] low = 1e-4, high = 1e-2, log = true'
    for key, values in tables.items():
        wrong = "expected low < high (with log or step), or choices, of a key with a table's name"
        if isinstance(values, dict) and set(values) in _LEGAL and "." in key:
            wrong = _wrong(values)
        if wrong:
            raise ConfigError(f"{path}: {key}: {wrong}", hint=example)
    if not tables:
        raise ConfigError(f"{path} names no key", hint=example)
    return tables


def _wrong(said: dict[str, Any]) -> str:
    """What is wrong with a range or with choices; "" for nothing."""
    if "choices" in said:
        given = said["choices"]
        legal = isinstance(given, list) and given and all(isinstance(one, _VALUES) for one in given)
        return "" if legal else f"choices = {given!r}: expected a list of values, one at least"
    low, high, step = said["low"], said["high"], said.get("step", 1)
    odd = [name for name in ("low", "high", "step") if name in said and not is_number(said[name])]
    if odd:
        return f"{odd[0]} = {said[odd[0]]!r}: expected a number"
    whole = isinstance(low, int) and isinstance(high, int)
    if low >= high:
        return f"low = {low!r}, high = {high!r}: expected low < high"
    if step <= 0 or (whole and not isinstance(step, int)):
        return f"step = {step!r}: expected a number above 0" + (", a whole one between whole ends" if whole else "")
    if not isinstance(said.get("log", False), bool):
        return f"log = {said['log']!r}: expected true or false"
    return f"low = {low!r}: expected more than 0 where log = true" if said.get("log") and low <= 0 else ""


def _trial(trial: Any, recipe: Path, root: Path, given: list[str], folder: Path, pruned: type[Exception]) -> float:
    """One training, reported to the study after each validation. Raises `pruned` when the study has seen enough."""
    seen: list[float] = []

    def watched(figures: dict[str, float]) -> None:
        seen.append(figures["accuracy"])
        trial.report(figures["accuracy"], len(seen))
        if trial.should_prune():
            raise pruned(f"after {len(seen)} validations")

    try:
        run = train(recipe, data=root, overrides=given, out=folder, quiet=True, validated=watched)
    finally:
        trial.set_user_attr("validations", seen)
    return max(seen) if run.recipe.run.select == "best" else seen[-1]


def _written(study: Any, recipe: Path, out: Path) -> dict[str, Any]:
    """search.json: every trial, and the best one's keys as `--set` takes them."""
    rows = [
        {
            "number": trial.number, "state": trial.state.name.lower(), "validation": trial.value, "set": trial.params,
            "validations": trial.user_attrs.get("validations", []),
        }
        for trial in study.trials
    ]  # fmt: skip
    done = [row for row in rows if row["state"] == "complete"]
    best = max(done, key=lambda row: row["validation"], default=None)
    content = {"recipe": f"{recipe.parent.name}/{recipe.name}", "chosen_on": "validation", "best": best, "trials": rows}
    atomic_write_text(out / "search.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return content


def as_sets(values: dict[str, Any]) -> list[str]:
    """Keys with their values, as `--set` takes them."""
    return [f"{key}={toml_value(value)}" for key, value in values.items()]


def _goes_on(study: Any, space: Space, overrides: list[str], settings: Recipe, data: str) -> None:
    """A study goes on with its own space, recipe and data; raises ConfigError for others. What a study of an earlier
    version says nothing of is taken as it is."""
    recipe = hashlib.sha256(json.dumps(meant(settings), sort_keys=True).encode()).hexdigest()[:16]
    now: dict[str, Any] = {
        "space": json.dumps([space, overrides], sort_keys=True),
        "made_of": {"recipe": recipe, "data": data},
    }
    then = now | study.user_attrs
    differs = {
        "another space or other --set": then["space"] != now["space"],
        "another recipe": then["made_of"].get("recipe") != recipe,
        "other data": then["made_of"].get("data") != data,
    }
    if changed := " and ".join(what for what, is_so in differs.items() if is_so):
        raise ConfigError(f"this study was begun with {changed}", hint="choose another --out, or another storage")
    for key, value in now.items():
        study.set_user_attr(key, value)


def _study(optuna: Any, name: str, storage: str, out: Path) -> Any:
    """The study, begun or gone on with. Raises ConfigError where its database cannot be had."""
    from sqlalchemy.exc import SQLAlchemyError  # Optuna brings it
    from sqlalchemy.pool import NullPool

    url = storage or f"sqlite:///{(out / 'study.db').resolve()}"
    try:
        return optuna.create_study(
            study_name=name, direction="maximize", load_if_exists=True,
            # Without a pool each connection is closed after use; a pool would keep the file open for as long as
            # the process lives.
            storage=optuna.storages.RDBStorage(url, engine_kwargs={"poolclass": NullPool}),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
        )  # fmt: skip
    except (SQLAlchemyError, ImportError, ValueError, optuna.exceptions.OptunaError) as error:
        why = (str(error) or type(error).__name__).partition("\n")[0]
        where = f"--storage {storage!r}: no study can be kept there" if storage else f"no study can be kept in {out}"
        hint = "for example sqlite:///study.db, or leave it out: the study is kept in --out"
        raise ConfigError(f"{where}: {why}", hint=hint) from error


def _sampler_seed(seed: int, there: int) -> int:
    """A seed of the sampler for these many trials: a study that goes on does not propose the same settings again."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{there}".encode()).digest()[:4], "big")


def _suggest(trial: Any, key: str, values: dict[str, Any]) -> Any:
    if "choices" in values:
        return trial.suggest_categorical(key, values["choices"])
    whole = isinstance(values["low"], int) and isinstance(values["high"], int)
    return (trial.suggest_int if whole else trial.suggest_float)(key, **values)


def _middle(space: Space) -> list[str]:
    """One setting of the space, so that a key or value that no recipe has is told before anything starts."""
    first = {key: values["choices"][0] if "choices" in values else values["low"] for key, values in space.items()}
    return as_sets(first)


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError:
        hint = "pip install 'discern-vqa[sweep]'"
        raise ConfigError("a search takes Optuna, which is not installed", hint=hint) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
