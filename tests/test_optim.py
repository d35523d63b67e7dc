"""The optimiser: its rates over a training, its groups, and what weight decay pulls at."""

import math
import re

import pytest
import torch
from _tiny import cmi_model, model

from discern_vqa.bases import ModelBase, ModelConfig
from discern_vqa.config import OptimConfig
from discern_vqa.errors import ConfigError
from discern_vqa.nn.encoders.base import EncoderConfig
from discern_vqa.nn.encoders.clip import ClipText
from discern_vqa.nn.encoders.lite import LiteImage
from discern_vqa.training.optim import decays, make_optimizer, rate


def test_the_rate_rises_over_the_warmup_and_falls_as_a_cosine():
    optim = OptimConfig(warmup=0.1)
    assert rate(0.0, optim) == 0
    assert rate(0.05, optim) == pytest.approx(0.5)
    assert rate(0.1, optim) == pytest.approx(1)
    assert rate(0.55, optim) == pytest.approx(0.5)
    assert rate(1.0, optim) == pytest.approx(0, abs=1e-9)
    assert rate(0.3, optim) == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.2 / 0.9)))


def test_a_constant_rate_stays_after_the_warmup():
    optim = OptimConfig(schedule="constant", warmup=0.2)
    assert [rate(share, optim) for share in (0.1, 0.2, 0.7, 1.0)] == pytest.approx([0.5, 1, 1, 1])
    assert rate(0.0, OptimConfig(schedule="constant", warmup=0.0)) == 1


def test_a_line_falls_to_nothing_after_the_warmup():
    optim = OptimConfig(schedule="linear", warmup=0.1)
    assert [rate(share, optim) for share in (0.05, 0.1, 0.55, 1.0)] == pytest.approx([0.5, 1, 0.5, 0])


def test_named_parts_learn_at_a_multiple():
    net = cmi_model()
    optim = OptimConfig(lr=1e-3, weight_decay=0.1, factors={"head": 50.0, "cifr": 5.0})
    optimizer = make_optimizer(net, optim)
    of = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            group = of[id(parameter)]
            factor = 50.0 if name.startswith("head.") else 5.0 if name.startswith("cifr.") else 1.0
            assert group["lr"] == pytest.approx(1e-3 * factor), name
    with pytest.raises(ConfigError, match="no part 'heed'") as caught:
        make_optimizer(net, OptimConfig(factors={"heed": 2.0}))
    assert "head_type" in caught.value.hint


def test_a_factor_for_a_part_that_this_variant_of_the_model_has_not_is_passed_over():
    optim = OptimConfig(factors={"head": 50.0, "head_type": 50.0, "cifr": 5.0})
    net = cmi_model(profile="released")
    assert not [name for name, _ in net.named_parameters() if name.startswith("head_type")]
    make_optimizer(net, optim)
    with pytest.raises(ConfigError, match="no part 'cifir'"):
        make_optimizer(net, OptimConfig(factors={"cifir": 5.0}))


def test_pretrained_parts_have_their_own_rate_and_what_is_fixed_is_left_out():
    net = model()
    own = list(net.text.parameters())
    net.text.pretrained = lambda: own
    net.image.pos.requires_grad_(False)
    optimizer = make_optimizer(net, OptimConfig(lr=1e-3, encoder_lr=1e-5, weight_decay=0.1))
    of = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    for name, parameter in net.named_parameters():
        if not parameter.requires_grad:
            assert id(parameter) not in of
            continue
        group = of[id(parameter)]
        assert group["lr"] == (1e-5 if name.startswith("text.") else 1e-3)


@pytest.mark.parametrize(
    ("made", "count"),
    [
        (lambda: LiteImage(EncoderConfig(kind="lite"), 16, None), 16),
        (lambda: ClipText(EncoderConfig(kind="hf"), 512, 12, None), 12),
    ],
    ids=["MobileNetV2", "CLIP"],
)
def test_layers_of_an_encoder_learn_the_slower_the_lower_they_are(made, count):
    net, side = ModelBase(), "image" if count == 16 else "text"
    net.config = ModelConfig(name="one encoder")
    setattr(net, side, made())
    optim = OptimConfig(lr=1e-3, encoder_lr=1e-4, layer_decay=0.9)
    optimizer = make_optimizer(net, optim)
    of = {id(parameter): group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    pretrained = {id(parameter) for parameter in getattr(net, side).pretrained()}
    rates = []
    for name, parameter in net.named_parameters():
        if id(parameter) not in pretrained:
            assert of[id(parameter)] == 1e-3, name
        elif parameter.requires_grad:
            layer = re.search(r"\.layers?\.(\d+)\.", name)
            first = any(part in name for part in ("embedding", "conv_stem"))
            above = count if first else count - 1 - int(layer[1]) if layer else 0
            assert of[id(parameter)] == pytest.approx(1e-4 * 0.9**above), name
            rates.append(above)
    assert set(rates) == set(range(count + 1)), "the stem, every layer, and what follows the last"
    alike = make_optimizer(net, OptimConfig(lr=1e-3, encoder_lr=1e-4))
    assert {group["lr"] for group in alike.param_groups} == {1e-3, 1e-4}


LAYERS = (torch.nn.Linear, torch.nn.Conv2d, torch.nn.Embedding)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize(("net", "alone"), [
    (model(), {"pos", "image.pos", "text.pos"}),
    (cmi_model(), {"modality", "image.pos", "text.pos", "generator.pos", "fvta.qformer.queries"}),
], ids=["cmdpi", "cmi_mtl"])  # fmt: skip
def test_layers_and_kernels_decay_and_positions_modalities_and_queries_do_not(net, alone, optimizer):
    made = make_optimizer(net, OptimConfig(optimizer=optimizer, weight_decay=0.1))
    of = {id(parameter): group["weight_decay"] for group in made.param_groups for parameter in group["params"]}
    layers = {id(layer.weight) for layer in net.modules() if isinstance(layer, LAYERS)}
    learned = {name: parameter for name, parameter in net.named_parameters() if parameter.requires_grad}
    assert alone <= learned.keys()
    for name, parameter in learned.items():
        decays = id(parameter) in layers or name.endswith(".taps")
        assert of[id(parameter)] == (0.1 if decays else 0.0), name


def test_the_tables_of_positions_of_pretrained_encoders_do_not_decay_and_their_words_do():
    from transformers import BertConfig, BertModel, CLIPVisionConfig, CLIPVisionModel, T5Config, T5EncoderModel

    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    nets = [
        BertModel(BertConfig(vocab_size=9, **small)),
        CLIPVisionModel(CLIPVisionConfig(image_size=16, patch_size=8, **small)),
        T5EncoderModel(T5Config(vocab_size=9, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)),
    ]
    found = {name: decays(name, one) for net in nets for name, one in net.named_parameters()}
    places = [name for name in found if "position" in name or "relative" in name]
    assert len(places) == 3
    assert not any(found[name] for name in places)
    words = [name for name in found if name.endswith(("word_embeddings.weight", "shared.weight", "query.weight"))]
    assert len(words) == 3
    assert all(found[name] for name in words)
