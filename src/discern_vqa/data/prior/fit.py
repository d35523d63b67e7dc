"""The prior's weights, by maximum likelihood over the training questions, each of them left out for its own answer."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from discern_vqa.data.prior.votes import Cases, Prior
from discern_vqa.data.prior.wording import CLUES
from discern_vqa.data.sample import Sample
from discern_vqa.data.splits import question_units
from discern_vqa.data.text import plain

_STEPS, _BATCH, _LR = 300, 256, 0.1
_REACH = (5.0, 4.0, 2.0)
_FITTED = ("clues", "rate", "votes", "floor", "reach")


class PriorTraining:
    """The n training questions of a prior: which of them it is fitted to, and which cases are hidden from each.

    answers (n,): places in the vocabulary of K, -1: outside. A question is answered here as it would be in validation
    (`splits.hold_out_validation`). With `by` "question", its paraphrases and repetitions are hidden, and the prior is
    not fitted to template re-phrasings; with "image", all other questions about its image or its patient are hidden.
    """

    def __init__(self, samples: Sequence[Sample], answers: Tensor, size: int, by: str) -> None:
        self.answers, self.size = answers, size
        self.row = {sample.id: row for row, sample in enumerate(samples)}
        self.counts = torch.bincount(answers[answers >= 0], minlength=size).float()
        self._groups = [_numbers([sample.group or sample.image for sample in samples])]
        is_fitted = torch.ones(len(samples), dtype=torch.bool)
        if by == "question":
            units = _numbers([(sample.image, plain(sample.text)) for sample in samples])
            self._groups = [units, units.clone()]
            is_fitted[:] = False
            for number, unit in enumerate(question_units(samples), start=len(samples)):
                self._groups[1][unit] = number
                is_fitted[unit] = True
        self.fitted_rows = (is_fitted & (answers >= 0)).nonzero()[:, 0]
        """Rows that the prior is fitted to."""

    def hidden(self, rows: Tensor) -> Tensor:
        """(B, n) True: this case does not vote when the question in `rows` is answered."""
        return torch.stack([group[rows][:, None] == group for group in self._groups]).any(0)

    def share(self, rows: Tensor | None = None) -> Tensor:
        """log f (K,), or (B, K) without each question's own answer: one that was given once is rare, not certain."""
        counts = self.counts + 0.5
        if rows is not None:
            answers = self.answers[rows]
            counts = counts - F.one_hot(answers.clamp(min=0), self.size) * (answers >= 0)[:, None]
        return (counts / counts.sum(-1, keepdim=True)).log()


def fit_prior(
    training: PriorTraining, clues: Callable[[Tensor], Tensor], cases: Cases | None = None, seed: int = 0
) -> Prior:
    """The prior that makes the training answers likeliest. `clues`: rows (B,) -> (B, K, C)."""
    rows_to_fit = training.fitted_rows
    w = torch.zeros(len(CLUES), requires_grad=True)
    rate, votes = (torch.full((), 0.5, requires_grad=True) for _ in range(2))
    log_floor = torch.full((), -5.0, requires_grad=True)
    log_reach = torch.tensor(_REACH).log().requires_grad_()

    def prior() -> Prior:
        return Prior(w, rate, training.share(), votes, log_floor.exp(), log_reach.exp(), cases)

    weights = [w, rate] if cases is None else [w, rate, votes, log_floor, log_reach]
    optimizer = torch.optim.Adam(weights, lr=_LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    rng = torch.Generator().manual_seed(seed)
    for _ in range(_STEPS if len(rows_to_fit) else 0):
        rows = rows_to_fit[torch.randperm(len(rows_to_fit), generator=rng)[:_BATCH]]
        loss = F.nll_loss(leave_one_out(prior(), training, clues(rows), rows), training.answers[rows])
        optimizer.zero_grad()
        (loss + 1e-4 * w.square().sum()).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        fit = prior()
        return replace(fit, **{name: getattr(fit, name).detach() for name in _FITTED})


def leave_one_out(prior: Prior, training: PriorTraining, clues: Tensor, rows: Tensor) -> Tensor:
    """(B, K) scores of the prior for its own training questions, each of which is left out of its own cases."""
    if prior.cases is None:
        return prior.scores(clues, share=training.share(rows))
    return prior.scores(clues, prior.cases.own_closeness(rows), training.share(rows), training.hidden(rows))


def _numbers(names: Sequence[Hashable]) -> Tensor:
    """The same number for the same name."""
    places: dict[Hashable, int] = {}
    return torch.tensor([places.setdefault(name, len(places)) for name in names])
