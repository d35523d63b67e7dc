"""Ways of explaining: each offered one gives a map of the answer asked about; those with a right answer give it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from _tiny import LENGTH, QUESTIONS, batch, cmi_model, model, rows
from torch import nn

from discern_vqa import registry
from discern_vqa.attribution import methods
from discern_vqa.attribution.blurring import BLUR, blurred
from discern_vqa.attribution.word_gates import gates_of_words, is_gated
from discern_vqa.data.batch import Decision
from discern_vqa.errors import ConfigError
from discern_vqa.evaluation.explain_scores import _curve
from discern_vqa.explanations.occlusion import PLACES, covers
from discern_vqa.nn.encoders import Encoded
from discern_vqa.nn.mamba import MambaBlock, MambaShape, SelectiveSsm
from discern_vqa.nn.mamba_attention import block_attention, image_attention, implicit_attention, word_gates
from discern_vqa.nn.resample import averaging

ALWAYS = {"grad_cam", "gradient_cells", "integrated_gradients", "path_gradient", "occlusion", *methods.BASELINES}
OFFERED = {
    "cmdpi": ALWAYS | {"attention", "rollout", "difference"},
    "cmi_mtl": ALWAYS | {"relevance", "mamba_attention"},
}


def net_of(name: str) -> nn.Module:
    return model() if name == "cmdpi" else cmi_model()


@pytest.mark.parametrize("name", OFFERED)
def test_a_model_offers_what_makes_sense_for_it_the_baselines_last(name):
    offered = methods.offered(net_of(name))
    assert OFFERED[name] <= set(offered) <= OFFERED[name] | {"gradient_map"}
    assert tuple(offered[-3:]) == ("centre", "contrast", "random")
    assert methods.DEFAULT in offered


@pytest.mark.parametrize(("name", "method"), [(name, method) for name in OFFERED for method in sorted(OFFERED[name])])
def test_every_method_gives_each_question_a_map_that_its_neighbours_do_not_change(name, method):
    net = net_of(name)
    inputs = batch(QUESTIONS, net=net).inputs
    answer = torch.arange(len(inputs.tokens)) % 3
    made = methods.explain(method, net, inputs, answer)
    assert made.ndim == 3
    assert len(made) == len(QUESTIONS)
    assert bool(made.isfinite().all())
    assert float(made.min()) >= 0
    chosen = [2, 0]
    again = methods.explain(method, net, rows(inputs, chosen), answer[chosen])
    torch.testing.assert_close(again, made[chosen], atol=1e-5, rtol=1e-3)
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_method_that_a_model_lacks_is_refused_with_those_it_has():
    net = cmi_model()
    with pytest.raises(ConfigError, match="offers no 'rollout'") as caught:
        methods.explain(
            "rollout", net, batch(QUESTIONS, net=net).inputs, torch.zeros(len(QUESTIONS), dtype=torch.int64)
        )
    assert "relevance" in caught.value.hint


class Corner(nn.Module):
    """Answers 1 by how bright the image's upper left sixteenth is, and 0 else."""

    class Cells(nn.Module):
        size, grid = 32, (4, 4)

        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, image: torch.Tensor) -> Encoded:
            cells = nn.functional.avg_pool2d(image.mean(1, keepdim=True), 8).flatten(1)[..., None] * self.scale
            return Encoded(h=cells.mean(1), H=cells)

    def __init__(self) -> None:
        super().__init__()
        self.image = self.Cells()

    def decide(self, inputs) -> Decision:
        seen = self.image(inputs.image).H[inputs.which][:, 0, 0]
        return Decision(scores=torch.stack([torch.zeros_like(seen), 6 * seen - 3], dim=1))


@pytest.mark.parametrize("method", sorted(ALWAYS - set(methods.BASELINES)))
def test_methods_find_the_only_place_that_the_answer_hangs_on(method):
    net = Corner()
    inputs = batch(QUESTIONS[:2], net=None).inputs
    image = torch.full((2, 3, 32, 32), 0.1)
    image[:, :, 2:7, 2:7] = 1.0
    image[:, :, 20:26, 18:26] = 1.0  # as bright, and of no importance
    inputs = type(inputs)(**{**inputs.__dict__, "image": image, "which": torch.tensor([0, 1])})
    for map_ in methods.explain(method, net, inputs, torch.tensor([1, 1])):
        y, x = np.unravel_index(int(map_.argmax()), map_.shape)
        if method == "grad_cam":  # one channel: its mean weight cannot tell one bright place from another
            assert float(map_[0, 0]) == pytest.approx(float(map_.max()))
            continue
        assert y < map_.shape[0] / 4
        assert x < map_.shape[1] / 4


