"""The name is the path: `load("models", "cmdpi")` is `discern_vqa/models/cmdpi.py`.

No decorators and no list to edit: adding a model, a data set or an objective is adding a file.
"""

import difflib
import importlib
import pkgutil
from types import ModuleType

from discern_vqa.errors import ConfigError


def names(kind: str) -> list[str]:
    """The modules of `discern_vqa/<kind>/`, sorted; a name with a leading underscore is machinery, not an instance."""
    package = importlib.import_module(f"discern_vqa.{kind}")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_"))


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
