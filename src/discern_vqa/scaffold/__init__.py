"""`discern new model`: the files of a new model, which work as they are: a small network, its recipe, and a test with
the checks that every model has to pass."""

import keyword
import shlex
from dataclasses import dataclass
from pathlib import Path

from discern_vqa import registry
from discern_vqa.errors import ConfigError
from discern_vqa.files import atomic_write_text
from discern_vqa.own_packages import VARIABLE
from discern_vqa.pages import templates

CHECKOUT = Path("src/discern_vqa/models")
"""The folder by which a checkout of Discern is known."""


@dataclass(frozen=True)
class Written:
    """The files of a new model, and the commands that come next."""

    files: list[Path]
    next: list[str]


def write_model(name: str, out: Path | None, here: Path) -> Written:
    """Writes model, recipe and test.

    Args:
        name: of the model: the name of a Python module.
        out: a folder that is to be a package of one's own (`own_packages`), new or one that has other models; None: the
            checkout of Discern in the folder `here`.

    Raises ConfigError for a name that is taken or is none, for a folder that can be no package, and where a file is
    there already; then nothing is written.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_") or name != name.lower():
        raise ConfigError(
            f"{name!r} cannot be the name of a model: it is that of a Python file",
            hint="small letters, digits and underscores, the first a letter: discern new model my_model",
        )
    if name in registry.names("models"):
        raise ConfigError(
            f"there is a model {name!r} already", hint=f"choose another name: discern new model my_{name}"
        )
    if out is None and not (here / CHECKOUT).is_dir():
        raise ConfigError(
            "this folder is no checkout of Discern, so the model needs a package of your own",
            hint=f"discern new model {name} --out my_models",
        )
    return _in_checkout(name, here) if out is None else _in_package(name, out)


def _in_checkout(name: str, here: Path) -> Written:
    module, recipe, test = f"discern_vqa.models.{name}", f"{name}/phantom.toml", f"tests/test_{name}.py"
    contents = {
        here / CHECKOUT / f"{name}.py": _filled("model.py.j2", name=name),
        here / "recipes" / recipe: _filled("recipe.toml.j2", name=name),
        here / test: _filled("test.py.j2", name=name, module=module, recipe=recipe),
    }
    commands = [f"python -m pytest {test} tests/test_contracts.py", *_trained(f"recipes/{recipe}", name)]
    return _write(contents, commands)


def _in_package(name: str, out: Path) -> Written:
    package = out.resolve().name
    if not package.isidentifier() or keyword.iskeyword(package):
        raise ConfigError(
            f"--out {out}: {package!r} is no name of a Python package", hint="for example: --out my_models"
        )
    module, recipe = f"{package}.models.{name}", f"{name}.toml"
    contents = {
        out / "models" / f"{name}.py": _filled("model.py.j2", name=name),
        out / "recipes" / recipe: _filled("recipe.toml.j2", name=name),
        out / "tests" / f"test_{name}.py": _filled("test.py.j2", name=name, module=module, recipe=recipe),
    }
    shared = {
        out
        / "__init__.py": f'"""Models of our own for Discern, which finds them where {VARIABLE} names this folder."""\n',
        out / "models" / "__init__.py": '"""A file for each model, named as the recipes name it."""\n',
        out / "tests" / "conftest.py": _filled("conftest.py.j2"),
    }
    contents |= {path: text for path, text in shared.items() if not path.exists()}
    commands = [f"python -m pytest {shlex.quote(str(out / 'tests'))}"]
    commands += [f"export {VARIABLE}={shlex.quote(str(out.resolve()))}", *_trained(name, name)]
    return _write(contents, commands)


def _trained(recipe: str, name: str) -> list[str]:
    return [f"discern train {recipe} --out runs/{name}", f"discern evaluate runs/{name}"]


def _filled(template: str, **values: str) -> str:
    text: str = templates("discern_vqa.scaffold", autoescape=False).get_template(template).render(**values)
    return text.rstrip("\n") + "\n"


def _write(contents: dict[Path, str], following: list[str]) -> Written:
    for path in contents:
        if path.exists():
            raise ConfigError(f"{path} is there already", hint="choose another name, or move the file away")
    for path, text in contents.items():
        atomic_write_text(path, text)
    return Written(list(contents), following)
