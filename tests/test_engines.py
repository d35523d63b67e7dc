"""A frozen image encoder gives the same states by whichever engine, and texts the same as without their padding."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel, MobileNetV2Config, MobileNetV2Model

from discern_vqa.nn.encoders import EncoderConfig, engines, onnx_engine
from discern_vqa.nn.encoders.base import TextEncoder
from discern_vqa.nn.encoders.engines import FrozenImages
from discern_vqa.nn.encoders.folded import Folded, folded
from discern_vqa.nn.encoders.lite import LiteImage, LiteText
from discern_vqa.nn.encoders.mobilenet import MobileNetV2, mobilenet

needs_onnx = pytest.mark.skipif(not onnx_engine.is_installed(), reason="pip install 'discern-vqa[onnx]'")


def both(folder: Path, size: int = 64, **settings: object) -> tuple[MobileNetV2Model, MobileNetV2]:
    """A small MobileNetV2 whose batch norm does something, of `transformers`, and ours from its folder."""
    torch.manual_seed(0)
    made = MobileNetV2Model(MobileNetV2Config(image_size=size, depth_multiplier=0.35, **settings)).eval()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low in ((module.running_mean, -0.3), (module.bias, -0.3), (module.running_var, 0.5)):
                tensor.data.uniform_(low, low + 0.9)
    made.save_pretrained(folder)
    ours = mobilenet(folder)
    assert ours is not None
    assert ours[1] == []
    return made, ours[0].eval()


def network(folder: Path, **settings: object) -> MobileNetV2:
    return both(folder, **settings)[1]


@torch.inference_mode()
def apart(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize(
    ("size", "settings"),
    [
        (64, {}),
        (75, {}),  # odd maps: TensorFlow's borders are then the same on all sides
        (64, {"tf_padding": False}),
        (96, {"output_stride": 16}),  # the last blocks are dilated
        (64, {"first_layer_is_expansion": False}),
    ],
)
def test_folding_and_the_graph_of_onnxruntime_change_nothing(size, settings, tmp_path):
    theirs, plain = both(tmp_path / "weights", size, **settings)
    image = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        wanted = theirs(image).last_hidden_state
        assert torch.equal(plain(image).last_hidden_state, wanted)
        ours = folded(plain)
        assert isinstance(ours, Folded)
        assert apart(ours(image), wanted) < 1e-5
        if onnx_engine.is_installed():
            engine = onnx_engine.onnx_engine(ours, "0" * 64, size, tmp_path)
            assert engine is not None
            assert apart(engine(image), wanted) < 1e-5
            (told,) = onnx_engine.verdicts(tmp_path)
            assert told["is_used"]
            assert told["apart"] < 1e-5


def test_only_a_mobilenet_is_folded():
    assert folded(BertModel(BertConfig(hidden_size=12, num_hidden_layers=1, num_attention_heads=2))) is None


@needs_onnx
def test_a_graph_is_made_once_for_its_weights_and_anew_where_it_was_damaged(tmp_path, monkeypatch):
    ours = folded(network(tmp_path / "weights"))
    made: list[int] = []
    real = onnx_engine._graph
    monkeypatch.setattr(onnx_engine, "_graph", lambda *given: made.append(1) or real(*given))
    for digest in ("a" * 64, "a" * 64, "b" * 64):
        assert onnx_engine.onnx_engine(ours, digest, 64, tmp_path) is not None
    assert len(made) == 2
    graph = next(tmp_path.glob("*-aaaa*.onnx"))
    graph.write_bytes(graph.read_bytes()[:1000])
    assert onnx_engine.onnx_engine(ours, "a" * 64, 64, tmp_path) is None, "torch answers meanwhile"
    assert onnx_engine.onnx_engine(ours, "a" * 64, 64, tmp_path) is not None
    assert len(made) == 3


@needs_onnx
def test_a_graph_that_gives_something_else_is_not_used_and_the_reason_is_told(tmp_path, monkeypatch):
    ours = folded(network(tmp_path / "weights"))
    other = folded(network(tmp_path / "others", depth_divisible_by=16))
    real = onnx_engine._graph
    monkeypatch.setattr(onnx_engine, "_graph", lambda given, size: real(other, size))
    assert onnx_engine.onnx_engine(ours, "a" * 64, 64, tmp_path) is None
    (told,) = onnx_engine.verdicts(tmp_path)
    assert not told["is_used"]
    assert "differ" in told["problem"] or "size" in told["problem"], json.dumps(told)
    unwritable = tmp_path / "file"
    unwritable.write_text("")
    assert onnx_engine.onnx_engine(ours, "a" * 64, 64, unwritable / "engines") is None


@pytest.mark.parametrize(("onnx", "last"), [(True, 0), (False, 0), (True, 2)])
def test_the_fastest_way_gives_the_states_of_the_encoder(onnx, last, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if not onnx:
        monkeypatch.setattr(engines, "is_installed", lambda: False)
    torch.manual_seed(0)
    encoder = LiteImage(EncoderConfig(kind="lite", frozen=True, size=64, pool=1, train_last=last), 16, None).eval()
    image = torch.rand(3, 3, 64, 64)
    with torch.inference_mode():
        assert apart(FrozenImages(encoder)(image), encoder.states(image)) < 1e-5
    assert len(list(Path(tmp_path).rglob("*.onnx"))) == int(onnx and onnx_engine.is_installed())


# -- texts -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def text_encoder() -> LiteText:
    torch.manual_seed(0)
    return LiteText(EncoderConfig(kind="lite", frozen=True, train_last=2), 16, None).eval()


def texts(lengths: list[int], positions: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(5, 1000, (len(lengths), positions), generator=torch.Generator().manual_seed(0))
    keep = torch.arange(positions) < torch.tensor(lengths)[:, None]
    return ids * keep, keep


def test_texts_of_a_length_have_the_states_that_each_has_with_all_of_its_padding(text_encoder):
    ids, keep = texts([5, 7, 8])
    with torch.inference_mode():
        short = text_encoder.states_up_to(8, ids, keep)
        whole = text_encoder.states(ids, keep)
    read = keep.clone()
    read[:, -1] = True  # the answer slot
    torch.testing.assert_close(short[read], whole[read], atol=1e-5, rtol=1e-5)
    assert not bool(short[:, 8:-1].any()), "padding behind is not computed"
    with torch.inference_mode():
        alone = text_encoder.states_up_to(8, ids[:1], keep[:1])
    torch.testing.assert_close(alone[0][read[0]], short[0][read[0]], atol=1e-6, rtol=1e-6)


def test_what_the_last_layers_make_of_a_text_is_made_once_and_is_the_same(text_encoder, monkeypatch):
    from discern_vqa.data.bounded import PerText

    ids, keep = texts([5, 11, 5, 3])
    states = torch.randn(4, 12, 384, generator=torch.Generator().manual_seed(1))
    risen: list[int] = []
    real = LiteText._rise
    monkeypatch.setattr(LiteText, "_rise", lambda self, v, *more: risen.append(len(v)) or real(self, v, *more))
    with torch.inference_mode():
        wanted = text_encoder(ids, keep, states=states)
        risen.clear()
        monkeypatch.setattr(text_encoder, "once", PerText(2**20), raising=False)
        for _ in range(2):
            given = text_encoder(ids, keep, states=states)
            torch.testing.assert_close(given.h, wanted.h, atol=1e-5, rtol=1e-5)
            used = keep.clone()
            used[:, -1] = True
            torch.testing.assert_close(given.H[used], wanted.H[used], atol=1e-5, rtol=1e-5)
        assert sorted(risen) == [1, 1, 2]  # 3 tokens, 11, and twice 5
        risen.clear()
        text_encoder(ids, keep, hidden=torch.zeros_like(keep), states=states)
    text_encoder(ids, keep, states=states)
    assert risen == [4, 4], "with hidden words, and where gradients are wanted, nothing is remembered"
    assert TextEncoder.once is None
