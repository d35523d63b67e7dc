"""Contracts of every objective: each parameter learns, and the same generator gives the same loss."""

import pytest
import torch
from _tiny import CAPTIONS, QUESTIONS, SIMILAR, batch, finetuning, model, pretraining, question, rng, value
from test_cmdpi import OPTIONS, named

from discern_vqa.nn.losses import total
from discern_vqa.objectives import cmdpi_finetune as finetune
from discern_vqa.objectives import cmdpi_pretrain as pretrain


@pytest.mark.parametrize("options", [{}, *OPTIONS], ids=named)
def test_every_parameter_learns_from_one_batch_of_each_stage(options):
    """No exceptions: captions and questions of pre-training and questions of fine-tuning reach every parameter."""
    net = model(**options).train()
    first, second = pretraining(net), finetuning(net)
    # lambda 0.5 and batches that mix captions and questions exercise every output layer.
    total(first(batch(net=net), rng()), first.config.weights).backward()
    total(second(batch(QUESTIONS, net=net, similar=SIMILAR), rng()), second.config.weights).backward()
    still = {name for name, parameter in net.named_parameters() if parameter.grad is None or not parameter.grad.any()}
    kept = {"log_tau"} if options.get("tau_kept") else set()
    assert still == kept, f"no gradient reached {sorted(still - kept)}"


@pytest.mark.parametrize("module", [pretrain, finetune], ids=["pretrain", "finetune"])
def test_the_same_generator_gives_the_same_loss_and_weights_name_every_part(module):
    net = model()
    objective = module.Objective(module.Config(), net)
    data = batch([*QUESTIONS, *CAPTIONS] if module is pretrain else QUESTIONS, similar=SIMILAR)
    first, second, third = (objective(data, rng(seed)) for seed in (1, 1, 2))
    assert first.keys() == objective.config.weights.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], third[name]) for name in first)


def test_questions_whose_answer_is_not_in_the_table_still_reconstruct():
    net = model()
    unknown = [question(1, "a", "is there a mass", "perhaps"), question(2, "b", "is there a mass", "perhaps")]
    parts = finetuning(net)(batch(unknown), rng())
    assert value(parts["mix"]) == 0
    assert value(parts["diff_img"]) > 0
    parts = pretraining(net)(batch(unknown), rng())
    assert value(parts["ans"]) == 0
    assert value(parts["txt"]) > 0
