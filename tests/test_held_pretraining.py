"""Pre-training's readings, each against its formula: what is hidden, which view the momentum encoders get
and what the queue holds."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from _held import contra, given_to, gradients
from _tiny import CAPTIONS, QUESTIONS, VOCABULARY, batch, model, pretraining, question, rng, value
from torch import nn

from discern_vqa.data.batch import PriorScores
from discern_vqa.nn.encoders import Encoded, ImageEncoder
from discern_vqa.nn.losses import total

ONE_PASS = {"local_reconstruction": False, "inter_contrast": False, "intra_contrast": False}
NOTHING_HIDDEN = {"rho_image": 0.0, "rho_text": 0.0}


# -- reconstruction ----------------------------------------------------------------------------------------------------


def test_what_is_known_before_the_image_is_added_to_the_scores_of_the_answer_loss():
    net = model()
    data = batch([*QUESTIONS, *CAPTIONS])
    log_p = (torch.randn(len(data.ids), len(VOCABULARY), generator=rng(4)) * 2).log_softmax(-1)
    data = replace(data, inputs=replace(data.inputs, prior=PriorScores(log_p)))
    asked = list(range(len(QUESTIONS)))
    answer = data.targets.answer[asked]
    with torch.no_grad():
        scores = net.ffn_answer(net(data.inputs).h_ans)
        features = net.encode(data.inputs)
        shared = net.h_shared.expand_as(features.h_txt)
        local = net.recnet(shared, features.H_img, features.H_txt, data.inputs.keep)
        scores_local = net.ffn_answer(local.h_ans)
    once = pretraining(net, **ONE_PASS, **NOTHING_HIDDEN)(data, rng())["ans"]
    expected = F.cross_entropy((scores + log_p)[asked], answer)
    torch.testing.assert_close(once, expected)
    assert abs(value(expected - F.cross_entropy(scores[asked], answer))) > 0.1
    both = pretraining(net, inter_contrast=False, intra_contrast=False, **NOTHING_HIDDEN)(data, rng())["ans"]
    torch.testing.assert_close(both, expected + F.cross_entropy((scores_local + log_p)[asked], answer))


def test_the_embeddings_that_are_reconstructed_get_no_gradient():
    net = model(image_target="embed_sg")
    data = batch(QUESTIONS)
    found = pretraining(net, **ONE_PASS, **NOTHING_HIDDEN)(data, rng())["img"]
    with torch.no_grad():
        target = net.encode(data.inputs).H_img.clone()
    expected = (net.ffn_image(net(data.inputs).H_out[:, 1:17]) - target).square().mean()
    torch.testing.assert_close(found, expected)
    mine, theirs = gradients(found, net), gradients(expected, net)
    assert any(name.startswith("image.") for name in mine), "the images are learned from all the same"
    assert mine.keys() == theirs.keys()
    for name, gradient in theirs.items():
        torch.testing.assert_close(mine[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize(("rho_text", "rho_question"), [(0.5, 0.0), (0.0, 0.5), (0.5, 0.25), (0.25, None)])
def test_captions_are_hidden_by_their_share_and_questions_by_theirs(rho_text, rho_question):
    net = model()
    data = batch([*CAPTIONS, *QUESTIONS])
    with given_to(net.text) as calls:
        pretraining(net, rho_text=rho_text, rho_question=rho_question, rho_image=0.0, **ONE_PASS)(data, rng())
    (hidden,) = [given[2] for given in calls if len(given) > 2 and given[2] is not None]
    counts, number = data.inputs.words.sum(1).tolist(), hidden.sum(1).tolist()
    shares = [rho_text] * len(CAPTIONS) + [rho_text if rho_question is None else rho_question] * len(QUESTIONS)
    assert number == [max(1, round(share * count)) if share else 0 for share, count in zip(shares, counts, strict=True)]


# -- the momentum encoders' view ---------------------------------------------------------------------------------------


class States(ImageEncoder):
    """An image encoder that reads cached states: the first is the image's, the others are the cells'."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.size, self.grid, self.state_width, self.random = 32, (4, 4), 6, []
        self.map = nn.Linear(6, d)

    def forward(self, image, hidden=None):
        v = self.map(image)
        return Encoded(h=v[:, 0], H=v[:, 1:])


