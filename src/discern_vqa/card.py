"""The model card: `README.md` of a run folder, in the hub's format, written after training and again by `evaluate`.

It is made from the run's own files. What a user adds is kept: further entries of the YAML head (a licence, for
example), and everything below the line `YOURS`. A README that this program did not write is left alone. No torch here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discern_vqa.errors import RunError
from discern_vqa.files import atomic_write_text, from_json

CARD = "README.md"
MADE = "<!-- Written by Discern; discern evaluate writes it again. -->"
YOURS = "<!-- What stands below this line is yours: it is kept. -->"
UNSTATED = "unknown"
TASK = "visual-question-answering"
_OWN = {"tags", "datasets", "metrics", "model-index", "library_name", "pipeline_tag", "language"}
_ENTRY = re.compile(r"^(?=[\w-]+:)", re.MULTILINE)


@dataclass(frozen=True)
class Judged:
    """What is known of a run once it was evaluated."""

    split: str
    questions: int
    images: int | None
    figures: Mapping[str, float]  # metric ("accuracy", "open", ...) -> a fraction, for the hub's index
    table: str  # the figures beside baselines and controls, as Markdown
    says: Sequence[str] = ()  # sentences on what the figures are worth
    flaws: Sequence[str] = ()  # the audit's sentences on the data


def write_card(folder: Path, judged: Judged | None = None) -> bool:
    """Writes the card of a run folder; False where a README of somebody else's is there, which stays.

    Raises RunError: the folder has no readable config.json.
    """
    folder, path = Path(folder), Path(folder) / CARD
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    if before and MADE not in before:
        return False
    try:
        config = from_json((folder / "config.json").read_bytes())
        name, dataset = str(config.get("name") or folder.resolve().name), config["data"]["dataset"]
        model, encoders = config["model"]["name"], config["model"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{folder / 'config.json'} is broken: {error!r}", hint="train the run again") from error
    head = _head(name, dataset, model, judged, _kept(before))
    recipe = folder / "recipe.toml"
    parts = [
        f"---\n{head}\n---",
        MADE,
        f"# {name}",
        _intended(model, dataset, encoders),
        _judged(judged),
        _data(dataset, config["data"], judged),
        _training(config, recipe.is_file()),
        _use(name),
        _LIMITS,
        YOURS,
    ]
    atomic_write_text(path, "\n\n".join(part for part in parts if part) + "\n" + _below(before))
    return True


def _head(name: str, dataset: str, model: str, judged: Judged | None, kept: Mapping[str, str]) -> str:
    """The YAML head: ours as the hub's client writes it, then the user's entries as they stand."""
    from huggingface_hub import EvalResult, ModelCardData

    figures = judged.figures if judged else {}
    results = [
        EvalResult(
            task_type=TASK,
            dataset_type=dataset,
            dataset_name=dataset,
            dataset_split=judged.split if judged else None,
            metric_type="accuracy",
            metric_name=metric,
            metric_value=round(value, 4),
        )
        for metric, value in figures.items()
    ]
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


def _kept(before: str) -> dict[str, str]:
    """The user's entries of a head, by their key, as text: nothing of them is read."""
    if not before.startswith("---\n"):
        return {}
    head = before[4:].partition("\n---")[0]
    entries = {entry.partition(":")[0]: entry.strip() for entry in _ENTRY.split(head) if entry.strip()}
    return {key: entry for key, entry in entries.items() if key not in _OWN}


def _below(before: str) -> str:
    """What the user wrote below the line."""
    below = before.partition(YOURS)[2].strip("\n") if YOURS in before else ""
    return f"\n{below}\n" if below else ""


def _intended(model: str, dataset: str, encoders: Mapping[str, Any]) -> str:
    parts = [
        f"{side}: {encoders[side].get('weights') or encoders[side].get('kind')}"
        for side in ("image", "text")
        if isinstance(encoders.get(side), Mapping)
    ]
    encoded = f" ({'; '.join(map(_short, parts))})" if parts else ""
    return f"""**Research software, not for diagnosis.** A model of the kind `{model}`{encoded} that answers
questions about medical images. It learned from `{dataset}` with Discern (`discern-vqa`).

## Intended use

Research on visual question answering: to repeat and compare results, to study what such a model sees, and to try it
on images of the kind that it learned from. It is **not** a medical device. No answer of it may be used for the
diagnosis or care of a patient, and no physician has checked its answers."""


