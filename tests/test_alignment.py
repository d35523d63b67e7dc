"""The alignment of FVTA against loops and against its limits: false negatives, smoothing, one row, order of queries."""

import math

import pytest
import torch
import torch.nn.functional as F

from discern_vqa.nn.alignment import (
    aligned,
    false_negatives,
    filip,
    gloria,
    max_over_queries,
    one_way,
    smoothed_target,
    sparc,
)

NONE = torch.zeros(4, 4, dtype=torch.bool)


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_similarity_is_the_maximum_over_queries():
    queries, texts = unit(3, 5, 8), unit(4, 8, seed=1)
    scores, winner = max_over_queries(queries, texts)
    for i in range(3):
        for j in range(4):
            each = [float(queries[i, k] @ texts[j]) for k in range(5)]
            assert float(scores[i, j]) == pytest.approx(max(each), abs=1e-6)
            assert int(winner[i, j]) == each.index(max(each))


def test_the_winner_is_the_same_query_wherever_it_stands():
    queries, texts = unit(3, 5, 8), unit(3, 8, seed=1)
    order = torch.tensor([3, 1, 4, 0, 2])
    scores, winner = max_over_queries(queries, texts)
    moved, place = max_over_queries(queries[:, order], texts)
    assert torch.equal(order[place], winner)
    torch.testing.assert_close(moved, scores)


def test_the_loss_is_the_divergence_from_the_smoothed_target_by_loops():
    scores, masked = torch.randn(4, 4), NONE.clone()
    masked[0, 2] = masked[2, 0] = True
    target = smoothed_target(masked, 0.1)
    expected = 0.0
    for i in range(4):
        over = sum(math.exp(scores[i, j]) for j in range(4) if not masked[i, j])
        for j in range(4):
            if not masked[i, j]:
                p = float(target[i, j])
                expected += p * (math.log(p) - math.log(math.exp(scores[i, j]) / over)) / 4
    assert float(one_way(scores, masked, 0.1)) == pytest.approx(expected, abs=1e-5)


def test_the_smoothed_mass_is_shared_by_the_negatives_alone():
    masked = NONE.clone()
    masked[1, 3] = True
    target = smoothed_target(masked, 0.1)
    torch.testing.assert_close(target.sum(1), torch.ones(4))
    assert target[1].tolist() == pytest.approx([0.05, 0.9, 0.05, 0.0])
    assert target[0].tolist() == pytest.approx([0.9, 0.1 / 3, 0.1 / 3, 0.1 / 3])


def test_a_perfectly_aligned_batch_costs_nothing_and_any_other_something():
    perfect = smoothed_target(NONE, 0.1).log()
    assert float(aligned(perfect, perfect.T, NONE, 0.1)) == pytest.approx(0, abs=1e-6)
    assert float(aligned(perfect * 1.5, perfect.T * 1.5, NONE, 0.1)) > 0.01


def test_divergence_and_cross_entropy_differ_by_a_constant():
    scores = torch.randn(4, 4, requires_grad=True)
    kl, ce = one_way(scores, NONE, 0.1), F.cross_entropy(scores, smoothed_target(NONE, 0.1))
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1 / 3))
    assert float((ce - kl).detach()) == pytest.approx(entropy, abs=1e-6)
    torch.testing.assert_close(*(torch.autograd.grad(loss, scores, retain_graph=True)[0] for loss in (kl, ce)))


def test_without_smoothing_it_is_the_usual_cross_entropy():
    scores = torch.randn(4, 4)
    assert float(one_way(scores, NONE, 0.0)) == pytest.approx(float(F.cross_entropy(scores, torch.arange(4))), abs=1e-6)


def test_the_same_image_and_the_same_question_are_no_negatives():
    image, text = torch.tensor([7, 7, 8, 9]), torch.tensor([1, 2, 3, 1])
    masked = false_negatives((image, text), (image, text))
    assert masked.nonzero().tolist() == [[0, 1], [0, 3], [1, 0], [3, 0]]


