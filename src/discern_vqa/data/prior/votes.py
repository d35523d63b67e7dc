"""A prior over the answers that does not use the network: from the wording of the question, from how often an answer
was given, and from similar cases of the training split.

    log p(a) = sum_c w_c clue_c(a) + r log f(a) + m log(V(a) + e f(a)) + const
    V(a)     = the sum over the cases n that were answered by a of
               exp(-t (1 - cos(q, q_n)) - i (1 - cos(I, I_n)) - s (1 - near_n))
    near_n   = exp(-(1 - cos(I, I_n)) / 0.01)

q and I are vectors of the question and of the image by frozen encoders, near is 1 for the image itself, f(a) is how
often a was the answer. A model's scores are added to it (a product of experts), in training as in answering, so that
the network learns what the prior does not know. Combining a network with votes of neighbours is the idea of kNN-LM
(Khandelwal et al., ICLR 2020). None of this is part of either paper, and it is off unless a recipe has a table [prior].

The few weights are fitted by maximum likelihood to the training questions, each of which is left out when its own
answer is predicted (`fit`).
"""

from dataclasses import dataclass, fields
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

_NEAR = 0.01


@dataclass(frozen=True)
class Cases:
    """The training questions, n of them about U images."""

    question: Tensor  # (n, c) unit vectors, their mean taken away
    image: Tensor  # (U, k) the same
    which: Tensor  # (n,) row of `image`
    answer: Tensor  # (n,) place in the vocabulary, -1: outside
    question_mean: Tensor  # (c,) what was taken away
    image_mean: Tensor  # (k,) the same

    @classmethod
    def of(cls, question: Tensor, image: Tensor, which: Tensor, answer: Tensor) -> Self:
        """From raw vectors."""
        means = question.mean(0), image.mean(0)
        return cls(_unit(question - means[0]), _unit(image - means[1]), which, answer, *means)

    def closeness(self, question: Tensor, image: Tensor) -> Tensor:
        """(3, B, n): cos(q, q_n), cos(I, I_n) and near_n, each less 1; from raw vectors (B, c), (B, k)."""
        return self._closeness(_unit(question - self.question_mean), _unit(image - self.image_mean))

    def own_closeness(self, rows: Tensor) -> Tensor:
        """As `closeness`, of the cases in `rows`."""
        return self._closeness(self.question[rows], self.image[self.which[rows]])

    def _closeness(self, question: Tensor, image: Tensor) -> Tensor:
        questions = (question @ self.question.T).clamp(max=1) - 1
        images = (image @ self.image.T).clamp(max=1) - 1
        return torch.stack([questions, images[:, self.which], (torch.exp(images / _NEAR) - 1)[:, self.which]])


@dataclass(frozen=True)
class Prior:
    """A fitted prior over K answers. votes, floor and reach are unused without `cases`."""

    clues: Tensor  # (C,) w
    rate: Tensor  # () r
    share: Tensor  # (K,) log f
    votes: Tensor  # () m
    floor: Tensor  # () e
    reach: Tensor  # (3,) t, i, s
    cases: Cases | None = None

    def scores(
        self,
        clues: Tensor,
        closeness: Tensor | None = None,
        share: Tensor | None = None,
        hidden: Tensor | None = None,
    ) -> Tensor:
        """(B, K) log-probabilities.

        clues (B, K, C); closeness (3, B, n) to the cases; share (B, K): other log f than the prior's own; hidden (B, n)
        True: this case does not vote.
        """
        share = self.share if share is None else share
        scores = clues @ self.clues + self.rate * share
        if self.cases is not None and closeness is not None:
            strength = torch.exp(torch.einsum("c,cbn->bn", self.reach, closeness))
            outside = self.cases.answer < 0
            strength = strength.masked_fill(outside if hidden is None else hidden | outside, 0.0)
            votes = torch.zeros_like(scores).index_add(1, self.cases.answer.clamp(min=0), strength)
            scores = scores + self.votes * torch.log(votes + self.floor * share.exp())
        return scores.log_softmax(-1)

    def state(self) -> dict[str, Tensor]:
        """All of it, as plain tensors for a safetensors file."""
        own = {name: getattr(self, name) for name in _names(Prior) if name != "cases"}
        cases = {f"cases.{name}": getattr(self.cases, name) for name in _names(Cases) if self.cases is not None}
        return {name: tensor.contiguous() for name, tensor in (own | cases).items()}

    @classmethod
    def from_state(cls, tensors: dict[str, Tensor]) -> Self:
        """The inverse of `state`."""
        cases = {name: tensors[f"cases.{name}"] for name in _names(Cases) if f"cases.{name}" in tensors}
        own = {name: tensors[name] for name in _names(Prior) if name != "cases"}
        return cls(**own, cases=Cases(**cases) if cases else None)


def _names(kind: type) -> list[str]:
    return [field.name for field in fields(kind)]


def _unit(vectors: Tensor) -> Tensor:
    return F.normalize(vectors.float(), dim=-1)
