"""Eq. 2's Mask: exact counts, only what may be hidden, all of it by a given generator."""

import pytest
import torch
from _tiny import CAPTIONS, LENGTH, QUESTIONS, TOKENIZER, rng

from discern_vqa.data.text import BEGIN, END, PAD
from discern_vqa.nn.masking import hide_cells, hide_words


@pytest.mark.parametrize("rho", [0.0, 0.1, 0.25, 0.5, 0.75])
@pytest.mark.parametrize("cells", [1, 4, 49])
def test_every_image_hides_exactly_the_rounded_share_of_its_cells(rho, cells):
    hidden = hide_cells(5, cells, rho, rng())
    assert hidden.shape == (5, cells)
    assert hidden.sum(1).tolist() == [round(rho * cells)] * 5


@pytest.mark.parametrize("rho", [0.1, 0.15, 0.25, 0.5, 0.9])
def test_every_text_hides_the_rounded_share_of_its_words_and_at_least_one(rho):
    counts = torch.arange(0, 30)
    words = torch.arange(32)[None] < counts[:, None]
    hidden = hide_words(words, rho, rng())
    assert not (hidden & ~words).any()
    for count, number in zip(counts.tolist(), hidden.sum(1).tolist(), strict=True):
        # float32 and float64 may disagree about a half
        assert number in {min(count, max(1, round(rho * count + shift))) for shift in (-1e-5, 1e-5)}


def test_special_tokens_padding_and_the_answer_slot_are_never_hidden():
    tokens = TOKENIZER.encode([sample.text for sample in [*QUESTIONS, *CAPTIONS]] + [""], LENGTH)
    for seed in range(20):
        hidden = hide_words(tokens.words, 0.99, rng(seed))
        assert not torch.isin(tokens.ids[hidden], torch.tensor([PAD, BEGIN, END])).any()
        assert not hidden[:, -1].any()
        assert not hidden[-1].any(), "a text without words has nothing to hide"


def test_a_share_of_nothing_hides_nothing():
    words = torch.ones(3, 5, dtype=torch.bool)
    assert not hide_words(words, 0.0, rng()).any()
    assert not hide_cells(3, 5, 0.0, rng()).any()


def test_the_generator_alone_decides_and_every_place_has_its_turn():
    words = torch.ones(200, 6, dtype=torch.bool)
    assert torch.equal(hide_words(words, 0.5, rng(1)), hide_words(words, 0.5, rng(1)))
    assert not torch.equal(hide_words(words, 0.5, rng(1)), hide_words(words, 0.5, rng(2)))
    for hidden in (hide_words(words, 0.5, rng(1)), hide_cells(200, 6, 0.5, rng(1))):
        share = hidden.float().mean(0)
        assert bool(((share > 0.35) & (share < 0.65)).all())
