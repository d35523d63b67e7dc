"""The name is the path: `load("models", "cmdpi")` is `discern_vqa/models/cmdpi.py`.

No decorators and no list to edit: adding a model, a data set or an objective is adding a file.
"""

import importlib
import pkgutil
from types import ModuleType
from typing import cast

from discern_vqa.contracts import BaselineRow, ExplanationMethod, FittedBaseline, Model, Objective, Reader
from discern_vqa.errors import ConfigError, did_you_mean

BASELINE = "baselines."


def names(kind: str) -> list[str]:
    """The modules of `discern_vqa/<kind>/`, sorted; a name with a leading underscore is machinery, not an instance."""
    package = importlib.import_module(f"discern_vqa.{kind}")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_"))


def load_model(name: str) -> Model | FittedBaseline:
    """What a recipe's `model.name` names: "cmdpi" is `models/cmdpi.py`, "baselines.lookup" is `baselines/lookup.py`.

    Raises ConfigError that suggests the nearest name.
    """
    return fitted_baseline(name) if is_baseline(name) else model(name)


def fitted_baseline(name: str) -> FittedBaseline:
    """The baseline that a recipe calls "baselines.<name>". Raises ConfigError for one that cannot be trained."""
    module = load("baselines", name.removeprefix(BASELINE))
    if not isinstance(module, FittedBaseline):
        known = [baseline for baseline in names("baselines") if isinstance(load("baselines", baseline), FittedBaseline)]
        raise ConfigError(
            f"{name!r} is a row of `discern evaluate` only, and cannot be trained by itself",
            hint=f"these can: {', '.join(BASELINE + baseline for baseline in known)}",
        )
    return module


def is_baseline(name: str) -> bool:
    """A model that is a baseline: it is fitted at once, without an objective and an optimiser."""
    return name.startswith(BASELINE)


def load(kind: str, name: str) -> ModuleType:
    """The module `discern_vqa.<kind>.<name>`. Raises ConfigError that suggests the nearest name."""
    known = names(kind)
    if name not in known:
        hint = did_you_mean(name, known, f"there are: {', '.join(known)}")
        raise ConfigError(f"there is no {name!r} among the {kind}", hint=hint)
    return importlib.import_module(f"discern_vqa.{kind}.{name}")


def reader(name: str) -> Reader:
    """The data set `name`; this and the following raise ConfigError as `load` does."""
    return cast(Reader, load("datasets", name))


def model(name: str) -> Model:
    """The network `name`."""
    return cast(Model, load("models", name))


def objective(name: str) -> Objective:
    """The objective `name`."""
    return cast(Objective, load("objectives", name))


def explanation(name: str) -> ExplanationMethod:
    """The method of explanation `name`."""
    return cast(ExplanationMethod, load("explanations", name))


def baseline(name: str) -> BaselineRow | FittedBaseline:
    """The baseline `name`; `isinstance` tells which of the two it is, or whether it is both."""
    return cast(BaselineRow | FittedBaseline, load("baselines", name))
