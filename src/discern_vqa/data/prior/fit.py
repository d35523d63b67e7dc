"""The prior's weights, by maximum likelihood over the training questions, each answered without itself."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from discern_vqa.data.prior import Cases, Prior
from discern_vqa.data.prior.wording import CLUES
from discern_vqa.data.sample import Sample
from discern_vqa.data.text import plain

_STEPS, _BATCH, _LR = 300, 256, 0.1
_REACH = (5.0, 4.0, 2.0)
_FITTED = ("clues", "rate", "votes", "floor", "reach")


class Learned:
    """The training questions of a prior, n of them, and which of them may not be heard when one is answered.

    answers (n,): places in the table of K, -1: outside. What is like the test questions decides: questions carved out
    beside others on the same image (`by` "question") are answered without themselves and their repetitions, images
    carved out whole ("image") without anything that was said of the image or its patient.
    """

    def __init__(self, samples: Sequence[Sample], answers: Tensor, size: int, by: str) -> None:
        self.answers, self.size = answers, size
        self.row = {sample.id: row for row, sample in enumerate(samples)}
        alone = by == "question"
        self._image = _numbers([sample.image if alone else sample.group or sample.image for sample in samples])
        self._text = _numbers([plain(sample.text) if alone else "" for sample in samples])
        self.counts = torch.bincount(answers[answers >= 0], minlength=size).float()

    def hidden(self, rows: Tensor) -> Tensor:
        """(B, n) True: this case is not heard when the question in `rows` is answered."""
        return (self._image[rows][:, None] == self._image) & (self._text[rows][:, None] == self._text)

    def share(self, rows: Tensor | None = None) -> Tensor:
        """log f (K,), or (B, K) without each question's own answer: one that was given once is rare, not certain."""
        counts = self.counts + 0.5
        if rows is not None:
            own = self.answers[rows]
            counts = counts - F.one_hot(own.clamp(min=0), self.size) * (own >= 0)[:, None]
        return (counts / counts.sum(-1, keepdim=True)).log()


def fitted(learned: Learned, clues: Callable[[Tensor], Tensor], cases: Cases | None = None, seed: int = 0) -> Prior:
    """The prior that makes the training answers likeliest. `clues`: rows (B,) -> (B, K, C)."""
    known = (learned.answers >= 0).nonzero()[:, 0]
    w = torch.zeros(len(CLUES), requires_grad=True)
    rate, votes = (torch.full((), 0.5, requires_grad=True) for _ in range(2))
    log_floor = torch.full((), -5.0, requires_grad=True)
    log_reach = torch.tensor(_REACH).log().requires_grad_()

    def prior() -> Prior:
        return Prior(w, rate, learned.share(), votes, log_floor.exp(), log_reach.exp(), cases)

    weights = [w, rate] if cases is None else [w, rate, votes, log_floor, log_reach]
    optimizer = torch.optim.Adam(weights, lr=_LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    rng = torch.Generator().manual_seed(seed)
    for _ in range(_STEPS if len(known) else 0):
        rows = known[torch.randperm(len(known), generator=rng)[:_BATCH]]
        loss = F.nll_loss(of_learned(prior(), learned, clues(rows), rows), learned.answers[rows])
        optimizer.zero_grad()
        (loss + 1e-4 * w.square().sum()).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        found = prior()
        return replace(found, **{name: getattr(found, name).detach() for name in _FITTED})


def of_learned(prior: Prior, learned: Learned, clues: Tensor, rows: Tensor) -> Tensor:
    """(B, K): what the prior says of its own training questions, each without itself."""
    if prior.cases is None:
        return prior.scores(clues, share=learned.share(rows))
    return prior.scores(clues, prior.cases.own_closeness(rows), learned.share(rows), learned.hidden(rows))


def _numbers(names: Sequence[str]) -> Tensor:
    """The same number for the same name."""
    places: dict[str, int] = {}
    return torch.tensor([places.setdefault(name, len(places)) for name in names])
