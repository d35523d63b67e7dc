"""Ways of explaining: each offered one gives a map of the answer asked about; those with a right answer give it."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from _tiny import LENGTH, QUESTIONS, batch, cmi_model, model, rows
from PIL import Image
from torch import nn

from discern_vqa import cli, registry
from discern_vqa.data.batch import Decision
from discern_vqa.datasets import phantom
from discern_vqa.errors import ConfigError
from discern_vqa.evaluation.explain import Explainer, explain, read_scores
from discern_vqa.evaluation.explain_scores import _curve, score
from discern_vqa.evaluation.explain_view import as_table, measured
from discern_vqa.evaluation.predict import Predictor
from discern_vqa.explanations import _methods as methods
from discern_vqa.explanations.occlusion import PLACES, covers
from discern_vqa.nn.encoders import Encoded
from discern_vqa.nn.mamba import MambaBlock, MambaShape, SelectiveSsm
from discern_vqa.nn.mamba_attention import block_attention, image_attention, implicit_attention, word_gates

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
    """Answers 1 by how bright the picture's upper left sixteenth is, and 0 else."""

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


@pytest.mark.parametrize("options", [{}, {"cifr": {"gate": "mean"}}, {"cifr": {"shared": False}}])
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
    for block in layer.blocks:  # z = 0: both gates are shut
        block.enter.weight[block.enter.weight.shape[0] // 2 :] = 0
    assert float(image_attention(layer, x, y, tokens.keep, keep_y).abs().max()) == 0


@torch.no_grad()
def test_without_query_transformer_a_region_is_its_own_cell():
    net = cmi_model(fvta={"kind": "none"}, pooling="mean")
    inputs = batch(QUESTIONS, net=net).inputs
    tokens = net.encode(inputs)
    assert torch.equal(net.fvta.looked(tokens)[0], torch.eye(tokens.V.shape[1]))
    assert {"mamba_attention"} <= set(methods.offered(net))
    assert "relevance" not in methods.offered(net)


# -- a run -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scored(tiny_run, tmp_path_factory):
    run = shutil.copytree(tiny_run, tmp_path_factory.mktemp("explained") / "run")
    return run, score(run, names=["rollout", "integrated_gradients"], limit=12, curves=4)


def test_scores_stand_in_the_run_with_n_interval_chance_and_random_weights(scored):
    run, made = scored
    assert json.loads((run / "explanation_scores.test.json").read_text()) == made
    assert set(made["methods"]) == {"rollout", "integrated_gradients", *methods.BASELINES}
    assert made["best"] in ("rollout", "integrated_gradients")
    assert made["n"] == 12
    assert 0 < made["cover"] < made["chance"] < 1
    for name, one in made["methods"].items():
        for figure in (one["pointing"], one["energy"], one["insertion"], one["deletion"]):
            low, high = figure["ci95"]
            assert 0 <= low <= figure["mean"] + 1e-9 <= high + 2e-9 <= 1 + 3e-9
        assert ("random_weights" in one) == (name not in methods.BASELINES)
    assert (
        sum(one["n"] for key, one in made["methods"]["rollout"]["pointing"]["by"].items() if key in ("right", "wrong"))
        == 12
    )
    table = as_table(made)
    assert all(name in table for name in made["methods"])
    assert f"{100 * made['chance']:.1f} %" in table


def test_the_best_measured_method_is_chosen_for_these_weights_only(scored):
    run, made = scored
    predictor = Predictor.open(run, calibrated=False)
    explainer = Explainer(predictor.run, predictor.model, predictor.batcher)
    assert explainer.choose() == made["best"]
    assert read_scores(predictor.run) == made
    assert explainer.choose("occlusion") == "occlusion"
    with pytest.raises(ConfigError, match="no method 'saliency'"):
        explainer.choose("saliency")
    file = run / "explanation_scores.test.json"
    kept = file.read_text()
    file.write_text(json.dumps(made | {"weights": "those of another training"}))
    assert read_scores(predictor.run) is None
    assert explainer.choose() == methods.DEFAULT
    file.write_text(kept)
    assert measured(None, "rollout") == measured(made, "occlusion") == ""


def test_what_a_map_is_worth_is_said_beside_maps_that_see_no_model():
    rates = {"rollout": 0.2, "path_gradient": 0.5, "centre": 0.26, "contrast": 0.1}
    scores = {
        "split": "test",
        "chance": 0.075,
        "methods": {name: {"pointing": {"mean": rate, "n": 1000}} for name, rate in rates.items()},
    }
    good, bad = measured(scores, "path_gradient"), measured(scores, "rollout")
    for said in (good, bad):
        assert "of 1,000 test questions" in said
        assert "a random point does in 8 %, the middle of the picture in 26 %, its sharpest contrast in 10 %" in said
    assert "worth no more" in bad
    assert "worth no more" not in good


def test_random_weights_are_those_of_the_seed_and_leave_torchs_generator_alone(scored):
    run = Predictor.open(scored[0], calibrated=False).run
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, again, other = (Explainer.with_random_weights(run, seed).model.pos for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_figure_is_drawn_of_one_answer_and_says_what_the_map_is_worth(scored, tmp_path, capsys):
    run, made = scored
    sample = next(one for one in phantom.read(run_root(run), "test") if one.mask)
    out = tmp_path / "map.png"
    assert cli.main(["explain", str(run), str(sample.path), sample.question, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert made["best"] in said
    assert f"of {made['n']} test questions" in said
    assert "not for diagnosis" in said
    drawn = np.asarray(Image.open(out).convert("RGB"))
    assert drawn.shape[1] > 1000
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 200
    again = explain(Predictor.open(run), sample.path, sample.question, "centre")
    assert again.explained == again.answer.text
    assert np.unravel_index(again.grid.argmax(), again.grid.shape)[0] in (11, 12)


def test_a_baselines_run_has_no_network_to_look_into(scored):
    run = Predictor.open(scored[0], calibrated=False).run
    with pytest.raises(ConfigError, match="a baseline's run"):
        Explainer(replace(run, recipe=SimpleNamespace(is_baseline=True)), None, None)


def run_root(run):
    return Predictor.open(run, calibrated=False).run.root


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ([], "takes an image, a question and --out"),
        (["a.png", "Is it?"], "takes an image, a question and --out"),
        (["a.png", "Is it?", "--out", "map.gif"], "expected a name in .png"),
        (["a.png", "--score"], "no image is given"),
        (["--score", "--methods", "saliency"], "no method 'saliency'"),
        (["--score", "--limit", "-1"], "expected a number of questions"),
    ],
)
def test_a_mistake_is_two_lines(scored, capsys, more, told):
    assert cli.main(["explain", str(scored[0]), *more]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 2
    assert told in lines[0]
    assert lines[1].startswith("try: ")


def test_every_method_says_what_it_shows_and_where_it_comes_from():
    names = registry.names("explanations")
    assert set(names) == set().union(*OFFERED.values()) | {"gradient_map"}
    for name in names:
        assert methods.summary(name)
        assert registry.load("explanations", name).__doc__
