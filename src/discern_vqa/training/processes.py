"""Training by several processes, each of which computes a share of every batch (`division`)."""

import os
from datetime import timedelta

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor

from discern_vqa.config import OptimConfig, RunConfig
from discern_vqa.data.batch import Batch
from discern_vqa.division import Place, Share
from discern_vqa.nn.precision import computed

PATIENCE = timedelta(hours=24)
"""So long processes wait for the first, which encodes all images of a new set before any step. The usual 10 to 30
minutes are too short for 100,000 images."""


def processes() -> PartialState:
    """The processes that train together, on GPUs if there are any: this one, unless a launcher started several."""
    return PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)


def several() -> PartialState | None:
    """The processes that a launcher started together; None for a process alone."""
    return processes() if int(os.environ.get("WORLD_SIZE", "1")) > 1 else None


def part(among: PartialState) -> None:
    """The processes have done together what they share; from here on each is a process alone. Waits for all."""
    among.wait_for_everyone()
    among.destroy_process_group()
    AcceleratorState._reset_state(reset_partial_state=True)
    for name in ("WORLD_SIZE", "LOCAL_RANK"):  # by which accelerate would look for the others again
        os.environ.pop(name, None)


def place_of(among: PartialState) -> Place | None:
    """Which of several processes this one is; None for one that trains alone."""
    return Place(among.process_index, among.num_processes) if among.num_processes > 1 else None


def make_accelerator(optim: OptimConfig, run: RunConfig) -> Accelerator:
    """Devices, mixed precision, accumulation; several processes when started by `accelerate launch` or `torchrun`."""
    # One process may train twice (a recipe's `after`), each time at its own precision.
    AcceleratorState._reset_state()
    return Accelerator(
        cpu=not torch.cuda.is_available(),
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        mixed_precision="bf16" if computed(run.precision) == "bf16" else "no",
        gradient_accumulation_steps=optim.accumulate,
        step_scheduler_with_optimizer=False,
    )


def image_weights(batch: Batch) -> Tensor:
    """(U,) how much each image counts in batch norm."""
    return torch.ones(len(batch.inputs.image)) if batch.share is None else batch.share.image_weights


def weighed(parts: dict[str, Tensor], share: Share) -> dict[str, Tensor]:
    """Means over this process's texts, by how many of the batch these are; gradients are averaged afterwards."""
    factor = 0.0 if share.spare else share.processes * len(share.texts.rows) / share.texts.total
    return {name: part * factor for name, part in parts.items()}


def of_all(parts: dict[str, Tensor], accelerator: Accelerator) -> dict[str, Tensor]:
    """The parts of the whole batch's loss, the same in every process."""
    if accelerator.num_processes == 1:
        return parts
    values: Tensor = accelerator.reduce(torch.stack([part.detach() for part in parts.values()]), "mean")
    return dict(zip(parts, values, strict=True))
