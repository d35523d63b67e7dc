"""How CMDPI fine-tunes: deviation, mixup and their sum, and that the savings equal the slow way."""

import pytest
import torch
from _tiny import QUESTIONS, SIMILAR, batch, batcher, finetuning, model, pretraining, rng, rows, value

from discern_vqa.nn.losses import masked_mse, mixed_cross_entropy, token_cross_entropy, total


@torch.no_grad()
def test_with_epsilon_and_lambda_one_and_no_dropout_fine_tuning_answers_as_inference():
    net = model()
    data = batch(QUESTIONS, similar=SIMILAR)
    seen = {}
    plain_output = net.output_answer
    net.output_answer = lambda h_ans: seen.setdefault("logits", plain_output(h_ans))
    objective = finetuning(net, eps_min=1.0, mixup=False)
    assert (data.targets.near >= 0).any()
    objective(data, rng())
    inputs = data.inputs
    del net.output_answer
    # Inference computes the answer slot of the last layer alone, so that its products are rounded otherwise.
    torch.testing.assert_close(seen["logits"], net.decide(inputs).scores, atol=2e-6, rtol=2e-6)
    # With a partner in the batch RecNet runs on 2B rows; there lambda = 1 leaves the sample's own state alone.
    net.output_answer = lambda h_ans: seen.__setitem__("logits", plain_output(h_ans)) or plain_output(h_ans)
    finetuning(net, eps_min=1.0, lam="fixed", lam_fixed=1.0)(data, rng())
    del net.output_answer
    torch.testing.assert_close(seen["logits"], net.decide(inputs).scores, atol=2e-6, rtol=2e-6)


@torch.no_grad()
def test_deviation_mixes_each_image_with_a_similar_one_by_one_share():
    net = model()
    data = batch(QUESTIONS, similar=SIMILAR)
    objective = finetuning(net)
    picture = net.image(data.inputs.image)
    H_img = picture.H[data.inputs.which]
    mixed = objective.deviated(H_img, picture.H, data.targets.near, rng(3))
    share = torch.rand(len(H_img), generator=rng(3))
    for row, near in enumerate(data.targets.near.tolist()):
        expected = H_img[row] if near < 0 else share[row] * H_img[row] + (1 - share[row]) * picture.H[near]
        torch.testing.assert_close(mixed[row], expected)
        if near < 0:
            assert torch.equal(mixed[row], H_img[row])
    assert (data.targets.near < 0).any()
    assert torch.equal(finetuning(net, deviate=False).deviated(H_img, picture.H, data.targets.near, rng(3)), H_img)


def test_every_cell_can_have_a_share_of_its_own():
    H_img, H_all, near = torch.ones(50, 6, 1), torch.zeros(1, 6, 1), torch.tensor([0] * 49 + [-1])
    shares = finetuning(model(), eps_per="cell").deviated(H_img, H_all, near, rng())
    assert (shares[:49, 1:] != shares[:49, :1]).all(), "cells of an image have different shares"
    assert torch.equal(shares[49], H_img[49]), "without a similar image nothing is deviated"
    whole = finetuning(model()).deviated(H_img, H_all, near, rng())
    assert torch.equal(whole, whole[:, :1].expand(-1, 6, -1))


def test_similar_images_are_drawn_all_alike_unless_those_of_the_batch_come_first():
    paper, robust = finetuning(model()), finetuning(model(), profile="robust")
    only = finetuning(model(), similar_in_batch=True)
    sample, similar = QUESTIONS[0], {QUESTIONS[0].image: ["b", "c", "d"]}
    drawn = {
        name: [one.pairing(similar, QUESTIONS).similar_image(sample, {"a", "b"}, rng(seed)) for seed in range(40)]
        for name, one in (("paper", paper), ("robust", robust), ("only", only))
    }
    assert {key for key, _ in drawn["paper"]} == {"b", "c", "d"}
    assert {key for key, _ in drawn["robust"]} == {"b"} == {key for key, _ in drawn["only"]}
    assert robust.pairing(similar, QUESTIONS).similar_image(sample, {"a"}, rng()) is not None
    assert only.pairing(similar, QUESTIONS).similar_image(sample, {"a"}, rng()) is None


@pytest.mark.parametrize("low", [0.0, 0.5])
def test_epsilon_lies_between_its_bounds(low):
    objective = finetuning(model(), eps_min=low)
    near = torch.zeros(500, dtype=torch.int64)
    shares = objective.deviated(torch.ones(500, 1, 1), torch.zeros(1, 1, 1), near, rng())
    assert float(shares.min()) >= low
    assert float(shares.max()) <= 1
    assert float(shares.mean()) == pytest.approx((1 + low) / 2, abs=0.05)


def test_the_gradient_through_the_similar_image_can_be_stopped():
    for passes, settings in ((True, {}), (False, {"profile": "robust"}), (False, {"near_gradient": False})):
        H_all = torch.randn(2, 3, 4, requires_grad=True)
        own = torch.randn(1, 3, 4, requires_grad=True)
        finetuning(model(), **settings).deviated(own, H_all, torch.tensor([1]), rng()).sum().backward()
        assert (H_all.grad is not None and bool(H_all.grad[1].any())) is passes


