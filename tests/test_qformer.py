"""The query transformer: its layers spelled out, what it may look at, and where it says it looked."""

import copy

import pytest
import torch

from discern_vqa.errors import ConfigError
from discern_vqa.nn.fvta import Fvta, FvtaConfig
from discern_vqa.nn.qformer import BERT_EPS, QueryBlock, QueryTransformer, start_from_bert
from discern_vqa.nn.transformer import Attention, BlockShape, Dropout

WIDTH, HEADS = 16, 2


def transformer(layers: int = 4, every: int = 2, dropout: float = 0.0, **settings) -> QueryTransformer:
    torch.manual_seed(0)
    shape = BlockShape(WIDTH, HEADS, 32, dropout, attention_dropout=dropout, **settings)
    return QueryTransformer(shape, queries=3, layers=layers, every=every).eval()


def like_bert(layers: int = 2, every: int = 2) -> QueryTransformer:
    return transformer(layers, every, 0.1, eps=BERT_EPS, inner_dropout=False)


def test_attention_is_pytorchs_forward_and_backward():
    torch.manual_seed(0)
    ours = Attention(WIDTH, HEADS)
    theirs = torch.nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.pair.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.pair.bias]).normal_())
        ours.query.bias.copy_(theirs.in_proj_bias[:WIDTH])
        ours.pair.bias.copy_(theirs.in_proj_bias[WIDTH:])
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)
    v, seen = torch.randn(2, 3, WIDTH, requires_grad=True), torch.randn(2, 5, WIDTH, requires_grad=True)
    keep = torch.arange(5)[None] < torch.tensor([5, 2])[:, None]
    keys = ours.keys(seen)
    out = ours(v, keys, keep[:, None, None])
    expected, weights = theirs(v, seen, seen, key_padding_mask=~keep, average_attn_weights=False)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.weights(v, keys, keep[:, None, None]), weights, atol=1e-5, rtol=1e-5)
    toward = torch.randn_like(out)
    for one, two in zip(
        torch.autograd.grad((out * toward).sum(), (v, seen)), torch.autograd.grad((expected * toward).sum(), (v, seen)),
        strict=True,
    ):  # fmt: skip
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


def test_a_block_is_self_attention_then_attention_to_the_image_then_a_feed_forward_network():
    torch.manual_seed(0)
    block = QueryBlock(BlockShape(WIDTH, HEADS, 32), crosses=True).eval()
    z, seen = torch.randn(2, 3, WIDTH), torch.randn(2, 5, WIDTH)
    one = block.norm_attention(z + block.attend(z, None))
    two = block.norm_cross(one + block.cross(one, block.cross.keys(seen)))
    ffn = block.shrink(torch.nn.functional.gelu(block.expand(two)))
    torch.testing.assert_close(block(z, seen), block.norm_ffn(two + ffn))


def test_every_second_layer_looks_at_the_image():
    assert [block.crosses for block in transformer(5, 2).blocks] == [True, False, True, False, True]
    assert [block.crosses for block in transformer(3, 1).blocks] == [True] * 3


@torch.no_grad()
def test_queries_change_with_the_image_and_only_with_their_own():
    net = transformer()
    seen = torch.randn(2, 5, WIDTH)
    Z = net(seen).Z
    assert Z.shape == (2, 3, WIDTH)
    other = seen.clone()
    other[1] += 1
    assert torch.equal(net(other).Z[0], Z[0])
    assert not torch.allclose(net(other).Z[1], Z[1])


@torch.no_grad()
def test_words_are_asked_for_when_real_and_do_not_come_back():
    net = transformer()
    seen, words = torch.randn(2, 5, WIDTH), torch.randn(2, 4, WIDTH)
    keep = torch.tensor([[True, True, False, False], [True] * 4])
    Z = net(seen, words, keep).Z
    assert Z.shape == (2, 3, WIDTH)
    assert not torch.allclose(Z, net(seen).Z)
    other = torch.where(keep[..., None], words, 9.0)
    assert torch.equal(net(seen, other, keep).Z, Z)


