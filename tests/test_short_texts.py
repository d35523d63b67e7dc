"""Text encoders that learn leave out the positions that no text of a batch has, and give what they gave with them."""

import pytest
import torch
from test_encoders import HF, bert, clip, clip_text
from torch import nn

from discern_vqa.models import cmi_mtl
from discern_vqa.nn.encoders import EncoderConfig, text_encoder

__all__ = ["bert", "clip"]  # fixtures


@pytest.fixture
def roberta(tmp_path):
    from transformers import RobertaConfig, RobertaModel

    torch.manual_seed(0)
    small = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = RobertaConfig(**small, vocab_size=40, max_position_embeddings=60, pad_token_id=39)
    RobertaModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "roberta")
    return tmp_path / "roberta"


def lengths(net):
    """How many positions each layer is given."""
    seen: list[int] = []

    def note(module, given, named):
        seen.append((given or tuple(named.values()))[0].shape[1])

    for module in net.modules():
        if type(module).__name__ in ("CLIPEncoderLayer", "BertLayer", "RobertaLayer"):
            module.register_forward_pre_hook(note, with_kwargs=True)
    return seen


@pytest.mark.parametrize("kind", ["clip", "bert", "roberta"])
@pytest.mark.parametrize("longest", [5, 11])
def test_positions_that_no_text_has_are_left_out_and_change_nothing(kind, longest, request):
    made = request.getfixturevalue(kind)
    folder = made[1] if kind == "clip" else made
    torch.manual_seed(1)
    net = text_encoder(HF if kind == "clip" else EncoderConfig(kind="hf"), 16, 40, 12, folder).eval()
    ids, keep = clip_text()
    rows = slice(0, 1) if longest == 5 else slice(0, 3)
    seen = lengths(net)
    found = []
    for reads_padding in (False, True):
        net.reads_padding = reads_padding
        net.zero_grad()
        seen.clear()
        given = net(ids[rows], keep[rows])
        assert set(seen) == {12 if reads_padding else longest + 1}
        (given.h.square().sum() + given.H[keep[rows]].square().sum() + given.H[:, -1].square().sum()).backward()
        found.append((given, {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}))
    (ours, gradients), (whole, expected) = found
    torch.testing.assert_close(ours.h, whole.h, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.H[:, -1], whole.H[:, -1], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.H[keep[rows]], whole.H[keep[rows]], rtol=1e-5, atol=1e-6)
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-4, atol=2e-5, msg=name)


def test_hidden_words_stay_hidden_among_fewer_positions(clip):
    net = text_encoder(HF, 16, 40, 12, clip[1]).eval()
    nn.init.normal_(net.mask)
    ids, keep = clip_text()
    hidden = torch.zeros_like(keep)
    hidden[0, 3] = True
    ours = net(ids[:1], keep[:1], hidden[:1])
    net.reads_padding = True
    torch.testing.assert_close(ours.h, net(ids[:1], keep[:1], hidden[:1]).h, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(ours.h, net(ids[:1], keep[:1]).h)


@pytest.mark.parametrize("profile", ["fixed", "released"])
def test_the_published_program_of_cmi_mtl_reads_padding_too(profile):
    from _tiny import cmi_model

    made: cmi_mtl.Model = cmi_model(profile=profile)
    assert made.text.reads_padding is (profile == "released")
