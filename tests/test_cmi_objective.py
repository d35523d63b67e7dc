"""CMI-MTL's losses: named parts, their equations, what is masked, what learns from what, the published defects."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from _tiny import CAPTIONS, QUESTIONS, WRITER, batch, cmi_model, question, rng, settings_of, value, zero_grad

from discern_vqa.config import check_recipe
from discern_vqa.errors import ConfigError
from discern_vqa.nn.decoder import END
from discern_vqa.nn.losses import total
from discern_vqa.objectives.cmi_mtl import PARTS, Config, Objective

WEIGHTS = {"cls": 1.0, "align": 0.2, "token": 0.1, "gen": 0.4, "type": 0.1}
OPEN = [sample for sample in QUESTIONS if sample.answer_type == "open"]
CLOSED = [sample for sample in QUESTIONS if sample.answer_type == "closed"]


def objective(net=None, **settings) -> Objective:
    return Objective(settings_of(Config, {"weights": WEIGHTS, **settings}), net if net is not None else cmi_model())


def parts_of(made: Objective, samples=QUESTIONS) -> dict[str, torch.Tensor]:
    return made(batch(samples, net=made.model), rng())


def reached(made: Objective, part: str, samples=QUESTIONS) -> set[str]:
    """The parts of the model that one part of the loss sends a gradient to; of `fvta` also its own parts."""
    zero_grad(made)
    parts_of(made, samples)[part].backward()
    names = [name.split(".") for name, p in made.model.named_parameters() if p.grad is not None and p.grad.any()]
    return {name[0] for name in names} | {".".join(name[:2]) for name in names if name[0] == "fvta"}


@pytest.mark.parametrize("profile", ["fixed", "released"])
def test_parts_are_named_as_the_weights_and_finite_and_follow_from_the_batch(profile):
    made = objective(cmi_model(profile=profile, cifr={"released_random": False}), profile=profile)
    parts = parts_of(made)
    assert tuple(parts) == PARTS == tuple(WEIGHTS)
    assert all(bool(part.isfinite()) for part in parts.values())
    again = parts_of(made)
    assert all(torch.equal(parts[name], again[name]) for name in parts)
    by_hand = sum(WEIGHTS[name] * value(parts[name]) for name in parts)
    assert value(total(parts, WEIGHTS)) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("token", ["none", "filip", "gloria", "sparc"])
@pytest.mark.parametrize("query", ["learned", "text"])
def test_every_parameter_of_the_fixed_profile_receives_a_gradient(token, query):
    net = cmi_model(fvta={"token": token, "query": query}).train()
    total(parts_of(objective(net)), WEIGHTS).backward()
    silent = [name for name, p in net.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert not silent
    resting = {name for name, p in net.named_parameters() if not p.requires_grad}
    assert resting == {"image.grey", "text.mask"}, "what stands for hidden places: nothing is hidden"


TABLES = {"data": {"dataset": "phantom"}, "run": {}, "model": {"name": "cmi_mtl", "fvta": {"token": "filip"}}}


def test_a_token_term_that_is_chosen_has_a_weight_of_a_tenth_unless_told_otherwise():
    read = check_recipe(TABLES | {"objective": {"name": "cmi_mtl"}}, "recipe")
    assert read.objective.weights == {"cls": 1.0, "align": 0.2, "token": 0.1, "gen": 0.4, "type": 0.1}
    assert check_recipe(read.to_json(), "config.json").objective == read.objective
    told = {"name": "cmi_mtl", "weights": WEIGHTS | {"token": 0.3}}
    assert check_recipe(TABLES | {"objective": told}, "recipe").objective.weights["token"] == 0.3
    without = TABLES | {"model": {"name": "cmi_mtl"}, "objective": {"name": "cmi_mtl"}}
    assert check_recipe(without, "recipe").objective.weights["token"] == 0


def test_a_token_term_that_would_learn_nothing_is_refused():
    silent = {"name": "cmi_mtl", "weights": WEIGHTS | {"token": 0.0}}
    with pytest.raises(ConfigError, match=r"\[objective\] weights.token = 0: .*'filip' would learn nothing"):
        check_recipe(TABLES | {"objective": silent}, "recipe")


def test_the_classifier_is_one_binary_decision_for_each_answer_summed():
    made = objective()
    data = batch(QUESTIONS, net=made.model)
    f = made.model.classify(made.model(data.inputs))
    expected = 0.0
    for row, answer in enumerate(data.targets.answer.tolist()):
        for place in range(f.shape[1]):
            p = float(torch.sigmoid(f[row, place]).detach())
            expected -= math.log(p if place == answer else 1 - p) / len(f)
    assert value(parts_of(made)["cls"]) == pytest.approx(expected, rel=1e-4)
    choice = objective(loss="ce")
    assert value(parts_of(choice)["cls"]) == pytest.approx(value(F.cross_entropy(f, data.targets.answer)), rel=1e-4)


def test_captions_and_unknown_answers_are_not_classified():
    made = objective()
    strange = question(99, "a", "what is this", "an answer that training never saw")
    plain, more = parts_of(made, QUESTIONS)["cls"], parts_of(made, [*QUESTIONS, strange, *CAPTIONS])["cls"]
    torch.testing.assert_close(plain, more, atol=1e-5, rtol=1e-5)


def test_only_open_questions_are_generated_unless_all_are_asked_for():
    made = objective()
    of_open = value(parts_of(made, OPEN)["gen"])
    assert value(parts_of(made, [*OPEN, *CLOSED])["gen"]) == pytest.approx(of_open, rel=1e-5)
    everyone = objective(made.model, generate="all")
    assert value(parts_of(everyone, [*OPEN, *CLOSED])["gen"]) != pytest.approx(of_open, abs=1e-3)


def test_the_generator_learns_the_mean_over_all_tokens_of_the_open_answers_end_included():
    made = objective()
    data = batch(OPEN, net=made.model)
    with torch.no_grad():
        fused = made.model(data.inputs)
        logits = made.model.generator.logits(made.model.read(fused), data.targets.written)
    losses = []
    for row, ids in enumerate(data.targets.written.tolist()):
        for place in range(ids.index(END) + 1):
            losses.append(float(F.cross_entropy(logits[row, place], torch.tensor(ids[place]))))
    assert value(parts_of(made, OPEN)["gen"]) == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def test_a_batch_without_open_questions_costs_the_generator_nothing():
    made = objective()
    assert value(parts_of(made, CLOSED)["gen"]) == 0
    assert "generator" not in reached(made, "gen", CLOSED)
    assert "generator" in reached(made, "gen", OPEN)


def test_each_part_reaches_what_it_is_about():
    made = objective(cmi_model(fvta={"token": "filip"}))
    assert "head" in reached(made, "cls")
    assert {"head", "generator", "fvta.to_q", "head_type"} & reached(made, "cls") == {"head"}
    assert {"fvta.qformer", "fvta.to_q", "fvta.to_t", "fvta.tau"} <= reached(made, "align")
    assert not {"head", "cifr", "generator"} & reached(made, "align")
    assert {"fvta.to_places", "fvta.to_words"} <= reached(made, "token")
    assert {"generator", "cifr", "fvta.qformer"} <= reached(made, "gen")
    assert {"head_type", "cifr"} <= reached(made, "type")


def test_the_type_head_learns_what_the_data_set_says_and_passes_over_what_it_does_not():
    made = objective()
    unknown = [replace(sample, answer_type="") for sample in CLOSED]
    of_open = value(parts_of(made, OPEN)["type"])
    assert value(parts_of(made, [*OPEN, *unknown])["type"]) == pytest.approx(of_open, rel=1e-5)
    with torch.no_grad():
        logit = made.model.openness(made.model(batch(OPEN, net=made.model).inputs))
    assert of_open == pytest.approx(float(F.softplus(-logit).mean()), rel=1e-4)
    assert value(parts_of(made, unknown)["type"]) == 0


def test_d6_the_same_image_or_question_is_no_negative_unless_released():
    net = cmi_model()
    twice = [QUESTIONS[0], QUESTIONS[2], replace(QUESTIONS[2], id="copy", question="Is there any mass in this film?")]
    fixed, released = objective(net), objective(net, mask_false_negatives=False)
    both = fixed.no_negatives(*[(batch(twice, net=net).targets.image_key, batch(twice, net=net).targets.text_key)] * 2)
    assert both.nonzero().tolist() == [[1, 2], [2, 1]], "capitals and a question mark make no other question"
    assert value(parts_of(fixed, twice)["align"]) != pytest.approx(value(parts_of(released, twice)["align"]), abs=1e-4)


def test_d7_a_batch_of_one_and_one_whose_negatives_are_all_masked_are_learned_from():
    made = objective()
    for samples in ([QUESTIONS[1]], QUESTIONS[:2]):  # one question; two about one image
        parts = parts_of(made, samples)
        assert value(parts["align"]) == 0
        assert bool(total(parts, WEIGHTS).isfinite())
        total(parts, WEIGHTS).backward()


def test_d9_gradients_are_clipped_within_the_forward_pass_only_when_released():
    for stale, norm in ((True, 1.0), (False, 100.0)):
        made = objective(stale_clip=stale)
        made.train()
        for parameter in made.model.generator.parameters():
            parameter.grad = torch.zeros_like(parameter)
        made.model.generator.pos.grad[0, 0] = 100.0
        parts_of(made)
        assert float(made.model.generator.pos.grad.norm()) == pytest.approx(norm, rel=1e-3)
    assert Config(profile="released").resolved().readings.stale_clip is True
    assert Config().resolved().readings.stale_clip is False


@pytest.mark.parametrize("name", PARTS)
def test_a_weight_of_zero_leaves_no_trace(name):
    net = cmi_model(fvta={"token": "filip"})
    without = objective(net, weights=WEIGHTS | {name: 0.0})
    assert value(parts_of(without)[name]) == 0
    assert not reached(without, name)


def test_bf16_learns_about_what_full_precision_learns():
    made = objective(cmi_model(fvta={"token": "filip"}))
    data = batch(QUESTIONS, net=made.model)
    full = made(data, rng())
    with torch.autocast("cpu", torch.bfloat16):
        rough = made(data, rng())
    for name in PARTS:
        assert value(rough[name]) == pytest.approx(value(full[name]), rel=0.05, abs=0.05)
    total(rough, WEIGHTS).backward()
    assert all(bool(p.grad.isfinite().all()) for p in made.model.parameters() if p.grad is not None)


def test_written_answers_are_those_of_the_samples():
    written = batch(QUESTIONS).targets.written
    assert [WRITER.tokenizer.decode(row) for row in written.tolist()] == [sample.answer for sample in QUESTIONS]
    assert batch([*QUESTIONS, *CAPTIONS]).targets.is_open.tolist() == [0, 1, 0, 1, 0, 0, 1, -1, -1, -1, -1]
