"""Packages of one's own that add models, objectives, data sets, baselines, measurements and explanations.

Such a package has a folder of the same name for each kind: `mine/models/toy.py` is the model "toy", and recipes in
`mine/recipes/` are found by name. `discern new model` writes one. A package is found

- where the environment variable DISCERN_PARTS names its folder (several are separated as in PATH), or
- where it is installed and has an entry point of the group `discern_vqa.parts` whose value is the package's name.
"""

import importlib
import os
import sys
import traceback
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from discern_vqa.errors import ConfigError, DiscernError

VARIABLE, GROUP = "DISCERN_PARTS", "discern_vqa.parts"


def package_names() -> list[str]:
    """The names of one's own packages, each importable. Raises ConfigError for one that is not there."""
    given = [Path(part).expanduser() for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
    return list(dict.fromkeys([*map(_made_importable, given), *_installed()]))


def package_folders() -> list[Path]:
    """Their folders."""
    return [Path(folder) for name in package_names() for folder in _places(name)]


def import_own(module: str) -> ModuleType:
    """Imports a module of such a package. Raises ConfigError with file and line where its code does not run: it is the
    user's, and may raise anything."""
    try:
        return importlib.import_module(module)
    except DiscernError:
        raise
    except Exception as error:
        place = f"{error.filename}:{error.lineno}" if isinstance(error, SyntaxError) else _deepest(error, module)
        said = error.msg if isinstance(error, SyntaxError) else error
        raise ConfigError(
            f"{place}: {type(error).__name__}: {said}", hint=f'correct it; python -c "import {module}" shows more'
        ) from error


def _made_importable(folder: Path) -> str:
    """The name of the package in this folder, whose parent Python searches from now on."""
    where = f"{VARIABLE} names {folder}"
    if not folder.is_dir():
        raise ConfigError(f"{where}, which is no folder", hint=f"export {VARIABLE}=FOLDER_OF_YOUR_PACKAGE, or unset it")
    folder = folder.resolve()
    if not folder.name.isidentifier():
        hint = f"rename the folder, for example to {''.join(c if c.isalnum() else '_' for c in folder.name)}"
        raise ConfigError(f"{where}, which is no name of a Python package", hint=hint)
    if str(folder.parent) not in sys.path:
        sys.path.append(str(folder.parent))
        importlib.invalidate_caches()
    if folder not in (places := _places(folder.name)):
        other = f" ({places[0]})" if places else ""
        raise ConfigError(f"{where}, but Python knows another {folder.name!r}{other}", hint="rename the folder")
    return folder.name


def _places(name: str) -> list[Path]:
    spec = find_spec(name)
    locations = spec.submodule_search_locations if spec is not None else None
    return [Path(place).resolve() for place in locations or []]


@cache
def _installed() -> tuple[str, ...]:
    from importlib.metadata import entry_points

    return tuple(sorted(entry.value for entry in entry_points(group=GROUP)))


def _deepest(error: Exception, module: str) -> str:
    """The last line of the user's own package that was running."""
    folders = [str(place) for place in _places(module.partition(".")[0])]
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(tuple(folders))]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else module
