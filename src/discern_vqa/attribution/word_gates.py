"""The gated layers of CMI-MTL's CIFR, looked at while they work, by hooks: what went into each, and how far each word
opens the gate (cmi_mtl.md F.3 and F.4)."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from discern_vqa.bases import ModelBase
from discern_vqa.data.batch import Inputs
from discern_vqa.nn.cross_mamba import CrossGate
from discern_vqa.nn.mamba_attention import word_gates


def is_gated(model: nn.Module) -> bool:
    """Whether the model is a CMI-MTL with the paper's variant of CIFR, and with weights that stay (not D1's, which are
    no modules of the model)."""
    return any(isinstance(module, CrossGate) for module in model.modules())


@contextmanager
def calls_of_layers(model: nn.Module) -> Iterator[list[tuple[CrossGate, tuple[Tensor, ...]]]]:
    """A list that fills while the model works: each gated layer with its arguments x, y, keep_x, keep_y."""
    calls: list[tuple[CrossGate, tuple[Tensor, ...]]] = []

    def note(layer: CrossGate, arguments: tuple[Tensor, ...]) -> None:
        calls.append((layer, arguments))

    with ExitStack() as hooks:
        for layer in model.modules():
            if isinstance(layer, CrossGate):
                hooks.enter_context(layer.register_forward_pre_hook(note))
        yield calls


@torch.no_grad()
def gates_of_words(model: ModelBase, inputs: Inputs) -> Tensor:
    """(B, M): how far each word opens the gate, the mean over the layers."""
    with calls_of_layers(model) as calls:
        model(inputs)
    return torch.stack([word_gates(layer, *arguments) for layer, arguments in calls]).mean(0).float()
