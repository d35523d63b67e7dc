"""A recipe is code: every one of them resolves, builds its model and takes a step."""

from pathlib import Path

import pytest
import torch
from _tiny import CAPTIONS, LENGTH, QUESTIONS, TOKENIZER, VOCABULARY, batch, rng

from discern_vqa import registry
from discern_vqa.config import read_recipe
from discern_vqa.model_checks import shrunk
from discern_vqa.nn.losses import total
from discern_vqa.training.optim import make_optimizer

ROOT = Path(__file__).resolve().parents[1] / "recipes"
RECIPES = sorted(ROOT.rglob("*.toml"))
BASELINES = [path for path in RECIPES if read_recipe(path).is_baseline]
OUTSIDE = [path for path in RECIPES if read_recipe(path).is_outside]
NETWORKS = [path for path in RECIPES if path not in BASELINES + OUTSIDE]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def kinds(path: Path) -> set[str]:
    model = read_recipe(path).model
    return {model.image.kind, model.text.kind}


TINY = [path for path in NETWORKS if kinds(path) == {"tiny"}]
OTHERS = [path for path in NETWORKS if path not in TINY]


def test_every_recipe_is_checked():
    print(f"{len(TINY)} take a step, {len(OTHERS)} build their architecture, {len(BASELINES)} are baselines")
    assert len(TINY) >= 2
    assert len(RECIPES) == len(TINY) + len(OTHERS) + len(BASELINES) + len(OUTSIDE)


def test_every_baseline_that_can_be_trained_has_a_recipe_of_its_name():
    named = {path.stem: read_recipe(path).model.name for path in BASELINES}
    trained = {name for name in registry.names("baselines") if hasattr(registry.load("baselines", name), "Config")}
    assert named == {name: f"baselines.{name}" for name in trained}


@pytest.mark.parametrize("path", RECIPES, ids=named)
def test_a_recipe_resolves_and_what_it_names_exists(path):
    recipe = read_recipe(path)
    assert recipe.data.dataset in registry.names("datasets")
    assert set(recipe.data.vocabulary_from) <= set(registry.names("datasets"))
    assert set(recipe.run.baselines) <= set(registry.names("baselines"))
    assert path.read_text(encoding="utf-8").startswith("#"), "a recipe says what it is for"
    if recipe.run.after:
        before = read_recipe(path.parent / recipe.run.after)
        assert before.model.resolved() == recipe.model.resolved(), "fine-tuning adds no parameter"
        assert before.data.text_length == recipe.data.text_length
        assert before.data.normaliser == recipe.data.normaliser


@pytest.mark.parametrize("path", TINY, ids=named)
def test_a_recipe_takes_one_step_with_its_model_shrunk(path):
    recipe = read_recipe(path, shrunk(read_recipe(path).model))
    torch.manual_seed(0)
    net = registry.load("models", recipe.model.name).Model(recipe.model, len(VOCABULARY), TOKENIZER.size, LENGTH)
    objective = registry.load("objectives", recipe.objective.name).Objective(recipe.objective, net)
    optimizer = make_optimizer(net, recipe.optim)
    data = batch([*QUESTIONS, *CAPTIONS] if objective.mixed else QUESTIONS, net=net, similar={"a": ["b"], "b": ["a"]})
    before = {name: tensor.clone() for name, tensor in net.named_parameters()}
    loss = total(objective(data, rng()), recipe.objective.weights)
    loss.backward()
    optimizer.step()
    objective.after_step()
    assert bool(loss.isfinite())
    assert any(not torch.equal(parameter, before[name]) for name, parameter in net.named_parameters())


@pytest.mark.parametrize("path", OTHERS, ids=named)
def test_a_recipe_with_pretrained_encoders_builds_its_architecture(path):
    recipe = read_recipe(path)
    with torch.device("meta"):
        net = registry.load("models", recipe.model.name).Model(
            recipe.model, answers=10, vocabulary=1000, length=recipe.data.text_length
        )
        objective = registry.load("objectives", recipe.objective.name).Objective(recipe.objective, net)
    assert objective.config.weights.keys() == recipe.objective.weights.keys()
    assert len(make_optimizer(net, recipe.optim).param_groups) >= 2