def test_lambda_is_one_where_there_is_no_partner_and_a_share_elsewhere():
    partner = torch.tensor([-1, 2, 1] * 100)
    for settings in ({}, {"lam": "beta", "lam_beta": (0.2, 1.0)}, {"lam_per": "batch"}, {"lam": "fixed"}):
        lam = finetuning(model(), **settings).lam(partner, rng())
        assert lam.shape == (300,)
        assert bool((lam[partner < 0] == 1).all())
        assert bool(((lam >= 0) & (lam <= 1)).all())
        assert bool((lam[partner >= 0] < 1).any())
    assert float(finetuning(model(), lam="fixed", lam_fixed=0.3).lam(partner, rng())[1]) == pytest.approx(0.3)
    beta = finetuning(model(), lam="beta", lam_beta=(0.2, 1.0)).lam(torch.zeros(4000, dtype=torch.int64), rng())
    assert float(beta.mean()) == pytest.approx(1 / 6, abs=0.02)
    assert bool((finetuning(model(), mixup=False).lam(partner, rng()) == 1).all())


def test_a_partner_within_the_batch_equals_a_pass_of_its_own():
    net = model()
    data = batch(QUESTIONS, similar=SIMILAR)
    partner = data.targets.partner
    assert (partner >= 0).any()
    objective = finetuning(net)
    parts = objective(data, rng(5))
    generator = rng(5)
    features = net.encode(data.inputs)
    picture = net.image(data.inputs.image)
    h_fused = net.fuse(features.h_img, features.h_txt)
    mixed = objective.deviated(features.H_img, picture.H, data.targets.near, generator)
    lam = objective.lam(partner, generator)
    out = net.recnet(h_fused, mixed, features.H_txt, data.inputs.keep)
    h_mix = []
    for row in range(len(QUESTIONS)):
        other = int(partner[row])
        if other < 0:
            h_mix.append(out.h_ans[row])
            continue
        alone = net(rows(data.inputs, [other])).h_ans[0]
        h_mix.append(lam[row] * out.h_ans[row] + (1 - lam[row]) * alone)
    answer = data.targets.answer
    mix = mixed_cross_entropy(net.output_answer(torch.stack(h_mix)), answer, answer[partner.clamp(min=0)], lam)
    torch.testing.assert_close(parts["mix"], mix, atol=1e-5, rtol=1e-5)
    target = net.patches(data.targets.image)[data.inputs.which]
    torch.testing.assert_close(parts["diff_img"], masked_mse(net.output_image(out.H_out), target), atol=1e-5, rtol=1e-5)
    keep = data.inputs.keep
    torch.testing.assert_close(
        parts["diff_txt"],
        token_cross_entropy(net.output_text(out.H_out, keep), data.inputs.tokens[keep]),
        atol=1e-5,
        rtol=1e-5,
    )
    whole = total(parts, objective.config.weights)
    torch.testing.assert_close(whole, parts["mix"] + parts["diff_img"] + parts["diff_txt"])


def test_the_partner_may_be_deviated_too():
    net = model()
    data = batch(QUESTIONS, similar=SIMILAR)
    plain, deviated = finetuning(net), finetuning(net, partner_deviated=True)
    assert not torch.allclose(plain(data, rng())["mix"], deviated(data, rng())["mix"])


def test_a_weight_of_zero_skips_the_work():
    net = model()
    net.output_image = net.output_text = None
    objective = finetuning(net, weights={"mix": 1.0, "diff_img": 0.0, "diff_txt": 0.0})
    parts = objective(batch(QUESTIONS), rng())
    assert value(parts["diff_img"]) == value(parts["diff_txt"]) == 0


def test_similar_images_come_from_the_samples_given_and_exclude_the_image_itself():
    net = model()
    found = finetuning(net, similar_above=-1.0).similar(QUESTIONS, batcher())
    assert {key: sorted(others) for key, others in found.items()} == {
        key: sorted({"a", "b", "c", "d"} - {key}) for key in "abcd"
    }
    assert finetuning(net, similar_above=1.0).similar(QUESTIONS, batcher()) == {key: [] for key in "abcd"}
    assert finetuning(net, deviate=False).similar(QUESTIONS, batcher()) == {}
    same_organ = finetuning(net, similar_above=-1.0, similar_same_organ=True).similar(QUESTIONS, batcher())
    assert same_organ == {"a": ["b"], "b": ["a"], "c": ["d"], "d": ["c"]}


def test_fine_tuning_adds_no_parameter_to_a_pretrained_model():
    net = model()
    shapes = {name: tensor.shape for name, tensor in net.state_dict().items()}
    assert {
        name.removeprefix("model."): tensor.shape for name, tensor in finetuning(net).state_dict().items()
    } == shapes
    learned = pretraining(net).state_dict()
    assert {
        name.removeprefix("model."): tensor.shape for name, tensor in learned.items() if name.startswith("model.")
    } == shapes
