"""The name is the path: `load("models", "cmdpi")` is `discern_vqa/models/cmdpi.py`.

No decorators and no list to edit: adding a model, a data set or an objective is adding a file. The file may lie in a
package of your own (`own_packages`): `models/toy.py` in it is the model "toy", as if it lay here.
"""

import importlib
import pkgutil
from importlib.util import find_spec
from types import ModuleType
from typing import cast

from discern_vqa.contracts import BaselineRow, ExplanationMethod, FittedBaseline, Model, Objective, Outside, Reader
from discern_vqa.errors import ConfigError, did_you_mean
from discern_vqa.own_packages import VARIABLE, import_own, package_names
from discern_vqa.timers import timed

BASELINE = "baselines."
OUTSIDE = "outside."
OPEN = {
    "models": ("Config", "Model"),
    "objectives": ("Config", "Objective"),
    "datasets": ("SUMMARY", "LICENCE", "SPLITS", "PUBLISHED", "read"),
    "baselines": (),
    "measurements": ("ORDER", "measure"),
    "explanations": ("SUMMARY", "offered", "explain"),
}
"""The kinds that a package of one's own may add to, and what a file of each has to hold (`contracts`)."""


def names(kind: str) -> list[str]:
    """The modules of `discern_vqa/<kind>/` and of the same folder in one's own packages, sorted; a name with a leading
    underscore is machinery, not an instance.

    Raises ConfigError where two packages have a module of one name.
    """
    return sorted(_modules(kind))


def _modules(kind: str) -> dict[str, str]:
    """The full name of each module of a kind, by its name."""
    modules: dict[str, str] = {}
    rooms = {"discern_vqa": importlib.import_module(f"discern_vqa.{kind}")}
    for package in package_names() if kind in OPEN else ():
        import_own(package)
        if find_spec(f"{package}.{kind}") is not None:
            rooms[package] = import_own(f"{package}.{kind}")
    for package, room in rooms.items():
        for module in pkgutil.iter_modules(room.__path__):
            if module.name.startswith("_"):
                continue
            if module.name in modules:
                raise ConfigError(
                    f"{package}.{kind}.{module.name} has the name of {modules[module.name]}",
                    hint=f"rename {module.name}.py in {package}/{kind}",
                )
            modules[module.name] = f"{package}.{kind}.{module.name}"
    return modules


def load_model(name: str) -> Model | FittedBaseline | Outside:
    """What a recipe's `model.name` names: "cmdpi" is `models/cmdpi.py`, "baselines.lookup" is `baselines/lookup.py`,
    "outside.endpoint" is `outside/endpoint.py`.

    Raises ConfigError that suggests the nearest name.
    """
    if is_outside(name):
        return outside(name)
    return fitted_baseline(name) if is_baseline(name) else model(name)


def fitted_baseline(name: str) -> FittedBaseline:
    """The baseline that a recipe calls "baselines.<name>". Raises ConfigError for one that cannot be trained."""
    module = load("baselines", name.removeprefix(BASELINE))
    if not isinstance(module, FittedBaseline):
        raise ConfigError(
            f"{name!r} is a row of `discern evaluate` only, and cannot be trained by itself",
            hint=f"these can: {', '.join(BASELINE + baseline for baseline in trainable_baselines())}",
        )
    return module


def trainable_baselines() -> list[str]:
    """The baselines that have a recipe of their own, without "baselines." before their names."""
    return [name for name in names("baselines") if isinstance(load("baselines", name), FittedBaseline)]


def is_baseline(name: str) -> bool:
    """A model that is a baseline: it is fitted at once, without an objective and an optimiser."""
    return name.startswith(BASELINE)


def is_outside(name: str) -> bool:
    """Somebody else's model: it is asked and never trained."""
    return name.startswith(OUTSIDE)


def outside(name: str) -> Outside:
    """What asks the model that a recipe calls "outside.<name>"; raises ConfigError as `load` does."""
    return cast(Outside, load("outside", name.removeprefix(OUTSIDE)))


def load(kind: str, name: str) -> ModuleType:
    """The module `<kind>/<name>.py`, of this package or of one's own. Raises ConfigError that suggests the nearest
    name, and for a file of one's own that cannot be imported or lacks something (with file and line)."""
    modules = _modules(kind)
    if name not in modules:
        hint = did_you_mean(name, modules, f"there are: {', '.join(sorted(modules))}")
        if kind in OPEN and "did you mean" not in hint:
            hint += f"; a package of your own is named in {VARIABLE}"
        raise ConfigError(f"there is no {name!r} among the {kind}", hint=hint)
    full = modules[name]
    if full.startswith("discern_vqa."):
        with timed("importing"):
            return importlib.import_module(full)
    with timed("importing"):
        module = import_own(full)
    if lacking := [part for part in OPEN[kind] if not hasattr(module, part)]:
        raise ConfigError(
            f"{module.__file__} has no {', no '.join(lacking)}; {kind} have {', '.join(OPEN[kind])}",
            hint=f"see docs/adding.md, and the files of discern_vqa/{kind}",
        )
    return module


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


def is_a_set(name: str) -> bool:
    """Whether a reader reads one published or drawn data set; the others read files of one's own."""
    module = load("datasets", name)
    return bool(getattr(module, "SOURCE", "")) or hasattr(module, "draw")
