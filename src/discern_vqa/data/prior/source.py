"""The prior as a batcher uses it: questions in, (B, K) log-probabilities out."""

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from discern_vqa.data.bounded import PerText
from discern_vqa.data.prior.fit import PriorTraining, fit_prior, leave_one_out
from discern_vqa.data.prior.votes import Cases, Prior
from discern_vqa.data.prior.wording import CLUES, Wording
from discern_vqa.data.sample import Sample

if TYPE_CHECKING:
    from discern_vqa.data.batch import Inputs

_BATCH = 64
_TEXT_BYTES = 2**24  # the vectors of 10,000 questions
_LAYERS = "sentence."


class SentenceEncoder(Protocol):
    """A text encoder that makes one vector of a question's cached states, through layers of its own."""

    def sentence(self, states: Tensor, keep: Tensor, layers: nn.ModuleList, length: int | None) -> Tensor:
        """states (B, M, c), keep (B, M) -> (B, c). length: no text has more tokens."""


class PriorSource:
    """Scores of a prior for the questions of a batch; `prior` is None until `learn` or `fill`.

    answers: the K answers of the vocabulary. share: see `PriorScores`. share_yes_no: the share where the prior expects
    yes or no; None: `share`. wording: whether the wording of a question counts.
    """

    def __init__(
        self, answers: Sequence[str], share: float = 0.0, wording: bool = True, share_yes_no: float | None = None
    ) -> None:
        self._share, self._share_yes_no = share, share if share_yes_no is None else share_yes_no
        self._uses_wording = wording
        self.prior: Prior | None = None
        self._wording, self._size = Wording(answers), len(answers)
        self._training: PriorTraining | None = None
        self._text: SentenceEncoder | None = None
        self._encode: Callable[[Tensor], Tensor] | None = None
        self._layers = nn.ModuleList()
        self._known = PerText(_TEXT_BYTES)

    def use_encoders(self, text: SentenceEncoder, encode: Callable[[Tensor], Tensor]) -> None:
        """Lets cases vote, compared by these frozen encoders.

        Training may change the last layers of the text encoder `text`: the prior keeps a copy of them as they are now,
        in half precision. `encode`: pixels to states."""
        self._text, self._encode = text, encode
        # Not half(): what is computed must be the same before the layers were stored and after.
        self._layers = deepcopy(getattr(text, "upper", nn.ModuleList())).cpu().eval().requires_grad_(False)
        for tensor in self._layers.state_dict().values():
            tensor.copy_(tensor.half())
        self._known.clear()

    def learn(
        self, samples: Sequence[Sample], answers: Tensor, by: str, inputs: "Callable[[Sequence[Sample]], Inputs]"
    ) -> None:
        """Fits the prior to training samples, unless there is one; `training_scores` then leaves each of them out.

        answers (n,): places in the vocabulary, -1: outside; `by`: see `PriorTraining`; inputs: samples to `Inputs`.
        """
        self._training = PriorTraining(samples, answers, self._size, by)
        if self.prior is None:
            cases = self._cases(samples, answers, inputs) if self._text is not None and samples else None
            self.prior = fit_prior(
                self._training, lambda rows: self._clues(samples[row].text for row in rows.tolist()), cases
            )

    @torch.no_grad()
    def training_scores(self, samples: Sequence[Sample]) -> Tensor:
        """(B, K) for training samples, each left out of its own cases; 0 for samples that were not in the training
        split."""
        assert self.prior is not None
        assert self._training is not None
        scores = torch.zeros(len(samples), self._size)
        places = [place for place, sample in enumerate(samples) if sample.id in self._training.row]
        if places:
            rows = torch.tensor([self._training.row[samples[place].id] for place in places])
            clues = self._clues(samples[place].text for place in places)
            scores[places] = leave_one_out(self.prior, self._training, clues, rows)
        return scores

    @torch.no_grad()
    def scores_for(self, texts: Sequence[str], inputs: "Inputs") -> Tensor:
        """(B, K) for any questions: the texts and their `Inputs`."""
        assert self.prior is not None
        closeness = self.prior.cases.closeness(*self._vectors(inputs)) if self.prior.cases is not None else None
        return self.prior.scores(self._clues(texts), closeness)

    def shares(self, log_p: Tensor) -> Tensor | None:
        """(B,) the weight of the prior alone, given its own scores (B, K); None where it is 0 throughout."""
        if not self._share and not self._share_yes_no:
            return None
        expects = log_p.exp() @ torch.from_numpy(self._wording.yes_no) > 0.5
        return torch.where(expects, self._share_yes_no, self._share)

    @property
    def layers(self) -> nn.ModuleList:
        """The last layers that the text encoder had when the cases were kept; empty: none that were trained."""
        return self._layers

    def dump(self) -> dict[str, Tensor]:
        """The whole prior, as plain tensors for a safetensors file."""
        assert self.prior is not None
        layers = {f"{_LAYERS}{name}": tensor.half().contiguous() for name, tensor in self._layers.state_dict().items()}
        return self.prior.state() | layers

    def fill(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `dump`."""
        state = {name: tensor for name, tensor in tensors.items() if not name.startswith(_LAYERS)}
        self.prior = Prior.from_state(state)
        layers = {name[len(_LAYERS) :]: tensors[name].float() for name in tensors.keys() - state.keys()}
        self._layers.load_state_dict(layers)
        self._known.clear()

    def _clues(self, texts: Iterable[str]) -> Tensor:
        if not self._uses_wording:
            return torch.zeros(sum(1 for _ in texts), self._size, len(CLUES))
        return torch.stack([torch.from_numpy(self._wording.clues(text)) for text in texts])

    @torch.no_grad()
    def _cases(
        self, samples: Sequence[Sample], answers: Tensor, inputs: "Callable[[Sequence[Sample]], Inputs]"
    ) -> Cases:
        questions: list[Tensor] = []
        images: dict[str, Tensor] = {}
        for start in range(0, len(samples), _BATCH):
            chunk = samples[start : start + _BATCH]
            question, image = self._vectors(inputs(chunk))
            questions.append(question)
            images |= {sample.image: vector for sample, vector in zip(chunk, image, strict=True)}
        row = {name: place for place, name in enumerate(images)}
        which = torch.tensor([row[sample.image] for sample in samples])
        return Cases.of(torch.cat(questions), torch.stack(list(images.values())), which, answers)

    def _vectors(self, inputs: "Inputs") -> tuple[Tensor, Tensor]:
        """(B, c) of the questions and (B, k) of their images: mean states of the frozen encoders."""
        assert self._encode is not None
        assert self._text is not None
        states = inputs.image if inputs.image.ndim == 3 else self._encode(inputs.image)
        return self._of_questions(inputs), states.cpu()[:, 0].float()[inputs.which.cpu()]

    def _of_questions(self, inputs: "Inputs") -> Tensor:
        """(B, c) of the questions."""
        assert self._text is not None
        assert inputs.text_states is not None
        text, states, keep = self._text, inputs.text_states.cpu(), inputs.keep.cpu()

        def vectors(length: int, rows: Tensor) -> Tensor:
            return text.sentence(states[rows], keep[rows], self._layers, length)

        return self._known(inputs.tokens.cpu(), keep, vectors)
