"""What the report knows: a run folder's files, read without opening the model. No torch here.

Only `config.json` and one `scores.<split>.json` with its `predictions.<split>.jsonl` must be there; of the rest the
report shows what it finds. A file that is there and broken is an error with file and line, never passed over. A report
is passed on, so of every folder that a file names only its last part is kept.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from discern_vqa.data.judged import Within
from discern_vqa.errors import RunError
from discern_vqa.report.clean import without_paths
from discern_vqa.report.places import places
from discern_vqa.run_folder import refuse_onnx
from discern_vqa.scoring import kept_states, predictions, stored
from discern_vqa.scoring.kept_states import States
from discern_vqa.scoring.metrics import check_parts
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.trust import calibration
from discern_vqa.trust.calibration import Calibration
from discern_vqa.trust.ood import WITHIN, read_within

AUDIT = "audit.json"
PREFERRED = ("test", "validation", "train")
TRAIN_AGAIN = "restore it, or train the run again"
BEFORE = "before"  # the run that a run of two stages leaves inside its own folder


@dataclass(frozen=True)
class RunFiles:
    """Everything of a run folder that a report shows; of a file that is not there, nothing."""

    folder: Path
    name: str  # as its config says
    split: str  # the one that is reported
    config: dict[str, Any]
    recipe: str  # recipe.toml as text
    scores: dict[str, Any]
    rows: list[Prediction]
    baselines: dict[str, list[Prediction]] = field(default_factory=dict)  # their answers to the same questions
    learning: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # metrics.jsonl; BEFORE: of that stage
    audit: dict[str, Any] = field(default_factory=dict)
    heat: dict[str, dict[str, Any]] = field(default_factory=dict)  # question id -> line of explanations.<split>.jsonl
    explained: dict[str, Any] = field(default_factory=dict)  # explanation_scores.<split>.json
    calibration: Calibration | None = None
    within: dict[str, Within] = field(default_factory=dict)  # within.<split>.jsonl, by question id
    states: States | None = None  # features.<split>.safetensors
    root: Path | None = None  # the data set's folder or file, if the config says one
    # Where images and masks lie, as the data set says when it is read again, and why that is not known.
    places: Callable[[], tuple[dict[str, Path], str]] = lambda: ({}, "")


def read_run(folder: Path, split: str = "") -> RunFiles:
    """Reads a run folder; by default its test split, else what was evaluated.

    Raises RunError: no run folder, not evaluated, or a broken file; DataError for broken predictions.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"there is no run folder {folder}", hint="discern train RECIPE --out RUN makes one")
    refuse_onnx(folder)
    config_file, recipe = folder / "config.json", folder / "recipe.toml"
    if not config_file.is_file():
        hint = "discern train RECIPE --out RUN, then discern evaluate RUN"
        raise RunError(f"{folder} is no run folder, or half written: there is no {config_file.name}", hint=hint)
    with stored.own_file(config_file, TRAIN_AGAIN):
        config = stored.read_object(config_file, TRAIN_AGAIN)
        root = (config.get("data") or {}).get("root")
        known = [folder, folder.resolve(), *([Path(root)] if root else []), Path.home()]
    with stored.own_file(recipe, "restore it as UTF-8 text, or remove it"):
        recipe_text = recipe.read_text(encoding="utf-8") if recipe.is_file() else ""
    split = split or _evaluated(folder)
    scores_file, anew = folder / f"scores.{split}.json", evaluate_anew(folder)
    if not scores_file.is_file():
        raise RunError(f"{folder} was not evaluated on {split}", hint=f"discern evaluate {folder} --split {split}")
    with stored.own_file(scores_file, anew):
        scores = stored.read_object(scores_file, anew)
        check_parts(scores, str(scores_file))

    def read_if_there(path: Path, hint: str) -> dict[str, Any]:
        content: dict[str, Any] = without_paths(stored.read_object(path, hint), known) if path.is_file() else {}
        return content

    audit = audit_file(folder, split)  # of an older run one file holds whichever split was judged last
    explain_anew = f"write it anew: discern explain {folder} --score, or remove it"
    stages = {"": folder / "metrics.jsonl", BEFORE: folder / BEFORE / "metrics.jsonl"}
    maps, states = folder / f"explanations.{split}.jsonl", folder / f"features.{split}.safetensors"
    baselines = sorted((folder / "baselines").glob(f"*.{split}.jsonl"))
    return RunFiles(
        folder=folder,
        name=str(config.get("name") or folder.resolve().name),
        split=split,
        config=without_paths(config, known),
        recipe=without_paths(recipe_text, known),
        scores=without_paths(scores, known),
        rows=predictions.read(folder / f"predictions.{split}.jsonl"),
        baselines={path.name.removesuffix(f".{split}.jsonl"): predictions.read(path) for path in baselines},
        learning={stage: stored.read_lines(path, TRAIN_AGAIN) for stage, path in stages.items() if path.is_file()},
        audit=read_if_there(audit if audit.is_file() else folder / AUDIT, anew),
        heat=_explanations(maps, anew) if maps.is_file() else {},
        explained=read_if_there(folder / f"explanation_scores.{split}.json", explain_anew),
        calibration=_calibration(folder),
        within=read_within(folder / f"{WITHIN}.{split}.jsonl", anew),
        states=kept_states.read(states) if states.is_file() else None,
        root=Path(root) if root else None,
        places=cache(partial(places, config, split, str(folder))),
    )


def evaluate_anew(folder: Path) -> str:
    """What to do about a file that `discern evaluate` writes."""
    return f"restore it, or write it anew: discern evaluate {folder}"


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


def _evaluated(folder: Path) -> str:
    found = {path.name[len("scores.") : -len(".json")] for path in folder.glob("scores.*.json")}
    if not found:
        raise RunError(f"{folder} has no scores yet", hint=f"first: discern evaluate {folder}")
    return next((split for split in PREFERRED if split in found), sorted(found)[0])


def _explanations(path: Path, hint: str) -> dict[str, dict[str, Any]]:
    """Question id -> its first heat map, whose "grid" (rows, columns) holds numbers in [0, 1]."""
    maps: dict[str, dict[str, Any]] = {}
    with stored.own_file(path, hint):
        for line in stored.read_lines(path, hint):
            maps.setdefault(line["id"], line)
    return maps
