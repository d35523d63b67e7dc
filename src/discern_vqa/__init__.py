"""Data-efficient medical visual question answering that can be trusted.

    import discern_vqa
    model = discern_vqa.load("runs/demo")
    print(model.ask("chest.png", "Is there a pleural effusion?"))

    def answer(pairs): return ["yes" for image, question in pairs]
    print(discern_vqa.evaluate(answer, "vqa_rad"))

docs/api.md shows all of it. Importing this package is silent and fast: torch wakes up when `load` or `evaluate` is
called.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from discern_vqa.version import __version__

if TYPE_CHECKING:
    from discern_vqa.data.answers import Answer
    from discern_vqa.evaluation.asked_run import OpenRun
    from discern_vqa.evaluation.evaluate_callable import Evaluated, evaluate
    from discern_vqa.evaluation.explain import Explained

__all__ = ["Answer", "Evaluated", "Explained", "OpenRun", "__version__", "evaluate", "load"]

_ELSEWHERE = {
    "Answer": "discern_vqa.data.answers",
    "OpenRun": "discern_vqa.evaluation.asked_run",
    "Evaluated": "discern_vqa.evaluation.evaluate_callable",
    "Explained": "discern_vqa.evaluation.explain",
    "evaluate": "discern_vqa.evaluation.evaluate_callable",
}
"""Where each public name is defined: it is imported when it is first used."""


def load(run: str | Path, *, revision: str | None = None) -> "OpenRun":
    """The trained model of a run, ready to be asked. Raises RunError where there is none.

    run: a run folder, or what `discern export --to onnx` wrote; or a repository of the Hugging Face hub, "org/name" or
    "hf://org/name", where no folder of that name, nor one called "org", lies here. revision: a branch, tag or commit of
    the repository.
    """
    from discern_vqa import hub
    from discern_vqa.errors import RunError
    from discern_vqa.evaluation.opening import open_to_ask

    if not isinstance(run, str | Path):
        raise RunError(
            f"the run is given as {type(run).__name__}; expected a path or a name of the hub",
            hint='for example: discern_vqa.load("runs/demo")',
        )

    named = isinstance(run, str) and hub.is_hub_name(run) and not Path(run).parent.is_dir()
    if isinstance(run, str) and (
        run.startswith(hub.PREFIX) or named or (revision is not None and not Path(run).exists())
    ):
        return open_to_ask(hub.fetch(run, revision))
    return open_to_ask(Path(run))


if not TYPE_CHECKING:  # a type checker sees the imports above, and nothing that is not there

    def __getattr__(name: str) -> object:
        if name in _ELSEWHERE:
            import importlib

            return getattr(importlib.import_module(_ELSEWHERE[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
