"""`image.train_last`: MobileNetV2's last blocks are trained over cached states of those below them."""

import pytest
import torch
from torch import nn

from discern_vqa.config import OptimConfig
from discern_vqa.errors import ConfigError
from discern_vqa.nn.encoders import EncoderConfig, ImageEncoder, image_encoder
from discern_vqa.training.optim import make_optimizer

SIZE, WIDTH = 64, 12


def side(last: int, **settings) -> ImageEncoder:
    """A random MobileNetV2, the same one for every `last`."""
    torch.manual_seed(0)
    config = EncoderConfig(kind="lite", frozen=True, train_last=last, size=SIZE, **settings)
    made = image_encoder(config, WIDTH, None)
    torch.manual_seed(1)
    for project in (made.project_global, made.project_cells):
        nn.init.normal_(project[1].weight)
    return made.train()


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("last", "pool"), [(1, 0), (3, 0), (10, 0), (10, 1), (16, 0)])
def test_the_last_blocks_over_cached_states_give_what_the_whole_encoder_gives(pixels, last, pool):
    whole, parted = side(0, pool=pool), side(last, pool=pool)
    states = parted.states(pixels)
    assert parted.grid == whole.grid
    assert states.shape[2] == parted.state_width < whole.state_width
    for given in (states, pixels):
        found, wanted = parted(given), whole(whole.states(pixels))
        torch.testing.assert_close(found.h, wanted.h, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(found.H, wanted.H, atol=1e-4, rtol=1e-4)
    assert parted.trains_last
    assert not whole.trains_last


def test_they_alone_learn_and_their_norms_keep_their_statistics(pixels):
    encoder = side(4)
    before = {name: tensor.clone() for name, tensor in encoder.named_buffers()}
    encoder(encoder.states(pixels)).H.square().sum().backward()
    learned = {name.partition(".")[0] for name, p in encoder.named_parameters() if p.grad is not None}
    assert learned == {"upper", "project_cells"}
    assert all(p.grad is not None for p in encoder.upper.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.named_buffers())
    assert {id(p) for p in encoder.upper.parameters()} <= {id(p) for p in encoder.pretrained()}


def test_what_is_hidden_is_covered_below_the_trained_blocks(pixels):
    encoder = side(10)
    states = encoder.states(pixels)
    with torch.no_grad():
        encoder.mask.fill_(3.0)
    hidden = torch.zeros(len(pixels), encoder.cells, dtype=torch.bool)
    torch.testing.assert_close(encoder(states, hidden).H, encoder(states).H)
    hidden[0, 0] = True
    covered = encoder(states, hidden)
    assert not torch.allclose(covered.H[0], encoder(states).H[0])
    torch.testing.assert_close(covered.H[1:], encoder(states).H[1:])
    hidden[:] = True
    everything = encoder(states, hidden).H
    torch.testing.assert_close(everything[0], everything[1])  # nothing of the image is left
    everything.sum().backward()
    assert encoder.mask.grad is not None
    assert encoder.mask.grad.abs().sum() > 0


def test_states_of_other_depths_are_not_taken_for_each_other():
    assert len({side(last).frozen_digest() for last in (0, 1, 4)}) == 3


def test_rates_fall_from_block_to_block():
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.image = side(3)

        def parts(self) -> dict[str, ImageEncoder]:
            return {"image": self.image}

    config = OptimConfig(lr=1.0, encoder_lr=1.0, layer_decay=0.5)
    both = Both()
    rates = {id(p): group["lr"] for group in make_optimizer(both, config).param_groups for p in group["params"]}
    of_blocks = [{rates[id(p)] for p in block.parameters()} for block in both.image.upper]
    assert of_blocks == [{0.125}, {0.25}, {0.5}, {1.0}]


def test_more_blocks_than_there_are_and_other_encoders_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="train_last = 17: this encoder has 16 blocks") as caught:
        side(17)
    assert "frozen = false" in caught.value.hint
    from transformers import ViTConfig, ViTModel

    small = ViTConfig(hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=64)
    ViTModel(small, add_pooling_layer=False).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="train_last = 1: this encoder has no blocks as a MobileNetV2 has"):
        image_encoder(EncoderConfig(kind="hf", frozen=True, train_last=1), WIDTH, tmp_path)
