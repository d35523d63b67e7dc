"""Keys of docs/options.md that change CMI-MTL: each does what the page says of it."""

import math

import pytest
import torch
from _tiny import ENCODER, QUESTIONS, batch, cmi_model, rng, settings_of, value
from torch import nn

from discern_vqa.config import check_recipe
from discern_vqa.nn.transformer import Dropout
from discern_vqa.objectives.cmi_mtl import Config, Objective
from discern_vqa.parts import make_writer


def objective(net, **settings) -> Objective:
    return Objective(settings_of(Config, settings), net)


@pytest.mark.parametrize("pooling", ["first", "mean", "attn"])
@torch.no_grad()
def test_the_classifier_reads_the_first_place_the_mean_or_a_weighted_mean_of_real_places(pooling):
    net = cmi_model(pooling=pooling)
    inputs = batch(QUESTIONS, net=net).inputs
    fused = net(inputs)
    length = inputs.tokens.shape[1]
    for row in range(len(QUESTIONS)):
        read = []
        for pool, stream, keep in (
            (net.pool_text, fused.X, inputs.keep), (net.pool_image, fused.Y, fused.keep[:, length:])
        ):  # fmt: skip
            real = [stream[row, place] for place in range(stream.shape[1]) if bool(keep[row, place])]
            weights = {
                "first": [1.0] + [0.0] * (len(real) - 1),
                "mean": [1 / len(real)] * len(real),
                "attn": [math.exp(float(pool.weigh(one))) for one in real] if pooling == "attn" else [],
            }[pooling]
            chosen = sum(weight * one for weight, one in zip(weights, real, strict=True)) / sum(weights)
            read.append(torch.tanh(pool.dense(chosen)))
        torch.testing.assert_close(fused.c[row], torch.cat(read), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("norm", "adds"), [("layer", True), ("biasless", False)])
@torch.no_grad()
def test_d4_the_bias_of_the_norm_is_added_or_never(norm, adds):
    net = cmi_model(cifr={"norm": norm})
    inputs = batch(QUESTIONS, net=net).inputs
    before = net(inputs).X
    biases = [one for name, one in net.cifr.named_parameters() if name.endswith("norm.bias")]
    assert biases
    for bias in biases:
        bias.fill_(2.0)
    assert torch.equal(net(inputs).X, before) is not adds


@pytest.mark.parametrize("layers", [2, 3])
def test_what_leaves_a_layer_starts_divided_by_the_root_of_their_number_unless_released(layers):
    scaled, plain = (
        dict(cmi_model(cifr={"scaled_out": on, "layers": layers}).named_parameters()) for on in (True, False)
    )
    other = [name for name in plain if not torch.equal(plain[name], scaled[name])]
    assert len(other) == layers
    for name in other:
        torch.testing.assert_close(plain[name] / math.sqrt(layers), scaled[name], msg=name)


@pytest.mark.parametrize("share", [0.1, 0.4])
@torch.no_grad()
def test_cifr_drops_the_share_of_the_recipe_while_it_learns_and_nothing_when_it_answers(share):
    net, without = cmi_model(cifr={"dropout": share}), cmi_model()
    inputs = batch(QUESTIONS, net=net).inputs
    assert torch.equal(net(inputs).X, without(inputs).X)
    seen = []
    for one in net.cifr.modules():
        if isinstance(one, Dropout | nn.Dropout):
            one.register_forward_hook(lambda module, given, out: seen.append((given[0].detach(), out.detach())))
    torch.manual_seed(0)
    net.train()(inputs)
    assert seen
    given, out = (torch.cat([pair[side].flatten() for pair in seen]) for side in (0, 1))
    dropped = (out == 0) & (given != 0)
    assert float(dropped.sum() / (given != 0).sum()) == pytest.approx(share, abs=0.03)
    torch.testing.assert_close(out[~dropped], given[~dropped] / (1 - share), rtol=0.01, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "low", "high"),
    [
        ({}, 0.01, 0.5),
        ({"fvta": {"tau_range": [0.2, 0.3]}}, 0.2, 0.3),
        ({"profile": "released", "cifr": {"released_random": False}}, 1e-6, 1e6),
    ],
)
def test_after_a_step_the_temperature_is_within_the_range_of_the_recipe(settings, low, high):
    net = cmi_model(**settings)
    made = objective(net)
    for stored, used in ((-1.0, low), (1e9, high), (0.25, 0.25)):
        with torch.no_grad():
            net.fvta.tau.fill_(stored)
        made.after_step()
        assert float(net.fvta.tau.detach()) == pytest.approx(used)


@pytest.mark.parametrize("settings", [{}, {"type_head": False}, {"profile": "released"}])
def test_whether_an_answer_is_open_is_predicted_by_a_head_or_not_at_all(settings):
    net = cmi_model(**settings)
    data = batch(QUESTIONS, net=net)
    own = [one for name, one in net.named_parameters() if name.startswith("head_type")]
    loss = value(objective(net)(data, rng())["type"])
    openness = net.decide(data.inputs).openness
    if settings:
        assert (own, loss, openness) == ([], 0, None)
        assert not {"classify_typed", "hybrid"} & set(net.modes)
    else:
        assert sum(one.numel() for one in own) == 2 * 16 + 1
        p = openness.detach().sigmoid()
        kinds = [sample.answer_type for sample in QUESTIONS]
        by_hand = [
            -math.log(float(one) if kind == "open" else 1 - float(one)) for one, kind in zip(p, kinds, strict=True)
        ]
        assert loss == pytest.approx(sum(by_hand) / len(by_hand), rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "learned"),
    [
        ({}, "none of the lungs"),
        ({"generator": {"target": "normalized"}}, "0 of lungs"),
        ({"profile": "released"}, "0 of lungs"),
    ],
)
def test_the_generator_learns_answers_as_they_stand_or_as_the_normaliser_leaves_them(settings, learned):
    model = {"name": "cmi_mtl", "image": ENCODER, "text": {"kind": "tiny"}} | settings
    tables = {"data": {"dataset": "phantom", "normaliser": "m3ae"}, "model": model}
    tables |= {"objective": {"name": "cmi_mtl"}, "run": {}}
    writer = make_writer(check_recipe(tables, "a recipe"), ["None of the  lungs", "Yes"])
    assert writer.candidates == tuple(sorted([learned, "yes"]))
    (row,) = writer.encode(["None of the  lungs"]).tolist()
    assert writer.tokenizer.decode(row) == learned[: writer.length - 1]
