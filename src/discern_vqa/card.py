"""The model card: `README.md` of a run folder, in the hub's format, written after training and again by `evaluate`.

It is made from the run's own files. What a user adds is kept: further entries of the YAML head (a licence, for
example), and everything below the line `YOURS`. A README that this program did not write is left alone. No torch here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PureWindowsPath
from typing import Any

from discern_vqa.errors import ConfigError
from discern_vqa.files import atomic_write_text
from discern_vqa.scoring.stored import own_file, read_object

CARD = "README.md"
MADE = "<!-- Written by Discern; `discern evaluate` writes it again. -->"
YOURS = "<!-- What stands below this line is yours: it is kept. -->"
UNSTATED = "unknown"
TASK = "visual-question-answering"
_OWN = {"tags", "datasets", "metrics", "model-index", "library_name", "pipeline_tag", "language"}
_ENTRY = re.compile(r"^(?=[\w-]+:)", re.MULTILINE)


@dataclass(frozen=True)
class Figure:
    """One accuracy of the hub's index."""

    name: str  # "accuracy, open"; "accuracy of the baseline majority"
    value: float  # a fraction
    n: int  # questions (pairs, of image pairs)
    interval: tuple[float, float] | None  # 95 %, clustered by image


@dataclass(frozen=True)
class Judged:
    """What is known of a run once it was evaluated."""

    split: str
    questions: int
    images: int | None
    protocol: str  # "usual", "image_disjoint fold 0"
    normaliser: str  # the rule by which two answers count as the same
    figures: Sequence[Figure]  # the run's own, then the baselines', for the hub's index
    table: str  # the figures beside baselines and controls, as Markdown
    says: Sequence[str] = ()  # sentences on what the figures are worth
    flaws: Sequence[str] = ()  # the audit's sentences on the data


def write_card(folder: Path, judged: Judged | None = None) -> bool:
    """Writes the card of a run folder; False where a README of somebody else's is there, which stays.

    Raises RunError: the folder has no readable config.json.
    """
    from jinja2 import Environment

    folder, path = Path(folder), Path(folder) / CARD
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    if before and MADE not in before:
        return False
    template = files("discern_vqa").joinpath("card.md.j2").read_text("utf-8")
    with own_file(folder / "config.json", "train the run again"):
        config = read_object(folder / "config.json", "train the run again")
        name = str(config.get("name") or folder.resolve().name)
        head = _head(name, config["data"]["dataset"], config["model"]["name"], judged, _kept(before))
        text = (
            Environment(trim_blocks=True, lstrip_blocks=True)
            .from_string(template)
            .render(
                head=head,
                made=MADE,
                name=name,
                quoted=f'"{name}"' if any(letter.isspace() for letter in name) else name,
                config=config,
                encoders=_encoders(config["model"]),
                judged=judged,
                facts=_facts(config),
                has_recipe=(folder / "recipe.toml").is_file(),
                yours=YOURS,
                below=_below(before),
            )
        )
    atomic_write_text(path, text)
    return True


def stated_licence(folder: Path) -> str:
    """The licence in the head of a folder's card, as it stands; "" where none is stated."""
    path = Path(folder) / CARD
    entry = _kept(path.read_text(encoding="utf-8")).get("license", "") if path.is_file() else ""
    licence = entry.partition(":")[2].strip().strip("\"'")
    return "" if licence == UNSTATED else licence


def with_licence(text: str, licence: str) -> str:
    """A card's text with this licence in its head. Raises ConfigError: it is no name such as the hub has, or the text
    has no head."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", licence):
        raise ConfigError(
            f"{licence!r} is no licence's name; expected one as the hub writes it",
            hint="for example --license apache-2.0, cc-by-4.0, cc-by-nc-4.0 or other",
        )
    if not text.startswith("---\n"):
        raise ConfigError(
            "the model card has no head to state a licence in", hint="begin README.md with: ---, license: ..., ---"
        )
    head, rest = text[4:].split("\n---", 1)
    entries = [entry for entry in _ENTRY.split(head) if entry.strip() and not entry.startswith("license:")]
    return "---\n" + "\n".join([f"license: {licence}", *(entry.strip("\n") for entry in entries)]) + "\n---" + rest


def _head(name: str, dataset: str, model: str, judged: Judged | None, kept: Mapping[str, str]) -> str:
    """The YAML head: ours as the hub's client writes it, then the user's entries as they stand."""
    from huggingface_hub import EvalResult, ModelCardData

    results = (
        [
            EvalResult(
                task_type=TASK,
                dataset_type=dataset,
                dataset_name=dataset,
                dataset_config=judged.protocol,
                dataset_split=judged.split,
                metric_type="accuracy",
                metric_name=figure.name,
                metric_value=round(figure.value, 4),
                metric_args={"n": figure.n, "answers_compared": judged.normaliser} | _interval(figure),
            )
            for figure in judged.figures
        ]
        if judged
        else []
    )
    data = ModelCardData(
        language="en",
        library_name="discern-vqa",
        pipeline_tag=TASK,
        tags=["medical", "visual-question-answering", "research-only", model],
        datasets=[dataset],
        metrics=["accuracy"],
        model_name=name,
        eval_results=results or None,
    )
    entries = {"license": f"license: {UNSTATED}"} | dict(kept)
    return "\n".join([*entries.values(), data.to_yaml().strip()])


def _interval(figure: Figure) -> dict[str, Any]:
    if figure.interval is None:
        return {}
    return {"ci95": [round(end, 4) for end in figure.interval], "clustered_by": "image"}


def _kept(before: str) -> dict[str, str]:
    """The user's entries of a head, by their key, as text: nothing of them is read."""
    if not before.startswith("---\n"):
        return {}
    head = before[4:].partition("\n---")[0]
    entries = {entry.partition(":")[0]: entry.strip() for entry in _ENTRY.split(head) if entry.strip()}
    return {key: entry for key, entry in entries.items() if key not in _OWN}


def _below(before: str) -> str:
    below = before.partition(YOURS)[2].strip("\n")
    return f"\n{below}\n" if below else ""


def _encoders(model: Mapping[str, Any]) -> list[str]:
    """Both encoders by their weights' names, or by their kinds: no folder of this or any system."""
    sides = {side: model[side] for side in ("image", "text") if isinstance(model.get(side), Mapping)}
    names = {side: str(table.get("weights") or table.get("kind")) for side, table in sides.items()}
    return [f"{side}: {PureWindowsPath(name).name}" for side, name in names.items()]


def _facts(config: Mapping[str, Any]) -> dict[str, Any]:
    """What one must know of the training, by name; None or "" is left out."""
    run, optim, objective, prior = (config.get(key) or {} for key in ("run", "optim", "objective", "prior"))
    environment = config.get("environment") or {}
    heard = [name for name in ("wording", "cases") if prior.get(name)]
    apart = prior.get("share_yes_no")
    share = str(prior.get("share")) + (f", {apart} where yes or no is expected" if apart is not None else "")
    versions = ", ".join(f"{name} {number}" for name, number in (environment.get("versions") or {}).items())
    return {
        "objective": objective.get("name"),
        "optimiser": ", ".join(f"{key} {optim[key]}" for key in ("optimizer", "lr", "batch") if key in optim),
        "prior": f"{' and '.join(heard)}, share {share}" if heard else None,
        "epochs": run.get("epochs"),
        "seed": run.get("seed"),
        "machine": " ".join(str(environment[key]) for key in ("system", "machine") if environment.get(key)),
        "versions": f"Python {environment.get('python')}, {versions}",
    }
