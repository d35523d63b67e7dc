"""A module of torch as a graph of ONNX: one file, operators of ai.onnx alone, any number of images and texts."""

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

    axes = {name: {0: torch.export.Dim.DYNAMIC} if name in graph.dynamic else {} for name in graph.examples}
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


def domains_of(path: Path) -> set[str]:
    """The domains of the operators of a graph, those of the graphs inside it too; "" is ai.onnx."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    found = {opset.domain for opset in model.opset_import}

    def visit(nodes: Any) -> None:
        for node in nodes:
            found.add(node.domain)
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    visit(attribute.g.node)

    visit(model.graph.node)
    for function in model.functions:
        visit(function.node)
    return found


@contextmanager
def translated_once() -> Iterator[None]:
    """Inside, torch's exporter reads its table of translations once for all graphs: that takes half of its time for a
    small one. Where a version of torch keeps its table elsewhere, it is read for each."""
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
