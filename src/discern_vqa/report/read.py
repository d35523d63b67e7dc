"""What the report knows: a run folder's files, read without opening the model. No torch here.

Only `config.json` and one `scores.<split>.json` with its `predictions.<split>.jsonl` must be there; of the rest the
report shows what it finds. A file that is there and broken is an error with file and line, never passed over. A report
is passed on, so of every folder that a file names only its last part is kept.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from discern_vqa.errors import RunError
from discern_vqa.report.clean import without_paths
from discern_vqa.report.schema import Audit, Config, Learned, scores_schema
from discern_vqa.scoring import kept_states, predictions, stored
from discern_vqa.scoring.kept_states import States
from discern_vqa.scoring.metrics import check_parts
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.scoring.stored import Stored
from discern_vqa.trust import calibration
from discern_vqa.trust.calibration import Calibration

AUDIT = "audit.json"
PREFERRED = ("test", "validation", "train")
_MAPS = 'a line is {"id": ..., "method": ..., "grid": [[0.1, 0.9], [0.0, 0.3]]}; write or remove it'
_EXPLAIN = "write it anew: discern explain {} --score, or remove it"
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
        audit: `audit.json` of test, `audit.<split>.json` of another split.
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
    train, evaluate = "restore it, or train the run again", f"restore it, or write it anew: discern evaluate {folder}"
    config = _object(folder / "config.json", train, Config, f"{folder} is no run folder, or half written")
    split = split or _evaluated(folder)
    scores = _object(
        folder / f"scores.{split}.json", evaluate, scores_schema(), f"{folder} was not evaluated on {split}"
    )
    check_parts(scores, str(folder / f"scores.{split}.json"))
    stages = {"": folder / "metrics.jsonl", BEFORE: folder / BEFORE / "metrics.jsonl"}
    recipe = folder / "recipe.toml"
    states = folder / f"features.{split}.safetensors"
    audit = audit_file(folder, split)  # of an older run one file holds whichever split was judged last
    root = (config.get("data") or {}).get("root")
    known = [folder, folder.resolve(), *([Path(root)] if root else []), Path.home()]
    kept = sorted((folder / "baselines").glob(f"*.{split}.jsonl"))
    return RunFiles(
        folder=folder,
        name=str(config.get("name") or folder.resolve().name),
        split=split,
        config=without_paths(config, known),
        recipe=without_paths(_text(recipe), known) if recipe.is_file() else "",
        scores=without_paths(scores, known),
        rows=predictions.read(folder / f"predictions.{split}.jsonl"),
        baselines={path.name.removesuffix(f".{split}.jsonl"): predictions.read(path) for path in kept},
        learning={stage: _logged(path) for stage, path in stages.items() if path.is_file()},
        audit=_if_there(audit if audit.is_file() else folder / AUDIT, evaluate, known, Audit),
        heat=_explanations(folder / f"explanations.{split}.jsonl"),
        explained=_if_there(folder / f"explanation_scores.{split}.json", _EXPLAIN.format(folder), known),
        calibration=_calibration(folder),
        states=kept_states.read(states) if states.is_file() else None,
        root=Path(root) if root else None,
    )


def audit_file(folder: Path, split: str) -> Path:
    """Where the audit of a evaluation split lies: `AUDIT` for test, a file of its own for every other."""
    return folder / (AUDIT if split == "test" else f"audit.{split}.json")


def _calibration(folder: Path) -> Calibration | None:
    """What `discern calibrate` left; of a folder that was passed on without its weights it is taken as it is."""
    weights = folder / "model.safetensors"
    if weights.is_file():
        return calibration.read_if_there(folder, weights)
    path = folder / calibration.FILE
    return Calibration.read(path) if path.is_file() else None


def _if_there(path: Path, hint: str, known: list[Path], shape: type[Stored] = Stored) -> dict[str, Any]:
    found: dict[str, Any] = without_paths(_object(path, hint, shape), known) if path.is_file() else {}
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
        for number, line in enumerate(stored.read_lines(path, _MAPS), start=1):
            grid = line.get("grid")
            if not isinstance(line.get("id"), str) or not _is_grid(grid):
                raise RunError(
                    f"{path}: heat map {number} has no id, or no grid of rows of numbers of one length",
                    hint=_MAPS,
                )
            found.setdefault(line["id"], line)
    return found


def _is_grid(grid: Any) -> bool:
    return (
        isinstance(grid, list)
        and bool(grid)
        and all(isinstance(row, list) and row and len(row) == len(grid[0]) for row in grid)
        and all(isinstance(value, int | float) and math.isfinite(value) for row in grid for value in row)
    )


def _object(path: Path, hint: str, shape: type[Stored] = Stored, missing: str = "") -> dict[str, Any]:
    try:
        return stored.read_object(path, hint, shape)
    except FileNotFoundError:
        first = "discern train RECIPE --out RUN, then discern evaluate RUN"
        raise RunError(f"{missing}: there is no {path.name}", hint=first) from None


def _logged(path: Path) -> list[dict[str, Any]]:
    return stored.read_lines(path, "take the line out, or train again", Learned)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} is broken: {error}", hint="restore it as UTF-8 text, or remove it") from error
