"""The loop and its parts: rates, groups, a loss that is no number, saved states, early stopping, precision."""

import contextlib
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from _tiny import CAPTIONS, QUESTIONS, Silent, batch, batcher, model, question, rng

from discern_vqa.answering.decisions import decide_all
from discern_vqa.config import OptimConfig, RunConfig
from discern_vqa.errors import DiscernError, RunError
from discern_vqa.models.cmdpi import Model
from discern_vqa.nn.losses import total
from discern_vqa.nn.momentum import RunningMean
from discern_vqa.objectives import cmdpi_finetune as finetune
from discern_vqa.objectives import cmdpi_pretrain as pretrain
from discern_vqa.run import load_weights
from discern_vqa.training import loop
from discern_vqa.training.loop import Log, Work, check_finite, fit, rng_for
from discern_vqa.training.optim import make_optimizer
from discern_vqa.training.state import Progress, load_state, save_state
from discern_vqa.training.train import validation_figures


def work(net: Model, samples=QUESTIONS, objective=finetune, validate=None, **settings) -> Work:
    made = batcher(net, similar={"a": ["b"], "b": ["a"]})
    halves = [list(range(0, len(samples), 2)), list(range(1, len(samples), 2))]
    return Work(
        model=net,
        objective=objective.Objective(objective.Config(**settings), net),
        batches=lambda epoch: halves,
        batch=lambda rows, generator: made.batch([samples[row] for row in rows], generator),
        validate=validate,
    )


# -- stops and states ------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_with_the_name_of_its_part_and_what_really_helps(tmp_path, broken):
    parts = {"mix": torch.tensor(1.0), "diff_img": torch.tensor(broken, requires_grad=True)}
    with pytest.raises(DiscernError) as caught:
        check_finite(total(parts, {"mix": 1.0, "diff_img": 1.0}), parts, Progress(step=7, epoch=2), tmp_path / "state")
    assert "diff_img" in str(caught.value)
    assert "mix" not in str(caught.value)
    assert "step 7" in str(caught.value)
    assert "optim.lr" in caught.value.hint
    assert "start again without --resume" in caught.value.hint
    check_finite(torch.tensor(1.0), parts, Progress(), tmp_path / "state")
    (tmp_path / "state").touch()
    with pytest.raises(DiscernError) as caught:
        check_finite(parts["diff_img"], parts, Progress(), tmp_path / "state")
    assert "train into another --out" in caught.value.hint


def test_a_training_with_a_broken_part_stops_by_itself(tmp_path):
    net = model()
    with torch.no_grad():
        net.ffn_image.bias[0] = math.nan
    with pytest.raises(DiscernError, match="diff_img = nan"):
        fit(work(net), OptimConfig(lr=1e-3), RunConfig(epochs=1), tmp_path, resume=False, show=Silent())
    assert not (tmp_path / "model.safetensors").exists()


def stepped(seed: int, learned: bool) -> tuple:
    net = model(seed).train()
    objective = pretrain.Objective(pretrain.Config(), net)
    optimizer = make_optimizer(net, OptimConfig(lr=1e-2))
    mean = RunningMean(net, 0.9)
    if learned:
        for step in range(2):
            total(objective(batch(), rng(step)), objective.config.weights).backward()
            optimizer.step()
            optimizer.zero_grad()
            objective.after_step()
            mean.update(net, step)
    return net, objective, optimizer, mean


def test_a_saved_state_is_read_by_names_whatever_groups_its_optimiser_had(tmp_path):
    net, objective, _, _ = stepped(0, False)
    one_group = torch.optim.AdamW(net.parameters(), lr=1e-2, weight_decay=0.1)
    total(objective(batch(), rng(0)), objective.config.weights).backward()
    one_group.step()
    save_state(tmp_path / "state.safetensors", Progress(step=1), objective, one_group, None)
    other, again, groups, _ = stepped(1, False)
    load_state(tmp_path / "state.safetensors", again, groups, None)
    assert len(groups.param_groups) > 1
    for one, two in zip(net.parameters(), other.parameters(), strict=True):
        assert all(torch.equal(kept, groups.state[two][key]) for key, kept in one_group.state[one].items())


