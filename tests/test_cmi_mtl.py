"""CMI-MTL's network: shapes, who sees whom, every option, relevance, saving, and the size of the paper's own."""

from dataclasses import replace

import pytest
import torch
from _tiny import ENCODER, LENGTH, QUESTIONS, VOCABULARY, WRITER, batch, cmi_model, question, rows

from discern_vqa.config import read_recipe
from discern_vqa.models.cmi_mtl import Config, Model
from discern_vqa.paths import find_recipe
from discern_vqa.run import load_weights, save_weights

OPTIONS = [
    {},
    {"profile": "released"},
    {"profile": "released", "cifr": {"released_random": False}},
    {"fvta": {"kind": "none"}},
    {"fvta": {"query": "text"}},
    {"fvta": {"topk": 3}},
    {"fvta": {"token": "filip"}},
    {"fvta": {"every": 1}},
    {"cifr": {"shared": False}},
    {"cifr": {"variant": "xattn"}},
    {"cifr": {"variant": "none"}},
    {"pooling": "mean"},
    {"pooling": "attn"},
    {"mask_padding": False},
    {"type_head": False},
    {"generator": {"kind": "none"}},
    {"image": ENCODER | {"width": 24}, "text": {"kind": "tiny", "layers": 1, "heads": 2, "width": 24}},
]
STEADY = [options for options in OPTIONS if options != {"profile": "released"}]


def named(options: dict) -> str:
    flat = {key: value for key, value in options.items() if isinstance(value, str | bool)}
    inner = {f"{table}.{key}": value for table, keys in options.items() if isinstance(keys, dict)
             for key, value in keys.items()}  # fmt: skip
    return "-".join(f"{key}={value}" for key, value in (flat | inner).items()) or "default"


def test_shapes_are_those_of_the_paper():
    net = cmi_model()
    inputs = batch(QUESTIONS, net=net).inputs
    B, U, K, d = len(inputs.tokens), len(inputs.image), 4, 16
    tokens = net.encode(inputs)
    assert tokens.T.shape == (B, LENGTH, d)
    assert tokens.V.shape == (U, 1 + 16, d)
    regions = net.fvta(tokens)
    assert regions.Z.shape == (B, K, d)
    assert regions.q.shape == (U, K, 8)
    assert regions.t.shape == (B, 8)
    torch.testing.assert_close(regions.q.norm(dim=-1), torch.ones(U, K))
    fused = net(inputs)
    assert fused.X.shape == (B, LENGTH, d)
    assert fused.Y.shape == (B, K, d)
    assert fused.c.shape == (B, 2 * d)
    assert fused.keep.shape == (B, LENGTH + K)
    assert net.classify(fused).shape == (B, len(VOCABULARY))
    assert net.openness(fused).shape == (B,)
    answers = WRITER.encode([sample.answer for sample in QUESTIONS])
    assert net.generator.logits(net.read(fused), answers).shape == (*answers.shape, WRITER.tokenizer.size)
    assert net.modes == ("classify", "classify_typed", "generate", "rank", "hybrid")


@pytest.mark.parametrize("options", STEADY, ids=named)
@torch.no_grad()
def test_every_option_answers_the_same_twice_and_survives_being_saved(options, tmp_path):
    net, other = cmi_model(**options), cmi_model(seed=1, **options)
    inputs = batch(QUESTIONS, net=net).inputs
    decision = net.decide(inputs)
    assert bool(decision.scores.isfinite().all())
    assert torch.equal(net.decide(inputs).scores, decision.scores)
    assert not torch.equal(other.decide(inputs).scores, decision.scores)
    save_weights(net, tmp_path / "model.safetensors")
    load_weights(other, tmp_path / "model.safetensors")
    assert torch.equal(other.decide(inputs).scores, decision.scores)
    grids = net.attention(inputs)
    assert grids.shape == (len(inputs.tokens), 4, 4)
    torch.testing.assert_close(grids.sum((1, 2)), torch.ones(len(grids)))
    assert (decision.openness is None) == ("classify_typed" not in net.modes)


@torch.no_grad()
def test_the_released_profile_answers_otherwise_each_time_and_the_fixed_one_does_not():
    released = cmi_model(profile="released")
    inputs = batch(QUESTIONS, net=released).inputs
    assert not torch.equal(released.decide(inputs).scores, released.decide(inputs).scores)
    assert released.decide(inputs).openness is None
    fixed = cmi_model()
    assert torch.equal(fixed.decide(inputs).scores, fixed.decide(inputs).scores)


MIXED = [{}, {"fvta": {"query": "text"}}, {"fvta": {"topk": 3}}, {"pooling": "attn"}]


