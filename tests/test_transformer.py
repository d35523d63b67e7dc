"""RecNet's layer against PyTorch's own post-norm encoder layer, forward and backward."""

import pytest
import torch
from torch import nn

from discern_vqa.nn.transformer import BlockShape, FeedForward, PostNormBlock

WIDTH, HEADS, FFN = 16, 4, 40


def twins() -> tuple[PostNormBlock, nn.TransformerEncoderLayer]:
    """Our layer and PyTorch's with the same weights."""
    torch.manual_seed(0)
    ours = PostNormBlock(BlockShape(WIDTH, HEADS, FFN))
    theirs = nn.TransformerEncoderLayer(
        WIDTH, HEADS, FFN, dropout=0.0, activation="gelu", batch_first=True, norm_first=False
    )
    for parameter in ours.parameters():
        nn.init.normal_(parameter, std=0.3)
    with torch.no_grad():
        theirs.self_attn.in_proj_weight.copy_(ours.qkv.weight)
        theirs.self_attn.in_proj_bias.copy_(ours.qkv.bias)
        for mine, other in (
            (ours.out, theirs.self_attn.out_proj),
            (ours.expand, theirs.linear1),
            (ours.shrink, theirs.linear2),
            (ours.norm_attention, theirs.norm1),
            (ours.norm_ffn, theirs.norm2),
        ):
            other.weight.copy_(mine.weight)
            other.bias.copy_(mine.bias)
    return ours, theirs


def test_one_position_alone_is_what_the_whole_layer_gives_there():
    ours, _ = twins()
    v, keep = torch.randn(3, 7, WIDTH), torch.rand(3, 7) < 0.7
    keep[:, 2] = True
    place = torch.tensor([0, 6, 2])
    torch.testing.assert_close(ours.at(v, keep, place), ours(v, keep)[torch.arange(3), place])
    torch.testing.assert_close(ours.at(v, None, place), ours(v, None)[torch.arange(3), place])


@pytest.mark.parametrize("length", [1, 2, 7, 16])
def test_the_layer_equals_pytorchs_forward_and_backward_with_padding(length):
    ours, theirs = twins()
    keep = torch.ones(3, length, dtype=torch.bool)
    keep[1, length // 2 + 1 :] = False
    x = torch.randn(3, length, WIDTH, requires_grad=True)
    y = x.detach().clone().requires_grad_(True)
    out, reference = ours(x, keep), theirs(y, src_key_padding_mask=~keep)
    torch.testing.assert_close(out, reference, atol=1e-5, rtol=1e-5)
    toward = torch.randn_like(out)
    (out * toward).sum().backward()
    (reference * toward).sum().backward()
    torch.testing.assert_close(x.grad, y.grad, atol=1e-5, rtol=1e-4)
    pairs = [
        (ours.qkv.weight, theirs.self_attn.in_proj_weight),
        (ours.qkv.bias, theirs.self_attn.in_proj_bias),
        (ours.out.weight, theirs.self_attn.out_proj.weight),
        (ours.expand.weight, theirs.linear1.weight),
        (ours.shrink.bias, theirs.linear2.bias),
        (ours.norm_attention.weight, theirs.norm1.weight),
        (ours.norm_ffn.bias, theirs.norm2.bias),
    ]
    for mine, other in pairs:
        torch.testing.assert_close(mine.grad, other.grad, atol=1e-4, rtol=1e-4)


def test_a_layer_of_the_paper_has_3_152_384_parameters():
    with torch.device("meta"):
        block = PostNormBlock(BlockShape(512, 8, 2048))
    assert sum(parameter.numel() for parameter in block.parameters()) == 3_152_384


def test_the_fused_way_equals_the_plain_one():
    block, _ = twins()
    x, keep = torch.randn(2, 9, WIDTH), torch.rand(2, 9) > 0.3
    keep[:, 0] = True
    plain = block(x, keep)
    with torch.no_grad():
        torch.testing.assert_close(block(x, keep), plain, atol=1e-5, rtol=1e-5)


def test_what_may_not_be_attended_to_changes_nothing_elsewhere():
    block, _ = twins()
    x, keep = torch.randn(2, 6, WIDTH), torch.ones(2, 6, dtype=torch.bool)
    keep[:, 4:] = False
    other = x.clone()
    other[:, 4:] = torch.randn(2, 2, WIDTH) * 9
    assert torch.equal(block(x, keep)[:, :4], block(other, keep)[:, :4])


def test_attention_weights_are_shares_and_none_falls_on_padding():
    block, _ = twins()
    keep = torch.tensor([[True, True, False, True]])
    x = torch.randn(1, 4, WIDTH)
    weights = block.attention(x, keep)
    assert weights.shape == (1, HEADS, 4, 4)
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, HEADS, 4))
    assert not weights[..., 2].any()


def test_dropout_is_for_learning_only():
    torch.manual_seed(0)
    block = PostNormBlock(BlockShape(WIDTH, HEADS, FFN, dropout=0.5, attention_dropout=0.5))
    x = torch.randn(1, 5, WIDTH)
    assert not torch.equal(block(x), block(x))
    block.eval()
    assert torch.equal(block(x), block(x))


def test_the_feed_forward_network_is_two_linear_layers_around_gelu():
    torch.manual_seed(0)
    net = FeedForward(3, 8, 2)
    x = torch.randn(4, 3)
    torch.testing.assert_close(net(x), net[2](torch.nn.functional.gelu(net[0](x))))
