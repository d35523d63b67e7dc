"""Every switch of every named experiment exists: each row's model is built, shrunk, and takes a step."""

import pytest
import torch
from _tiny import CAPTIONS, LENGTH, QUESTIONS, TOKENIZER, VOCABULARY, WRITER, batch, rng
from test_recipes import shrunk

from discern_vqa import registry
from discern_vqa.config import read_recipe
from discern_vqa.experiments import catalogue
from discern_vqa.experiments.runner import labelled, prepare
from discern_vqa.nn.losses import total
from discern_vqa.training.optim import make_optimizer

TINY = [name for name in catalogue.names() if catalogue.load(name).base.startswith("ablation")]
TRAININGS = labelled(prepare(TINY, "", [0]))


@pytest.mark.parametrize("key", TRAININGS, ids=lambda key: TRAININGS[key][1].replace(" ", "_"))
def test_a_row_takes_one_step(key, tmp_path):
    training, label = TRAININGS[key]
    (tmp_path / training.file).write_text(training.text(label), encoding="utf-8")
    recipe = read_recipe(tmp_path / training.file, shrunk(training.recipe.model))
    torch.manual_seed(0)
    more = {"symbols": WRITER.tokenizer.size} if recipe.model.writer() else {}
    net = registry.load("models", recipe.model.name).Model(
        recipe.model, len(VOCABULARY), TOKENIZER.size, LENGTH, **more
    )
    objective = registry.load("objectives", recipe.objective.name).Objective(recipe.objective, net)
    optimizer = make_optimizer(net, recipe.optim)
    asked = [*QUESTIONS, *CAPTIONS] if objective.mixed else QUESTIONS
    parts = objective(batch(asked, net=net, similar={"a": ["b"], "b": ["a"]}), rng())
    loss = total(parts, recipe.objective.weights)
    loss.backward()
    optimizer.step()
    assert bool(loss.isfinite())
    assert any(bool(parts[name]) for name in parts)
