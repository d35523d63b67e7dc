"""What `--resume` needs, in one safetensors file: weights, momentum encoders, running means, counters, moments.

One file, renamed into place: a training killed at any moment finds either the old state or the new one, whole. The
optimiser's moments are stored by the names of their parameters; nothing is pickled.
"""

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from discern_vqa.errors import RunError
from discern_vqa.files import atomic_path
from discern_vqa.nn.momentum import RunningMean
from discern_vqa.run import read_tensors


@dataclass
class Progress:
    """Counters of a training."""

    step: int = 0  # optimiser and batch steps done
    epoch: int = 0
    batch: int = 0  # batches of `epoch` that are done
    best: float = -1.0  # best validation figure so far
    best_epoch: int = -1
    stale: int = 0  # validations since the best one
    ended: bool = False


def save_state(
    path: Path, progress: Progress, objective: nn.Module, optimizer: torch.optim.Optimizer, mean: RunningMean | None
) -> None:
    """Writes everything, atomically."""
    tensors = {f"objective.{name}": tensor for name, tensor in objective.state_dict().items()}
    names = _names(objective)
    for parameter, moments in optimizer.state.items():
        for key, value in moments.items():
            tensors[f"optimizer.{names[id(parameter)]}.{key}"] = value
    if mean is not None:
        tensors |= {f"mean.{name}": tensor for name, tensor in mean.mean.items()}
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with atomic_path(path) as partial:
        save_file(plain, partial, metadata={"progress": json.dumps(asdict(progress))})


def load_state(
    path: Path, objective: nn.Module, optimizer: torch.optim.Optimizer, mean: RunningMean | None
) -> Progress:
    """The inverse of `save_state`. Raises RunError when the file is damaged, of another recipe, or of other weights of
    a frozen encoder than `objective` has: its states were computed before this, by those that are here now."""
    tensors = read_tensors(path)
    with safe_open(path, "pt") as file:
        progress = Progress(**json.loads((file.metadata() or {}).get("progress", "{}")))
    part = _part(tensors, "objective.")
    if part.keys() != objective.state_dict().keys():
        raise RunError(f"{path} belongs to another recipe", hint="resume with the recipe the run was started with")
    for name, tensor in objective.named_parameters():
        frozen = not tensor.requires_grad and name.startswith(("model.image.", "model.text."))
        if frozen and not torch.equal(tensor.cpu(), part[name]):
            raise RunError(
                f"{path} was trained on other weights of its frozen encoder than are here now ({name})",
                hint="put the weights back that it started from, or train again into another --out",
            )
    objective.load_state_dict(part)
    moments: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for path_of_moment, value in _part(tensors, "optimizer.").items():
        name, _, key = path_of_moment.rpartition(".")
        moments[name][key] = value
    names, device = _names(objective), next(objective.parameters()).device
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            stored = moments.get(names[id(parameter)])
            if stored:  # the fused optimiser counts its steps beside the weights, the others on the CPU
                on_device = {key: value for key, value in stored.items() if key != "step" or group.get("fused")}
                optimizer.state[parameter] = stored | {key: value.to(device) for key, value in on_device.items()}
    if mean is not None:
        mean.mean = {name: value.to(device) for name, value in _part(tensors, "mean.").items()}
    return progress


def _names(module: nn.Module) -> dict[int, str]:
    return {id(parameter): name for name, parameter in module.named_parameters()}


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
