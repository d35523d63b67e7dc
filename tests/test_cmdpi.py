"""CMDPI's network: shapes, the slices of Eq. 4, the parameter count, independence of neighbours and padding."""

from dataclasses import replace

import pytest
import torch
from _tiny import ENCODER, LENGTH, QUESTIONS, TOKENIZER, VOCABULARY, batch, model, question, rows, zero_grad

from discern_vqa.data.batch import Inputs
from discern_vqa.models.cmdpi import Config, Model
from discern_vqa.run import load_weights, save_weights

CELLS = 16
OPTIONS = [
    {"answer_slot": "eot"},
    {"answer_slot": "ans_token"},
    {"answer_slot": "global"},
    {"head_T": "bos"},
    {"image_target": "pixel_patchnorm"},
    {"image_target": "embed_sg"},
    {"image_target_size": 16, "image_target_grey": True},
    {"text_head": "mlm"},
    {"text_head": "tied"},
    {"compact_text": True},
    {"input_ln": True},
    {"tau_learned": True},
    {"tau_kept": True},
    {"profile": "robust"},
    {"image": ENCODER | {"width": 24}, "text": {"kind": "tiny", "layers": 1, "heads": 2, "width": 24}},
]


def named(options: dict) -> str:
    return "-".join(f"{key}={value}" for key, value in options.items() if isinstance(value, str | int))


def run(net: Model, inputs: Inputs):
    """RecNet's last layer, with a gradient on it."""
    out = net(inputs)
    out.H_out.retain_grad()
    return out


def test_shapes_are_those_of_the_paper():
    net = model()
    inputs = batch().inputs
    features = net.encode(inputs)
    count, d = len(inputs.tokens), 16
    assert features.h_img.shape == features.h_txt.shape == (count, d)
    assert features.H_img.shape == (count, CELLS, d)
    assert features.H_txt.shape == (count, LENGTH, d)
    assert net.fuse(features.h_img, features.h_txt).shape == (count, d)
    out = net(inputs)
    assert out.H_out.shape == (count, 1 + CELLS + LENGTH, d)
    assert net.output_image(out.H_out).shape == (count, CELLS, 8 * 8 * 3)
    assert net.output_text(out.H_out, inputs.keep).shape == (int(inputs.keep.sum()), TOKENIZER.size)
    assert net.output_answer(out.h_ans).shape == (count, len(VOCABULARY))
    assert net.decide(inputs).scores.shape == (count, len(VOCABULARY))


def test_the_base_architecture_has_the_published_number_of_parameters():
    with torch.device("meta"):
        paper = Config(image={"kind": "hf"}, text={"kind": "hf"}, tau_kept=True)
        net = Model(paper, answers=458, vocabulary=49_408, length=77)
    assert net.parameter_count() == 194_257_867
    assert net.pos.shape == (127, 512)
    assert net.image.cells == 49
    assert net.ffn_image.out_features == 3_072
    assert net.ffn_text.out_features == 49_408
    vectors = net.image.mask.numel() + net.text.mask.numel()
    assert vectors == 1_280
    assert sum(parameter.numel() for parameter in net.parameters()) == 194_257_867 + vectors


@pytest.mark.parametrize("output", ["image", "text", "answer"])
def test_each_output_layer_reads_its_own_positions_of_recnet_only(output):
    net = model()
    inputs = batch(QUESTIONS).inputs
    out = run(net, inputs)
    where = torch.ones_like(inputs.keep)
    if output == "image":
        net.output_image(out.H_out).square().sum().backward()
        expected = range(1, 1 + CELLS)
    elif output == "text":
        net.output_text(out.H_out, where).square().sum().backward()
        expected = range(1 + CELLS, 1 + CELLS + LENGTH)
    else:
        net.output_answer(out.h_ans).square().sum().backward()
        expected = range(CELLS + LENGTH, CELLS + LENGTH + 1)
    reached = (out.H_out.grad != 0).any(-1)
    for row in reached:
        assert row.nonzero().flatten().tolist() == list(expected)


