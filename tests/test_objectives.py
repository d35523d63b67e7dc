"""How CMDPI learns: what each pass may see, what each loss is made of, and that the savings equal the slow way."""

from dataclasses import replace

import pytest
import torch
from _tiny import CAPTIONS, QUESTIONS, batch, batcher, model, question, rng, rows, value
from test_cmdpi import OPTIONS, named

from discern_vqa.models.cmdpi import Model
from discern_vqa.nn.losses import contrast, masked_mse, mixed_cross_entropy, token_cross_entropy, total
from discern_vqa.objectives import cmdpi_finetune as finetune
from discern_vqa.objectives import cmdpi_pretrain as pretrain

SIMILAR = {"a": ["b"], "b": ["a"], "c": ["d"], "d": []}


def pretraining(net: Model, **settings) -> pretrain.Objective:
    return pretrain.Objective(pretrain.Config(**settings), net)


def finetuning(net: Model, **settings) -> finetune.Objective:
    return finetune.Objective(finetune.Config(**settings), net)


# -- pre-training: Eq. 2, 5, 6 ---------------------------------------------------------------------


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
    error = (net.ffn_image(out.H_out[:, 1:17]) - net.patches(data.targets.picture)[data.inputs.which]).square()
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


@pytest.mark.parametrize(
    ("switch", "part"), [("inter_contrast", "inter"), ("intra_contrast", "intra")]
)
def test_a_contrast_that_is_off_costs_nothing(switch, part):
    parts = pretraining(model(), **{switch: False})(batch(), rng())
    assert value(parts[part]) == 0
    assert set(parts) == {"img", "txt", "ans", "inter", "intra"}


def test_without_either_reconstruction_only_the_contrast_is_left():
    parts = pretraining(model(), global_reconstruction=False, local_reconstruction=False)(batch(), rng())
    assert [value(parts[name]) for name in ("img", "txt", "ans")] == [0, 0, 0]
    assert value(parts["inter"]) > 0


@pytest.mark.parametrize("settings", [{"profile": "robust"}, {"rho_question": 0.1}, {"smoothing": 0.1}])
def test_further_settings_of_pretraining_take_a_step(settings):
    net = model().train()
    objective = pretraining(net, **settings)
    loss = total(objective(batch(), rng()), objective.config.weights)
    loss.backward()
    assert bool(loss.isfinite())


def test_profiles_of_pretraining_differ_in_what_was_left_open():
    paper, robust = pretrain.Config().resolved(), pretrain.Config(profile="robust", rho_text=0.4).resolved()
    assert (paper.rho_image, paper.rho_text, paper.loss_scope, paper.intra_view) == (0.25, 0.25, "all", "same")
    assert (robust.rho_image, robust.rho_text) == (0.5, 0.4)
    assert (robust.loss_scope, robust.intra_view) == ("masked", "augmented")
    assert paper.weights == {"img": 1.0, "txt": 1.0, "ans": 1.0, "inter": 0.5, "intra": 1.0}
    assert paper.tau == 0.07


# -- fine-tuning: Eq. 8 to 13 ----------------------------------------------------------------------


@torch.no_grad()
def test_with_epsilon_and_lambda_one_and_no_dropout_fine_tuning_answers_as_inference_bit_for_bit():
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
    assert torch.equal(seen["logits"], net.decide(inputs).scores)
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
    target = net.patches(data.targets.picture)[data.inputs.which]
    torch.testing.assert_close(
        parts["diff_img"], masked_mse(net.output_image(out.H_out), target), atol=1e-5, rtol=1e-5
    )
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
    assert {name.removeprefix("model."): tensor.shape for name, tensor in learned.items()
            if name.startswith("model.")} == shapes


# -- contracts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, *OPTIONS], ids=named)
def test_every_parameter_learns_from_one_batch_of_each_stage(options):
    """No exceptions: captions and questions of pre-training and questions of fine-tuning reach every parameter."""
    net = model(**options).train()
    first, second = pretraining(net), finetuning(net)
    # lambda 0.5 and batches that mix captions and questions exercise every output layer.
    total(first(batch(net=net), rng()), first.config.weights).backward()
    total(second(batch(QUESTIONS, net=net, similar=SIMILAR), rng()), second.config.weights).backward()
    still = [name for name, parameter in net.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert not still, f"no gradient reached {still}"


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
