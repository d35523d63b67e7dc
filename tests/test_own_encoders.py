"""MobileNetV2 and BERT as they are written here give what those of `transformers` give, from the same folders."""

import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import BertConfig, BertModel, MobileNetV2Config, MobileNetV2Model

from discern_vqa.nn.encoders import EncoderConfig
from discern_vqa.nn.encoders.bert import Bert, bert
from discern_vqa.nn.encoders.lite import LiteImage, LiteText
from discern_vqa.nn.encoders.mobilenet import MobileNetV2, mobilenet

SMALL = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40}


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    made = BertModel(BertConfig(vocab_size=50, max_position_embeddings=16, **SMALL))
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.3)
    made.save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


def asked():
    """Ids of three texts, two of them shorter, and which of them are read."""
    ids = torch.randint(1, 50, (3, 9), generator=torch.Generator().manual_seed(1))
    keep = torch.ones(3, 9, dtype=torch.int64)
    keep[1, 4:8], keep[2, 2:] = 0, 0
    return ids, keep


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_bert_gives_the_states_and_gradients_of_transformers(folder, attention):
    theirs = BertModel.from_pretrained(folder, add_pooling_layer=False, attn_implementation=attention).eval()
    ours, random = bert(folder)
    assert random == []
    ours.eval().set_attn_implementation(attention)
    ids, keep = asked()
    states = [net(input_ids=ids, attention_mask=keep).last_hidden_state for net in (ours, theirs)]
    torch.testing.assert_close(*states, rtol=0, atol=1e-6)
    for state in states:
        state.square().sum().backward()
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(ours.get_parameter(name).grad, parameter.grad, rtol=1e-4, atol=1e-5, msg=name)
    # What a digest of a frozen encoder is taken of is there under the same names.
    for ours_too, its in ((ours.named_parameters, theirs.named_parameters), (ours.named_buffers, theirs.named_buffers)):
        mine = dict(ours_too())
        assert mine.keys() == dict(its()).keys()
        assert all(torch.equal(mine[name], tensor) for name, tensor in its())


def test_bert_drops_out_while_it_is_trained_and_only_then(folder):
    ours, _ = bert(folder)
    ids, keep = asked()
    for plain in ("eager", "sdpa"):
        ours.set_attn_implementation(plain)
        still = [ours.eval()(input_ids=ids, attention_mask=keep).last_hidden_state for _ in range(2)]
        assert torch.equal(*still)
        moved = [ours.train()(input_ids=ids, attention_mask=keep).last_hidden_state for _ in range(2)]
        assert not torch.equal(*moved)


def test_positions_and_words_can_be_given(folder):
    theirs, (ours, _) = BertModel.from_pretrained(folder, add_pooling_layer=False).eval(), bert(folder)
    ids, keep = asked()
    places = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 7, 15]])
    words = ours.get_input_embeddings()(ids)
    given = {"inputs_embeds": words, "attention_mask": keep, "position_ids": places}
    states = [net(**given).last_hidden_state for net in (ours.eval(), theirs)]
    torch.testing.assert_close(*states, rtol=0, atol=1e-6)


def test_what_is_not_plain_or_not_whole_is_left_to_transformers(folder, tmp_path):
    for change in ({"hidden_act": "relu"}, {"is_decoder": True}, {"position_embedding_type": "relative_key"}):
        other = tmp_path / next(iter(change))
        BertConfig(**SMALL, **change).save_pretrained(other)
        if "position_embedding_type" in change:
            text = (other / "config.json").read_text()
            (other / "config.json").write_text(text.replace("{", '{"position_embedding_type": "relative_key",', 1))
        assert bert(other) is None, change
    MobileNetV2Config(hidden_act="relu").save_pretrained(tmp_path / "relu")
    assert mobilenet(tmp_path / "relu") is None
    assert mobilenet(folder) is None
    weights = load_file(folder / "model.safetensors")
    save_file({name: weights[name] for name in list(weights)[1:]}, folder / "model.safetensors", {"format": "pt"})
    assert bert(folder) is None
    encoder = LiteText(EncoderConfig(kind="lite"), 8, folder)
    assert len(encoder.random) == 1, "transformers says which weight stayed random"
    (folder / "model.safetensors").write_bytes(b"damaged")
    assert bert(folder) is None


def test_weights_of_a_larger_model_are_found_behind_its_prefix_and_halves_are_widened(folder):
    weights = load_file(folder / "model.safetensors")
    whole = {f"bert.{name}": tensor.half() for name, tensor in weights.items()} | {"cls.bias": torch.zeros(3)}
    save_file(whole, folder / "model.safetensors")
    ours, random = bert(folder)
    assert random == []
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.float32}
    wanted = weights["encoder.layer.1.output.dense.weight"].half().float()
    assert torch.equal(ours.encoder.layer[1].output.dense.weight, wanted)


def test_without_weights_all_is_random_and_with_them_nothing_is_drawn(folder, tmp_path):
    before = torch.get_rng_state()
    assert bert(folder) is not None
    assert torch.equal(torch.get_rng_state(), before)
    BertConfig(**SMALL).save_pretrained(tmp_path)
    for made, is_random in ((bert(None), True), (mobilenet(None), True), (bert(tmp_path), False)):
        assert made is not None
        network, unfilled = made
        assert unfilled == ["all"]
        matrices = [p.detach() for p in network.parameters() if p.ndim > 1 and p.numel() > 500]
        assert all((0.015 < float(one.std()) < 0.025) if is_random else not one.any() for one in matrices)
        assert all(torch.isfinite(parameter).all() for parameter in network.parameters())
    assert isinstance(LiteImage(EncoderConfig(kind="lite", size=64), 8, None).backbone, MobileNetV2)
    assert isinstance(LiteText(EncoderConfig(kind="lite"), 8, None).backbone, Bert)


def test_theirs_random_and_ours_have_equal_shapes():
    theirs = MobileNetV2Model(MobileNetV2Config())
    ours, _ = mobilenet(None)
    shapes = [{name: tensor.shape for name, tensor in net.state_dict().items()} for net in (ours, theirs)]
    assert shapes[0] == shapes[1]


def test_encoders_of_a_run_are_opened_without_importing_transformers(folder, tmp_path):
    MobileNetV2Config().save_pretrained(tmp_path / "image")  # a configuration alone, as a run folder keeps it
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from discern_vqa.nn.encoders import EncoderConfig, image_encoder, text_encoder\n"
        "image_encoder(EncoderConfig(kind='lite', frozen=True, train_last=1), 8, Path(sys.argv[1]))\n"
        "text_encoder(EncoderConfig(kind='lite', frozen=True, train_last=1), 8, 50, 9, Path(sys.argv[2]))\n"
        "print('imported' if 'transformers' in sys.modules else 'left alone')\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "image"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "left alone"
