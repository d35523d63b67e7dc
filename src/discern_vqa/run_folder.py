"""The names of a run folder's first files, and whether a folder is one: for what must not load torch to know it."""

from pathlib import Path

from discern_vqa.errors import RunError

CONFIG, VOCABULARY, WEIGHTS = "config.json", "vocabulary.json", "model.safetensors"


def require_run(folder: Path, *, finished: bool) -> None:
    """Raises RunError: `folder` is no run folder, or (when `finished`) its training has not ended."""
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
