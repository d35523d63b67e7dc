"""Small models, samples and batches that the tests of the learning side share. Everything follows from a seed."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from discern_vqa.data.answer_tokens import BytePairs, Writer
from discern_vqa.data.answers import AnswerVocabulary
from discern_vqa.data.batch import Batch, Batcher, Inputs
from discern_vqa.data.pairs import Pairing
from discern_vqa.data.sample import Sample
from discern_vqa.data.text import WordTokenizer
from discern_vqa.models import cmi_mtl
from discern_vqa.models.cmdpi import Config, Model
from discern_vqa.objectives import cmdpi_finetune as finetune
from discern_vqa.objectives import cmdpi_pretrain as pretrain

SIZE, PATCH, LENGTH = 32, 8, 12
ENCODER = {"kind": "tiny", "size": SIZE, "patch": PATCH, "channels": 4, "layers": 1, "heads": 2}


def rng(seed: int = 0) -> torch.Generator:
    """A generator."""
    return torch.Generator().manual_seed(seed)


def settings_of(table: Any, changes: dict[str, Any]) -> Any:
    """A `Config` with these changes, each in the table or in its `readings`, wherever there is such a key."""
    readings = {key: changes[key] for key in changes if key in table.model_fields["readings"].annotation.model_fields}
    return table(**{key: changes[key] for key in changes if key not in readings}, readings=readings)


def config(**changes: Any) -> Config:
    """A model of width 16 without dropout."""
    small = {"width": 16, "layers": 2, "heads": 2, "ffn": 32, "dropout": 0.0}
    encoders = {"image": ENCODER, "text": {"kind": "tiny", "layers": 1, "heads": 2}}
    return settings_of(Config, {**small, **encoders, **changes})


def question(number: int, image: str, text: str, answer: str, **more: Any) -> Sample:
    """One question."""
    given = {"split": "train", "organ": "chest", "question_type": ("PRES",), "answer_type": "closed", **more}
    return Sample(id=f"q{number}", image=image, path=Path(image), question=text, answer=answer, **given)


def caption(number: int, image: str, text: str, **more: Any) -> Sample:
    """One caption."""
    return Sample(id=f"c{number}", split="pretrain", image=image, path=Path(image), caption=text, **more)


QUESTIONS = [
    question(0, "a", "is there a mass", "yes"),
    question(1, "a", "on which side is the large round mass", "left", question_type=("POS",), answer_type="open"),
    question(2, "b", "is there any mass in this film", "no"),
    question(3, "b", "where is the effusion", "right", question_type=("POS",), answer_type="open"),
    question(4, "c", "is the brain normal", "yes", organ="head"),
    question(5, "c", "bleed", "no", organ="head"),
    question(6, "d", "what is shown", "ct", organ="head", question_type=("MODALITY",), answer_type="open"),
]
CAPTIONS = [
    caption(0, "a", "a chest film with a large mass on the left"),
    caption(1, "b", "effusion on the right"),
    caption(2, "c", "a normal brain", organ="head"),
    caption(3, "d", "a bleed in the brain", organ="head"),
]


class Noise:
    """An image source whose images follow from their names."""

    views = 1

    def __init__(self, size: int = SIZE, picture_size: int = 0, grey: bool = False) -> None:
        self.size, self.picture_size, self.grey = size, picture_size or size, grey

    def get(self, keys: Sequence[Any], rng: Any = None, view: int = 0) -> tuple[Tensor, Tensor]:
        """See ImageSource."""
        seeds = [sum(ord(letter) * 31**place for place, letter in enumerate(key)) for key, _ in keys]
        image = torch.stack([torch.rand(3, self.size, self.size, generator=_rng(seed)) for seed in seeds])
        picture = image.mean(1, keepdim=True) if self.grey else image
        return image, torch.nn.functional.interpolate(picture, size=self.picture_size, mode="area")


_rng = rng
TOKENIZER = WordTokenizer.from_texts([sample.text for sample in [*QUESTIONS, *CAPTIONS]])
VOCABULARY = AnswerVocabulary.from_answers(
    [sample.answer for sample in QUESTIONS], "lower", kinds=[sample.answer_type for sample in QUESTIONS]
)
ANSWERS = sorted({sample.answer for sample in QUESTIONS})
WRITER = Writer(BytePairs.from_texts(ANSWERS * 2, 300), 8, "raw", "lower", tuple(ANSWERS))


def model(seed: int = 0, **changes: Any) -> Model:
    """A random model in eval mode that fits `batch()`."""
    torch.manual_seed(seed)
    ids = list(range(TOKENIZER.size))
    return Model(config(**changes), len(VOCABULARY), TOKENIZER.size, LENGTH, text_ids=ids).eval()


CMI = {
    "fvta": {"queries": 4, "layers": 2, "heads": 2, "ffn": 32, "dropout": 0.0, "embed": 8},
    "cifr": {"layers": 2, "dropout": 0.0, "states": 4},
    "generator": {"layers": 1, "heads": 2, "dropout": 0.0, "length": 8, "symbols": 300},
}


def cmi_config(**changes: Any) -> cmi_mtl.Config:
    """A CMI-MTL of width 16 without dropout; `fvta`, `cifr` and `generator` change single keys of those tables."""
    tables = {name: table | changes.pop(name, {}) for name, table in CMI.items()}
    small = {"width": 16, "image": ENCODER, "text": {"kind": "tiny", "layers": 1, "heads": 2}}
    return settings_of(cmi_mtl.Config, {**small, **tables, **changes})


def cmi_model(seed: int = 0, **changes: Any) -> cmi_mtl.Model:
    """A random CMI-MTL in eval mode that fits `batch()`."""
    torch.manual_seed(seed)
    config = cmi_config(**changes)
    return cmi_mtl.Model(config, len(VOCABULARY), TOKENIZER.size, LENGTH, symbols=WRITER.tokenizer.size).eval()


def batcher(net: Model | None = None, similar: dict[str, list[str]] | None = None) -> Batcher:
    """Turns the samples above into batches."""
    size = SIZE if net is None else net.image.size
    picture = (0, False)
    if net is not None:
        picture = getattr(net.config, "image_target_size", 1), getattr(net.config, "image_target_grey", True)
    made = Batcher(TOKENIZER, VOCABULARY, LENGTH, Noise(size, *picture), writer=WRITER)
    if similar is not None:
        made.pairing = Pairing(similar, {sample.image: sample.path for sample in [*QUESTIONS, *CAPTIONS]})
    return made


def batch(samples: Sequence[Sample] = (), net: Model | None = None, seed: int = 0, **more: Any) -> Batch:
    """A batch of the given samples (all of them when none is given)."""
    return batcher(net, **more).batch(list(samples) or [*QUESTIONS, *CAPTIONS], rng(seed))


def rows(inputs: Inputs, chosen: Sequence[int]) -> Inputs:
    """Some texts of a batch, each with an image of its own."""
    index = torch.tensor(chosen)
    return replace(
        inputs,
        image=inputs.image[inputs.which[index]],
        which=torch.arange(len(chosen)),
        tokens=inputs.tokens[index],
        keep=inputs.keep[index],
        words=inputs.words[index],
    )


def zero_grad(*modules: torch.nn.Module) -> None:
    """Forgets all gradients."""
    for module in modules:
        module.zero_grad(set_to_none=True)


def value(loss: Tensor) -> float:
    """A loss as a number."""
    return float(loss.detach())


SIMILAR = {"a": ["b"], "b": ["a"], "c": ["d"], "d": []}


def pretraining(net: Model, **settings) -> pretrain.Objective:
    return pretrain.Objective(settings_of(pretrain.Config, settings), net)


def finetuning(net: Model, **settings) -> finetune.Objective:
    return finetune.Objective(settings_of(finetune.Config, settings), net)


class Silent:
    """Nobody watches."""

    def epoch(self, number: int, batches: int, done: int) -> None: ...

    def step(self, figures: object) -> None: ...

    def said(self, text: str) -> None: ...
