"""Unequal lengths: averages and interpolation against PyTorch's own, padding told apart, sequences merged and split."""

import pytest
import torch
import torch.nn.functional as F

from discern_vqa.nn.resample import averaging, interpolating, mean_of, merge


def keep_of(*lengths: int, most: int = 0) -> torch.Tensor:
    return torch.arange(max(most, *lengths))[None] < torch.tensor(lengths)[:, None]


@pytest.mark.parametrize("n", [1, 2, 5, 7, 16])
@pytest.mark.parametrize("m", [1, 3, 5, 16])
def test_without_padding_both_are_pytorchs(n, m):
    v = torch.randn(2, n, 3)
    average = F.adaptive_avg_pool1d(v.transpose(1, 2), m).transpose(1, 2)
    torch.testing.assert_close(averaging(keep_of(n, n), keep_of(m, m)) @ v, average)
    line = F.interpolate(v.transpose(1, 2), size=m, mode="linear", align_corners=True).transpose(1, 2)
    torch.testing.assert_close(interpolating(keep_of(n, n), keep_of(m, m)) @ v, line, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("make", [averaging, interpolating])
def test_padding_and_how_much_of_it_there_is_change_nothing(make):
    v = torch.randn(1, 5, 3)
    exact = make(keep_of(5), keep_of(4)) @ v
    padded = make(keep_of(5, most=9), keep_of(4, most=7)) @ F.pad(v, (0, 0, 0, 4), value=100.0)
    assert torch.equal(padded[:, :4], exact)
    assert not padded[:, 4:].any()


def test_equal_numbers_of_real_positions_give_the_identity():
    keep = keep_of(3, 5)
    for make in (averaging, interpolating):
        torch.testing.assert_close(make(keep, keep), torch.diag_embed(keep.float()))


def test_the_mean_is_over_real_positions():
    v = torch.tensor([[[1.0], [3.0], [100.0]]])
    assert mean_of(v, keep_of(2, most=3)).tolist() == [[2.0]]


def test_interleaving_alternates_by_relative_places_text_first():
    x, y = torch.arange(2.0).view(1, 2, 1), 10 + torch.arange(4.0).view(1, 4, 1)
    merged = merge(x, y, keep_of(2), keep_of(4), interleave=True)
    assert merged.v.flatten().tolist() == [10, 0, 11, 12, 1, 13]  # 1/8, 1/4, 3/8, 5/8, 3/4, 7/8
    equal = merge(x, y[:, :2], keep_of(2), keep_of(2), interleave=True)
    assert equal.v.flatten().tolist() == [0, 10, 1, 11]


def test_concatenation_puts_the_image_right_behind_the_texts_last_word():
    x, y = torch.arange(4.0).view(1, 4, 1), 10 + torch.arange(2.0).view(1, 2, 1)
    merged = merge(x, y, keep_of(3, most=4), keep_of(2), interleave=False)
    assert merged.v.flatten().tolist() == [0, 1, 2, 10, 11, 3]
    assert merged.keep.tolist() == [[True] * 5 + [False]]


@pytest.mark.parametrize("interleave", [True, False])
def test_what_is_merged_is_split_back(interleave):
    x, y = torch.randn(3, 6, 2), torch.randn(3, 4, 2)
    merged = merge(x, y, keep_of(6, 2, 1), keep_of(4, 4, 4), interleave)
    back_x, back_y = merged.split(merged.v)
    assert torch.equal(back_x, x)
    assert torch.equal(back_y, y)
