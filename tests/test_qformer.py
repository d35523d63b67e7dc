"""The query transformer: its layers spelled out, what it may look at, and where it says it looked."""

import pytest
import torch

from discern_vqa.nn.qformer import QueryBlock, QueryTransformer
from discern_vqa.nn.transformer import Attention

WIDTH, HEADS = 16, 2


def transformer(layers: int = 4, every: int = 2) -> QueryTransformer:
    torch.manual_seed(0)
    return QueryTransformer(WIDTH, 3, layers, HEADS, 32, 0.0, every).eval()


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
    block = QueryBlock(WIDTH, HEADS, 32, 0.0, crosses=True).eval()
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
