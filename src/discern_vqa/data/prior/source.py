"""The prior as a batcher asks for it: questions in, (B, K) log-probabilities out."""

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from discern_vqa.data.prior import Cases, Prior
from discern_vqa.data.prior.fit import Learned, fitted, of_learned
from discern_vqa.data.prior.wording import CLUES, Wording
from discern_vqa.data.sample import Sample

_BATCH = 64
_LAYERS = "sentence."


class PriorSource:
    """What is known beforehand about answers, or nothing yet (`prior` is None) until `learn` or `fill`.

    answers: the table, K of them. share: see `Beforehand`; share_yes_no: the same where yes or no is expected; none: as
    elsewhere. wording: off: what a question's wording says is not heard.
    """

    def __init__(
        self, answers: Sequence[str], share: float = 0.0, wording: bool = True, share_yes_no: float | None = None
    ) -> None:
        self._share, self._share_yes_no = share, share if share_yes_no is None else share_yes_no
        self._hears_wording = wording
        self.prior: Prior | None = None
        self._wording, self._size = Wording(answers), len(answers)
        self._learned: Learned | None = None
        self._text: Any = None
        self._encode: Callable[[Tensor], Tensor] | None = None
        self._layers = nn.ModuleList()

    def read_by(self, text: Any, encode: Callable[[Tensor], Tensor]) -> None:
        """Cases are to vote, compared by these frozen encoders. `text`: a text encoder, whose last layers training may
        change: the prior keeps them as they came, in half precision. `encode`: pixels to states."""
        self._text, self._encode = text, encode
        # Not half(): what is computed must be the same before the layers were stored and after.
        self._layers = deepcopy(getattr(text, "upper", nn.ModuleList())).cpu().eval().requires_grad_(False)
        for tensor in self._layers.state_dict().values():
            tensor.copy_(tensor.half())

    def learn(
        self, samples: Sequence[Sample], answers: Tensor, by: str, inputs: Callable[[Sequence[Sample]], Any]
    ) -> None:
        """Fits the prior to training samples, unless it is here; from then on each of them is answered without itself.

        answers (n,): places in the table, -1: outside; `by`: see `Learned`; inputs: samples to `Inputs`.
        """
        self._learned = Learned(samples, answers, self._size, by)
        if self.prior is None:
            cases = self._cases(samples, answers, inputs) if self._text is not None and samples else None
            self.prior = fitted(
                self._learned, lambda rows: self._clues(samples[row].text for row in rows.tolist()), cases
            )

    @torch.no_grad()
    def learning(self, samples: Sequence[Sample]) -> Tensor:
        """(B, K) for training samples, each without itself; 0 for what was not among them."""
        assert self.prior is not None
        assert self._learned is not None
        found = torch.zeros(len(samples), self._size)
        known = [place for place, sample in enumerate(samples) if sample.id in self._learned.row]
        if known:
            rows = torch.tensor([self._learned.row[samples[place].id] for place in known])
            clues = self._clues(samples[place].text for place in known)
            found[known] = of_learned(self.prior, self._learned, clues, rows)
        return found

    @torch.no_grad()
    def answering(self, texts: Sequence[str], inputs: Any) -> Tensor:
        """(B, K) for anything that is asked: the texts and their `Inputs`."""
        assert self.prior is not None
        closeness = self.prior.cases.closeness(*self._vectors(inputs)) if self.prior.cases is not None else None
        return self.prior.scores(self._clues(texts), closeness)

    def shares(self, log_p: Tensor) -> Tensor | None:
        """(B,) what is left to the prior alone, given what it says (B, K); None where nothing is."""
        if not self._share and not self._share_yes_no:
            return None
        expects = log_p.exp() @ torch.from_numpy(self._wording.yes_no) > 0.5
        return torch.where(expects, self._share_yes_no, self._share)

    def dump(self) -> dict[str, Tensor]:
        """All that must be kept, as plain tensors for a safetensors file."""
        assert self.prior is not None
        layers = {f"{_LAYERS}{name}": tensor.half().contiguous() for name, tensor in self._layers.state_dict().items()}
        return self.prior.state() | layers

    def fill(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `dump`."""
        own = {name: tensor for name, tensor in tensors.items() if not name.startswith(_LAYERS)}
        self.prior = Prior.from_state(own)
        layers = {name[len(_LAYERS) :]: tensors[name].float() for name in tensors.keys() - own.keys()}
        self._layers.load_state_dict(layers)

    def _clues(self, texts: Iterable[str]) -> Tensor:
        if not self._hears_wording:
            return torch.zeros(sum(1 for _ in texts), self._size, len(CLUES))
        return torch.stack([torch.from_numpy(self._wording.clues(text)) for text in texts])

    @torch.no_grad()
    def _cases(self, samples: Sequence[Sample], answers: Tensor, inputs: Callable[[Sequence[Sample]], Any]) -> Cases:
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

    def _vectors(self, inputs: Any) -> tuple[Tensor, Tensor]:
        """(B, c) of the questions and (B, k) of their images: mean states of the frozen encoders."""
        assert self._encode is not None
        question = self._text.sentence(inputs.text_states.cpu(), inputs.keep.cpu(), self._layers)
        states = inputs.image if inputs.image.ndim == 3 else self._encode(inputs.image)
        return question, states.cpu()[:, 0].float()[inputs.which.cpu()]
