"""A module of torch as a graph of ONNX: one file, operators of ai.onnx alone, any number of images and texts."""

import gc
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from discern_vqa.errors import RunError
from discern_vqa.onnx_export.graphs import GraphModule

OPSET = 20


def write_graph(graph: GraphModule, path: Path) -> None:
    """Writes one graph. Raises RunError: torch's exporter cannot translate it, or not into standard operators."""
    # Of a constant, onnxscript's own rewriting passes make nothing that onnxruntime would not, and take minutes.
    from onnxscript import optimizer

    from discern_vqa.onnx_export.scan import translations

    axes = {name: dict.fromkeys(range(len(graph.dynamic[name])), torch.export.Dim.DYNAMIC) for name in graph.examples}
    try:
        with _quiet(), torch.no_grad():
            program = torch.export.export(graph.module, (), dict(graph.examples), dynamic_shapes=axes, strict=False)
            made: Any = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                optimize=False,
                verbose=False,
                custom_translation_table=translations(),
                input_names=list(graph.examples),
                output_names=list(graph.outputs),
                external_data=False,
            )
            optimizer.fold_constants(made.model)
            optimizer.remove_unused_nodes(made.model)
            made.save(str(path))
            _simplify(path)
    except Exception as error:  # whatever torch does not like
        told = next((line for line in str(error).splitlines() if line.strip()), "")[:200]
        raise RunError(
            f"torch cannot export {graph.name} of this run: {type(error).__name__}: {told}",
            hint="ask the run itself; docs/onnx.md says which models and encoders were exported",
        ) from error
    if foreign := sorted(domains_of(path) - {"", "ai.onnx"}):
        raise RunError(
            f"the graph {graph.name} needs operators of {', '.join(foreign)}", hint="ask the run itself with torch"
        )


def _simplify(path: Path) -> None:
    """Folds constants and takes out what does nothing, by onnxruntime's own first passes, which stay within standard
    operators: whoever opens the graph is spared them, a third of the time."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path.with_suffix(".simple"))
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    model = onnx.load(path.with_suffix(".simple"))
    path.with_suffix(".simple").unlink()
    used = [opset for opset in model.opset_import if opset.domain in _domains(model.graph.node)]
    del model.opset_import[:]  # it names every domain that onnxruntime knows
    model.opset_import.extend(used)
    onnx.save(model, path)


def domains_of(path: Path) -> set[str]:
    """The domains of the operators of a graph, those of the graphs inside it too; "" is ai.onnx."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    functions = [_domains(function.node) for function in model.functions]
    return {opset.domain for opset in model.opset_import}.union(_domains(model.graph.node), *functions)


def _domains(nodes: Any) -> set[str]:
    found = set()
    for node in nodes:
        found.add(node.domain)
        for attribute in node.attribute:
            found |= _domains(attribute.g.node)  # of no graph: none
    return found


@contextmanager
def translated_once() -> Iterator[None]:
    """Inside, graphs are made in half of the time: torch's exporter reads its table of translations once for all of
    them (where a version of torch keeps that elsewhere, for each), and nothing looks for garbage among the million
    small objects that all stay."""
    gc.disable()
    try:
        with _table_read_once():
            yield
    finally:
        gc.enable()


@contextmanager
def _table_read_once() -> Iterator[None]:
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry

        read = ONNXRegistry.from_torchlib
    except (ImportError, AttributeError):
        yield
        return
    with patch.object(ONNXRegistry, "from_torchlib", staticmethod(cache(read))):
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of packages that are not installed, of constants that it leaves as they are, and
    of its own future."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
