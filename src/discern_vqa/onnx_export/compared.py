"""Whether the graphs of an export answer as the run does, and how fast they are."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from discern_vqa.answering.modes import Answering
from discern_vqa.data.sample import Sample
from discern_vqa.errors import RunError
from discern_vqa.evaluation.predict import Predictor
from discern_vqa.evaluation.predict_onnx import OnnxPredictor
from discern_vqa.onnx_export.graphs import GraphModule

QUESTIONS, BATCHES = 32, (1, 2, 7)
MOST_APART = 0.01
"""Between probabilities: what is shown has two digits. Rounding alone makes 1e-6; of encoders whose states are kept in
bfloat16 1e-3, where a state lies between two such numbers."""
_TIMES = 9  # an odd number: the median is one of them


@dataclass(frozen=True)
class Parity:
    """questions: how many, and of which part of the data (`part`). largest_difference: between two probabilities of an
    answer, over all batches; same_answers: of how many questions the likeliest answer is the same in every batch."""

    questions: int
    part: str
    batches: tuple[int, ...]
    largest_difference: float
    same_answers: int

    def fields(self) -> dict[str, Any]:
        """For onnx.json."""
        return asdict(self) | {"batches": list(self.batches)}


def probabilities_of_run(predictor: Predictor, samples: Sequence[Sample]) -> np.ndarray:
    """(n, K) of the run itself. Raises RunError: it gives others each time."""
    once, again = (_probabilities(predictor, samples) for _ in range(2))
    if float(np.abs(once - again).max()) > MOST_APART:
        raise RunError(
            f"{predictor.folder} answers otherwise each time it is asked, which no graph can repeat",
            hint="train it with --set model.profile=fixed",
        )
    return once


def compare(run: Path, wanted: np.ndarray, folder: Path, samples: Sequence[Sample], part: str) -> Parity:
    """The answers of the graphs in `folder` beside those of the run, each question from its files and its text.

    wanted: `probabilities_of_run`. Raises RunError: a question gets another answer, or its probabilities are further
    apart than `MOST_APART`.
    """
    apart, same = 0.0, np.ones(len(samples), dtype=bool)
    for batch in BATCHES:
        opened = OnnxPredictor.open(folder, images_at_once=batch)
        parts = [
            opened.graphs.probabilities(samples[start : start + batch])[0] for start in range(0, len(samples), batch)
        ]
        found = np.concatenate(parts)
        apart = max(apart, float(np.abs(found - wanted).max()))
        same &= found.argmax(1) == wanted.argmax(1)
    if not same.all() or not apart <= MOST_APART:  # of what is no number nothing is true
        raise RunError(
            f"the graphs do not answer as {run} does: {int((~same).sum())} of {len(samples)} questions get"
            f" another answer, and probabilities differ by up to {apart:.2g} ({MOST_APART:g} is allowed); nothing was"
            " written",
            hint=f"ask the run itself: discern ask {run} IMAGE QUESTION",
        )
    return Parity(len(samples), part, BATCHES, apart, int(same.sum()))


def _probabilities(predictor: Predictor, samples: Sequence[Sample]) -> np.ndarray:
    answering = predictor.answering(samples)
    assert isinstance(answering, Answering)
    return answering.decided.probabilities.numpy()


def milliseconds(graphs: Sequence[GraphModule]) -> dict[str, float]:
    """What each module takes in torch for one image and one question, on one thread: the time of the processor, which
    other programs do not lengthen."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            return {graph.name: _median(_run_by_torch(graph)) for graph in graphs}
    finally:
        torch.set_num_threads(before)


def milliseconds_of_folder(graphs: Sequence[GraphModule], folder: Path) -> dict[str, float]:
    """The same of the graphs in a folder, by onnxruntime."""
    opened = OnnxPredictor.open(folder, threads=1).graphs
    sessions = {graph.name: getattr(opened, graph.name) for graph in graphs}
    given = {graph.name: {name: value.numpy() for name, value in _one(graph).items()} for graph in graphs}
    return {name: _median(_run_by_onnx(session, given[name])) for name, session in sessions.items()}


def _run_by_torch(graph: GraphModule) -> Callable[[], object]:
    given = _one(graph)
    return lambda: graph.module(**given)


def _run_by_onnx(session: Any, given: Mapping[str, np.ndarray]) -> Callable[[], object]:
    return lambda: session.run(None, given)


def _one(graph: GraphModule) -> dict[str, torch.Tensor]:
    """The examples' first image and first text."""
    return {name: value[:1] for name, value in graph.examples.items()}


def _median(run: Callable[[], object]) -> float:
    run()
    taken = []
    for _ in range(_TIMES):
        start = time.process_time()
        run()
        taken.append(1e3 * (time.process_time() - start))
    return statistics.median(taken)
