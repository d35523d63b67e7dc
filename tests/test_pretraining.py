"""How CMDPI pre-trains: what each pass may see, what each loss is made of, savings that equal the slow way."""

from dataclasses import replace

import pytest
import torch
from _tiny import CAPTIONS, QUESTIONS, batch, batcher, model, pretraining, rng, value

from discern_vqa.models.cmdpi import Model
from discern_vqa.nn.losses import contrast, total
from discern_vqa.nn.momentum import Queue
from discern_vqa.objectives import cmdpi_pretrain as pretrain


@torch.no_grad()
def test_without_masking_the_masked_features_are_the_features():
    net = model()
    inputs = batch().inputs
    nothing = torch.zeros(len(inputs.image), net.image.cells, dtype=torch.bool)
    plain, masked = net.encode(inputs), net.encode(inputs, nothing, torch.zeros_like(inputs.words))
    assert torch.equal(plain.H_img, masked.H_img)
    assert torch.equal(plain.H_txt, masked.H_txt)
    hidden = torch.ones_like(nothing)
    assert not torch.allclose(net.encode(inputs, hidden).H_img, plain.H_img)
    assert not torch.allclose(net.encode(inputs, None, inputs.words).H_txt, plain.H_txt)


@torch.no_grad()
def test_the_local_pass_does_not_depend_on_the_unmasked_input_and_the_global_one_does():
    net = model()
    data = batch(QUESTIONS)
    alone = {"inter_contrast": False, "intra_contrast": False}
    local = pretraining(net, global_reconstruction=False, **alone)
    whole = pretraining(net, local_reconstruction=False, **alone)
    before = local(data, rng()), whole(data, rng())
    net.fusion[2].weight.data *= -30.0  # h_F becomes another
    after = local(data, rng()), whole(data, rng())
    for part in ("img", "txt", "ans"):
        assert torch.equal(before[0][part], after[0][part])
        assert not torch.allclose(before[1][part], after[1][part])


@torch.no_grad()
def test_the_local_pass_cannot_read_what_is_hidden():
    net = model()
    local = pretraining(net, global_reconstruction=False, inter_contrast=False, intra_contrast=False, rho_image=0.5)
    data = batch(QUESTIONS)
    before = local(data, rng())
    seen = local.hide_words(data, advanced(len(data.inputs.image), net)) if hasattr(local, "hide_words") else None
    assert seen is not None
    tokens = data.inputs.tokens.clone()
    tokens[seen] = (tokens[seen] + 1) % 5 + 4  # another word in every hidden place
    other = replace(data, inputs=replace(data.inputs, tokens=tokens))
    after = local(other, rng())
    assert torch.equal(before["ans"], after["ans"])
    assert torch.equal(before["img"], after["img"])
    assert not torch.equal(before["txt"], after["txt"]), "the words to be named have changed"


def advanced(images: int, net: Model) -> torch.Generator:
    """The generator as it stands once the cells are drawn."""
    generator = rng()
    torch.rand(images, net.image.cells, generator=generator)
    return generator


def test_captions_contribute_nothing_to_the_answer_loss():
    net = model()
    objective = pretraining(net)
    assert value(objective(batch(CAPTIONS), rng())["ans"]) == 0
    both = batch([*QUESTIONS, *CAPTIONS])
    parts = objective(both, rng())
    gradient = torch.autograd.grad(parts["ans"], net.ffn_answer.weight)[0]
    assert gradient.any()
    wrong = replace(both, targets=replace(both.targets, answer=torch.full_like(both.targets.answer, -1)))
    assert value(objective(wrong, rng())["ans"]) == 0


def test_questions_contribute_nothing_to_the_contrast_unless_asked():
    net = model()
    only_questions = batch(QUESTIONS)
    parts = pretraining(net)(only_questions, rng())
    assert value(parts["inter"]) == value(parts["intra"]) == 0
    parts = pretraining(net, contra_vqa=True)(only_questions, rng())
    assert value(parts["inter"]) > 0
    assert value(parts["intra"]) > 0
    mixed, captions = batch([*QUESTIONS, *CAPTIONS]), batch(CAPTIONS)
    for part in ("inter", "intra"):
        torch.testing.assert_close(
            pretraining(net)(mixed, rng())[part], pretraining(net)(captions, rng())[part], atol=1e-5, rtol=1e-5
        )


