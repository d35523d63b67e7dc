"""The trackers that a training's figures go to besides `metrics.jsonl`, through accelerate. A recipe names them in
`run.trackers`; none is the default, and nothing leaves the machine unless the user also set up where to:

| tracker | where the figures are written | what sends them elsewhere |
|---|---|---|
| tensorboard | the run folder, `tensorboard/` | nothing |
| mlflow | the run folder, `mlflow.db` | MLFLOW_TRACKING_URI |
| wandb | the run folder, `wandb/`, offline | WANDB_MODE=online |
| trackio | trackio's own folder of the user | TRACKIO_SPACE_ID, TRACKIO_SERVER_URL |
"""

import importlib
import importlib.util
import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate import tracking

from discern_vqa.errors import ConfigError, RunError
from discern_vqa.files import atomic_write_text

IDS = "trackers.json"
"""In the run folder: under which id each service knows the run, so that a resumed training goes on with it."""
PROJECT = "discern"


def check_installed(names: Sequence[str]) -> None:
    """Raises ConfigError for a tracker whose package is missing."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"run.trackers names {', '.join(missing)}, which is not installed",
            hint=f"pip install {' '.join(missing)}, or take it out of run.trackers",
        )


class Trackers:
    """The trackers of one training. step: the last step that is done already, 0 at the beginning."""

    def __init__(self, names: Sequence[str], folder: Path, step: int) -> None:
        """Raises RunError when one does not start."""
        file = folder / IDS
        ids = json.loads(file.read_text(encoding="utf-8")) if step and file.is_file() else {}
        self.trackers = []
        for name in names:
            try:
                self.trackers.append(_started(name, folder, step, ids))
            except Exception as error:  # each service has errors of its own
                raise RunError(
                    f"the tracker {name} does not start: {error}", hint=f"take {name} out of run.trackers, or set it up"
                ) from error
        if ids:
            atomic_write_text(file, json.dumps(ids))

    def log(self, line: dict[str, Any]) -> None:
        """The numbers of a line of `metrics.jsonl`, as `<split>/<name>` at the line's step."""
        values = {f"{line['split']}/{name}": value for name, value in line.items() if isinstance(value, float)}
        for tracker in self.trackers:
            tracker.log(values, step=line["step"])

    def close(self) -> None:
        """Writes what is left."""
        for tracker in self.trackers:
            tracker.finish()


def _started(name: str, folder: Path, step: int, ids: dict[str, str]) -> tracking.GeneralTracker:
    """The tracker, started; a service's id of the run is added to `ids`."""
    settings: dict[str, Any]
    if name == "tensorboard":  # purge_step hides what a killed training wrote after its last save
        settings = {"run_name": name, "logging_dir": folder, "purge_step": step + 1 if step else None}
    elif name == "mlflow":
        if "MLFLOW_TRACKING_URI" not in os.environ:
            importlib.import_module("mlflow").set_tracking_uri(f"sqlite:///{folder.resolve() / 'mlflow.db'}")
        settings = {"experiment_name": PROJECT, "run_name": folder.name, "run_id": ids.get(name)}
    else:
        id = ids.setdefault(name, f"{folder.resolve().name}-{secrets.token_hex(4)}")
        settings = {"run_name": PROJECT, "name": id, "resume": "allow"}
        if name == "wandb":
            settings |= {"id": id, "dir": folder, "mode": os.environ.get("WANDB_MODE", "offline")}
    tracker = tracking.LOGGER_TYPE_TO_CLASS[name](**settings)
    tracker.start()
    if name == "mlflow":
        ids[name] = tracker.active_run.info.run_id
    return tracker