@pytest.mark.parametrize("view", ["augmented", "same"])
def test_of_cached_images_the_momentum_encoders_get_the_second_view(view):
    net = model()
    torch.manual_seed(5)
    net.image = States(16)
    data = batch(CAPTIONS)
    first, second = torch.randn(4, 17, 6), torch.randn(4, 17, 6)
    data = replace(data, inputs=replace(data.inputs, image=first), targets=replace(data.targets, second=second))
    objective = pretraining(net, intra_view=view, tau=0.3)
    assert objective.second_view is (view == "augmented")
    with given_to(objective.image_ema) as images, given_to(objective.text_ema) as texts:
        found = objective(data, rng())["intra"]
    shown = second if view == "augmented" else first
    assert torch.equal(images[0][0], shown)
    with torch.no_grad():
        slow_img = net.image.map(shown[:, 0])
        slow_txt = net.text(*texts[0][:3]).h
    plain = net.encode(data.inputs)
    expected = contra(plain.h_img, slow_img, 0.3) + contra(plain.h_txt, slow_txt, 0.3)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("view", ["same", "brightness", "augmented"])
def test_a_tenth_of_the_words_is_hidden_from_the_momentum_encoders_unless_they_see_the_same(view):
    net = model()
    data = batch(CAPTIONS)
    counts = data.inputs.words.sum(1).tolist()
    assert max(counts) >= 9
    objective = pretraining(net, intra_view=view)
    with given_to(objective.text_ema) as calls:
        objective(data, rng())
    hidden = calls[0][2]
    if view == "same":
        assert hidden is None
    else:
        assert hidden.sum(1).tolist() == [max(1, round(0.1 * count)) for count in counts]


# -- the queue ---------------------------------------------------------------------------------------------------------

FIRST = [question(20, "a", "is there a mass", "yes"), question(21, "b", "where is the effusion", "right"),
         question(22, "a", "what is shown", "ct"), question(23, "c", "is the brain normal", "yes")]  # fmt: skip
SECOND = [question(24, "c", "bleed", "no"), question(25, "c", "is the brain large", "yes"),
          question(26, "b", "is there any mass", "no"), question(27, "b", "where is the effusion", "right"),
          question(28, "d", "is there a mass", "no"), question(29, "a", "is it on the left", "no")]  # fmt: skip
"""In both batches an image has several texts, and both share images and texts."""


def slow_apart(**settings):
    """An objective whose momentum encoders differ from the encoders, as they do after some steps."""
    net = model().train()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()  # so that features do not depend on the other images of a batch
    objective = pretraining(net, tau=0.2, **settings)
    torch.manual_seed(9)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return net, objective


def slow_features(objective, data):
    """By the momentum encoders: of the images and of the texts, one row for each text."""
    images = objective.image_ema(data.inputs.image).h[data.inputs.which]
    return images, objective.text_ema(data.inputs.tokens, data.inputs.keep).h


def test_the_queue_holds_the_momentum_encoders_features_and_not_the_encoders():
    net, objective = slow_apart(queue=16)
    data = batch(CAPTIONS)
    objective(data, rng())
    held = objective.queue.held()
    h_img, h_txt = slow_features(objective, data)
    torch.testing.assert_close(held["h_img"], h_img)
    torch.testing.assert_close(held["h_txt"], h_txt)
    features = net.encode(data.inputs)
    assert not torch.allclose(held["h_img"], features.h_img, atol=0.1)
    assert not torch.allclose(held["h_txt"], features.h_txt, atol=0.1)