def test_a_question_joins_the_contrast_with_its_answer():
    net = model()
    told = batcher(net)
    told.statements = True
    data = told.batch(QUESTIONS, rng())
    texts = [f"{sample.question} {sample.answer}" for sample in QUESTIONS]
    ids = told.tokenizer.encode(texts, told.length).ids
    assert torch.equal(data.targets.statement.tokens, ids)
    assert not torch.equal(data.inputs.tokens, ids)
    objective = pretraining(net, contra_vqa=True, mask_duplicates=False, tau=0.2)
    assert objective.statements
    assert not pretraining(net, contra_vqa=True, contra_text="question").statements
    assert not pretraining(net).statements
    parts = objective(data, rng())
    h_img = net.encode(data.inputs).h_img
    h_txt = net.encode_text(data.targets.statement).h
    torch.testing.assert_close(parts["inter"], contrast(h_img, h_txt, 0.2) + contrast(h_txt, h_img, 0.2))
    images = data.inputs.which.unique()
    slow_img = objective.image_ema(data.inputs.image).h[images]
    statement = data.targets.statement
    slow_txt = objective.text_ema(statement.tokens, statement.keep).h
    own = net.image(data.inputs.image).h[images]
    torch.testing.assert_close(parts["intra"], contrast(own, slow_img, 0.2) + contrast(h_txt, slow_txt, 0.2))
    # The reconstruction reads the question without its answer all the same.
    without = pretraining(net, contra_vqa=True, contra_text="question")(batch(QUESTIONS, net), rng())
    torch.testing.assert_close(parts["ans"], without["ans"])


def test_two_questions_with_different_answers_are_different_statements():
    told = batcher(model())
    first = QUESTIONS[0]
    asked = [first, replace(first, id="other", answer=QUESTIONS[1].answer)]
    assert asked[0].answer != asked[1].answer
    same = told.batch(asked, rng()).targets.text_key
    assert same[0] == same[1]
    told.statements = True
    differ = told.batch(asked, rng()).targets.text_key
    assert differ[0] != differ[1]


def test_the_contrast_is_eq_6_of_the_unmasked_features():
    net = model()
    data = batch(CAPTIONS)
    objective = pretraining(net, tau=0.2)
    parts = objective(data, rng())
    features = net.encode(data.inputs)
    torch.testing.assert_close(
        parts["inter"],
        contrast(features.h_img, features.h_txt, 0.2) + contrast(features.h_txt, features.h_img, 0.2),
    )
    slow_img = objective.image_ema(data.inputs.image).h
    slow_txt = objective.text_ema(data.inputs.tokens, data.inputs.keep).h
    torch.testing.assert_close(
        parts["intra"], contrast(features.h_img, slow_img, 0.2) + contrast(features.h_txt, slow_txt, 0.2)
    )


def test_the_momentum_branch_gets_no_gradient_and_moves_after_the_step():
    net = model()
    objective = pretraining(net, momentum=0.9)
    parts = objective(batch(CAPTIONS), rng())
    parts["intra"].backward()
    assert all(parameter.grad is None for parameter in objective.image_ema.parameters())
    assert all(parameter.grad is None for parameter in objective.text_ema.parameters())
    assert net.image.pos.grad.any()
    old = objective.text_ema.twin.pos.clone()
    net.text.pos.data += 1.0
    objective.after_step()
    torch.testing.assert_close(objective.text_ema.twin.pos, old + 0.1)


