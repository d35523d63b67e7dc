"""The checks that every model has to pass: the shipped ones pass them, and a model that breaks one is told so."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from discern_vqa import model_checks, registry
from discern_vqa.config import read_recipe
from discern_vqa.data.batch import Decision, PriorScores
from discern_vqa.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1] / "recipes"
CLASSIFY = """
[data]
dataset = "phantom"
[model]
name = "cmi_mtl"
generator = { kind = "none" }
readings = { type_head = false }
[objective]
name = "classify"
[run]
"""


def pairs() -> dict[tuple[str, str], Path]:
    """The first recipe of each model with each objective."""
    recipes = {path: read_recipe(path) for path in sorted(ROOT.rglob("*.toml"))}
    chosen: dict[tuple[str, str], Path] = {}
    for path, recipe in recipes.items():
        if recipe.is_network:
            chosen.setdefault((recipe.model.name, recipe.objective.name), path)
    return chosen


PAIRS = pairs()


def test_every_model_and_every_objective_is_tried():
    assert {model for model, _ in PAIRS} == set(registry.names("models"))
    assert {objective for _, objective in PAIRS} | {"classify"} == set(registry.names("objectives"))


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    """A trial of each recipe, made when it is first wanted."""
    made = {}

    def of(path: Path) -> model_checks.Trial:
        if path not in made:
            made[path] = model_checks.make_trial(path, tmp_path_factory.mktemp("trial"))
        return made[path]

    return of


@pytest.mark.parametrize("path", PAIRS.values(), ids=["-".join(pair) for pair in PAIRS])
@pytest.mark.parametrize("check", model_checks.CHECKS, ids=lambda check: check.__name__)
def test_the_shipped_models_keep_it(path, check, trials):
    check(trials(path))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    (folder / "plain.toml").write_text(CLASSIFY, encoding="utf-8")
    return model_checks.make_trial(folder / "plain.toml", folder)


def test_the_plain_objective_teaches_a_model(plain):
    model_checks.every_part_of_the_loss_is_named_and_finite(plain)
    model_checks.a_batch_can_be_learned(plain)


@pytest.fixture
def changed(plain, monkeypatch):
    """Replaces the scores of the model."""

    def change(scores_of):
        decide = plain.model.decide

        def other(inputs):
            return Decision(scores_of(decide(inputs).scores, inputs))

        monkeypatch.setattr(plain.model, "decide", other)

    return change


def test_a_model_that_looks_at_its_neighbours_is_told(plain, changed):
    changed(lambda scores, inputs: scores - scores.mean(0, keepdim=True))
    with pytest.raises(AssertionError, match="alone gets other scores"):
        model_checks.an_answer_does_not_depend_on_its_neighbours(plain)


def test_a_model_that_throws_dice_is_told(plain, changed):
    changed(lambda scores, inputs: scores + torch.rand(()))
    with pytest.raises(AssertionError, match="second answer"):
        model_checks.the_same_inputs_give_the_same_answer_twice(plain)


@pytest.mark.parametrize(
    "prior",
    [lambda prior: None, lambda prior: prior and PriorScores(prior.log_p)],
    ids=["none of it", "without its share"],
)
def test_a_model_that_does_not_add_the_prior_is_told(plain, monkeypatch, prior):
    decide = plain.model.decide
    monkeypatch.setattr(plain.model, "decide", lambda inputs: decide(replace(inputs, prior=prior(inputs.prior))))
    with pytest.raises(AssertionError, match="add_prior"):
        model_checks.a_prior_is_added_to_the_scores(plain)


def test_what_is_kept_outside_the_weights_is_told(plain, changed):
    changed(lambda scores, inputs: 2 * scores)
    with pytest.raises(AssertionError, match="answers otherwise"):
        model_checks.what_is_saved_loads_equal(plain)


def test_a_parameter_that_learns_nothing_is_told(plain, monkeypatch):
    monkeypatch.setitem(plain.model._parameters, "forgotten", nn.Parameter(torch.ones(2)))
    with pytest.raises(AssertionError, match="no gradient reaches .*forgotten"):
        model_checks.every_parameter_learns(plain)


def test_a_layer_that_is_not_there_is_told(plain, monkeypatch):
    monkeypatch.setattr(type(plain.model), "answer_layers", ("hed",))
    monkeypatch.setattr(type(plain.model), "output_layers", ())
    with pytest.raises(AssertionError, match="no layer 'hed'"):
        model_checks.the_layers_that_it_names_are_there(plain)


def test_a_loss_that_is_not_the_weights_is_told(plain, monkeypatch):
    forward = plain.start.objective.forward
    monkeypatch.setattr(plain.start.objective, "forward", lambda batch, rng: {"anser": forward(batch, rng)["answer"]})
    with pytest.raises(AssertionError, match=r"gives \['anser'\]; weights name \['answer'\]"):
        model_checks.every_part_of_the_loss_is_named_and_finite(plain)
    monkeypatch.setattr(
        plain.start.objective, "forward", lambda batch, rng: {"answer": forward(batch, rng)["answer"] + torch.rand(())}
    )
    monkeypatch.setattr(torch, "manual_seed", lambda seed: None)
    with pytest.raises(AssertionError, match="another generator than `rng`"):
        model_checks.every_part_of_the_loss_is_named_and_finite(plain)


def test_a_loss_that_does_not_fall_is_told(plain, monkeypatch):
    forward = plain.start.objective.forward
    monkeypatch.setattr(plain.start.objective, "forward", lambda batch, rng: {"answer": -forward(batch, rng)["answer"]})
    before = {name: value.clone() for name, value in plain.model.state_dict().items()}
    model_checks.a_batch_can_be_learned(plain)  # a falling number, whatever it means
    monkeypatch.setattr(
        plain.start.objective, "forward", lambda batch, rng: {"answer": 0 * forward(batch, rng)["answer"] + 1}
    )
    with pytest.raises(AssertionError, match="from 1.000 to 1.000"):
        model_checks.a_batch_can_be_learned(plain)
    assert all(torch.equal(value, before[name]) for name, value in plain.model.state_dict().items())


def test_a_baseline_has_checks_of_its_own(tmp_path):
    with pytest.raises(ConfigError, match="a baseline's recipe"):
        model_checks.make_trial(ROOT / "baselines" / "lookup.toml", tmp_path)