def _judged(judged: Judged | None) -> str:
    if judged is None:
        return "## Figures\n\nIt was not evaluated yet: `discern evaluate` writes its figures here."
    images = f" about {judged.images:,} images" if judged.images else ""
    lines = [
        "## Figures",
        "",
        f"On {judged.questions:,} questions{images} of the split `{judged.split}`: accuracy in % [95 % interval,"
        " clustered by image].",
        "",
        judged.table,
        "",
        *(f"- {one}" for one in judged.says),
    ]
    return "\n".join(lines)


def _data(dataset: str, data: Mapping[str, Any], judged: Judged | None) -> str:
    lines = ["## Training data", "", f"`{dataset}`, protocol `{data.get('protocol', 'usual')}`."]
    if auxiliary := data.get("auxiliary") or data.get("beside"):  # its name in runs of earlier versions
        lines.append(f"Training questions of the auxiliary data set `{auxiliary}` were learned from too.")
    if judged is None:
        lines.append("The data were not audited yet.")
    elif judged.flaws:
        lines += ["", "What the audit says of them:", "", *(f"- {one}" for one in judged.flaws)]
    else:
        lines.append("The audit found nothing that stands in the way.")
    return "\n".join(lines)


def _training(config: Mapping[str, Any], has_recipe: bool) -> str:
    run, optim, objective, prior = (config.get(key) or {} for key in ("run", "optim", "objective", "prior"))
    heard = [name for name in ("wording", "cases") if prior.get(name)]
    environment = config.get("environment") or {}
    versions = ", ".join(f"{name} {number}" for name, number in (environment.get("versions") or {}).items())
    facts = {
        "objective": objective.get("name"),
        "optimiser": ", ".join(f"{key} {optim[key]}" for key in ("optimizer", "lr", "batch") if key in optim),
        "prior": f"{' and '.join(heard)}, share {_shares(prior)}" if heard else None,
        "epochs": run.get("epochs"),
        "seed": run.get("seed"),
        "machine": " ".join(str(environment[key]) for key in ("system", "machine") if environment.get(key)),
        "versions": f"Python {environment.get('python')}, {versions}",
    }
    lines = [f"- {name}: {text}" for name, text in facts.items() if text not in (None, "")]
    where = ["", "The whole recipe is `recipe.toml`; every setting as it was resolved is in `config.json`."]
    if "cases" in heard:
        held = "`prior.safetensors` holds vectors of all training questions and images, and their answers; no texts."
        where += ["", held]
    return "\n".join(["## Recipe", "", *lines, *(where if has_recipe else [])])


def _shares(prior: Mapping[str, Any]) -> str:
    apart = prior.get("share_yes_no")
    return str(prior.get("share")) + (f", {apart} where yes or no is expected" if apart is not None else "")


def _use(name: str) -> str:
    return f"""## How to use it

```
pip install discern-vqa
discern ask {_quoted(name)} IMAGE "Is there a pleural effusion?"
discern evaluate {_quoted(name)} --data FOLDER
```

The first argument is this folder. Weights are safetensors; nothing in the folder is a pickle."""


_LIMITS = """## Limits

- It gives an answer of its table to any question about any image, sensible or not; answers that it did not meet in
  training it cannot give.
- Its confidence is worth something only where the run is calibrated (`discern calibrate`), and only for images of the
  kind that it was calibrated on.
- Its figures speak of these questions and images: not of another hospital, camera or language, and not of another
  training run with another seed.
- The licence of these weights is for you to state, in the first lines of this file, within what the licences of the
  training data and of the encoders allow."""


def _short(text: str) -> str:
    """An encoder by its name: no folder of this machine."""
    side, _, weights = text.partition(": ")
    return f"{side}: {weights.replace(chr(92), '/').rstrip('/').rpartition('/')[2]}"


def _quoted(name: str) -> str:
    return f'"{name}"' if any(letter.isspace() for letter in name) else name