def test_equal_images_and_equal_texts_are_no_negatives():
    net = model()
    same_image, same_text = replace(CAPTIONS[0], id="again", caption="another text"), replace(CAPTIONS[1], image="e")
    twice = [*CAPTIONS, same_image, same_text]
    data = batch(twice)
    masked, literal = pretraining(net)(data, rng()), pretraining(net, mask_duplicates=False)(data, rng())
    assert value(masked["inter"]) < value(literal["inter"])


def test_global_and_local_as_one_batch_equal_two_passes():
    net = model()
    data = batch()
    alone = {"inter_contrast": False, "intra_contrast": False}
    both = pretraining(net, **alone)(data, rng())
    one = pretraining(net, local_reconstruction=False, **alone)(data, rng())
    two = pretraining(net, global_reconstruction=False, **alone)(data, rng())
    for part in ("img", "txt", "ans"):
        torch.testing.assert_close(both[part], one[part] + two[part], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("scope", ["all", "masked"])
def test_the_reconstruction_losses_are_eq_5_spelled_out(scope):
    net = model()
    data = batch(QUESTIONS)
    objective = pretraining(
        net, local_reconstruction=False, inter_contrast=False, intra_contrast=False, loss_scope=scope, rho_image=0.5
    )
    parts = objective(data, rng())
    generator = rng()
    hidden_cells = torch.zeros(len(data.inputs.image), 16, dtype=torch.bool)
    order = torch.rand(hidden_cells.shape, generator=generator).argsort(1)
    hidden_cells.scatter_(1, order[:, :8], True)
    hidden_words = objective.hide_words(data, generator)
    plain, masked = net.encode(data.inputs), net.encode(data.inputs, hidden_cells, hidden_words)
    out = net.recnet(net.fuse(plain.h_img, plain.h_txt), masked.H_img, masked.H_txt, data.inputs.keep)
    error = (net.ffn_image(out.H_out[:, 1:17]) - net.patches(data.targets.image)[data.inputs.which]).square()
    counted = hidden_cells[data.inputs.which] if scope == "masked" else torch.ones(7, 16, dtype=torch.bool)
    torch.testing.assert_close(parts["img"], error[counted].mean())
    words = hidden_words if scope == "masked" else data.inputs.keep
    logits = net.ffn_text(out.H_out[:, 17:])
    torch.testing.assert_close(
        parts["txt"], torch.nn.functional.cross_entropy(logits[words], data.inputs.tokens[words])
    )
    torch.testing.assert_close(
        parts["ans"], torch.nn.functional.cross_entropy(net.ffn_answer(out.H_out[:, -1]), data.targets.answer)
    )


@pytest.mark.parametrize(("switch", "part"), [("inter_contrast", "inter"), ("intra_contrast", "intra")])
def test_a_contrast_that_is_off_costs_nothing(switch, part):
    parts = pretraining(model(), **{switch: False})(batch(), rng())
    assert value(parts[part]) == 0
    assert set(parts) == {"img", "txt", "ans", "inter", "intra"}


def test_without_either_reconstruction_only_the_contrast_is_left():
    parts = pretraining(model(), global_reconstruction=False, local_reconstruction=False)(batch(), rng())
    assert [value(parts[name]) for name in ("img", "txt", "ans")] == [0, 0, 0]
    assert value(parts["inter"]) > 0


def test_global_and_local_reconstruction_can_be_averaged_instead_of_added():
    net, data = model(), batch()
    added, averaged = pretraining(net)(data, rng()), pretraining(net, rec_reduce="mean")(data, rng())
    for part in ("img", "txt", "ans"):
        torch.testing.assert_close(added[part], 2 * averaged[part])
    assert torch.equal(added["inter"], averaged["inter"])


def test_a_queue_adds_the_slow_features_of_earlier_batches_as_negatives_of_both_contrasts():
    net = model().train()
    plain, queued = pretraining(net, tau=0.2), pretraining(net, tau=0.2, queue=64)
    first, second = batch(CAPTIONS[:2]), batch(CAPTIONS[2:])
    without, parts = plain(first, rng()), queued(first, rng())
    for part in ("inter", "intra"):
        torch.testing.assert_close(parts[part], without[part], msg="nothing was held yet")
    assert int(queued.queue.count) == 2
    held = queued.queue.held()
    features = net.encode(second.inputs)
    slow = queued.text_ema(first.inputs.tokens, first.inputs.keep).h
    torch.testing.assert_close(held["h_txt"][:2], slow)
    parts = queued(second, rng())
    expected = contrast(features.h_img, features.h_txt, 0.2, further=held["h_txt"]) + contrast(
        features.h_txt, features.h_img, 0.2, further=held["h_img"]
    )
    torch.testing.assert_close(parts["inter"], expected)
    assert value(parts["intra"]) > value(plain(second, rng())["intra"])
    net.eval()
    before = int(queued.queue.count)
    queued.eval()(second, rng())
    assert int(queued.queue.count) == before, "what is not learned from does not join"


def test_what_the_queue_holds_of_the_same_image_or_text_is_no_negative():
    net = model().train()
    objective = pretraining(net, tau=0.2, queue=8)
    counted = pretraining(net, tau=0.2, queue=8, mask_duplicates=False)
    for one, negatives in ((objective, False), (counted, True)):
        for held in (False, True):  # the second time the queue holds this very pair
            parts = one(batch(CAPTIONS[:1]), rng())
            assert (value(parts["inter"]) > 0) is (value(parts["intra"]) > 0) is (negatives and held)


def test_a_queue_keeps_the_latest_and_needs_momentum_encoders():
    queue = Queue(3, 1)
    for start in (0, 2, 4):
        rows = torch.arange(start, start + 2)
        queue.push(h_img=rows[:, None].float(), h_txt=-rows[:, None].float(), image_key=rows, text_key=rows)
    assert sorted(queue.held()["image_key"].tolist()) == [3, 4, 5]
    many = torch.arange(10)
    queue.push(h_img=many[:, None].float(), h_txt=many[:, None].float(), image_key=many, text_key=many)
    assert sorted(queue.held()["image_key"].tolist()) == [7, 8, 9]
    with pytest.raises(ValueError, match="needs intra_contrast"):
        pretrain.Config(readings={"queue": 4}, intra_contrast=False)


@pytest.mark.parametrize(("view", "moved"), [("same", False), ("brightness", False), ("augmented", True)])
def test_the_momentum_branch_sees_what_the_recipe_says(view, moved):
    net, data = model(), batch(CAPTIONS)
    objective = pretraining(net, intra_view=view)
    shown = []
    objective.image_ema.register_forward_pre_hook(lambda module, given: shown.append(given[0]))
    objective(data, rng())
    own = data.inputs.image
    assert torch.equal(shown[0], own) is (view == "same")
    alike = torch.corrcoef(torch.stack([own[0].flatten(), shown[0][0].flatten()]))[0, 1]
    assert (float(alike) < 0.9) is moved, "an image that is only brighter is still itself, place by place"


@pytest.mark.parametrize("settings", [{"profile": "robust"}, {"rho_question": 0.1}])
def test_further_settings_of_pretraining_take_a_step(settings):
    net = model().train()
    objective = pretraining(net, **settings)
    loss = total(objective(batch(), rng()), objective.config.weights)
    loss.backward()
    assert bool(loss.isfinite())


def test_profiles_of_pretraining_differ_in_what_was_left_open():
    resolved = pretrain.Config().resolved()
    paper, partly = resolved.readings, pretrain.Readings(rho_text=0.4)
    robust = pretrain.Config(profile="robust", readings=partly).resolved().readings
    assert (paper.rho_image, paper.rho_text, paper.loss_scope, paper.intra_view) == (0.25, 0.25, "all", "same")
    assert (robust.rho_image, robust.rho_text) == (0.5, 0.4)
    assert (robust.loss_scope, robust.intra_view) == ("masked", "augmented")
    assert resolved.weights == {"img": 1.0, "txt": 1.0, "ans": 1.0, "inter": 0.5, "intra": 1.0}
    assert paper.tau == 0.07
