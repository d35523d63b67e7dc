"""`--int8`: weights of matrix products in 8 bits. Kept only where answers stay as good and come faster.

Whether they do depends on the machine: without instructions for 8 bits onnxruntime is slower with them.
"""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from discern_vqa.data.sample import Sample
from discern_vqa.evaluation.predict_onnx import OnnxPredictor
from discern_vqa.onnx_export.compared import milliseconds_of_folder
from discern_vqa.onnx_export.graphs import GraphModule
from discern_vqa.scoring.metrics import rights
from discern_vqa.scoring.paired import Paired
from discern_vqa.scoring.predictions import from_answers

_LEAST = 8
"""Rows and columns of a matrix whose weights are quantised."""


@dataclass(frozen=True)
class Int8:
    """What 8 bits were measured to do on the validation part. difference: of the accuracies, 8 bits less 32, with its
    paired 95 % interval over images; ms: of one question about one image, on one thread."""

    is_used: bool
    why: str
    questions: int = 0
    accuracy: float | None = None
    accuracy_int8: float | None = None
    interval: tuple[float, float] | None = None
    ms: float | None = None
    ms_int8: float | None = None

    @property
    def in_words(self) -> str:
        """What was measured and decided, a sentence each."""
        if self.accuracy is None or self.accuracy_int8 is None or self.interval is None:
            return f"int8 is not used: {self.why}"
        low, high = (100 * end for end in self.interval)
        return (
            f"int8 on {self.questions:,} validation questions: accuracy {100 * self.accuracy_int8:.1f} % against"
            f" {100 * self.accuracy:.1f} %, a difference of {100 * (self.accuracy_int8 - self.accuracy):+.1f}"
            f" percentage points [{low:+.1f}, {high:+.1f}]; {self.ms_int8:.1f} ms a question against {self.ms:.1f} ms."
            f" int8 {'is' if self.is_used else 'is not'} used: {self.why}"
        )


def decide(difference: np.ndarray, images: Sequence[str], ms: float, ms_int8: float) -> tuple[bool, str, list[float]]:
    """Whether to use 8 bits, why, and the interval of the difference.

    difference: (n,) of each question, 1 where 8 bits alone are right, -1 where they alone are wrong, else 0.
    """
    interval = Paired.of(difference, images).interval()
    if interval[1] < 0:
        return False, "answers get worse by more than chance", interval
    if ms_int8 >= ms:
        return False, "it is not faster on this machine", interval
    return True, "answers are no worse than by chance, and come faster", interval


def try_int8(folder: Path, graphs: Sequence[GraphModule], validation: Sequence[Sample], normaliser: str) -> Int8:
    """Quantises copies of the graphs, measures them, and puts them in the place of the others where they are better."""
    if not validation:
        return Int8(False, "the run held no questions out on which the loss could be measured")
    other = folder / "int8"
    other.mkdir()
    for file in folder.iterdir():
        if file.is_file() and file.suffix != ".onnx":
            shutil.copyfile(file, other / file.name)
    for graph in graphs:
        quantise(folder / f"{graph.name}.onnx", other / f"{graph.name}.onnx")
    right, right_int8 = (_rights(place, validation, normaliser) for place in (folder, other))
    taken, taken_int8 = (_whole(milliseconds_of_folder(graphs, place)) for place in (folder, other))
    difference = right_int8.astype(float) - right.astype(float)
    is_used, why, interval = decide(difference, [sample.image for sample in validation], taken, taken_int8)
    if is_used:
        for graph in graphs:
            (other / f"{graph.name}.onnx").replace(folder / f"{graph.name}.onnx")
    shutil.rmtree(other)
    accuracies = float(right.mean()), float(right_int8.mean())
    return Int8(is_used, why, len(right), *accuracies, (interval[0], interval[1]), taken, taken_int8)


def quantise(source: Path, target: Path) -> None:
    """Writes a graph whose matrix products have weights of 8 bits; what they read is quantised as it comes. Products
    with few weights stay as they are: they gain nothing, and onnxruntime fails at some of them."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.disable(logging.WARNING)  # it advises a step that our graphs have behind them
    try:
        graph = onnx.load(source).graph
        large = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 2 and min(tensor.dims) >= _LEAST}
        quantize_dynamic(
            str(source),
            str(target),
            op_types_to_quantize=["MatMul"],
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[
                node.name for node in graph.node if node.op_type == "MatMul" and not large.intersection(node.input)
            ],
        )
    finally:
        logging.disable(logging.NOTSET)


def _rights(folder: Path, samples: Sequence[Sample], normaliser: str) -> np.ndarray:
    return rights(from_answers(samples, OnnxPredictor.open(folder).answer(samples)), normaliser)


def _whole(ms: Mapping[str, float]) -> float:
    return sum(ms.values())


def as_json(int8: Int8) -> dict[str, Any]:
    """For onnx.json."""
    return asdict(int8) | {"interval": None if int8.interval is None else list(int8.interval)}