@pytest.mark.parametrize(("slot", "place"), [("global", 0), ("ans_token", 1 + CELLS + LENGTH), ("eot", None)])
def test_the_answer_slot_can_be_elsewhere(slot, place):
    net = model(answer_slot=slot)
    inputs = batch(QUESTIONS).inputs
    out = run(net, inputs)
    net.output_answer(out.h_ans).sum().backward()
    for row, keep in zip((out.H_out.grad != 0).any(-1), inputs.keep, strict=True):
        end = CELLS + int(keep.sum())  # the last real token: begin is at 1 + CELLS
        assert row.nonzero().flatten().tolist() == [end if place is None else place]


@pytest.mark.parametrize("slot", ["last_text", "global", "ans_token", "eot"])
def test_the_answer_is_decided_by_the_last_layers_state_of_the_slot(slot):
    net, inputs = model(answer_slot=slot, layers=2).eval(), batch(QUESTIONS).inputs
    out = net(inputs)
    torch.testing.assert_close(net.answer_state(inputs), out.h_ans)
    torch.testing.assert_close(net.decide(inputs).scores, net.output_answer(out.h_ans))


def test_the_text_head_runs_only_where_it_is_asked_and_says_the_same_there():
    net = model()
    inputs = batch().inputs
    H_out = net(inputs).H_out
    everywhere = net.ffn_text(H_out[:, 1 + CELLS : 1 + CELLS + LENGTH])
    where = torch.rand(inputs.tokens.shape, generator=torch.Generator().manual_seed(0)) > 0.5
    torch.testing.assert_close(net.output_text(H_out, where), everywhere[where])


def test_padding_is_no_key_but_the_answer_slot_is():
    net = model()
    inputs = batch(QUESTIONS).inputs
    features = net.encode(inputs)
    h = net.fuse(features.h_img, features.h_txt)
    plain = net.recnet(h, features.H_img, features.H_txt, inputs.keep).H_out
    short = 5  # "bleed": begin, word, end, then padding
    assert int(inputs.keep[short].sum()) == 3
    changed = features.H_txt.clone()
    changed[short, 4:-1] += 5.0
    padded = net.recnet(h, features.H_img, changed, inputs.keep).H_out
    untouched = [*range(0, 1 + CELLS + 4), CELLS + LENGTH]
    assert torch.equal(padded[short, untouched], plain[short, untouched])
    changed = features.H_txt.clone()
    changed[short, -1] += 5.0
    slot = net.recnet(h, features.H_img, changed, inputs.keep).H_out
    assert not torch.allclose(slot[short, : 1 + CELLS], plain[short, : 1 + CELLS])


@torch.no_grad()
def test_a_sample_alone_answers_as_within_a_batch_for_every_length_of_question():
    net = model()
    words = "is there a large mass on the left side in this film".split()
    samples = [question(n, "abcd"[n % 4], " ".join(words[: n + 1]), "yes") for n in range(len(words))]
    inputs = batch(samples).inputs
    assert sorted(set(inputs.keep.sum(1).tolist())) == list(range(3, LENGTH))
    together = net.decide(inputs).scores
    for row in range(len(samples)):
        alone = net.decide(rows(inputs, [row])).scores[0]
        # Bit for bit is out of reach: the matrix kernels sum in an order that depends on the number of rows.
        torch.testing.assert_close(alone, together[row], atol=2e-6, rtol=2e-6)


@torch.no_grad()
def test_nothing_in_a_sample_depends_on_who_else_is_in_the_batch():
    net = model()
    inputs = batch(QUESTIONS).inputs
    other = replace(inputs, image=inputs.image.clone(), tokens=inputs.tokens.clone())
    other.image[1:] = 1 - other.image[1:]
    other.tokens[2:] = other.tokens[2:].roll(1, 0)
    assert torch.equal(net.decide(inputs).scores[:2], net.decide(other).scores[:2])


