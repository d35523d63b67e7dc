"""What the report knows: a run folder's files, read without opening the model. No torch here.

Only `config.json` and one `scores.<split>.json` with its `predictions.<split>.jsonl` must be there; of the rest the
report shows what it finds. A file that is there and broken is an error with file and line, never passed over. A report
is passed on, so of every folder that a file names only its last part is kept.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from discern_vqa.errors import RunError
from discern_vqa.evaluation import calibration, kept_states, predictions
from discern_vqa.evaluation.calibration import Calibration
from discern_vqa.evaluation.kept_states import States
from discern_vqa.evaluation.metrics import check_parts
from discern_vqa.evaluation.predictions import Prediction
from discern_vqa.evaluation.report.clean import without_paths

PREFERRED = ("test", "validation", "train")
BEFORE = "before"  # the run that a run of two stages leaves inside its own folder


@dataclass(frozen=True)
class RunFiles:
    """Everything of a run folder that a report shows.

    Args:
        folder: the run's folder.
        name: the run's, as its config says.
        split: the one that is reported.
        config: `config.json`.
        recipe: `recipe.toml` as text, "" where there is none.
        scores: `scores.<split>.json`.
        rows: `predictions.<split>.jsonl`.
        baselines: predictions of the baselines on the same questions, where the run folder keeps them.
        learning: the lines of `metrics.jsonl`; under "before" those of the stage before.
        audit: `audit.json`.
        heat: question id -> explanation, of `explanations.<split>.jsonl`.
        explained: `explanation_scores.<split>.json`.
        calibration: `calibration.json`.
        states: `features.<split>.safetensors`.
        root: the data set's folder, where the config says one; the only path that is kept.
    """

    folder: Path
    name: str
    split: str
    config: dict[str, Any]
    recipe: str
    scores: dict[str, Any]
    rows: list[Prediction]
    baselines: dict[str, list[Prediction]] = field(default_factory=dict)
    learning: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    audit: dict[str, Any] = field(default_factory=dict)
    heat: dict[str, dict[str, Any]] = field(default_factory=dict)
    explained: dict[str, Any] = field(default_factory=dict)
    calibration: Calibration | None = None
    states: States | None = None
    root: Path | None = None


def read_run(folder: Path, split: str = "") -> RunFiles:
    """Reads a run folder; by default its test split, else what was evaluated.

    Raises RunError: no run folder, not evaluated, or a broken file (with line); DataError for broken predictions.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"there is no run folder {folder}", hint="discern train RECIPE --out RUN makes one")
    config = _object(folder / "config.json", f"{folder} is no run folder, or half written")
    split = split or _evaluated(folder)
    scores = _object(folder / f"scores.{split}.json", f"{folder} was not evaluated on {split}")
    for key in ("n", "overall", "open", "closed"):
        if key not in scores:
            raise RunError(
                f"{folder / f'scores.{split}.json'} has no {key!r}", hint=f"write it anew: discern evaluate {folder}"
            )
    check_parts(scores, str(folder / f"scores.{split}.json"))
    stages = {"": folder / "metrics.jsonl", BEFORE: folder / BEFORE / "metrics.jsonl"}
    recipe = folder / "recipe.toml"
    states = folder / f"features.{split}.safetensors"
    root = (config.get("data") or {}).get("root")
    known = [folder, folder.resolve(), *([Path(root)] if root else []), Path.home()]
    kept = sorted((folder / "baselines").glob(f"*.{split}.jsonl"))
    return RunFiles(
        folder=folder,
        name=str(config.get("name") or folder.resolve().name),
        split=split,
        config=without_paths(config, known),
        recipe=without_paths(recipe.read_text(encoding="utf-8"), known) if recipe.is_file() else "",
        scores=without_paths(scores, known),
        rows=predictions.read(folder / f"predictions.{split}.jsonl"),
        baselines={path.name.removesuffix(f".{split}.jsonl"): predictions.read(path) for path in kept},
        learning={stage: _lines(path) for stage, path in stages.items() if path.is_file()},
        audit=_if_there(folder / "audit.json", known),
        heat=_explanations(folder / f"explanations.{split}.jsonl"),
        explained=_if_there(folder / f"explanation_scores.{split}.json", known),
        calibration=_calibration(folder),
        states=kept_states.read(states) if states.is_file() else None,
        root=Path(root) if root else None,
    )


def _calibration(folder: Path) -> Calibration | None:
    """What `discern calibrate` left; of a folder that was passed on without its weights it is taken as it is."""
    weights = folder / "model.safetensors"
    if weights.is_file():
        return calibration.read_if_there(folder, weights)
    path = folder / calibration.FILE
    return Calibration.read(path) if path.is_file() else None


def _if_there(path: Path, known: list[Path]) -> dict[str, Any]:
    found: dict[str, Any] = without_paths(_object(path), known) if path.is_file() else {}
    return found


def _evaluated(folder: Path) -> str:
    found = {path.name[len("scores.") : -len(".json")] for path in folder.glob("scores.*.json")}
    if not found:
        raise RunError(f"{folder} has no scores yet", hint=f"first: discern evaluate {folder}")
    return next((split for split in PREFERRED if split in found), sorted(found)[0])


def _explanations(path: Path) -> dict[str, dict[str, Any]]:
    """The first heat map of each question; a map is a grid (rows, columns) of numbers in [0, 1]."""
    found: dict[str, dict[str, Any]] = {}
    if path.is_file():
        for number, line in enumerate(_lines(path), start=1):
            grid = line.get("grid")
            if not isinstance(line.get("id"), str) or not _is_grid(grid):
                raise RunError(
                    f"{path}: heat map {number} has no id, or no grid of rows of numbers of one length",
                    hint='a line is {"id": ..., "method": ..., "grid": [[0.1, 0.9], [0.0, 0.3]]}',
                )
            found.setdefault(line["id"], line)
    return found


def _is_grid(grid: Any) -> bool:
    return (
        isinstance(grid, list)
        and bool(grid)
        and all(isinstance(row, list) and row and len(row) == len(grid[0]) for row in grid)
        and all(isinstance(value, int | float) for row in grid for value in row)
    )


def _object(path: Path, missing: str = "") -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        hint = "discern train RECIPE --out RUN, then discern evaluate RUN"
        raise RunError(f"{missing}: there is no {path.name}", hint=hint) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RunError(f"{path} is broken: {error}", hint="restore it, or write it anew (train, evaluate)") from error
    if not isinstance(content, dict):
        raise RunError(f"{path} is broken: expected an object", hint="restore it, or write it anew (train, evaluate)")
    return content


def _lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSONL file; a torn last line of a run that was killed is left out."""
    found: list[dict[str, Any]] = []
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise RunError(
                f"{path}:{number}: not JSON: {error.msg}", hint="take the line out, or train again"
            ) from None
        if not isinstance(content, dict):
            raise RunError(f"{path}:{number}: expected an object", hint="take the line out, or train again")
        found.append(content)
    return found
