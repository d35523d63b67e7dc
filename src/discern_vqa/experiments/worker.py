"""A worker of an experiment: reads a request a line from stdin, does it, and answers with a line on stdout.

    {"do": "train", "recipe", "data", "from", "out"}        -> {"validation", "epochs"}
    {"do": "answer", "run", "data", "split", "whole", "modes"} -> {}    predictions; `whole`: scores with baselines too,
                                                                     `modes`: every way of answering
    {"do": "baseline", "name", "run", "data", "split"}       -> {}    predictions of a baseline on the run's features
    {"do": "features", "run", "data", "split", "out"}       -> {}    how the states of questions lie

What goes wrong is answered too: {"error": "message (hint)"}; a traceback of anything unexpected goes to stderr, which
is the worker's log.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError, DiscernError
from discern_vqa.evaluation import baseline_rows
from discern_vqa.evaluation.evaluate import evaluate
from discern_vqa.evaluation.opening import open_run
from discern_vqa.evaluation.predict import Predictor
from discern_vqa.files import atomic_write_text
from discern_vqa.recipe_samples import Samples, evaluated, find_root
from discern_vqa.run import METRICS
from discern_vqa.scoring import predictions
from discern_vqa.training.train import train


def serve() -> None:
    """Until stdin ends. What anything prints goes to stderr: stdout is for answers alone."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    torch.set_num_threads(1)
    for line in sys.stdin:
        print(json.dumps(answered(json.loads(line))), file=answers, flush=True)


def answered(request: dict[str, Any]) -> dict[str, Any]:
    try:
        return DO[request["do"]](request)
    except DiscernError as error:
        return {"error": f"{error} ({error.hint})" if error.hint else str(error)}
    except Exception as error:  # told with the row, so that the others go on
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def _train(request: dict[str, Any]) -> dict[str, Any]:
    recipe, out, data, before = Path(request["recipe"]), Path(request["out"]), request["data"], request["from"]
    train(recipe, data=_path(data), from_run=_path(before), out=out, resume=True, quiet=True)
    return validated(out)


def validated(run: Path) -> dict[str, Any]:
    """The last and the best validation accuracy of a finished training, where it has any: a baseline has none."""
    file = run / METRICS
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []
    figures = [line["accuracy"] for line in lines if line["split"] == "validation"]
    return {"validation": figures[-1], "best_validation": max(figures)} if figures else {}


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    run, data, split = Path(request["run"]), _path(request["data"]), str(request["split"])
    if request["whole"]:
        evaluate(run, data=data, split=split)
        return {}
    predictor = open_run(run, calibrated=False)
    torch.manual_seed(predictor.run.recipe.run.seed)  # a mixer that is drawn anew in every pass draws the same here
    samples = _asked(predictor, data, split)
    answering = predictor.answering(samples)
    for mode in predictor.modes if request["modes"] and len(predictor.modes) > 1 else ():
        rows = predictions.from_answers(samples, answering.answers(mode))
        predictions.write(run / f"predictions.{split}.{mode}.jsonl", rows)
    rows = predictions.from_answers(samples, answering.answers(predictor.run.recipe.run.mode))
    predictions.write(run / f"predictions.{split}.jsonl", rows)
    return {}


def _baseline(request: dict[str, Any]) -> dict[str, Any]:
    data, split = _path(request["data"]), str(request["split"])
    predictor = open_run(Path(request["run"]), calibrated=False)
    run, recipe = predictor.run, predictor.run.recipe
    samples = Samples(recipe.data, find_root(recipe.data, data or run.root), recipe.run.seed)
    # As beside `discern evaluate`, so that the file is the same there.
    learned = [sample for part in samples.learning for sample in part if not sample.is_caption]
    whole = samples.test(split)
    learned = baseline_rows.learnable(learned, whole, run)
    baseline_rows.row(
        request["name"], learned, evaluated(recipe.data, whole, recipe.optim.batch), split, run, predictor.model
    )
    return {}


def _features(request: dict[str, Any]) -> dict[str, Any]:
    from discern_vqa.experiments.features import clusters, state_map

    predictor = open_run(Path(request["run"]), calibrated=False)
    samples = _asked(predictor, _path(request["data"]), str(request["split"]))
    states = predictor.states(samples)
    if states is None:
        raise ConfigError("this run has no state that it answers from", hint="choose the run of a network")
    kinds = [sample.kind for sample in samples]
    atomic_write_text(Path(request["out"]), json.dumps(clusters(states, kinds) | state_map(states, kinds)))
    return {}


def _asked(predictor: Predictor, data: Path | None, split: str) -> list[Sample]:
    """The questions that `evaluate` asks of this run, so that all rows and seeds answer the same ones."""
    recipe = predictor.run.recipe
    samples = Samples(recipe.data, find_root(recipe.data, data or predictor.run.root)).test(split)
    return evaluated(recipe.data, samples, recipe.optim.batch)


def _path(given: str | None) -> Path | None:
    return Path(given) if given else None


DO: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "train": _train,
    "answer": _answer,
    "baseline": _baseline,
    "features": _features,
}

if __name__ == "__main__":
    serve()
