"""Encoders: what is hidden is not seen, padding is not read, states that are cached are the encoder's own; CLIP against
`transformers`' CLIP, any other folder, and the real small weights."""

import pytest
import torch
from _tiny import LENGTH, QUESTIONS, TOKENIZER, Noise, model, rng

from discern_vqa.errors import ConfigError, RunError
from discern_vqa.nn.encoders import EncoderConfig, image_encoder, text_encoder
from discern_vqa.nn.encoders.base import from_folder

HF = EncoderConfig(kind="hf")


def question_tokens():
    return TOKENIZER.encode([sample.question for sample in QUESTIONS], LENGTH)


# -- tiny --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "patch"), [(32, 8), (64, 16), (64, 32)])
@torch.no_grad()
def test_tiny_gives_one_vector_for_the_whole_and_one_for_each_cell(size, patch):
    config = EncoderConfig(size=size, patch=patch, layers=1, channels=8, heads=2)
    net = image_encoder(config, 16, None).eval()
    out = net(torch.rand(2, 3, size, size))
    assert out.h.shape == (2, 16)
    assert out.H.shape == (2, net.cells, 16) == (2, (size // patch) ** 2, 16)


def test_tiny_refuses_a_size_that_its_patch_does_not_divide():
    with pytest.raises(ConfigError, match="size = 60, patch = 16"):
        image_encoder(EncoderConfig(size=60), 16, None)


@torch.no_grad()
def test_nothing_of_a_hidden_cell_reaches_the_output():
    net = model().image
    image = Noise().get([("a", None)])[0]
    hidden = torch.zeros(1, 16, dtype=torch.bool)
    hidden[0, 6] = True  # row 1, column 2
    other = image.clone()
    other[..., 8:16, 16:24] = torch.rand(3, 8, 8, generator=rng())
    assert torch.equal(net(image, hidden).H, net(other, hidden).H)
    assert torch.equal(net(image, hidden).h, net(other, hidden).h)
    assert not torch.allclose(net(image).h, net(other).h)


@torch.no_grad()
def test_a_hidden_word_and_what_lies_in_the_padding_are_not_read():
    net = model().text
    tokens = question_tokens()
    hidden = torch.zeros_like(tokens.keep)
    hidden[:, 1] = True
    other = tokens.ids.clone()
    other[:, 1] = (other[:, 1] + 1) % 7 + 4
    assert torch.equal(net(tokens.ids, tokens.keep, hidden).H, net(other, tokens.keep, hidden).H)
    assert not torch.allclose(net(tokens.ids, tokens.keep).H, net(other, tokens.keep).H)
    padded = tokens.ids.clone()
    padded[~tokens.keep] = 5
    one, two = net(tokens.ids, tokens.keep), net(padded, tokens.keep)
    assert torch.equal(one.h, two.h)
    assert torch.equal(one.H[tokens.keep], two.H[tokens.keep])


# -- hf ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A small CLIP of `transformers`' own, and the folder it is saved in."""
    from transformers import CLIPConfig, CLIPModel
    from transformers.utils import logging

    torch.manual_seed(0)
    small = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    small["projection_dim"] = 16
    config = CLIPConfig(
        text_config=small | {"vocab_size": 40, "max_position_embeddings": 12, "eos_token_id": 39, "bos_token_id": 38},
        vision_config=small | {"image_size": 32, "patch_size": 16},
        projection_dim=16,
    )
    net = CLIPModel(config).eval()
    folder = tmp_path_factory.mktemp("clip")
    logging.disable_progress_bar()
    net.save_pretrained(folder)
    return net, folder


def clip_text() -> tuple[torch.Tensor, torch.Tensor]:
    """Three texts of 5, 9 and 11 ids in 12 positions: begin, words, end, padding with the end."""
    ids, keep = torch.full((3, 12), 39), torch.zeros(3, 12, dtype=torch.bool)
    for row, length in enumerate((5, 9, 11)):
        ids[row, 0] = 38
        ids[row, 1 : length - 1] = torch.randint(0, 38, (length - 2,), generator=rng(row))
        keep[row, :length] = True
    return ids, keep


@torch.no_grad()
def test_clips_towers_equal_those_of_transformers(clip):
    theirs, folder = clip
    image_side = image_encoder(HF, 16, folder).eval()
    text_side = text_encoder(HF, 16, 40, 12, folder).eval()
    assert image_side.random == text_side.random == []
    pixels = torch.rand(2, 3, 32, 32, generator=rng())
    normal = (pixels - image_side.mean) / image_side.std
    out = image_side(pixels)
    vision = theirs.vision_model(normal)
    torch.testing.assert_close(out.h, theirs.visual_projection(vision.pooler_output), atol=1e-5, rtol=1e-4)
    patches = theirs.visual_projection(theirs.vision_model.post_layernorm(vision.last_hidden_state[:, 1:]))
    torch.testing.assert_close(out.H, patches, atol=1e-5, rtol=1e-4)
    ids, keep = clip_text()
    said, text = text_side(ids, keep), theirs.text_model(ids)
    torch.testing.assert_close(said.h, theirs.text_projection(text.pooler_output), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(said.H[keep], theirs.text_projection(text.last_hidden_state)[keep], atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("frozen", [False, True])
def test_cells_can_have_a_projection_of_their_own_and_then_alone_differ_from_clips(clip, frozen):
    theirs, folder = clip
    pixels = torch.rand(2, 3, 32, 32, generator=rng())
    shared = image_encoder(HF, 16, folder).eval()(pixels)
    net = image_encoder(EncoderConfig(kind="hf", own_cells=True, frozen=frozen), 16, folder).eval()
    assert net.random == ["cells_alone.weight"]
    assert net.cells_alone.weight.requires_grad
    torch.testing.assert_close(net(pixels).h, shared.h, atol=1e-5, rtol=1e-4)
    states = theirs.vision_model((pixels - net.mean) / net.std).last_hidden_state
    own = net.cells_alone(theirs.vision_model.post_layernorm(states[:, 1:]))
    torch.testing.assert_close(net(pixels).H, own, atol=1e-5, rtol=1e-4)
    cached = net.states(pixels)
    assert cached.shape == (2, 5, net.state_width)
    torch.testing.assert_close(net(cached).H, own, atol=1e-5, rtol=1e-4)
    with pytest.raises(ConfigError, match="own_cells = true and project = false"):
        image_encoder(EncoderConfig(kind="hf", own_cells=True, project=False), 24, folder)


@torch.no_grad()
def test_clips_image_side_reads_larger_images_by_interpolated_positions(clip):
    theirs, folder = clip
    net = image_encoder(EncoderConfig(kind="hf", size=64), 16, folder).eval()
    assert net.grid == (4, 4)
    assert net.size == 64
    pixels = torch.rand(2, 3, 64, 64, generator=rng())
    vision = theirs.vision_model((pixels - net.mean) / net.std, interpolate_pos_encoding=True)
    torch.testing.assert_close(net(pixels).h, theirs.visual_projection(vision.pooler_output), atol=1e-5, rtol=1e-4)
    with pytest.raises(ConfigError, match="patches of 16 do not divide") as caught:
        image_encoder(EncoderConfig(kind="hf", size=40), 16, folder)
    assert "size = 32" in caught.value.hint


@torch.no_grad()
def test_an_encoder_without_projection_gives_its_own_last_states(clip):
    theirs, folder = clip
    net = image_encoder(EncoderConfig(kind="hf", project=False), 24, folder).eval()
    pixels = torch.rand(2, 3, 32, 32, generator=rng())
    states = theirs.vision_model((pixels - net.mean) / net.std).last_hidden_state
    own = theirs.vision_model.post_layernorm(states)
    torch.testing.assert_close(net.states(pixels), own, atol=1e-5, rtol=1e-4)
    for build in (image_encoder, lambda config, d, found: text_encoder(config, d, 40, 12, None)):
        with pytest.raises(ConfigError, match="width = 16"):
            build(EncoderConfig(kind="hf", project=False, architecture="roberta-base"), 16, folder)


def test_bare_architectures_are_those_that_are_named():
    with torch.device("meta"):
        patches = EncoderConfig(kind="hf", architecture="clip-vit-base-patch16", size=384, project=False)
        roberta = EncoderConfig(kind="hf", architecture="roberta-base", project=False)
        image, text = image_encoder(patches, 768, None), text_encoder(roberta, 768, 50_265, 32, None)
    assert image.grid == (24, 24)
    assert sum(p.numel() for p in image.tower.parameters()) == 86_091_264
    assert sum(p.numel() for p in text.backbone.parameters()) == 124_055_040


@torch.no_grad()
def test_clips_answer_slot_has_read_the_text_and_not_the_padding(clip):
    text_side = text_encoder(HF, 16, 40, 12, clip[1]).eval()
    ids, keep = clip_text()
    padded = ids.clone()
    padded[:, :-1][~keep[:, :-1]] = 7
    plain = text_side(ids, keep).H[:, -1]
    torch.testing.assert_close(text_side(padded, keep).H[:, -1], plain)
    changed = ids.clone()
    changed[:, 2] = (changed[:, 2] + 1) % 38
    assert not torch.allclose(text_side(changed, keep).H[:, -1], plain)
    for row in range(3):
        alone = text_side(ids[row : row + 1], keep[row : row + 1])
        torch.testing.assert_close(alone.H[0, -1], plain[row], atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_clip_hides_patches_and_words(clip):
    image_side, text_side = image_encoder(HF, 16, clip[1]).eval(), text_encoder(HF, 16, 40, 12, clip[1]).eval()
    pixels = torch.rand(1, 3, 32, 32, generator=rng())
    other = pixels.clone()
    other[..., :16, 16:] = 0.1
    hidden = torch.tensor([[False, True, False, False]])
    assert torch.equal(image_side(pixels, hidden).H, image_side(other, hidden).H)
    ids, keep = clip_text()
    words = torch.zeros_like(keep)
    words[:, 2] = True
    changed = ids.clone()
    changed[:, 2] = (changed[:, 2] + 1) % 38
    assert torch.equal(text_side(ids, keep, words).H, text_side(changed, keep, words).H)


def test_a_folder_with_a_configuration_alone_gives_the_bare_architecture(clip, tmp_path):
    (tmp_path / "config.json").write_bytes((clip[1] / "config.json").read_bytes())
    bare, full = image_encoder(HF, 16, tmp_path), image_encoder(HF, 16, clip[1])
    assert bare.random == ["all"]
    assert {name: tensor.shape for name, tensor in bare.state_dict().items()} == {
        name: tensor.shape for name, tensor in full.state_dict().items()
    }


def test_what_does_not_fit_is_said(clip):
    with pytest.raises(ConfigError, match="projects to 16") as caught:
        image_encoder(HF, 32, clip[1])
    assert "width = 16" in caught.value.hint
    with pytest.raises(ConfigError, match="reads at most 12"):
        text_encoder(HF, 16, 40, 20, clip[1])


def test_parameters_that_no_file_filled_are_listed(clip, tmp_path):
    from safetensors.torch import load_file, save_file
    from transformers import CLIPVisionModelWithProjection

    (tmp_path / "config.json").write_bytes((clip[1] / "config.json").read_bytes())
    tensors = load_file(clip[1] / "model.safetensors")
    del tensors["visual_projection.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert from_folder(CLIPVisionModelWithProjection, tmp_path)[1] == ["visual_projection.weight"]
    tensors["visual_projection.weight"] = torch.zeros(3, 3)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises((RunError, RuntimeError), match="does not fit|size mismatch|ignore_mismatched_sizes"):
        from_folder(CLIPVisionModelWithProjection, tmp_path)


@torch.no_grad()
def test_any_other_folder_of_transformers_is_an_encoder_too(tmp_path):
    from transformers import BertConfig, BertModel, ViTConfig, ViTModel

    small = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    ViTModel(ViTConfig(**small, image_size=32, patch_size=16)).save_pretrained(tmp_path / "vit")
    BertModel(BertConfig(**small, vocab_size=40)).save_pretrained(tmp_path / "bert")
    image_side = image_encoder(HF, 16, tmp_path / "vit").eval()
    assert image_side.grid == (2, 2)
    out = image_side(torch.rand(2, 3, 32, 32))
    assert out.h.shape == (2, 16)
    assert out.H.shape == (2, 4, 16)
    text_side = text_encoder(HF, 16, 40, 12, tmp_path / "bert").eval()
    ids, keep = clip_text()
    ids = ids.clamp(max=39)
    said = text_side(ids, keep)
    assert said.H.shape == (3, 12, 16)
    padded = ids.clone()
    padded[:, :-1][~keep[:, :-1]] = 7
    torch.testing.assert_close(text_side(padded, keep).h, said.h)


# -- lite, with the real small weights ---------------------------------------------------------------------------------


@torch.no_grad()
def test_cached_states_of_the_frozen_image_encoder_give_what_the_pixels_give(real_weights):
    config = EncoderConfig(kind="lite", frozen=True, size=96)
    net = image_encoder(config, 16, real_weights("mobilenet_v2_1.0_224")).eval()
    assert net.random == []
    assert net.grid == (3, 3)
    pixels = torch.rand(2, 3, 96, 96, generator=rng())
    whole, cached = net(pixels), net(net.states(pixels).to(torch.bfloat16).float())
    torch.testing.assert_close(cached.h, whole.h, atol=3e-2, rtol=3e-2)
    torch.testing.assert_close(cached.H, whole.H, atol=3e-2, rtol=3e-2)
    alone = net.states(pixels[1:])
    torch.testing.assert_close(alone[0], net.states(pixels)[1], atol=1e-4, rtol=1e-4)
    hidden = torch.zeros(2, 9, dtype=torch.bool)
    hidden[:, 4] = True
    states = net.states(pixels)
    other = states.clone()
    other[:, 5] = 3.0
    assert torch.equal(net(states, hidden).H, net(other, hidden).H)


@torch.no_grad()
def test_cached_states_of_the_frozen_text_encoder_give_what_the_words_give(real_weights):
    from discern_vqa.data.text import FolderTokenizer
    from discern_vqa.paths import find_local_weights

    folder = find_local_weights("all-minilm-l6-v2") or real_weights("all-minilm-l6-v2")
    net = text_encoder(EncoderConfig(kind="lite", frozen=True), 16, 30_522, 12, folder).eval()
    assert net.random == []
    tokens = FolderTokenizer(folder).encode(["is there a mass?", "where is the large effusion in this film?"], 12)
    states = net.states(tokens.ids, tokens.keep)
    whole = net(tokens.ids, tokens.keep)
    cached = net(tokens.ids, tokens.keep, states=states.to(torch.bfloat16).float())
    torch.testing.assert_close(cached.h, whole.h, atol=3e-2, rtol=3e-2)
    torch.testing.assert_close(cached.H, whole.H, atol=3e-2, rtol=3e-2)
    alone = net(tokens.ids[:1], tokens.keep[:1])
    torch.testing.assert_close(alone.h[0], whole.h[0], atol=1e-5, rtol=1e-4)
    net.train()
    assert not net.backbone.training, "a frozen encoder has no dropout"
    assert not any(parameter.requires_grad for parameter in net.pretrained())


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A folder of a small BERT of three layers."""
    from transformers import BertConfig, BertModel
    from transformers.utils import logging

    torch.manual_seed(0)
    small = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    folder = tmp_path_factory.mktemp("bert")
    logging.disable_progress_bar()
    BertModel(BertConfig(**small, vocab_size=40), add_pooling_layer=False).save_pretrained(folder)
    return folder


def test_the_last_layers_over_cached_states_give_what_the_whole_encoder_gives(bert):
    ids, keep = clip_text()
    sides = []
    for last in (0, 2):
        torch.manual_seed(1)
        side = text_encoder(EncoderConfig(kind="hf", frozen=True, train_last=last), 16, 40, 12, bert).eval()
        sides.append(side(ids, keep, states=side.states(ids, keep)))
    whole, risen = sides
    torch.testing.assert_close(risen.h, whole.h, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(risen.H[keep], whole.H[keep], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(risen.H[:, -1], whole.H[:, -1], atol=1e-5, rtol=1e-4)
    risen.H[:, -1].sum().backward()
    learned = [name for name, p in side.named_parameters() if p.grad is not None and not name.startswith("project")]
    assert learned
    assert all(name.startswith("upper") for name in learned)
    assert not side.train().upper.training, "its dropout stays off, like the frozen part's"


def test_more_last_layers_than_there_are_is_refused(bert):
    with pytest.raises(ConfigError, match="train_last = 4: this encoder has 3 layers") as caught:
        text_encoder(EncoderConfig(kind="hf", frozen=True, train_last=4), 16, 40, 12, bert)
    assert "frozen = false" in caught.value.hint