@pytest.mark.parametrize("options", MIXED, ids=named)
@torch.no_grad()
def test_a_sample_alone_answers_as_within_a_batch_for_every_length_of_question(options):
    net = cmi_model(**options)
    words = "is there a large mass on the left side in this film".split()
    samples = [question(n, "abcd"[n % 4], " ".join(words[: n + 1]), "yes") for n in range(len(words))]
    inputs = batch(samples, net=net).inputs
    assert sorted(set(inputs.keep.sum(1).tolist())) == list(range(3, LENGTH))
    together = net.decide(inputs)
    for row in range(len(samples)):
        alone = net.decide(rows(inputs, [row]))
        torch.testing.assert_close(alone.scores[0], together.scores[row], atol=2e-6, rtol=2e-6)
        torch.testing.assert_close(alone.openness[0], together.openness[row], atol=2e-6, rtol=2e-6)


@pytest.mark.parametrize("options", [{}, {"fvta": {"query": "text"}}], ids=named)
@torch.no_grad()
def test_what_lies_in_the_padding_and_how_long_it_is_change_nothing(options):
    net = cmi_model(**options)
    inputs = batch(QUESTIONS, net=net).inputs
    fused = net(inputs)
    X, Z, keep = fused.tokens.T, fused.regions.Z, inputs.keep
    every = torch.ones(Z.shape[:2], dtype=torch.bool)
    other = torch.where(keep[..., None], X, 5.0)
    for one, two in zip(net.cifr(X, Z, keep, every), net.cifr(other, Z, keep, every), strict=True):
        real = keep if one.shape[1] == LENGTH else every
        assert torch.equal(one[real], two[real])
    longer = torch.nn.functional.pad(X, (0, 0, 0, 9), value=3.0)
    padded = net.cifr(longer, Z, torch.nn.functional.pad(keep, (0, 9)), every)
    torch.testing.assert_close(padded[1], net.cifr(X, Z, keep, every)[1], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_d5_without_masks_padding_is_read():
    net = cmi_model(mask_padding=False)
    inputs = batch(QUESTIONS, net=net).inputs
    assert bool(net(inputs).keep.all())
    other = replace(inputs, tokens=torch.where(inputs.keep, inputs.tokens, 5))
    assert not torch.allclose(net.decide(other).scores, net.decide(inputs).scores)
    masked = cmi_model()
    assert torch.equal(masked.decide(other).scores, masked.decide(inputs).scores)


@torch.no_grad()
def test_nothing_in_a_sample_depends_on_who_else_is_in_the_batch():
    net = cmi_model()
    inputs = batch(QUESTIONS, net=net).inputs
    other = replace(inputs, image=inputs.image.clone(), tokens=inputs.tokens.clone())
    other.image[1:] = 1 - other.image[1:]
    other.tokens[2:] = other.tokens[2:].roll(1, 0)
    assert torch.equal(net.decide(inputs).scores[:2], net.decide(other).scores[:2])


@torch.no_grad()
def test_the_winning_region_is_the_same_wherever_its_query_stands():
    net, moved = cmi_model(), cmi_model()
    order = torch.tensor([2, 0, 3, 1])
    moved.fvta.qformer.queries.copy_(net.fvta.qformer.queries[order])
    inputs = batch(QUESTIONS, net=net).inputs
    tokens = net.encode(inputs)
    one, two = net.fvta(tokens, maps=True), moved.fvta(tokens, maps=True)
    winners = [made.fvta.winner(found.q[inputs.which], found.t) for made, found in ((net, one), (moved, two))]
    assert torch.equal(order[winners[1]], winners[0])
    torch.testing.assert_close(two.relevance, one.relevance)


@torch.no_grad()
def test_top_k_adds_the_cells_that_the_winning_region_looked_at_most():
    net = cmi_model(fvta={"topk": 3})
    inputs = batch(QUESTIONS, net=net).inputs
    tokens = net.encode(inputs)
    regions = net.fvta(tokens)
    assert regions.Z.shape[1] == 4 + 3
    for row, which in enumerate(inputs.which.tolist()):
        best = regions.relevance[row].topk(3).indices
        assert torch.equal(regions.Z[row, 4:], tokens.V[which, 1 + best])


@torch.no_grad()
def test_a_query_transformer_that_knows_the_question_picks_other_regions_and_aligns_the_plain_ones():
    net = cmi_model(fvta={"query": "text"})
    inputs = batch(QUESTIONS, net=net).inputs
    assert inputs.which[0] == inputs.which[1]
    asked, plain = net.fvta(net.encode(inputs)), cmi_model().fvta(cmi_model().encode(inputs))
    assert not torch.allclose(asked.Z[0], asked.Z[1]), "two questions about one image"
    assert torch.equal(plain.Z[0], plain.Z[1])
    other = replace(inputs, tokens=inputs.tokens.roll(1, 0), keep=inputs.keep.roll(1, 0))
    assert torch.equal(net.fvta(net.encode(other)).q, asked.q), "the question is not in what it is compared with"


def test_the_temperature_is_kept_in_its_range():
    net = cmi_model()
    with torch.no_grad():
        net.fvta.tau.fill_(-1.0)
    net.fvta.clamp()
    assert float(net.fvta.tau.detach()) == pytest.approx(0.01)
    with torch.no_grad():
        net.fvta.tau.fill_(3.0)
    net.fvta.clamp()
    assert float(net.fvta.tau.detach()) == 0.5


def test_the_profile_chooses_what_was_left_open():
    released, fixed = Config(profile="released").resolved(), Config().resolved()
    assert (released.readings.mask_padding, released.readings.type_head) == (False, False)
    assert (fixed.readings.mask_padding, fixed.readings.type_head) == (True, True)
    assert (released.generator.target, fixed.generator.target) == ("normalized", "raw")
    assert (released.cifr.released_random, fixed.cifr.released_random) == (True, False)
    partly = Config(profile="released", readings={"mask_padding": True}).resolved().readings
    assert (partly.mask_padding, partly.type_head) == (True, False)


RANDOM = [f"model.{part}.weights=" for part in ("image", "text", "generator", "fvta")]


def test_the_base_recipe_has_the_parts_of_the_paper():
    recipe = read_recipe(find_recipe("cmi_mtl/base"), RANDOM)
    with torch.device("meta"):
        net = Model(recipe.model, answers=498, vocabulary=50_265, length=32)
    size = {name: sum(p.numel() for p in part.parameters()) for name, part in net.named_children()}
    assert net.image.grid == (24, 24)
    assert size["image"] == 86_092_032  # ViT-B/16 at 384 px, and a vector for hidden cells
    assert size["text"] == 124_055_808  # RoBERTa-base without its unused pooler, and a vector for hidden words
    assert size["generator"] == 222_903_552
    assert size["head"] == 3_129_330
    # 180.4 M as published holds BERT's word table and a second feed-forward network per layer, which no question
    # ever passes: 12 (self-attention + FFN) + 6 cross-attentions + 32 queries and a norm are what is computed.
    query_transformer = sum(p.numel() for p in net.fvta.qformer.parameters())
    layer, cross = 4 * 768 * 768 + 4 * 768 + 2 * 768 * 3072 + 3072 + 768 + 4 * 768, 4 * 768 * 768 + 4 * 768 + 2 * 768
    assert query_transformer == 12 * layer + 6 * cross + 32 * 768 + 2 * 768


@pytest.mark.slow
def test_the_base_recipe_takes_a_step_from_random_weights():
    from discern_vqa.data.batch import Batch, Inputs, Targets
    from discern_vqa.nn.losses import total
    from discern_vqa.nn.precision import bfloat16_in_hardware
    from discern_vqa.objectives.cmi_mtl import Objective
    from discern_vqa.training.optim import make_optimizer

    recipe = read_recipe(find_recipe("cmi_mtl/base"), RANDOM)
    torch.manual_seed(0)
    net = Model(recipe.model, answers=498, vocabulary=50_265, length=32).train()
    objective = Objective(recipe.objective, net)
    optimizer = make_optimizer(net, recipe.optim)
    keep = torch.arange(32)[None] < torch.tensor([9, 14])[:, None]
    inputs = Inputs(torch.rand(2, 3, 384, 384), torch.arange(2), torch.randint(3, 40_000, (2, 32)), keep, keep)
    none = torch.full((2,), -1)
    written = torch.tensor([[5, 9, 1, 0], [7, 1, 0, 0]])
    targets = Targets(
        torch.tensor([3, 4]), none > 0, torch.zeros(2, 1, 1, 1), torch.arange(2), torch.arange(2), none, none,
        torch.tensor([1.0, 0.0]), written,
    )  # fmt: skip
    before = net.cifr.layers[0].blocks[0].enter.weight.detach().clone()
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16_in_hardware()):
        parts = objective(Batch(inputs, targets, ("1", "2")), torch.Generator())
    loss = total(parts, recipe.objective.weights)
    loss.backward()
    silent = [name for name, p in net.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    optimizer.step()
    assert bool(loss.isfinite())
    assert not torch.equal(net.cifr.layers[0].blocks[0].enter.weight, before)
    assert not silent