def test_rows_without_any_negative_are_left_out_and_the_loss_stays_finite():
    scores = torch.randn(4, 4, requires_grad=True)
    everyone = ~torch.eye(4, dtype=torch.bool)
    everyone[3, 0] = everyone[0, 3] = False
    loss = aligned(scores, scores.T, everyone, 0.1)
    loss.backward()
    assert bool(loss.isfinite())
    assert bool(scores.grad.isfinite().all())
    assert not scores.grad[1:3].any()
    nobody = aligned(scores, scores.T, ~torch.eye(4, dtype=torch.bool), 0.1)
    assert float(nobody.detach()) == 0
    assert float(aligned(scores[:1, :1], scores[:1, :1], NONE[:1, :1], 0.1).detach()) == 0, "a batch of one"


def test_rows_of_one_process_find_their_partner_among_those_of_all():
    scores = torch.randn(4, 4)
    whole = one_way(scores, NONE, 0.1)
    halves = [one_way(scores[start : start + 2], NONE[start : start + 2], 0.1, start) for start in (0, 2)]
    torch.testing.assert_close(torch.stack(halves).mean(), whole)


def words_of(*lengths: int) -> torch.Tensor:
    return torch.arange(max(lengths) + 1)[None] < torch.tensor(lengths)[:, None]


def test_filip_by_loops():
    places, texts, words = unit(2, 3, 8), unit(2, 5, 8, seed=1), words_of(4, 2)
    for i in range(2):
        for j in range(2):
            real = texts[j, : int(words[j].sum())]
            cosine = places[i] @ real.T
            expected = (cosine.amax(0).mean() + cosine.amax(1).mean()) / 2 / 0.07
            torch.testing.assert_close(filip(places, texts, words, 0.07)[i, j], expected, atol=1e-4, rtol=1e-4)


def test_gloria_by_loops():
    places, texts, words = unit(2, 3, 8), unit(2, 5, 8, seed=1), words_of(4, 2)
    for i in range(2):
        for j in range(2):
            real = texts[j, : int(words[j].sum())]
            weight = (4 * (places[i] @ real.T).softmax(1)).softmax(0)  # (places, words)
            context = F.normalize(weight.T @ places[i], dim=-1)
            expected = 10 * (5 * (context * real).sum(-1)).exp().sum().log()
            torch.testing.assert_close(gloria(places, texts, words)[i, j], expected, atol=1e-4, rtol=1e-4)


def test_sparc_by_loops():
    places, texts, words = unit(2, 6, 8), unit(2, 5, 8, seed=1), words_of(4, 2)
    there, back = [], []
    for b in range(2):
        real = texts[b, : int(words[b].sum())]
        cosine = real @ places[b].T
        weight = (cosine - cosine.amin(1, keepdim=True)) / (cosine.amax(1) - cosine.amin(1))[:, None]
        weight[weight < 1 / 6] = 0
        grouped = F.normalize((weight / weight.sum(1, keepdim=True)) @ places[b], dim=-1)
        scores = grouped @ real.T / 0.1
        there += F.cross_entropy(scores, torch.arange(len(real)), reduction="none").tolist()
        back += F.cross_entropy(scores.T, torch.arange(len(real)), reduction="none").tolist()
    expected = (sum(there) / len(there) + sum(back) / len(back)) / 2
    assert float(sparc(places, texts, words, 0.1)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("term", ["filip", "gloria", "sparc"])
def test_padded_words_change_nothing_and_send_no_gradient(term):
    places, words = unit(3, 4, 8), words_of(4, 2, 1)
    texts = unit(3, 5, 8, seed=1).requires_grad_()
    give = {"filip": lambda t: filip(places, t, words, 0.07), "gloria": lambda t: gloria(places, t, words),
            "sparc": lambda t: sparc(places, t, words, 0.1)}[term]  # fmt: skip
    other = torch.where(words[..., None], texts, unit(3, 5, 8, seed=2))
    assert torch.equal(give(texts), give(other))
    give(texts).sum().backward()
    assert bool(texts.grad.isfinite().all())
    assert not texts.grad[~words].any()