def test_a_saved_state_brings_everything_back(tmp_path):
    net, objective, optimizer, mean = stepped(0, True)
    progress = Progress(step=2, epoch=1, batch=1, best=0.5, best_epoch=0, stale=1)
    save_state(tmp_path / "state.safetensors", progress, objective, optimizer, mean)
    other, again, adam, averages = stepped(1, False)
    assert load_state(tmp_path / "state.safetensors", again, adam, averages) == progress
    for name, tensor in objective.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    assert all(torch.equal(averages.mean[name], tensor) for name, tensor in mean.mean.items())
    for one, two in zip(net.parameters(), other.parameters(), strict=True):
        assert optimizer.state[one].keys() == adam.state[two].keys()
        for key, kept in optimizer.state[one].items():
            assert torch.equal(kept, adam.state[two][key])
    # and the next step is the same to the last bit
    for mine, step_of, generator in ((objective, optimizer, rng(9)), (again, adam, rng(9))):
        total(mine(batch(), generator), mine.config.weights).backward()
        step_of.step()
    assert all(torch.equal(one, two) for one, two in zip(net.parameters(), other.parameters(), strict=True))


def test_a_state_that_is_damaged_or_of_another_recipe_is_refused(tmp_path):
    path = tmp_path / "state.safetensors"
    _, objective, optimizer, mean = stepped(0, True)
    save_state(path, Progress(), objective, optimizer, mean)
    net = model()
    with pytest.raises(RunError, match="another recipe"):
        load_state(path, finetune.Objective(finetune.Config(), net), make_optimizer(net, OptimConfig()), None)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(RunError, match="damaged"):
        load_state(path, objective, optimizer, mean)


def test_a_state_of_other_weights_of_a_frozen_encoder_is_refused(tmp_path):
    path = tmp_path / "state.safetensors"
    _, objective, optimizer, mean = stepped(0, True)
    save_state(path, Progress(), objective, optimizer, mean)
    net, again, adam, averages = stepped(1, False)
    net.image.requires_grad_(False)
    with pytest.raises(RunError, match="other weights of its frozen encoder"):
        load_state(path, again, adam, averages)
    net.image.load_state_dict(objective.model.image.state_dict())
    load_state(path, again, adam, averages)


def test_the_log_is_cut_back_to_the_step_that_is_gone_on_from(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "a": 1}\n{"step": 2}\n{"step": 3}\n{"ste')
    log = Log(path, 2, True)
    log.write({"step": 3, "split": "train", "b": 2.0})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2], "written at a save only"
    log.close()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]
    Log(path, 0, True)
    assert path.read_text() == ""


def test_steps_have_generators_of_their_own():
    numbers = {float(torch.rand(1, generator=rng_for(seed, step))) for seed in range(3) for step in range(50)}
    assert len(numbers) == 150
    assert torch.equal(torch.rand(3, generator=rng_for(1, 2)), torch.rand(3, generator=rng_for(1, 2)))


# -- the loop --------------------------------------------------------------------------------------


