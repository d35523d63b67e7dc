"""Fine-tuning's readings, each against its formula: which words are named, what is mixed, where no gradient flows."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from _held import given_to, gradients
from _tiny import QUESTIONS, VOCABULARY, batch, finetuning, model, rng

from discern_vqa.data.batch import PriorScores

ALONE = {"deviate": False, "mixup": False}


def with_prior(data, seed: int = 4):
    """The batch with a prior, other for every row."""
    scores = torch.randn(len(data.ids), len(VOCABULARY), generator=rng(seed)) * 2
    log_p = scores.log_softmax(-1)
    return replace(data, inputs=replace(data.inputs, prior=PriorScores(log_p))), log_p


# -- head mixup --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("prior", [False, True])
def test_mixup_mixes_states_priors_and_labels_by_the_same_share(prior, share):
    """Eq. 11 and 12, question by question; what is known before the image is looked at is mixed like the states."""
    net = model()
    data = batch(QUESTIONS)
    log_p = torch.zeros(len(QUESTIONS), len(VOCABULARY))
    with torch.no_grad():
        states = net(data.inputs).h_ans
    if prior:
        data, log_p = with_prior(data)
    objective = finetuning(net, deviate=False, lam="fixed", lam_fixed=share)
    found = objective(data, rng())["mix"]
    partner, answer = data.targets.partner.tolist(), data.targets.answer.tolist()
    assert -1 in partner
    assert max(partner) >= 0
    losses = []
    for row, other in enumerate(partner):
        lam = 1.0 if other < 0 else share
        other = max(other, 0)
        scores = net.ffn_answer(lam * states[row] + (1 - lam) * states[other])
        scores = scores + lam * log_p[row] + (1 - lam) * log_p[other]
        said = scores.log_softmax(0)
        losses.append(-lam * said[answer[row]] - (1 - lam) * said[answer[other]])
    torch.testing.assert_close(found, torch.stack(losses).mean(), rtol=1e-4, atol=1e-5)


def test_one_share_is_drawn_for_a_whole_batch_or_one_for_each_sample():
    partner = torch.tensor([1, 0, 3, 2, -1, 6, 5])
    has = partner >= 0
    drawn = {"batch": [], "sample": []}
    for per, found in drawn.items():
        objective = finetuning(model(), lam_per=per)
        for seed in range(300):
            lam = objective.lam(partner, rng(seed))
            assert float(lam[4]) == 1
            found.append(lam[has])
    of_batch, of_sample = torch.stack(drawn["batch"]), torch.stack(drawn["sample"])
    assert torch.equal(of_batch, of_batch[:, :1].expand_as(of_batch)), "the same for all rows"
    assert len(set(of_batch[:, 0].tolist())) == 300, "another in each batch"
    assert all(len(set(row)) == 6 for row in of_sample.tolist())
    for shares in (of_batch[:, 0], of_sample):
        assert float(shares.mean()) == pytest.approx(0.5, abs=0.06)


def test_a_partner_that_is_deviated_too_brings_the_state_of_its_own_deviated_pass():
    """A28: with lambda 0 the answer is read from the partner's state alone, which both readings compute otherwise."""
    net = model()
    data = batch(QUESTIONS, similar={"a": ["b"], "b": ["a"], "c": ["d"], "d": ["c"]})
    with torch.no_grad():
        features, picture = net.encode(data.inputs), net.image(data.inputs.image)
        near, partner, answer = data.targets.near, data.targets.partner, data.targets.answer
        share = torch.rand(len(QUESTIONS), generator=rng(7))[:, None, None]
        mixed = share * features.H_img + (1 - share) * picture.H[near]
        h_fused = net.fuse(features.h_img, features.h_txt)
        states = {
            True: net.recnet(h_fused, mixed, features.H_txt, data.inputs.keep).h_ans,
            False: net(data.inputs).h_ans,
        }
    assert bool((near >= 0).all())
    own = states[True]
    for deviated, of_partner in states.items():
        rows = [of_partner[other] if other >= 0 else own[row] for row, other in enumerate(partner.tolist())]
        label = torch.where(partner >= 0, answer[partner.clamp(min=0)], answer)
        expected = F.cross_entropy(net.ffn_answer(torch.stack(rows)), label)
        objective = finetuning(net, partner_deviated=deviated, lam="fixed", lam_fixed=0.0)
        torch.testing.assert_close(objective(data, rng(7))["mix"], expected, rtol=1e-4, atol=1e-5)