def test_insertion_and_deletion_tell_a_map_that_knows_the_place_from_one_that_does_not():
    inputs = batch(QUESTIONS[:2], net=None).inputs
    image = torch.full((2, 3, 32, 32), 0.1)
    image[:, :, :8, :8] = 1.0
    inputs = type(inputs)(**{**inputs.__dict__, "image": image, "which": torch.tensor([0, 1])})
    knows = np.zeros((4, 4))
    knows[0, 0] = 1.0
    maps, answer = [knows, 1 - knows], torch.tensor([1, 1])
    inserted, deleted = (_curve(SimpleNamespace(model=Corner()), inputs, answer, maps, way) for way in (False, True))
    assert inserted[0] > inserted[1] + 0.05, inserted
    assert deleted[0] < deleted[1] - 0.05, deleted


def test_the_squares_of_occlusion_cover_every_point_equally_but_for_the_rim():
    cover = covers(48)
    assert cover.shape == (PLACES * PLACES, 48, 48)
    count = cover.sum(0)
    assert float(count[12:36, 12:36].min()) == float(count[12:36, 12:36].max()) == 9
    assert float(count.min()) > 0
    assert float(cover[PLACES * 6 + 6].sum()) == 12 * 12


def test_random_weights_are_the_same_for_the_same_question_and_others_for_another():
    net = model()
    inputs = batch(QUESTIONS, net=net).inputs
    answer = torch.zeros(len(QUESTIONS), dtype=torch.int64)
    first, again = (methods.explain("random", net, inputs, answer) for _ in range(2))
    assert torch.equal(first, again)
    assert len({float(map_[0, 0]) for map_ in first}) == len(QUESTIONS)


@torch.no_grad()
def test_rollout_multiplies_the_layers_each_half_residual_and_the_mean_is_theirs():
    net = model(layers=3)
    inputs = batch(QUESTIONS, net=net).inputs
    answer = torch.zeros(len(QUESTIONS), dtype=torch.int64)
    first, second, third = net.attentions(inputs)
    torch.testing.assert_close(first.sum(-1), torch.ones(first.shape[:2]))
    same = torch.eye(first.shape[1])
    rolled = (third + same) / 2 @ ((second + same) / 2) @ ((first + same) / 2)
    for method, weights in (("rollout", rolled), ("attention", (first + second + third) / 3)):
        cells = weights[:, -1, 1 : 1 + net.image.cells]  # the answer slot is the last place
        wanted = (cells / cells.sum(1, keepdim=True)).unflatten(1, net.image.grid)
        torch.testing.assert_close(methods.explain(method, net, inputs, answer), wanted)


@torch.no_grad()
def test_a_picture_that_is_its_own_mirror_image_has_no_difference():
    net = model()
    inputs = batch(QUESTIONS, net=net).inputs
    answer = torch.zeros(len(QUESTIONS), dtype=torch.int64)
    assert float(methods.explain("difference", net, inputs, answer).amin(0).max()) > 0
    even = type(inputs)(**{**inputs.__dict__, "image": (inputs.image + inputs.image.flip(-1)) / 2})
    assert float(methods.explain("difference", net, even, answer).max()) < 1e-6


# -- implicit attention of a scan --------------------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True])
@torch.no_grad()
def test_implicit_attention_times_what_is_read_is_the_scan(reverse):
    torch.manual_seed(0)
    ssm = SelectiveSsm(MambaShape(width=8, inner=12, states=4), reverse)
    x, keep = torch.randn(2, 7, 12), torch.arange(7)[None] < torch.tensor([7, 4])[:, None]
    driven = ssm.read(x, keep)
    a = implicit_attention(driven, -ssm.A_log.exp(), ssm.D, reverse)
    assert a.shape == (2, 7, 7, 12)
    torch.testing.assert_close(torch.einsum("btse,bse->bte", a, driven.x), ssm.scan(driven), atol=1e-5, rtol=1e-4)
    ahead = torch.ones(7, 7, dtype=torch.bool).triu(1)
    assert float(a[:, ahead.T if reverse else ahead].abs().max()) == 0
    assert float(a[1, :, 4:].abs().max()) == float(a[1, 4:].abs().max()) == 0


