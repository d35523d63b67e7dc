"""Words and cells of CMI-MTL's FVTA (cmi_mtl.md F.2): in which cells each word of the question is found."""

import torch
from torch import Tensor

from discern_vqa.bases import ModelBase
from discern_vqa.data.batch import Inputs
from discern_vqa.models.cmi_mtl import Model

SUMMARY = "where the words of the question are found in the image, the mean over the words"


def offered(model: ModelBase) -> bool:
    """CMI-MTL with an alignment of cells and words, or whose queries know the words of the question."""
    return isinstance(model, Model) and model.fvta.knows_words


@torch.no_grad()
def of_each_word(model: ModelBase, inputs: Inputs) -> Tensor:
    """(B, M, rows, columns): a map for each word, each summing to 1; 0 where a text has no word."""
    assert isinstance(model, Model)  # see `offered`
    return model.fvta.cells_of_words(model.encode(inputs)).unflatten(2, model.image.grid)


@torch.no_grad()
def explain(model: ModelBase, inputs: Inputs, answer: Tensor) -> Tensor:
    """(B, rows, columns), each summing to 1; the same whatever the answer."""
    maps = of_each_word(model, inputs)
    return maps.sum(1) / inputs.words.sum(1).clamp(min=1)[:, None, None]
