"""What every network and every way of learning has, with defaults, so that a new one states only what is its own.

    class Config(ModelConfig): ...         class Model(ModelBase): ...             models/<name>.py
    class Config(ObjectiveConfig): ...     class Objective(ObjectiveBase): ...     objectives/<name>.py

The machinery (`run`, `training`, `answering`, `evaluation`) knows no more of a model or an objective than this.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, Protocol, TypeVar

import torch
from pydantic import field_validator
from torch import Tensor, nn

from discern_vqa.config import Profiled
from discern_vqa.data.batch import Batch, Batcher, Decision, Inputs
from discern_vqa.data.pairs import Pairing
from discern_vqa.data.sample import Sample
from discern_vqa.nn.decoder import GeneratorConfig
from discern_vqa.nn.encoders import EncoderConfig, ImageEncoder, TextEncoder


class PartConfig(Protocol):
    """The table of a part that may start from pre-trained weights."""

    @property
    def weights(self) -> str:
        """Name of a folder of weights, or a hub id; empty: none."""


@dataclass(frozen=True)
class Part:
    """A part of a model that may start from somebody else's weights."""

    name: str  # what it is called in messages
    config: PartConfig  # its table of the recipe
    foreign: bool = True  # its architecture is described by its folder, whose files then travel with the run


class ModelConfig(Profiled):
    """[model] of a recipe. A subclass sets `name` to its file's."""

    name: str
    """Which model it is."""
    image: EncoderConfig = EncoderConfig()
    """The image encoder."""
    text: EncoderConfig = EncoderConfig()
    """The text encoder."""

    def parts(self) -> dict[str, Part]:
        """The parts that may be pre-trained, by the names of their attributes in the model. The model's constructor
        gets the folder of each as `<part>_folder`."""
        return {"image": Part("image encoder", self.image), "text": Part("text encoder", self.text)}

    def writer(self) -> GeneratorConfig | None:
        """How it writes answers, if it can: its constructor then gets `symbols`, the size of the writer's tokenizer."""
        return None

    def target_image(self) -> tuple[int, bool]:
        """(side in pixels, grey): the image that `Targets.picture` shows, for models that reconstruct it; side 0: the
        encoder's own."""
        return 1, True

    def compacts_text(self) -> bool:
        """Whether the tokenizer may be cut down to the ids of the training texts."""
        return False

    def generates_below(self) -> float:
        """The threshold of the way of answering `hybrid` where none was tuned."""
        return 0.5


class ModelBase(nn.Module):
    """A network that answers questions about images. The constructor takes

        config, answers=K, vocabulary=V, length=M, text_ids=ids or None, image_folder=, text_folder=

    (K answers, V token ids, M text positions, the ids that the training texts have where the tokenizer was cut down,
    folders of pre-trained weights or None), and whatever `ModelConfig.parts` and `ModelConfig.writer` add.
    """

    output_layers: ClassVar[tuple[str, ...]] = ()
    """Beginnings of the names of layers that Muon leaves to AdamW."""
    optional_parts: ClassVar[tuple[str, ...]] = ()
    """Parts that some settings of the model leave out, or leave without parameters; `optim.factors` may name them."""
    answer_layers: ClassVar[tuple[str, ...]] = ()
    """Layers that begin anew where a run gets another vocabulary (`run.answer_head = "per_dataset"`)."""
    config: ModelConfig
    image: ImageEncoder
    text: TextEncoder

    @property
    def modes(self) -> tuple[str, ...]:
        """The ways of answering that this model has, cheapest first (`answering/modes.py`)."""
        return ("classify",)

    def parts(self) -> dict[str, "PretrainedPart"]:
        """The modules of `config.parts()` that are there."""
        modules = dict(self.named_children())
        return {name: modules[name] for name in self.config.parts() if name in modules}  # type: ignore[misc]

    def decide(self, inputs: Inputs) -> Decision:
        """Scores (B, K) of the answers, and what else is decided."""
        raise NotImplementedError

    @staticmethod
    def add_prior(scores: Tensor, inputs: Inputs) -> Tensor:
        """(B, K) scores on top of what is known before the model looks, where the recipe has a [prior]; `decide` ends
        with it."""
        return scores if inputs.prior is None else inputs.prior.mix_with(inputs.prior.add_to(scores))

    def answer_state(self, inputs: Inputs) -> Tensor:
        """(B, w): what the answer is read from, for maps of the states; where a model has no such state, its scores."""
        return self.decide(inputs).scores


class PretrainedPart(Protocol):
    """A module that may have been pre-trained. `random`: names of its parameters that no file filled."""

    random: list[str]

    def pretrained(self) -> list[nn.Parameter]:
        """The parameters that came from elsewhere and may want their own learning rate."""


class ObjectiveConfig(Profiled):
    """[objective] of a recipe. A subclass sets `name` to its file's, and the default of `weights`: one for each part of
    the loss."""

    name: str
    """Which objective it is."""
    weights: dict[str, float]
    """The weight of each part of the loss, all of them named."""

    @field_validator("weights")
    @classmethod
    def _name_every_part(cls, weights: dict[str, float]) -> dict[str, float]:
        parts = cls.model_fields["weights"].default
        if weights.keys() != parts.keys():
            raise ValueError(f"expected a weight for each of {', '.join(parts)}, and for nothing else")
        return weights


ConfigT = TypeVar("ConfigT", bound=ObjectiveConfig)
ModelT = TypeVar("ModelT", bound=ModelBase)


class ObjectiveBase(nn.Module, Generic[ConfigT, ModelT]):
    """A way of learning: `forward(batch, rng)` gives the parts of the loss by the names of `config.weights`, without
    their weights. Every draw comes from `rng`. What must be saved with the run is a submodule or a buffer."""

    mixed: ClassVar[bool] = False
    """Captions and questions may be in one batch."""
    finds_similar: ClassVar[bool] = False
    """`similar` and `pairing` are asked before the first step."""
    divides: ClassVar[bool] = False
    """Where several processes divide a batch (`Batch.share`), `forward` gives this process's part of the whole batch's
    losses (`nn/gather.py`). Off: each part is a mean over the process's own texts, weighed by their number; exact for a
    loss in which every text counts alike and meets no other."""
    config: ConfigT
    model: ModelT

    def __init__(self, config: ConfigT, model: ModelT) -> None:
        super().__init__()
        self.config, self.model = config.resolved(), model

    @property
    def second_view(self) -> bool:
        """Whether batches hold a second cached view of each image (`Targets.second`)."""
        return False

    @property
    def statements(self) -> bool:
        """Whether batches hold the questions with their answers as texts (`Targets.statement`)."""
        return False

    def forward(self, batch: Batch, rng: torch.Generator) -> dict[str, Tensor]:
        """The parts of the loss: one number each."""
        raise NotImplementedError

    def after_step(self) -> None:
        """Called after each step of the optimiser; for what moves with the model, such as a running mean of it."""

    def similar(self, samples: Sequence[Sample], batcher: Batcher) -> dict[str, list[str]]:
        """The similar images of each image, by name."""
        raise NotImplementedError

    def pairing(self, similar: Mapping[str, Sequence[str]], samples: Sequence[Sample]) -> Pairing:
        """How batches put samples and similar images together."""
        raise NotImplementedError