@pytest.mark.parametrize("leave_out", [True, False])
def test_queued_images_are_negatives_of_images_and_queued_texts_of_texts(leave_out):
    """Eq. 6 after a batch, written out. Within a modality an image counts once, however many texts it has. What shows
    the same image or says the same is no negative, unless the recipe says otherwise."""
    net, objective = slow_apart(queue=16, contra_vqa=True, mask_duplicates=leave_out)
    first, second = batch(FIRST), batch(SECOND)
    objective(first, rng())
    held_img, held_txt = slow_features(objective, first)
    slow_img, slow_txt = slow_features(objective, second)
    plain, parts = net.encode(second.inputs), objective(second, rng(1))
    distinct = {one.image: row for row, one in reversed(list(enumerate(SECOND)))}
    once = [row for row, one in enumerate(SECOND) if distinct[one.image] == row]
    assert len(once) == 4

    def same(rows, *fields):
        columns = [*(SECOND[row] for row in rows), *FIRST]
        return [
            [
                leave_out and any(getattr(SECOND[row], field) == getattr(one, field) for field in fields)
                for one in columns
            ]
            for row in rows
        ]

    rows = range(len(SECOND))
    intra = contra(plain.h_img[once], slow_img[once], 0.2, same(once, "image"), held_img)
    intra = intra + contra(plain.h_txt, slow_txt, 0.2, same(rows, "question"), held_txt)
    torch.testing.assert_close(parts["intra"], intra, rtol=1e-4, atol=1e-4)
    either = same(rows, "image", "question")
    inter = contra(plain.h_img, plain.h_txt, 0.2, either, held_txt)
    inter = inter + contra(plain.h_txt, plain.h_img, 0.2, either, held_img)
    torch.testing.assert_close(parts["inter"], inter, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("leave_out", [True, False])
def test_the_contrast_is_eq_6_where_images_and_texts_come_twice(leave_out):
    """Without a queue: an image with two captions, and a caption of two images."""
    net, objective = slow_apart(mask_duplicates=leave_out)
    twice = [*CAPTIONS, replace(CAPTIONS[0], id="again", caption="another text"), replace(CAPTIONS[1], image="e")]
    data = batch(twice)
    plain, parts = net.encode(data.inputs), objective(data, rng())
    same = [[leave_out and (one.image == two.image or one.text == two.text) for two in twice] for one in twice]
    expected = contra(plain.h_img, plain.h_txt, 0.2, same) + contra(plain.h_txt, plain.h_img, 0.2, same)
    torch.testing.assert_close(parts["inter"], expected, rtol=1e-4, atol=1e-4)


# -- the temperature ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stored", "used"), [(0.07, 0.07), (0.05, 0.05), (5.0, 0.2), (1e-4, 0.01)])
def test_a_learned_temperature_stays_within_its_bounds(stored, used):
    net = model(tau_learned=True)
    objective = pretraining(net, tau=0.5, intra_contrast=False)
    assert math.exp(float(net.log_tau.detach())) == pytest.approx(0.07), "where it begins"
    with torch.no_grad():
        net.log_tau.fill_(math.log(stored))
    data = batch(CAPTIONS)
    parts = objective(data, rng())
    plain = net.encode(data.inputs)
    expected = contra(plain.h_img, plain.h_txt, used) + contra(plain.h_txt, plain.h_img, used)
    torch.testing.assert_close(parts["inter"], expected, rtol=1e-4, atol=1e-4)
    total(parts, objective.config.weights).backward()
    assert bool(net.log_tau.grad) is (stored == used), "within the bounds it is learned"


def test_a_temperature_that_is_not_learned_is_the_recipes():
    net, data = model(), batch(CAPTIONS)
    plain = net.encode(data.inputs)
    for tau in (0.1, 0.5):
        parts = pretraining(net, tau=tau)(data, rng())
        for name, other in (("inter", (plain.h_txt, plain.h_img)), ("intra", (plain.h_img, plain.h_txt))):
            expected = contra(plain.h_img, other[0], tau) + contra(plain.h_txt, other[1], tau)
            torch.testing.assert_close(parts[name], expected, rtol=1e-4, atol=1e-4, msg=name)