def test_the_best_weights_on_validation_are_kept_and_patience_ends(tmp_path):
    net = model()
    scores = iter([0.5, 0.8, 0.7, 0.8, 0.6])
    kept = []

    def validate() -> dict[str, float]:
        kept.append({name: tensor.clone() for name, tensor in net.state_dict().items()})
        return {"accuracy": next(scores)}

    progress = fit(
        work(net, validate=validate), OptimConfig(lr=1e-2), RunConfig(epochs=9, patience=2), tmp_path, resume=False,
        show=Silent(),
    )  # fmt: skip
    assert (progress.epoch, progress.best, progress.best_epoch) == (4, 0.8, 1)
    other = model(1)
    load_weights(other, tmp_path / "model.safetensors")
    assert all(torch.equal(tensor, kept[1][name]) for name, tensor in other.state_dict().items())
    assert not torch.equal(kept[1]["pos"], kept[3]["pos"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.jsonl", "model.safetensors"]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["accuracy"] for line in lines if line["split"] == "validation"] == [0.5, 0.8, 0.7, 0.8]
    assert {"loss", "mix", "diff_img", "diff_txt", "lr"} <= lines[0].keys()


@pytest.mark.parametrize("select", ["best", "last"])
def test_a_training_is_not_gone_on_with_without_its_best_weights_where_these_are_to_be_kept(tmp_path, select):
    def go_on(epochs: int) -> None:
        made = work(model(), validate=lambda: {"accuracy": 0.5})
        fit(made, OptimConfig(), RunConfig(epochs=epochs, select=select), tmp_path, resume=True, show=Silent())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_finish", lambda *given: None)
        go_on(1)
    (tmp_path / ".best.model.safetensors").unlink(missing_ok=True)
    if select == "last":
        go_on(2)
    else:
        with pytest.raises(RunError, match=r"\.best\.model\.safetensors is missing: the weights after epoch 1"):
            go_on(2)
    assert (tmp_path / "model.safetensors").is_file() is (select == "last")


def test_the_weights_come_last_so_that_what_failed_after_the_last_step_is_done_again(tmp_path):
    net, told = model(), []

    def conclude() -> None:
        told.append({path.name for path in tmp_path.iterdir()})
        if len(told) == 1:
            raise KeyboardInterrupt

    made = replace(work(net), conclude=conclude)
    for resume in (False, True):
        with contextlib.suppress(KeyboardInterrupt):
            fit(made, OptimConfig(), RunConfig(epochs=1), tmp_path, resume=resume, show=Silent())
        assert (tmp_path / "model.safetensors").is_file() is resume
    assert told == [{"metrics.jsonl", "state.safetensors"}] * 2
    assert not (tmp_path / "state.safetensors").exists()


def test_equal_trainings_leave_equal_files(tmp_path):
    made = []
    for name in "abcdef":
        (tmp_path / name).mkdir()
        fit(work(model()), OptimConfig(), RunConfig(epochs=1), tmp_path / name, resume=False, show=Silent())
        made.append((tmp_path / name / "model.safetensors").read_bytes())
    assert len(set(made)) == 1


def test_the_running_mean_is_what_is_judged_and_saved(tmp_path):
    net = model()
    judged = []

    def validate() -> dict[str, float]:
        judged.append(net.pos.detach().clone())
        return {"accuracy": 0.1 * len(judged)}

    fit(work(net, validate=validate), OptimConfig(lr=1e-1, ema=0.9), RunConfig(epochs=2), tmp_path, resume=False,
        show=Silent())  # fmt: skip
    other = model(1)
    load_weights(other, tmp_path / "model.safetensors")
    assert torch.equal(other.pos, judged[-1])


@pytest.mark.parametrize(("batches", "steps"), [(3, 2), (4, 2), (1, 1)])
def test_accumulated_batches_are_one_step_and_none_is_left_over_in_an_epoch(tmp_path, batches, steps, monkeypatch):
    net = model()
    made = work(net)
    made = Work(net, made.objective, lambda epoch: [[0, 1]] * batches, made.batch, None)
    taken = []
    monkeypatch.setattr(made.objective, "after_step", lambda: taken.append(1), raising=False)
    fit(made, OptimConfig(lr=1e-3, accumulate=2), RunConfig(epochs=2, select="last"), tmp_path, resume=False,
        show=Silent())  # fmt: skip
    assert len(taken) == 2 * steps


def test_two_halves_accumulated_equal_the_whole_batch(tmp_path):
    """Without anything random the gradient of two equal halves is that of both together."""
    samples = [question(n, "abcd"[n % 4], "is there a mass", "yes") for n in range(4)]
    settings = {"mixup": False, "deviate": False}
    for name, accumulate, batches in (("one", 1, [[0, 1, 2, 3]]), ("two", 2, [[0, 1], [2, 3]])):
        net = model()
        net.train = lambda mode=True, net=net: net  # batch norm's figures would differ between halves
        made = work(net, samples, **settings)
        made = Work(net, made.objective, lambda epoch, batches=batches: batches, made.batch, None)
        optim = OptimConfig(lr=1e-2, accumulate=accumulate, schedule="constant", warmup=0.0)
        folder = tmp_path / name
        folder.mkdir()
        fit(made, optim, RunConfig(epochs=1, select="last"), folder, resume=False, show=Silent())
    one, two = model(1), model(2)
    load_weights(one, tmp_path / "one" / "model.safetensors")
    load_weights(two, tmp_path / "two" / "model.safetensors")
    torch.testing.assert_close(one.ffn_image.weight, two.ffn_image.weight, atol=1e-5, rtol=1e-4)


def test_one_process_may_train_at_one_precision_after_another(tmp_path, monkeypatch):
    monkeypatch.setattr("discern_vqa.nn.precision.bfloat16_in_hardware", lambda: True)
    for precision in ("bf16", "fp32", "bf16"):
        folder = tmp_path / precision
        folder.mkdir(exist_ok=True)
        net = model()
        fit(work(net), OptimConfig(lr=1e-3), RunConfig(epochs=1, precision=precision, select="last"), folder,
            resume=False, show=Silent())  # fmt: skip
        assert loop.make_accelerator(OptimConfig(), RunConfig(precision=precision)).mixed_precision == (
            "bf16" if precision == "bf16" else "no"
        )
    one, two = model(1), model(2)
    load_weights(one, tmp_path / "fp32" / "model.safetensors")
    load_weights(two, tmp_path / "bf16" / "model.safetensors")
    assert not torch.equal(one.pos, two.pos)
    torch.testing.assert_close(one.pos, two.pos, atol=5e-3, rtol=0)


def test_pretraining_on_mixed_batches_lowers_every_part(tmp_path):
    net = model()
    samples = [*QUESTIONS, *CAPTIONS]
    made = work(net, samples, pretrain)
    made = Work(net, made.objective, lambda epoch: [list(range(len(samples)))], made.batch, None)
    fit(made, OptimConfig(lr=3e-3, warmup=0.0), RunConfig(epochs=60, select="last"), tmp_path, resume=False,
        show=Silent())  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    for part in ("img", "txt", "ans", "inter"):
        assert lines[-1][part] < lines[0][part], part


def test_validation_says_overall_open_closed_and_loss():
    net = model()
    samples = [*QUESTIONS, question(9, "a", "is it new", "an answer outside the table")]
    figures = validation_figures(net, batcher(), samples)
    gold = [sample.answer for sample in samples]
    scores = decide_all(net, batcher(), samples).probabilities
    answers = batcher().vocabulary.answers
    right = [answers[int(row.argmax())] == one for row, one in zip(scores, gold, strict=True)]
    assert figures["accuracy"] == pytest.approx(sum(right) / len(right), abs=1e-4)
    assert figures.keys() == {"accuracy", "accuracy_open", "accuracy_closed", "loss"}
    torch.testing.assert_close(scores.sum(1), torch.ones(len(samples)))


def test_answers_come_in_the_order_of_the_questions():
    net = model()
    together = decide_all(net, batcher(), QUESTIONS, batch=2).probabilities
    for row, sample in enumerate(QUESTIONS):
        torch.testing.assert_close(
            decide_all(net, batcher(), [sample]).probabilities[0], together[row], atol=1e-5, rtol=1e-5
        )
    assert decide_all(net, batcher(), []).probabilities.shape == (0, 0)


# -- it learns -------------------------------------------------------------------------------------


def test_the_loop_is_blind_to_what_it_trains():
    text = Path(loop.__file__).read_text(encoding="utf-8")
    for word in ("caption", "question", "cmdpi_", "pixel"):
        assert word not in text.split('"""', 2)[2], f"the loop speaks of {word}"
