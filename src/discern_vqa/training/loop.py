"""The one training loop. It knows steps, parts, weights, rates, saves and validations; it knows no image, no text,
no stage and no paper.

Randomness is a function of (seed, step): batches, masks, shares, mixing coefficients and dropout of a resumed run equal
those of an unbroken one, to the last bit on one kind of machine. Several processes divide each batch (`division`) and
learn what one process learns from it; dropout alone draws other numbers.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from discern_vqa.bases import ModelBase, ObjectiveBase
from discern_vqa.config import OptimConfig, RunConfig
from discern_vqa.data.batch import Batch
from discern_vqa.errors import DiscernError, RunError
from discern_vqa.files import atomic_write_text, explained
from discern_vqa.nn.batch_norm import share_norms
from discern_vqa.nn.losses import total
from discern_vqa.nn.momentum import RunningMean
from discern_vqa.run import BEST, METRICS, STATE, WEIGHTS, load_weights, save_weights
from discern_vqa.timers import timed, timed_each
from discern_vqa.training.optim import make_optimizer, rate
from discern_vqa.training.processes import image_weights, make_accelerator, of_all, weighed
from discern_vqa.training.state import Progress, load_state, save_state
from discern_vqa.training.trackers import Trackers

LOG_EVERY = 10


@dataclass(frozen=True)
class Work:
    """What the loop runs on."""

    model: ModelBase
    objective: ObjectiveBase[Any, Any]
    batches: Callable[[int], list[list[int]]]  # epoch number -> the rows of each batch
    batch: Callable[[list[int], torch.Generator], Batch]
    # Figures of the model as it stands ("accuracy" decides), the same in every process, which all call it together.
    validate: Callable[[], dict[str, float]] | None
    conclude: Callable[[], None] | None = None  # called once with the model as it will be kept, before it is kept


class Display:
    """What is told how far a training is; this one shows nothing."""

    def epoch(self, number: int, batches: int, done: int) -> None:
        """An epoch begins, `done` of its batches are behind it."""

    def step(self, figures: dict[str, float] | None) -> None:
        """A batch was learned from; its figures, where they were looked at."""

    def said(self, text: str) -> None:
        """A line for the log."""


def rng_for(seed: int, step: int) -> torch.Generator:
    """The generator of one step."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)


def fit(work: Work, optim: OptimConfig, run: RunConfig, folder: Path, *, resume: bool, show: Display) -> Progress:
    """Trains until the epochs are done or patience ends; leaves `model.safetensors` in `folder`. `resume`: goes on from
    `state.safetensors` if it is there. Raises DiscernError naming the part of the loss that is no longer finite."""
    with timed("setting up"):
        accelerator = make_accelerator(optim, run)
        optimizer = make_optimizer(work.model, optim, run.precision)
        mean = RunningMean(work.model, optim.ema) if optim.ema else None
        if mean is not None:
            mean.mean = {name: tensor.to(accelerator.device) for name, tensor in mean.mean.items()}
        norms = share_norms(work.objective) if accelerator.num_processes > 1 else []
        objective, optimizer = accelerator.prepare(work.objective, optimizer)
    plain = accelerator.unwrap_model(objective)
    progress, state = Progress(), folder / STATE
    if accelerator.is_main_process:
        for torn in folder.glob(".*.partial"):  # a training killed in the middle of a save left it
            torn.unlink()
    if resume and state.is_file():
        progress = load_state(state, plain, optimizer.optimizer, mean)
        if run.select == "best" and progress.best_epoch >= 0 and not (folder / BEST).is_file():
            raise RunError(
                f"{folder / BEST} is missing: the weights after epoch {progress.best_epoch + 1}, the best so far",
                hint="put the file back, or train again into another --out",
            )
    log = Log(folder / METRICS, progress.step, accelerator.is_main_process, run.trackers)
    saved = progress.step
    first_rates = [group["lr"] for group in optimizer.param_groups]

    seed = run.seed

    def save() -> None:
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            log.flush()
            save_state(state, progress, plain, optimizer.optimizer, mean)

    def make(rows: list[int], step: int) -> Batch:
        return work.batch(rows, rng_for(seed, step))

    while progress.epoch < run.epochs and not progress.ended:
        batches = work.batches(progress.epoch)
        to_come = [(rows, step) for step, rows in enumerate(batches[progress.batch :], progress.step)]
        show.epoch(progress.epoch, len(batches), progress.batch)
        objective.train()
        started = time.perf_counter()
        for batch in timed_each("data", ahead(make, to_come)):
            factor = rate((progress.epoch + progress.batch / len(batches)) / run.epochs, optim)
            for group, first in zip(optimizer.param_groups, first_rates, strict=True):
                group["lr"] = first * factor
            # Dropout's; processes have other texts, and must not drop the same places of them.
            torch.manual_seed((seed + 7919 * accelerator.process_index) * 1_000_003 + progress.step)
            batch = batch.to(accelerator.device)
            for norm in norms:
                norm.image_weights = image_weights(batch)
            # Groups of accumulated batches begin and end with their epoch: nothing half gathered crosses a save there.
            accelerator.step = -1 if progress.batch + 1 == len(batches) else progress.batch
            with accelerator.accumulate(objective):
                with timed("forward"):
                    parts = objective(batch, rng_for(seed + 1, progress.step))
                if batch.share is not None and not plain.divides:
                    parts = weighed(parts, batch.share)
                loss = total(parts, plain.config.weights)
                whole = of_all(parts, accelerator)
                loss_of_all = total(whole, plain.config.weights) if whole is not parts else loss
                check_finite(loss_of_all, whole, progress, state)
                with timed("backward"):
                    accelerator.backward(loss)
                with timed("optimiser"):
                    if accelerator.sync_gradients:
                        accelerator.clip_grad_norm_(objective.parameters(), optim.clip)
                    optimizer.step()
                    optimizer.zero_grad()
            if accelerator.sync_gradients:
                with timed("optimiser"):
                    plain.after_step()
                    if mean is not None:
                        mean.update(work.model, progress.step)
            progress.step += 1
            progress.batch += 1
            if progress.step % LOG_EVERY == 0 or progress.batch == len(batches):
                seconds = time.perf_counter() - started
                numbers = {
                    name: round(float(part.detach()), 5) for name, part in ({"loss": loss_of_all} | whole).items()
                }
                line = {"step": progress.step, "epoch": progress.epoch, "split": "train", **numbers}
                log.write(line | {"lr": first_rates[0] * factor, "seconds": round(seconds, 4)})
                show.step(numbers)
            else:
                show.step(None)
            started = time.perf_counter()
            due = run.save_every and progress.step - saved >= run.save_every and accelerator.sync_gradients
            if due and progress.batch < len(batches):
                save()
                saved = progress.step
        progress.epoch += 1
        progress.batch = 0
        if work.validate and (progress.epoch % run.validate_every == 0 or progress.epoch == run.epochs):
            _validate(work, run, folder, progress, mean, log, accelerator, show)
        save()
    _finish(work, run, folder, progress, mean, accelerator)
    log.close()
    return progress


