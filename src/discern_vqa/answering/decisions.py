"""What a model says about many questions, in batches that keep an image's questions together: shared by validation and
evaluation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.distributed as dist
from torch import Tensor

from discern_vqa.bases import ModelBase
from discern_vqa.data.answers import AnswerVocabulary
from discern_vqa.data.batch import Batcher, Decision, Inputs
from discern_vqa.data.sample import Sample
from discern_vqa.division import Place
from discern_vqa.timers import timed


@dataclass(frozen=True)
class Decided:
    """probabilities (n, K), averaged over views; openness (n,): logits of "open", where the model has a head for it."""

    probabilities: Tensor
    openness: Tensor | None


def decided(model: ModelBase, inputs: Inputs, vocabulary: AnswerVocabulary) -> Decision:
    """What the model decides, answers that may not be chosen (`AnswerVocabulary.own`) at -inf."""
    decision = model.decide(inputs)
    if not vocabulary.own:
        return decision
    other = ~torch.tensor(vocabulary.own, device=decision.scores.device)
    return replace(decision, scores=decision.scores.masked_fill(other, -torch.inf))


def decide_all(
    model: ModelBase,
    batcher: Batcher,
    samples: Sequence[Sample],
    *,
    views: int = 1,
    batch: int = 64,
    place: Place | None = None,
) -> Decided:
    """What the model says, in the samples' order, averaged over the first `views` cached views of each image.

    place: given where several processes ask this together; each then answers some of the batches, and all get all.
    """
    if not samples:
        return Decided(torch.zeros(0, 0), None)

    def decide(inputs: Inputs) -> tuple[Tensor, ...]:
        decision = decided(model, inputs, batcher.vocabulary)
        probabilities = decision.scores.float().softmax(-1)
        return (probabilities,) if decision.openness is None else (probabilities, decision.openness.float())

    of_views = [
        in_order(model, batcher, samples, decide, batch, view, place)
        for view in range(max(1, min(views, batcher.images.views)))
    ]
    probabilities, *openness = (torch.stack(parts).mean(0) for parts in zip(*of_views, strict=True))
    return Decided(probabilities, openness[0] if openness else None)


@torch.inference_mode()
def in_order(
    model: ModelBase,
    batcher: Batcher,
    samples: Sequence[Sample],
    give: Callable[[Inputs], tuple[Tensor, ...]],
    batch: int = 64,
    view: int = 0,
    place: Place | None = None,
) -> tuple[Tensor, ...]:
    """What `give` says of each batch of inputs, each tensor's rows put back into the samples' order. `place`: see
    `decide_all`; batches are those of one process, so that an answer does not depend on the number of processes."""
    was_training = model.training
    if was_training:
        model.eval()
    device = next(model.parameters()).device
    order = sorted(range(len(samples)), key=lambda row: samples[row].image)
    parts: list[list[Tensor]] = []
    starts = range(0, len(order), batch)
    for start in starts if place is None else starts[place.index :: place.processes]:
        chosen = [samples[row] for row in order[start : start + batch]]
        with timed("data"):
            inputs = batcher.inputs(chosen, view=view).to(device)
        with timed("forward"):
            parts.append([part.cpu() for part in give(inputs)])
    if was_training:
        model.train()
    if place is not None:
        parts = _of_all(parts, place)
    back = torch.empty(len(order), dtype=torch.int64)
    back[torch.tensor(order)] = torch.arange(len(order))
    return tuple(torch.cat(columns)[back] for columns in zip(*parts, strict=True))


def _of_all(parts: list[list[Tensor]], place: Place) -> list[list[Tensor]]:
    """The parts of all processes in the order of the batches, which they take in turns."""
    of_each: list[list[list[Tensor]]] = [[] for _ in range(place.processes)]
    dist.all_gather_object(of_each, parts)
    return [of_each[number % place.processes][number // place.processes] for number in range(sum(map(len, of_each)))]
