"""A run folder, opened to be asked: a network's, a baseline's or somebody else's model's, by what its recipe names; or
the export of one. torch is imported when a run is opened."""

from pathlib import Path
from typing import TYPE_CHECKING

from discern_vqa import run_folder
from discern_vqa.timers import timed

if TYPE_CHECKING:  # torch, the readers of data sets and the baselines: whoever needs them imports them
    from discern_vqa.evaluation.asked_run import OpenRun
    from discern_vqa.evaluation.predict import Predictor
    from discern_vqa.recipe_samples import Samples
    from discern_vqa.run import Run


def open_to_ask(folder: Path) -> "OpenRun":
    """As `open_run`, and opens what `discern export --to onnx` wrote too, without torch. Raises as it does."""
    if run_folder.is_onnx(folder):
        from discern_vqa.evaluation.predict_onnx import OnnxPredictor

        return OnnxPredictor.open(Path(folder))
    return open_run(folder)


def open_run(folder: Path, device: str | None = None, *, calibrated: bool = True) -> "Predictor":
    """Loads a finished run, with its calibration and its out-of-distribution detector if it has them.

    device: where a network answers; None: the GPU where torch finds one, else the CPU. calibrated: False leaves out
    `calibration.json` and the detector, which may be broken or out of date. Raises RunError where the folder is no
    finished run, or one of its files is damaged.
    """
    with timed("importing"):  # torch, and the readers of data sets
        from discern_vqa.evaluation import predict  # noqa: F401
        from discern_vqa.run import Run

    with timed("setting up"):
        return _open(Run.open(folder), device, calibrated)


def _open(run: "Run", device: str | None, calibrated: bool) -> "Predictor":
    from discern_vqa.evaluation.predict import Predictor

    kind: type[Predictor] = Predictor
    if run.recipe.is_baseline:
        from discern_vqa.evaluation.predict_baseline import BaselinePredictor as kind
    elif run.recipe.is_outside:
        from discern_vqa.evaluation.predict_outside import OutsidePredictor as kind  # httpx is an extra
    return kind.of(run, device, calibrated)


def whole_run(opened: "OpenRun") -> "Predictor":
    """The same, for what an export has not: heat maps and similar cases. Raises RunError of an export."""
    run_folder.refuse_onnx(opened.folder)
    from discern_vqa.evaluation.predict import Predictor

    assert isinstance(opened, Predictor)
    return opened


def data_root(run: "Run", data: Path | None = None) -> Path:
    """The data set's folder: `data`; none: where it lay when the run was made, then where data is looked for."""
    from discern_vqa.recipe_samples import find_root

    knows_where = run.root != Path()  # a run from the hub names no folder
    return run.root if data is None and knows_where and run.root.exists() else find_root(run.recipe.data, data)


def samples_of(run: "Run", data: Path | None = None) -> "Samples":
    """The samples of the run's recipe; `data` as in `data_root`, or a data.toml that says how they are read now."""
    from discern_vqa import data_file
    from discern_vqa.recipe_samples import Samples

    if data is not None and data_file.is_data_file(data):
        keys = data_file.data_keys(data)
        choice, root = run.recipe.data.model_copy(update=keys), Path(keys["root"])
    else:
        choice, root = run.recipe.data, data_root(run, data)
    return Samples(choice, root, run.recipe.run.seed, may_lack_training=run.recipe.is_outside)
