"""Batches made one ahead by a thread: the same ones, in order, never more than one too early, and its errors arrive."""

import threading

import pytest
import torch

from discern_vqa.training.loop import ahead


def test_each_batch_comes_in_its_turn_and_the_next_is_under_way():
    begun, may_go_on = [], threading.Event()

    def make(rows, step):
        begun.append(step)
        if step == 8:
            may_go_on.set()
        return rows, step

    came = []
    for batch in ahead(make, [([1, 2], 7), ([3], 8), ([4], 9)]):
        came.append(batch)
        if len(came) == 1:
            assert may_go_on.wait(30), "the second batch is made while the first is worked on"
            assert begun == [7, 8], "and no third one"
    assert came == [([1, 2], 7), ([3], 8), ([4], 9)]
    assert list(ahead(make, [])) == []


def test_it_is_made_with_as_many_threads_as_the_loop_has():
    assert list(ahead(lambda rows, step: torch.get_num_threads(), [([0], 0)])) == [torch.get_num_threads()]


def test_an_error_arrives_where_its_batch_would_have_been():
    def make(rows, step):
        if step == 1:
            raise ValueError("this image is broken")
        return step

    made = ahead(make, [([0], 0), ([0], 1), ([0], 2)])
    assert next(made) == 0
    with pytest.raises(ValueError, match="this image is broken"):
        next(made)