# -- difference reconstruction -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rho", [0.0, 0.15, 0.5])
def test_the_words_that_are_named_are_those_that_were_hidden_or_all_where_none_was(rho):
    net = model()
    data = batch(QUESTIONS)
    with given_to(net.text) as calls:
        found = finetuning(net, rho_text=rho, **ALONE)(data, rng())["diff_txt"]
    hidden = calls[0][2]
    counts = data.inputs.words.sum(1).tolist()
    if rho:
        assert hidden.sum(1).tolist() == [max(1, round(rho * count)) for count in counts]
        assert not bool((hidden & ~data.inputs.words).any())
    else:
        assert hidden is None
    features = net.encode(data.inputs, None, hidden)
    out = net.recnet(net.fuse(features.h_img, features.h_txt), features.H_img, features.H_txt, data.inputs.keep).H_out
    losses = []
    for row in range(len(QUESTIONS)):
        for place in range(data.inputs.tokens.shape[1]):
            if bool(data.inputs.keep[row, place]) if hidden is None else bool(hidden[row, place]):
                said = net.ffn_text(out[row, 1 + 16 + place]).log_softmax(0)
                losses.append(-said[data.inputs.tokens[row, place]])
    torch.testing.assert_close(found, torch.stack(losses).mean(), rtol=1e-4, atol=1e-5)


def test_the_embeddings_that_an_image_is_reconstructed_to_get_no_gradient():
    """A6: the gradient is that of a distance to numbers that stand still, so that nothing is gained by their fall."""
    net = model(image_target="embed_sg")
    data = batch(QUESTIONS)
    found = finetuning(net, **ALONE)(data, rng())["diff_img"]
    with torch.no_grad():
        target = net.encode(data.inputs).H_img.clone()
    expected = (net.ffn_image(net(data.inputs).H_out[:, 1:17]) - target).square().mean()
    torch.testing.assert_close(found, expected)
    mine, theirs = gradients(found, net), gradients(expected, net)
    assert mine.keys() == theirs.keys()
    assert any(name.startswith("image.") for name in mine), "the images are learned from all the same"
    for name, gradient in theirs.items():
        torch.testing.assert_close(mine[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("target", ["pixel", "pixel_patchnorm"])
def test_the_pixels_that_an_image_is_reconstructed_to_are_those_of_its_patches(target):
    """A6: of 4 x 4 patches of 8 x 8 pixels, over the whole image or each patch to mean 0 and spread 1."""
    net = model(image_target=target)
    data = batch(QUESTIONS)
    found = finetuning(net, **ALONE)(data, rng())["diff_img"]
    out = net.ffn_image(net(data.inputs).H_out[:, 1:17])
    errors = []
    for row, which in enumerate(data.inputs.which.tolist()):
        for cell in range(16):
            top, left = 8 * (cell // 4), 8 * (cell % 4)
            patch = data.targets.image[which, :, top : top + 8, left : left + 8].flatten()
            patch = (patch - 0.45) / 0.27
            if target == "pixel_patchnorm":
                patch = (patch - patch.mean()) / (patch.var() + 1e-4).sqrt()
            errors.append((out[row, cell] - patch).square().mean())
    torch.testing.assert_close(found, torch.stack(errors).mean(), rtol=1e-4, atol=1e-5)
