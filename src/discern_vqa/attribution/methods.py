"""The ways to explain an answer, found by their names: `explain("occlusion", model, inputs, answer)`.

A method is a file of this folder with

    SUMMARY                                  what it shows, in one line
    offered(model) -> bool                   whether it makes sense for this model
    explain(model, inputs, answer) -> map    (B, h, w), not negative where it is a weight: more = more of the answer

`inputs.image` are pixels (U, 3, size, size), also for models whose encoder is frozen and cached; answer (B,) is the
class that is explained, as a rule the one the model chose. h and w are the method's own: the encoder's cells, one of
its inner maps, or pixels. A map covers the square that the model looks at.
"""

from dataclasses import replace

import torch
from torch import Tensor

from discern_vqa import registry
from discern_vqa.bases import ModelBase
from discern_vqa.data.batch import Inputs
from discern_vqa.errors import ConfigError

BASELINES = ("random", "centre", "contrast")  # methods that do not look at the model: what any other has to beat
DEFAULT = "path_gradient"  # offered by every model; what explains where nothing has been measured yet


def offered(model: ModelBase) -> list[str]:
    """The methods that make sense for this model, the baselines last."""
    names = [name for name in registry.names("explanations") if registry.explanation(name).offered(model)]
    return sorted(names, key=lambda name: (name in BASELINES, name))


def summary(name: str) -> str:
    """What a method shows."""
    return registry.explanation(name).SUMMARY


def explain(name: str, model: ModelBase, inputs: Inputs, answer: Tensor) -> Tensor:
    """The map (B, h, w) of method `name`, in single precision. Raises ConfigError: no such method, or not offered."""
    method = registry.explanation(name)
    if not method.offered(model):
        raise ConfigError(f"this model offers no {name!r}", hint=f"it offers: {', '.join(offered(model))}")
    return method.explain(model, inputs, answer).detach().float()


def every_model(model: ModelBase) -> bool:
    """The `offered` of a method that needs no more of a model than its scores and its image encoder."""
    return True


def one_image_each(inputs: Inputs) -> Inputs:
    """The same with an image of its own for each text, so that each text's gradient is its own."""
    rows = torch.arange(len(inputs.which), device=inputs.which.device)
    return replace(inputs, image=inputs.image[inputs.which], which=rows)


def log_probability(model: ModelBase, inputs: Inputs, answer: Tensor) -> Tensor:
    """log p of the class `answer` (B,), (B,). The logarithm does not go flat where the model is sure."""
    return model.decide(inputs).scores.log_softmax(-1).gather(1, answer[:, None])[:, 0]