@torch.no_grad()
def test_the_same_inputs_give_the_same_answer_twice():
    net = model()
    inputs = batch().inputs
    assert torch.equal(net.decide(inputs).scores, net.decide(inputs).scores)


@torch.no_grad()
def test_an_image_encoded_once_for_many_texts_equals_one_by_one():
    net = model()
    inputs = batch().inputs
    assert len(inputs.image) < len(inputs.tokens)
    shared, single = net.encode(inputs), net.encode(rows(inputs, range(len(inputs.tokens))))
    for name in ("h_img", "H_img", "h_txt", "H_txt"):
        torch.testing.assert_close(getattr(shared, name), getattr(single, name), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("options", OPTIONS, ids=named)
def test_every_option_answers_and_survives_being_saved(options, tmp_path):
    net, other = model(**options), model(seed=1, **options)
    inputs = batch(net=net).inputs
    with torch.no_grad():
        scores = net.decide(inputs).scores
        assert bool(scores.isfinite().all())
        assert not torch.equal(other.decide(inputs).scores, scores)
        save_weights(net, tmp_path / "model.safetensors")
        load_weights(other, tmp_path / "model.safetensors")
        assert torch.equal(other.decide(inputs).scores, scores)
        grids = net.attention(inputs)
    assert grids.shape == (len(inputs.tokens), 4, 4)
    torch.testing.assert_close(grids.sum((1, 2)), torch.ones(len(grids)))


def test_the_robust_profile_changes_only_what_was_left_open():
    robust = Config(profile="robust").resolved().readings
    assert (robust.image_target, robust.input_ln) == ("pixel_patchnorm", True)
    partly = Config(profile="robust", readings={"image_target": "pixel"}).resolved().readings
    assert (partly.image_target, partly.input_ln) == ("pixel", True)
    assert Config().resolved().readings.input_ln is False
    assert Config(dropout=0.3).resolved().attention_dropout == 0.3


def test_patches_are_cut_row_by_row_from_the_picture():
    net = model()
    picture = torch.rand(2, 3, 32, 32)
    patches = net.patches(picture)
    assert patches.shape == (2, CELLS, 192)
    row, column = 2, 3
    block = (picture[1, :, 16:24, 24:32] - 0.45) / 0.27
    torch.testing.assert_close(patches[1, row * 4 + column], block.flatten())
    normal = model(image_target="pixel_patchnorm").patches(picture)
    torch.testing.assert_close(normal.mean(-1), torch.zeros(2, CELLS), atol=1e-5, rtol=0)
    torch.testing.assert_close(normal.std(-1), torch.ones(2, CELLS), atol=1e-2, rtol=0)


def test_a_compact_text_head_names_the_rows_of_its_own_words():
    torch.manual_seed(0)
    used = [0, 2, 3, 7, 9]
    net = Model(model(compact_text=True).config, 4, TOKENIZER.size, LENGTH, text_ids=used)
    assert net.ffn_text.out_features == len(used)
    tokens = torch.tensor([[2, 9, 7, 3, 0]])
    rows_of = net.text_targets(tokens, torch.ones_like(tokens, dtype=torch.bool))
    assert [used[row] for row in rows_of.tolist()] == tokens[0].tolist()
    others = torch.tensor([[1, 9, 8]])  # words of a fine-tuning that the pre-training did not meet
    assert net.text_targets(others, torch.ones_like(others, dtype=torch.bool)).tolist() == [-1, 4, -1]


def test_the_fusion_reads_both_sides():
    net = model()
    h_img, h_txt = torch.randn(2, 16, requires_grad=True), torch.randn(2, 16, requires_grad=True)
    net.fuse(h_img, h_txt).sum().backward()
    assert h_img.grad.any()
    assert h_txt.grad.any()
    zero_grad(net)
