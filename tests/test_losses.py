"""The losses against sums typed in here, their limits, and what they leave out."""

import math

import pytest
import torch
import torch.nn.functional as F

from discern_vqa.errors import DiscernError
from discern_vqa.nn.losses import (
    answer_cross_entropy,
    contrast,
    masked_mse,
    mixed_cross_entropy,
    token_cross_entropy,
    total,
)


def contrast_by_loops(a, b, tau, same=None):
    """Eq. 7, letter by letter."""
    loss = a.new_zeros(())
    for i in range(len(a)):
        over = a.new_zeros(())
        for j in range(len(b)):
            if same is None or i == j or not same[i, j]:
                over = over + (a[i] @ b[j] / (a[i].norm() * b[j].norm()) / tau).exp()
        positive = (a[i] @ b[i] / (a[i].norm() * b[i].norm()) / tau).exp()
        loss = loss - (positive / over).log()
    return loss / len(a)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("with_duplicates", [False, True])
def test_eq_7_equals_a_double_loop_forward_and_backward(count, with_duplicates):
    torch.manual_seed(count)
    a, b = torch.randn(count, 5, requires_grad=True), torch.randn(count, 5, requires_grad=True)
    key = torch.randint(0, 3, (count,))
    same = key[:, None] == key[None, :] if with_duplicates else None
    fast, slow = contrast(a, b, 0.2, same), contrast_by_loops(a, b, 0.2, same)
    torch.testing.assert_close(fast, slow)
    for ours, theirs in zip(torch.autograd.grad(fast, (a, b)), torch.autograd.grad(slow, (a, b)), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("tau", [0.07, 0.5])
def test_an_aligned_orthogonal_batch_reaches_the_known_limit(tau):
    count = 6
    a = torch.eye(count) * torch.arange(1.0, count + 1)[:, None]  # lengths do not matter
    assert float(contrast(a, a, tau)) == pytest.approx(math.log(1 + (count - 1) * math.exp(-1 / tau)), abs=1e-6)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_duplicates_put_a_floor_of_ln_k_under_the_contrast_and_masking_lifts_it(k):
    distinct = torch.eye(4)
    b = distinct.repeat_interleave(k, 0)
    key = torch.arange(4).repeat_interleave(k)
    same = key[:, None] == key[None, :]
    assert float(contrast(b, b, 0.05)) >= math.log(k) - 1e-6
    assert float(contrast(b, b, 0.05, same)) < 0.01


def test_inter_contrast_is_symmetric_and_an_empty_batch_costs_nothing():
    torch.manual_seed(0)
    a, b = torch.randn(5, 4), torch.randn(5, 4)
    both = contrast(a, b, 0.07) + contrast(b, a, 0.07)
    torch.testing.assert_close(both, contrast(b, a, 0.07) + contrast(a, b, 0.07))
    assert float(contrast(a, b, 0.07)) != pytest.approx(float(contrast(b, a, 0.07)))
    assert float(contrast(a[:0], b[:0], 0.07)) == 0


def test_a_learned_temperature_gets_a_gradient():
    tau = torch.tensor(0.1, requires_grad=True)
    torch.manual_seed(0)
    contrast(torch.randn(4, 3), torch.randn(4, 3), tau).backward()
    assert tau.grad is not None
    assert float(tau.grad) != 0


def test_image_loss_is_the_mean_over_the_patches_that_count():
    torch.manual_seed(0)
    output, target = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    where = torch.tensor([[True, False, False], [True, True, False]])
    by_hand = sum(float((output[i, j] - target[i, j]).square().mean()) for i, j in ((0, 0), (1, 0), (1, 1))) / 3
    assert float(masked_mse(output, target, where)) == pytest.approx(by_hand, rel=1e-5)
    torch.testing.assert_close(masked_mse(output, target), F.mse_loss(output, target))
    assert float(masked_mse(output, target, torch.zeros(2, 3, dtype=torch.bool))) == 0


def test_a_word_without_a_row_is_left_out_of_the_text_loss():
    torch.manual_seed(0)
    logits = torch.randn(4, 5)
    among = token_cross_entropy(logits, torch.tensor([-1, 3, -1, 0]))
    torch.testing.assert_close(among, F.cross_entropy(logits[[1, 3]], torch.tensor([3, 0])))
    whole = torch.tensor([2, 3, 1, 0])
    assert torch.equal(token_cross_entropy(logits, whole), F.cross_entropy(logits, whole))


def test_losses_of_nothing_are_zero_and_keep_the_graph():
    logits = torch.randn(3, 4, requires_grad=True)
    (
        token_cross_entropy(logits[:0], torch.zeros(0, dtype=torch.int64))
        + answer_cross_entropy(logits, torch.tensor([-1, -1, -1]))
    ).backward()
    assert logits.grad is not None
    assert not logits.grad.any()


def test_answers_outside_the_table_are_left_out_of_the_mean():
    torch.manual_seed(0)
    logits = torch.randn(4, 3)
    torch.testing.assert_close(
        answer_cross_entropy(logits, torch.tensor([2, -1, 0, -1])),
        F.cross_entropy(logits[[0, 2]], torch.tensor([2, 0])),
    )


def test_soft_labels_cost_what_the_mixed_label_costs():
    torch.manual_seed(0)
    logits, lam = torch.randn(6, 5), torch.rand(6)
    own, other = torch.randint(0, 5, (6,)), torch.randint(0, 5, (6,))
    soft = lam[:, None] * F.one_hot(own, 5) + (1 - lam)[:, None] * F.one_hot(other, 5)
    torch.testing.assert_close(mixed_cross_entropy(logits, own, other, lam), F.cross_entropy(logits, soft))


def test_without_a_partner_or_with_an_unknown_answer_only_the_known_part_counts():
    torch.manual_seed(0)
    logits = torch.randn(3, 4)
    own, other = torch.tensor([1, -1, 2]), torch.tensor([-1, 3, 0])
    lam = torch.tensor([1.0, 0.25, 0.5])
    single = F.cross_entropy(logits[[0, 1, 2, 2]], torch.tensor([1, 3, 2, 0]), reduction="none")
    by_hand = (single @ torch.tensor([1.0, 0.75, 0.5, 0.5])) / (1 + 0.75 + 1)
    torch.testing.assert_close(mixed_cross_entropy(logits, own, other, lam), by_hand)


def test_the_total_weighs_every_part_and_refuses_what_does_not_match():
    parts = {"a": torch.tensor(2.0), "b": torch.tensor(3.0)}
    assert float(total(parts, {"a": 1.0, "b": 0.5})) == 3.5
    for weights in ({"a": 1.0}, {"a": 1.0, "b": 1.0, "c": 1.0}):
        with pytest.raises((ValueError, DiscernError), match="the objective produced"):
            total(parts, weights)
