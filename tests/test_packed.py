"""BERT's layers without the padding of a batch."""

import pytest
import torch
from _tiny import rng

from discern_vqa.nn.encoders.packed import are_packable, packed


@pytest.mark.parametrize("kind", ["Bert", "Roberta"])
def test_layers_without_the_padding_give_and_learn_what_transformers_own_do(kind):
    import transformers

    torch.manual_seed(0)
    small = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = getattr(transformers, f"{kind}Config")(**small, vocab_size=9, attn_implementation="eager")
    layers = getattr(transformers, f"{kind}Model")(config, add_pooling_layer=False).eval().encoder.layer
    assert are_packable(layers)
    keep = torch.tensor([[1, 1, 1, 1, 0], [1, 0, 0, 0, 0], [1, 1, 0, 0, 0]]).bool()
    used = keep.clone()
    used[:, -1] = True  # reads, and is not read
    gradients = []
    for packs in (True, False):
        below = torch.randn(3, 5, 24, generator=rng(1)).requires_grad_()
        layers.zero_grad()
        if packs:
            above = packed(layers, below, keep, used)
            assert not above[~used].any()
        else:
            penalty = torch.zeros(3, 1, 1, 5).masked_fill(~keep[:, None, None], torch.finfo(torch.float32).min)
            above = below
            for layer in layers:
                above = layer(above, penalty)
        (above[used] * torch.randn(above[used].shape, generator=rng(2))).sum().backward()
        gradients.append([above[used], below.grad, *(parameter.grad.clone() for parameter in layers.parameters())])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