def ahead(make: Callable[[list[int], int], Batch], to_come: list[tuple[list[int], int]]) -> Iterator[Batch]:
    """`make(rows, step)` for each pair in turn; while the caller works on one batch, a thread makes the next."""
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(torch.get_num_threads(),)) as maker:
        coming = None
        for pair in to_come:
            following = maker.submit(make, *pair)
            if coming is not None:
                yield coming.result()
            coming = following
        if coming is not None:
            yield coming.result()


def check_finite(loss: torch.Tensor, parts: dict[str, torch.Tensor], progress: Progress, state: Path) -> None:
    """Stops a training whose loss is no number, with the part's name. Raises DiscernError, whose hint depends on
    whether a `state` was saved: --resume takes no other recipe, and with the same one comes to the same step again."""
    if bool(torch.isfinite(loss)):
        return
    broken = [f"{name} = {float(part.detach())}" for name, part in parts.items() if not bool(torch.isfinite(part))]
    again = (
        "train into another --out (--resume goes on with this recipe alone, and comes to the same step)"
        if state.is_file()
        else "start again without --resume: nothing was kept yet"
    )
    raise DiscernError(
        f"the loss is not finite at step {progress.step} (epoch {progress.epoch}): {', '.join(broken) or 'their sum'}",
        hint=f'lower optim.lr, or set run.precision = "fp32", and {again}',
    )


def _validate(
    work: Work,
    run: RunConfig,
    folder: Path,
    progress: Progress,
    mean: RunningMean | None,
    log: "Log",
    accelerator: Accelerator,
    show: Display,
) -> None:
    """Scores the (mean) weights on validation; keeps them when they are the best so far."""
    if mean is not None:
        mean.swap(work.model)
    figures = work.validate() if work.validate else {}
    better = figures["accuracy"] > progress.best
    if better:
        progress.best, progress.best_epoch, progress.stale = figures["accuracy"], progress.epoch - 1, 0
        if run.select == "best" and accelerator.is_main_process:
            save_weights(work.model, folder / BEST)
    else:
        progress.stale += 1
    if mean is not None:
        mean.swap(work.model)
    log.write({"step": progress.step, "epoch": progress.epoch - 1, "split": "validation", **figures})
    show.said(f"epoch {progress.epoch}: validation {figures['accuracy']:.3f} (best {progress.best:.3f})")
    progress.ended = bool(run.patience) and progress.stale >= run.patience


def _finish(
    work: Work, run: RunConfig, folder: Path, progress: Progress, mean: RunningMean | None, accelerator: Accelerator
) -> None:
    """The chosen weights become `model.safetensors`, last of all: a folder with that file has ended."""
    accelerator.wait_for_everyone()
    if run.select == "best" and progress.best_epoch >= 0:
        load_weights(work.model, folder / BEST)
        accelerator.wait_for_everyone()
    elif mean is not None:
        mean.swap(work.model)
    if accelerator.is_main_process:
        if work.conclude is not None:
            work.conclude()
        save_weights(work.model, folder / WEIGHTS)
        remove_unneeded(folder)
    accelerator.wait_for_everyone()


def remove_unneeded(folder: Path) -> None:
    """What only going on needs, of a training that has ended; one that was killed at this very moment left it."""
    for name in (BEST, STATE):
        (folder / name).unlink(missing_ok=True)


class Log:
    """`metrics.jsonl`, cut back to the step that a resumed run goes on from, and the trackers that the recipe names."""

    def __init__(self, path: Path, step: int, active: bool, trackers: Sequence[str] = ()) -> None:
        self.path, self.active = path, active
        self.lines: list[str] = []
        self.trackers = Trackers(trackers if active else (), path.parent, step)
        if active and path.is_file():
            lines = [line for line in path.read_text(encoding="utf-8").splitlines() if _step(line) <= step and step]
            atomic_write_text(path, "".join(f"{line}\n" for line in lines))

    def write(self, line: dict[str, Any]) -> None:
        """One line; written to disk at the next `flush`."""
        self.lines.append(json.dumps(line))
        self.trackers.log(line)

    def flush(self) -> None:
        """Appends what has gathered."""
        if self.active and self.lines:
            with explained(self.path), open(self.path, "a", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in self.lines))
            self.lines = []

    def close(self) -> None:
        """Writes what is left."""
        self.flush()
        self.trackers.close()


def _step(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return 1 << 62  # a torn last line of a killed run goes
