"""A small encoder's own folder, read without `transformers`, whose import takes longer than answering a question.

Two architectures are written here themselves (`mobilenet`, `bert`), under the names that published weights use. A
folder that asks for anything else, or lacks a weight, is left to `transformers`, which says what is wrong with it.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from discern_vqa.errors import DiscernError
from discern_vqa.files import read_json

WEIGHTS = "model.safetensors"
_SPREAD = 0.02
"""Of weights that are drawn, as BERT and MobileNetV2 of `transformers` draw theirs."""

Network = TypeVar("Network", bound=nn.Module)


class Linear(nn.Linear):
    """Without torch's own draws, which would be thrown away: `drawn`, `bare` and `loaded` fill it."""

    def reset_parameters(self) -> None: ...


class Conv2d(nn.Conv2d):
    """See `Linear`."""

    def reset_parameters(self) -> None: ...


class Embedding(nn.Embedding):
    """See `Linear`."""

    def reset_parameters(self) -> None: ...


def bare(make: Callable[[], Network]) -> Network:
    """A network of zeros, norms as they are: a run's own weights are read into it, and drawing some first would take as
    long."""
    network = make()
    for module in _unfilled(network):
        for parameter in module.parameters(recurse=False):
            nn.init.zeros_(parameter)
    return network


def drawn(make: Callable[[], Network]) -> Network:
    """A network with random weights: normal of spread 0.02, and no offset; norms as they are."""
    network = bare(make)
    for module in _unfilled(network):
        nn.init.normal_(module.weight, std=_SPREAD)
    return network


def _unfilled(network: nn.Module) -> Iterator[Linear | Conv2d | Embedding]:
    return (module for module in network.modules() if isinstance(module, Linear | Conv2d | Embedding))


def opened(
    make: Callable[[dict[str, Any]], Network],
    folder: Path,
    asked: Mapping[str, Any],
    defaults: Mapping[str, Any],
    prefix: str,
) -> tuple[Network, list[str]] | None:
    """The network of a folder and the names of what no file filled, as `from_folder`; None of another network than is
    `asked` for, or of weights that are not whole."""
    config = settings_of(folder, asked, defaults)
    weights = None if config is None else weights_of(folder)
    if config is None or weights is None:
        return None
    if not weights:
        return bare(lambda: make(config)), ["all"]
    network = loaded(lambda: make(config), weights, prefix)
    return None if network is None else (network, [])


def loaded(make: Callable[[], Network], weights: Mapping[str, Tensor], prefix: str) -> Network | None:
    """A network with these weights, whose names may begin with `prefix`; None where one is missing or of another
    shape."""
    network = make()
    given = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    wanted = network.state_dict()
    counts = {name: torch.zeros_like(wanted[name]) for name in wanted if name.endswith("num_batches_tracked")}
    given = counts | given
    if any(name not in given or given[name].shape != tensor.shape for name, tensor in wanted.items()):
        return None
    network.load_state_dict({name: given[name] for name in wanted})
    return network


def settings_of(folder: Path, asked: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any] | None:
    """A folder's config.json with what it leaves out; None where it is not as `asked`, or cannot be read."""
    try:
        found = {**defaults, **read_json(folder / "config.json")}
    except DiscernError:
        return None
    return found if all(found.get(key) == value for key, value in asked.items()) else None


def weights_of(folder: Path) -> dict[str, Tensor] | None:
    """The weights of a folder; none of one that has only a configuration; None where they are in several files."""
    files = list(folder.glob("*.safetensors"))
    if not files:
        return {}
    if (folder / WEIGHTS) not in files:
        return None
    try:
        return load_file(folder / WEIGHTS)
    except (SafetensorError, OSError):
        return None
