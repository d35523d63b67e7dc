"""The folded MobileNetV2 (`folded`) for onnxruntime, where that is installed: a third of torch's time on a CPU.

The graph is written once into the user's cache, under a name that follows from the weights and the versions, and its
answers are compared with the encoder's own then. Beside it lies what the comparison said, for `discern doctor`:

    {"encoder": "mobilenet_v2 0123abcd", "size": 224, "apart": 2.5e-06, "is_used": true, "problem": ""}

torch's own exporter gives the same graph, but takes as long as encoding 200 images.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from discern_vqa.errors import DiscernError
from discern_vqa.files import atomic_path, atomic_write_text, read_json
from discern_vqa.nn.encoders.folded import Convolution, Folded

MOST_APART = 5e-4
"""Of the map's largest number: how far the two may be apart. States are kept in bfloat16, which is off by up to eight
times as much."""
_OPSET, _IR_VERSION = 17, 8  # as old as what is used allows, so that every onnxruntime since 1.15 reads it


def is_installed() -> bool:
    """Whether graphs can be written and run."""
    from importlib.util import find_spec

    return find_spec("onnxruntime") is not None and find_spec("onnx") is not None


@dataclass(frozen=True)
class OnnxEngine:
    """An encoder's graph, in memory."""

    session: Any
    name = "onnxruntime"

    def __call__(self, x: Tensor) -> Tensor:
        """(U, 3, size, size), normalised -> (U, C, h, w)."""
        maps = [self.session.run(None, {"x": one[None].contiguous().numpy()})[0] for one in x]
        return torch.from_numpy(np.concatenate(maps))


def onnx_engine(network: Folded, digest: str, size: int, folder: Path) -> OnnxEngine | None:
    """The engine of `network` for images of `size` pixels; None where it does not give what the network gives.

    digest: of the encoder's weights. folder: where graphs are kept.
    """
    graph = folder / f"mobilenet_v2-{digest[:16]}-{size}-{_versions()}.onnx"
    with suppress(DiscernError):  # a cache that cannot be written to, or what somebody else has put there
        if not graph.is_file() or not _verdict(graph).is_file():
            _make(network, size, digest, graph)
        if read_json(_verdict(graph)).get("is_used") is True:
            return _opened(graph)
    return None


def verdicts(folder: Path) -> list[dict[str, Any]]:
    """What is known of the graphs in a folder that were made by what is installed, one entry for each."""
    if not is_installed():
        return []
    with suppress(DiscernError):
        return [read_json(file) for file in sorted(folder.glob(f"*-{_versions()}.json"))]
    return []


def _versions() -> str:
    from importlib.metadata import version  # importing onnx to be told would take longer

    return "-".join(f"{name}-{version(name)}" for name in ("onnxruntime", "onnx"))


def _verdict(graph: Path) -> Path:
    return graph.with_name(graph.name.removesuffix(".onnx") + ".json")


def _opened(graph: Path) -> OnnxEngine | None:
    try:
        return OnnxEngine(_session(graph))
    except Exception:  # onnxruntime has no common error; a graph that was damaged is made anew next time
        graph.unlink(missing_ok=True)
        return None


def _make(network: Folded, size: int, digest: str, graph: Path) -> None:
    with atomic_path(graph) as partial:
        partial.write_bytes(_graph(network, size))
    told: dict[str, Any] = {"encoder": f"mobilenet_v2 {digest[:8]}", "size": size}
    try:
        apart = _apart(OnnxEngine(_session(graph)), network, size)
        problem = "" if apart <= MOST_APART else f"its states differ from torch's by {apart:.1g} of the largest"
        told |= {"apart": apart, "is_used": not problem, "problem": problem}
    except Exception as error:  # whatever onnxruntime does not like: torch is there
        told |= {"apart": None, "is_used": False, "problem": f"{type(error).__name__}: {error}"[:300]}
    atomic_write_text(_verdict(graph), json.dumps(told))


@torch.inference_mode()
def _apart(one: Callable[[Tensor], Tensor], other: Callable[[Tensor], Tensor], size: int) -> float:
    """The largest difference between two engines on two images, as a share of the largest number."""
    drawn = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    images = torch.cat([drawn, torch.full_like(drawn, -1)])
    wanted = other(images)
    return float((one(images) - wanted).abs().max() / wanted.abs().max().clamp(min=1e-6))


def _session(graph: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def _graph(network: Folded, size: int) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    tensors = [numpy_helper.from_array(np.array(number, np.float32), name) for name, number in (("low", 0), ("top", 6))]
    name, sides = "x", (size, size)

    def add(convolution: Convolution, source: str) -> str:
        nonlocal sides
        number = len(nodes)
        weight = convolution.weight.contiguous().cpu().numpy()
        tensors.append(numpy_helper.from_array(np.ascontiguousarray(weight), f"w{number}"))
        tensors.append(numpy_helper.from_array(convolution.bias.cpu().numpy(), f"b{number}"))
        dilation, stride = convolution.dilation, convolution.stride
        top, left, bottom, right = convolution.borders(*sides)
        reach = dilation * (weight.shape[-1] - 1) + 1
        height, width = ((side - reach) // stride + 1 for side in (sides[0] + top + bottom, sides[1] + left + right))
        sides = (height, width)
        nodes.append(
            helper.make_node(
                "Conv",
                [source, f"w{number}", f"b{number}"],
                [f"y{number}"],
                pads=[top, left, bottom, right],
                strides=[stride] * 2,
                dilations=[dilation] * 2,
                group=convolution.groups,
                kernel_shape=list(weight.shape[2:]),
            )
        )
        if not convolution.is_clipped:
            return f"y{number}"
        nodes.append(helper.make_node("Clip", [f"y{number}", "low", "top"], [f"c{number}"]))
        return f"c{number}"

    for block in network.blocks:
        before = name
        for convolution in block.convolutions:
            name = add(convolution, name)
        if block.adds_input:
            nodes.append(helper.make_node("Add", [name, before], [f"s{len(nodes)}"]))
            name = f"s{len(nodes) - 1}"
    channels = len(network.blocks[-1].convolutions[-1].bias)
    graph = helper.make_graph(
        nodes,
        "mobilenet_v2",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, size, size])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, *sides])],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    content: bytes = model.SerializeToString()
    return content
