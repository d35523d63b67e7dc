"""Data-efficient medical visual question answering that can be trusted.

    import discern_vqa
    model = discern_vqa.load("runs/demo")
    print(model.ask("chest.png", "Is there a pleural effusion?"))

Importing this package is silent and fast: torch wakes up when `load` is called.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from discern_vqa.version import __version__

if TYPE_CHECKING:
    from discern_vqa.data.answers import Answer
    from discern_vqa.evaluation.predict import Predictor

__all__ = ["Answer", "__version__", "load"]


def load(run: str | Path) -> "Predictor":
    """The trained model of a run folder, ready to be asked. Raises RunError where the folder is none."""
    from discern_vqa.evaluation.opening import open_run

    return open_run(Path(run))


def __getattr__(name: str) -> object:
    if name == "Answer":
        from discern_vqa.data.answers import Answer

        return Answer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
