"""A batch divided among processes: the shares together are the whole batch, with the draws of the whole."""

import pytest
import torch
from _tiny import LENGTH, TOKENIZER, VOCABULARY, rng
from PIL import Image
from torch import nn

from discern_vqa.data.batch import Batcher
from discern_vqa.data.pairs import Pairing
from discern_vqa.data.sample import Sample
from discern_vqa.data.sources import PixelSource, StateSource
from discern_vqa.division import Place, Rows, share_of, uniform
from discern_vqa.nn.batch_norm import SharedBatchNorm, share_norms
from discern_vqa.nn.masking import hide_cells, hide_words

NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> list[Sample]:
    """Seven questions about three images, in an order in which every share has images of others."""
    folder = tmp_path_factory.mktemp("images")
    for number, name in enumerate(NAMES):
        pixels = torch.randint(256, (32, 32), generator=rng(number), dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(folder / f"{name}.png")
    return [
        Sample(id=f"q{row}", split="train", image=NAMES[row % 3], path=folder / f"{NAMES[row % 3]}.png",
               question=f"is there a mass {row}", answer=("yes", "no")[row % 2], organ="chest", answer_type="closed")
        for row in range(7)
    ]  # fmt: skip


def source(kind: str):
    pixels = PixelSource(32, 32, grey=True, augment=True)
    return pixels if kind == "pixels" else StateSource(pixels, lambda image: image.flatten(2).mean(2)[:, None], views=5)


@pytest.mark.parametrize("kind", ["pixels", "states"])
@pytest.mark.parametrize("processes", [2, 3, 9])
def test_shares_together_are_the_whole_batch(samples, kind, processes):
    def made(place: Place | None):
        batcher = Batcher(TOKENIZER, VOCABULARY, LENGTH, source(kind), mirror=True, second_view=True, place=place)
        paths = {sample.image: sample.path for sample in samples}
        batcher.pairing = Pairing({"a": ["b", "c"], "b": ["a"], "c": []}, paths, "uniform")
        return batcher.batch(samples, rng(5))

    whole, shares = made(None), [made(Place(index, processes)) for index in range(processes)]
    assert [shared.share.spare for shared in shares] == [index >= 7 for index in range(processes)]
    counted = [shared for shared in shares if not shared.share.spare]
    assert sum((shared.ids for shared in counted), ()) == whole.ids
    sizes = [len(shared.ids) for shared in counted]
    assert max(sizes) - min(sizes) <= 1
    for name in ("answer", "partner", "is_open", "image_key", "text_key"):
        together = torch.cat([getattr(shared.targets, name) for shared in counted])
        assert torch.equal(together, getattr(whole.targets, name)), name
    for shared in counted:
        for row, number in enumerate(shared.share.texts.rows.tolist()):
            own, all_of_it = (
                shared.inputs.image[shared.inputs.which[row]],
                whole.inputs.image[whole.inputs.which[number]],
            )
            assert torch.equal(own, all_of_it), "the same view, turned and moved alike"
            assert (shared.targets.near[row] < 0) == (whole.targets.near[number] < 0)
            if shared.targets.near[row] >= 0:
                similar = shared.inputs.image[shared.targets.near[row]]
                assert torch.equal(similar, whole.inputs.image[whole.targets.near[number]])
        if kind == "states":
            assert torch.equal(shared.targets.second, whole.targets.second[shared.share.images.rows])
    weights = torch.zeros(len(whole.inputs.image))
    for shared in shares:
        weights[shared.share.images.rows] += shared.share.image_weights
    torch.testing.assert_close(weights, torch.ones(len(weights)))


def test_draws_of_some_rows_are_those_of_the_whole_batch():
    rows = Rows(6, torch.tensor([1, 4]))
    assert torch.equal(uniform(rng(), 2, 3, of=rows), uniform(rng(), 6, 3)[rows.rows])
    words = torch.ones(6, 9, dtype=torch.bool)
    words[4, 3:] = False
    assert torch.equal(hide_words(words[rows.rows], 0.5, rng(1), rows), hide_words(words, 0.5, rng(1))[rows.rows])
    assert torch.equal(hide_cells(2, 8, 0.5, rng(2), of=rows), hide_cells(6, 8, 0.5, rng(2))[rows.rows])


def test_a_batch_smaller_than_the_processes_leaves_the_last_of_them_spare():
    shares = [share_of(Place(index, 3), [0, 1], [1, -1], 2) for index in range(3)]
    assert [share.spare for share in shares] == [False, False, True]
    assert shares[2].texts.rows.tolist() == [0]
    assert shares[2].image_weights.tolist() == [0.0, 0.0]
    assert shares[0].image_weights.tolist() == [1.0, 0.5]  # image 1 is similar to the first and shown by the second


def test_batch_norms_are_replaced_with_their_own_weights_and_figures():
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Sequential(nn.BatchNorm2d(2)), nn.ReLU())
    weight, figures = net[1][0].weight, net[1][0].running_mean
    before = net.state_dict().keys()
    norms = share_norms(net)
    assert norms == [net[1][0]]
    assert isinstance(net[1][0], SharedBatchNorm)
    assert net[1][0].weight is weight
    assert net[1][0].running_mean is figures
    assert net.state_dict().keys() == before
    image = torch.randn(3, 1, 4, 4)
    assert torch.equal(net.eval()(image), net(image[:1].repeat(3, 1, 1, 1) * 0 + image))
