"""What the service says of an answer, and of a run: the fields of docs/serve.md. No torch here.

Trust comes from `Answer.verdict` alone, as in every command and page.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discern_vqa.data.answers import Answer
from discern_vqa.errors import DiscernError
from discern_vqa.files import from_json, read_json
from discern_vqa.run_folder import CONFIG, ONNX, VOCABULARY, is_onnx
from discern_vqa.serve.answerer import RunFacts
from discern_vqa.serve.problems import of_error
from discern_vqa.version import __version__

LIMITS = "Research software: not for diagnosis."


def answer_fields(question: str, answer: Answer) -> dict[str, Any]:
    """An answer as `/v1/answers` tells it."""
    verdict, within = answer.verdict, answer.within
    typical = None
    if within is not None:
        shares = {"image": within.image, "question": within.question}
        typical = {kind: round(share, 4) for kind, share in shares.items() if share is not None}
    return {
        "question": question,
        "answer": answer.text,
        "score": round(answer.score, 4),
        "alternatives": [[text, round(score, 4)] for text, score in answer.alternatives],
        "others": answer.others,
        "mode": answer.mode,
        "is_calibrated": verdict.is_calibrated,
        "confidence": round(verdict.confidence, 4),
        "abstains": verdict.abstains,
        "reason": verdict.reason,
        "answer_set": None if verdict.answer_set is None else list(verdict.answer_set),
        "set_coverage": verdict.coverage,
        "promise": verdict.promise,
        "in_words": verdict.in_words,
        "outside": list(verdict.outside),
        "typical": typical,
        "notes": list(answer.notes),
        "error": None,
    }


def failed_fields(question: object, error: DiscernError) -> dict[str, Any]:
    """A question that was not answered."""
    text = question if isinstance(question, str) else ""
    shown = text[:1000].encode("utf-8", "replace").decode("utf-8")
    return {"question": shown, "error": of_error(error).fields()}


@dataclass(frozen=True)
class RunFiles:
    """What a run's files say, read once."""

    weights: str  # SHA-256
    model: str
    dataset: str
    answers: tuple[str, ...]
    figures: dict[str, Any] | None
    questions: tuple[tuple[str, int], ...]

    @classmethod
    def read(cls, folder: Path, weights: str) -> "RunFiles":
        """Raises RunError where the run's own files are broken; what is optional and broken is left out."""
        config = read_json(folder / (ONNX if is_onnx(folder) else CONFIG))
        vocabulary = read_json(folder / VOCABULARY)
        table = vocabulary.get("answers", {})
        answers = table.get("spellings") or table.get("answers") or []
        return cls(
            weights=weights,
            model=str(config["model"]["name"]),
            dataset=str(config["data"]["dataset"]),
            answers=tuple(map(str, answers)),
            figures=_figures(folder),
            questions=_frequent(folder),
        )


def model_fields(name: str, runs: list[str], files: RunFiles, facts: RunFacts) -> dict[str, Any]:
    """What `/v1/model` says of a run, but for what the service itself was told."""
    fitted = facts.calibration or {"coverage": None, "abstains_below": None, "fitted_on": None}
    return {
        "run": name,
        "runs": runs,
        "weights": files.weights,
        "weights_short": files.weights[:8],
        "model": files.model,
        "dataset": files.dataset,
        "version": __version__,
        "mode": facts.mode,
        "modes": list(facts.modes),
        "size": facts.size,
        "answers": len(files.answers),
        "calibrated": facts.calibration is not None,
        **fitted,
        "detects_outside": facts.detects_outside,
        "explains": list(facts.explains),
        "similar": facts.similar,
        "figures": files.figures,
        "limits": LIMITS,
    }


def _figures(folder: Path) -> dict[str, Any] | None:
    """The accuracy on the test split, else on another; None where the run was not evaluated."""
    files = sorted(folder.glob("scores.*.json"), key=lambda file: (".test." not in file.name, file.name))
    for file in files:
        try:
            scores = read_json(file)
            parts = {name: scores[name] for name in ("overall", "open", "closed") if scores.get(name)}
            told = {
                name: {
                    "n": part["n"],
                    "accuracy": round(part["accuracy"], 4),
                    "ci95": [round(end, 4) for end in part["ci95"]],
                }
                for name, part in parts.items()
            }
            overall = told.pop("overall")
            return {"split": scores["split"], "images": scores.get("images"), **overall, **told}
        except (DiscernError, LookupError, TypeError):
            continue
    return None


def _frequent(folder: Path) -> tuple[tuple[str, int], ...]:
    """The questions of the stored predictions, the most frequent first."""
    counted: Counter[str] = Counter()
    for file in sorted(folder.glob("predictions.*.jsonl")):
        try:
            with open(file, encoding="utf-8") as lines:
                for line in lines:
                    question = from_json(line).get("question")
                    if isinstance(question, str) and question.strip():
                        counted[question.strip()] += 1
        except (OSError, ValueError, AttributeError):
            continue
    return tuple(counted.most_common(200))
