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
    from discern_vqa.evaluation.asked_run import OpenRun

__all__ = ["Answer", "__version__", "load"]


def load(run: str | Path, *, revision: str | None = None) -> "OpenRun":
    """The trained model of a run, ready to be asked. Raises RunError where there is none.

    run: a run folder, or what `discern export --to onnx` wrote; or a repository of the Hugging Face hub, "org/name" or
    "hf://org/name", where no folder of that name, nor one called "org", lies here. revision: a branch, tag or commit of
    the repository.
    """
    from discern_vqa import hub
    from discern_vqa.evaluation.opening import open_to_ask

    named = isinstance(run, str) and hub.is_hub_name(run) and not Path(run).parent.is_dir()
    if isinstance(run, str) and (
        run.startswith(hub.PREFIX) or named or (revision is not None and not Path(run).exists())
    ):
        return open_to_ask(hub.fetch(run, revision))
    return open_to_ask(Path(run))


def __getattr__(name: str) -> object:
    if name == "Answer":
        from discern_vqa.data.answers import Answer

        return Answer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