@pytest.mark.parametrize("words", [False, True])
@torch.no_grad()
def test_maps_are_the_mean_attention_of_the_last_two_layers_that_look(words):
    net = transformer(6, 2)
    seen = torch.randn(2, 5, WIDTH)
    more = (torch.randn(2, 4, WIDTH), torch.ones(2, 4, dtype=torch.bool)) if words else (None, None)
    found = net(seen, *more, maps=True)
    assert found.maps.shape == (2, 3, 5)
    torch.testing.assert_close(found.maps.sum(-1), torch.ones(2, 3))
    assert torch.equal(found.Z, net(seen, *more).Z)
    looked = []
    for block in net.blocks:
        if block.crosses:
            forward = block.cross.forward
            block.cross.forward = lambda v, keys, may=None, block=block, forward=forward: (
                looked.append(block.cross.weights(v, keys, may).mean(1)[:, :3]), forward(v, keys, may))[1]  # fmt: skip
    net(seen, *more)
    torch.testing.assert_close(found.maps, (looked[-1] + looked[-2]) / 2)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A small BERT of `transformers`' own, and the folder it is saved in."""
    from transformers import BertConfig, BertModel
    from transformers.utils import logging

    torch.manual_seed(0)
    small = BertConfig(
        vocab_size=20, hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=HEADS, intermediate_size=32
    )
    net = BertModel(small, add_pooling_layer=False).eval()
    for name, parameter in net.named_parameters():
        if "LayerNorm" not in name:
            torch.nn.init.normal_(parameter, std=0.3)
    folder = tmp_path_factory.mktemp("bert")
    logging.disable_progress_bar()
    net.save_pretrained(folder)
    return net, folder


@torch.no_grad()
def test_started_from_bert_it_is_that_bert_where_the_image_adds_nothing(bert):
    theirs, folder = bert
    net = like_bert()
    random = start_from_bert(net, folder)
    assert set(random) == {name for name in net.state_dict() if "cross" in name} | {"queries"}
    torch.nn.init.zeros_(net.blocks[0].cross.out.weight)
    expected = theirs.embeddings.LayerNorm(net.queries[None])
    for layer in theirs.encoder.layer:
        expected = layer(expected)
    # The norm behind the image's part is applied to what has mean 0 and variance 1 already.
    torch.testing.assert_close(net(torch.randn(1, 5, WIDTH)).Z, expected, atol=1e-4, rtol=1e-4)


def test_a_bert_of_another_size_is_refused(bert):
    with pytest.raises(ConfigError, match=r"\(2, 16, 2, 32\), the recipe \(3, 16, 2, 32\)"):
        start_from_bert(like_bert(3), bert[1])


def test_a_bert_whose_norms_have_another_epsilon_is_refused(bert):
    with pytest.raises(ConfigError, match="have eps = 1e-12, the recipe's 1e-05") as caught:
        start_from_bert(transformer(2), bert[1])
    assert caught.value.hint == "fvta.eps = 1e-12"


@torch.no_grad()
def test_started_from_bert_a_block_that_does_not_cross_is_berts_layer(bert):
    theirs, folder = bert
    net = like_bert(every=3)
    start_from_bert(net, folder)
    ours, layer = net.double().blocks[1], theirs.double().encoder.layer[1]
    z = torch.randn(2, 5, WIDTH, dtype=torch.float64)
    torch.testing.assert_close(ours(z, z), layer(z), rtol=1e-10, atol=1e-10)
    theirs.float()


def dropped(layer: torch.nn.Module, *given: torch.Tensor) -> int:
    """How often a layer draws a mask beside that of its attention."""
    calls = []
    for part in layer.modules():
        if isinstance(part, torch.nn.Dropout | Dropout) and part.p:
            part.register_forward_hook(lambda *_: calls.append(1))
    layer.train()(*given)
    return len(calls)


def test_started_from_bert_nothing_is_dropped_where_bert_drops_nothing(bert):
    layer, z = copy.deepcopy(bert[0].encoder.layer[1]), torch.randn(1, 3, WIDTH)
    assert dropped(layer, z) == dropped(like_bert(every=3).blocks[1], z, z) == 2
    assert dropped(transformer(every=3, dropout=0.1).blocks[1], z, z) == 3


@pytest.mark.parametrize(("weights", "eps", "inner"), [("", 1e-5, 0.1), ("bert-base-uncased", 1e-12, 0.0)])
def test_the_recipe_says_whether_it_is_like_bert_so_that_a_run_opens_without_one(weights, eps, inner):
    config = FvtaConfig(weights=weights, layers=2, heads=HEADS).resolved(False, WIDTH)
    net = Fvta(config, WIDTH).qformer
    norms = [part for part in net.modules() if isinstance(part, torch.nn.LayerNorm)]
    assert {norm.eps for norm in norms} == {eps}
    assert [(block.drop.p, block.drop_inner.p) for block in net.blocks] == [(0.1, inner)] * 2
    assert FvtaConfig(weights=weights, eps=1e-6).resolved(True, WIDTH).eps == 1e-6
