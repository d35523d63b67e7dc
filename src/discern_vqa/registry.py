"""The name is the path: `load("models", "cmdpi")` is `discern_vqa/models/cmdpi.py`.

No decorators and no list to edit: adding a model, a data set or an objective is adding a file.
"""

import difflib
import importlib
import pkgutil
from types import ModuleType

from discern_vqa.errors import ConfigError

BASELINE = "baselines."


def names(kind: str) -> list[str]:
    """The modules of `discern_vqa/<kind>/`, sorted; a name with a leading underscore is machinery, not an instance."""
    package = importlib.import_module(f"discern_vqa.{kind}")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_"))


def load_model(name: str) -> ModuleType:
    """What a recipe's `model.name` names: "cmdpi" is `models/cmdpi.py`, "baselines.lookup" is `baselines/lookup.py`.

    Raises ConfigError that suggests the nearest name.
    """
    if not is_baseline(name):
        return load("models", name)
    module = load("baselines", name.removeprefix(BASELINE))
    if not hasattr(module, "Config"):
        known = [one for one in names("baselines") if hasattr(load("baselines", one), "Config")]
        raise ConfigError(
            f"{name!r} is a row of `discern evaluate` only, and cannot be trained by itself",
            hint=f"these can: {', '.join(BASELINE + one for one in known)}",
        )
    return module


def is_baseline(name: str) -> bool:
    """A model that is a baseline: it is fitted at once, without an objective and an optimiser."""
    return name.startswith(BASELINE)


def load(kind: str, name: str) -> ModuleType:
    """The module `discern_vqa.<kind>.<name>`. Raises ConfigError that suggests the nearest name."""
    known = names(kind)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise ConfigError(
            f"there is no {name!r} among the {kind}",
            hint=f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}",
        )
    return importlib.import_module(f"discern_vqa.{kind}.{name}")
