"""The names of a run folder's first files, and whether a folder is one: for what must not load torch to know it."""

from pathlib import Path

from discern_vqa.errors import RunError
from discern_vqa.files import read_json, sha256_of

CONFIG, VOCABULARY, WEIGHTS = "config.json", "vocabulary.json", "model.safetensors"
ONNX = "onnx.json"
"""What tells the folder of an export to ONNX from a run folder."""


def is_onnx(folder: Path) -> bool:
    """Whether `discern export --to onnx` wrote this folder."""
    return (Path(folder) / ONNX).is_file() and not (Path(folder) / CONFIG).is_file()


def refuse_onnx(folder: Path) -> None:
    """Raises RunError: the folder of an export, of which somebody wants more than answers."""
    if is_onnx(folder):
        raise RunError(
            f"{folder} is a run that was exported to ONNX, which can be asked and nothing else",
            hint="name the run that it was made of; what can be done with this one: ask, predict and serve",
        )


def weights_sha256(folder: Path) -> str:
    """The SHA-256 of the weights of a finished run; of an export, of the weights that it was made of."""
    return str(read_json(folder / ONNX)["weights_sha256"]) if is_onnx(folder) else sha256_of(folder / WEIGHTS)


def require_asked(folder: Path, *, finished: bool) -> None:
    """As `require_run`, and takes the folder of an export too."""
    if not is_onnx(folder):
        require_run(folder, finished=finished)


def require_run(folder: Path, *, finished: bool) -> None:
    """Raises RunError: `folder` is no run folder, or (when `finished`) its training has not ended."""
    refuse_onnx(folder)
    if not (folder / CONFIG).is_file():
        problem = (
            f"{folder} is no run folder: it has no {CONFIG}" if folder.is_dir() else f"there is no run folder {folder}"
        )
        raise RunError(problem, hint="discern train RECIPE --out RUN makes one")
    if finished and not (folder / WEIGHTS).is_file():
        raise RunError(
            f"{folder} has no {WEIGHTS}: its training has not ended",
            hint=f"discern train {folder / 'recipe.toml'} --out {folder} --resume",
        )