@torch.no_grad()
def test_both_directions_together_are_the_block_and_the_gate_weighs_them():
    torch.manual_seed(0)
    block = MambaBlock(MambaShape(width=8, inner=12, states=4))
    x, z = block.halves(torch.randn(2, 5, 8))
    a = block_attention(block, x)
    read = torch.stack([way.read(x).x for way in block.ways])
    each = torch.stack([implicit_attention(way.read(x), -way.A_log.exp(), way.D, way.reverse) for way in block.ways])
    torch.testing.assert_close(each.mean(0), a)
    torch.testing.assert_close(torch.einsum("wbtse,wbse->bte", each, read) / 2, block.scan(x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("options", [{}, {"cifr": {"shared": False}}])
@torch.no_grad()
def test_regions_attention_is_shares_and_closed_gates_let_nothing_through(options):
    net = cmi_model(**options)
    inputs = batch(QUESTIONS, net=net).inputs
    tokens = net.encode(inputs)
    y, x = net.fvta(tokens).Z, tokens.T
    keep_y = torch.ones(y.shape[:2], dtype=torch.bool)
    layer = net.cifr.layers[0]
    weight = image_attention(layer, x, y, tokens.keep, keep_y)
    torch.testing.assert_close(weight.sum(-1), torch.ones(weight.shape[:2]))
    gates = word_gates(layer, x, y, tokens.keep, keep_y)
    assert gates.shape == (len(QUESTIONS), LENGTH)
    assert float(gates[~tokens.keep].abs().max()) == 0
    assert float(gates[tokens.keep].min()) > 0
    first, second = layer.blocks[0], layer.blocks[-1]
    z_x, z_y = first.halves(x)[1], second.halves(y)[1]
    meets = averaging(keep_y, tokens.keep) @ z_y
    applied = nn.functional.silu(z_x * meets).abs().mean(-1)
    torch.testing.assert_close(gates[tokens.keep], applied[tokens.keep])
    for block in layer.blocks:  # z = 0: both gates are shut
        block.enter.weight[block.enter.weight.shape[0] // 2 :] = 0
    assert float(image_attention(layer, x, y, tokens.keep, keep_y).abs().max()) == 0


@pytest.mark.parametrize("options", [{}, {"mask_padding": False}, {"fvta": {"topk": 2}}])
@torch.no_grad()
def test_the_gates_of_the_words_are_those_of_every_layer_on_the_way_to_the_answer(options):
    net = cmi_model(**options)
    inputs = batch(QUESTIONS, net=net).inputs
    gates = gates_of_words(net, inputs)
    tokens = net.encode(inputs)
    x, y = tokens.T, net.fvta(tokens).Z
    keep = tokens.keep if net.config.readings.mask_padding else torch.ones_like(tokens.keep)
    each = []
    for layer in net.cifr.layers:
        each.append(word_gates(layer, x, y, keep, torch.ones(y.shape[:2], dtype=torch.bool)))
        x, y = layer(x, y, keep, torch.ones(y.shape[:2], dtype=torch.bool))
    torch.testing.assert_close(gates, torch.stack(each).mean(0))
    assert not any(layer._forward_pre_hooks for layer in net.cifr.layers)


def test_only_the_gate_of_the_paper_with_weights_that_stay_has_a_map_of_words():
    assert is_gated(cmi_model())
    others = [cmi_model(cifr={"variant": name}) for name in ("none", "random", "swapC")]
    assert not any(is_gated(net) for net in [model(), *others])


@torch.no_grad()
def test_without_query_transformer_a_region_is_its_own_cell():
    net = cmi_model(fvta={"kind": "none"}, pooling="mean")
    inputs = batch(QUESTIONS, net=net).inputs
    tokens = net.encode(inputs)
    assert torch.equal(net.fvta.looked(tokens)[0], torch.eye(tokens.V.shape[1]))
    assert {"mamba_attention"} <= set(methods.offered(net))
    assert "relevance" not in methods.offered(net)


def test_every_method_says_what_it_shows_and_where_it_comes_from():
    names = registry.names("explanations")
    assert set(names) == set().union(*OFFERED.values()) | {"gradient_map", "word_cells"}
    for name in names:
        assert methods.summary(name)
        assert registry.load("explanations", name).__doc__


def test_a_blurred_picture_is_averaged_three_times_over_squares():
    picture = torch.rand(2, 3, 24, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    reach, expected = 24 // (2 * BLUR), picture
    for _ in range(3):
        wide = nn.functional.pad(expected, (reach,) * 4, mode="replicate")
        squares = wide.unfold(-2, 2 * reach + 1, 1).unfold(-2, 2 * reach + 1, 1)
        expected = squares.mean((-2, -1))
    torch.testing.assert_close(blurred(picture), expected)
