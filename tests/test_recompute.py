"""`optim.recompute`: the same losses and gradients, while less is kept for the way back."""

from copy import deepcopy

import pytest
import torch
from _tiny import CAPTIONS, QUESTIONS, SIMILAR, batch, cmi_model, finetuning, model, pretraining, rng
from test_held_options_run import begun

from discern_vqa.nn.losses import total
from discern_vqa.objectives import cmi_mtl
from discern_vqa.training.recompute import recompute


def of_cmdpi():
    return finetuning(model(layers=4, dropout=0.2)), batch(QUESTIONS, similar=SIMILAR)


def of_cmdpi_pre_training():
    net = model(layers=4, dropout=0.2)
    return pretraining(net), batch([*QUESTIONS, *CAPTIONS], net=net)


def of_cmi_mtl():
    net = cmi_model(fvta={"layers": 3, "dropout": 0.2}, cifr={"dropout": 0.2}, generator={"layers": 2, "dropout": 0.2})
    return cmi_mtl.Objective(cmi_mtl.Config(), net), batch(QUESTIONS)


def learned(objective, given):
    """Losses, gradients, and the bytes that the graph keeps."""
    kept: dict[int, int] = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    torch.manual_seed(5)
    objective.train().zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        parts = objective(given, rng(2))
    total(parts, objective.config.weights).backward()
    own = {parameter.untyped_storage().data_ptr() for parameter in objective.parameters()}
    gradients = {name: p.grad.clone() for name, p in objective.named_parameters() if p.grad is not None}
    return parts, gradients, sum(count for place, count in kept.items() if place not in own)


@pytest.mark.parametrize(("made", "layers"), [(of_cmdpi, 4), (of_cmdpi_pre_training, 4), (of_cmi_mtl, 7)])
def test_losses_and_gradients_stay_and_less_is_kept(made, layers):
    objective, given = made()
    parts, gradients, kept = learned(objective, given)
    assert recompute(objective.model) == layers
    again, others, less = learned(objective, given)
    assert all(torch.equal(part, again[name]) for name, part in parts.items())
    assert gradients.keys() == others.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(others[name], gradient, rtol=1e-5, atol=1e-7, msg=name)
    assert less < 0.7 * kept


def test_a_copy_computes_with_its_own_weights():
    objective, given = of_cmdpi()
    recompute(objective.model)
    copy = deepcopy(objective).eval()
    with torch.no_grad():
        for parameter in copy.model.blocks.parameters():
            parameter.zero_()
        before = objective.eval()(given, rng(1))
        after = copy(given, rng(1))
    assert not torch.equal(before["mix"], after["mix"])


@pytest.mark.parametrize("wanted", [True, False])
def test_the_recipe_says_whether(tiny_run, tmp_path, wanted):
    start = begun(tiny_run, tmp_path / "run", "model.layers=2", f"optim.recompute={str(wanted).lower()}")
    assert all(("forward" in vars(block)) is wanted for block in start.model.blocks)
