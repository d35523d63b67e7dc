"""Rows of all processes: alone, and with two processes that talk to each other."""

import subprocess
import sys
from pathlib import Path

import torch

from discern_vqa.nn.gather import gathered

TWO = """
import sys, torch
import torch.distributed as dist
from discern_vqa.division import Place, share_of
from discern_vqa.nn.gather import anywhere, gathered, mean
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method=f"file://{sys.argv[2]}", rank=rank, world_size=2)
share = share_of(Place(rank, 2), which=[0] * 5, near=[-1] * 5, images=1)
rows = (torch.arange(2.0 + rank)[:, None] + 10 * rank).requires_grad_()
everyone, start = gathered(rows, share)
((1 + rank) * everyone ** 2).sum().backward()
print(start, everyone.flatten().tolist(), rows.grad.flatten().tolist(), flush=True)
flags, _ = gathered(torch.tensor([rank == 1]), share)
print(flags.tolist(), anywhere(torch.tensor([rank == 1]), share), anywhere(torch.tensor([False]), share))
spare = share_of(Place(rank, 2), which=[0], near=[-1], images=1)
total = torch.tensor(6.0, requires_grad=True)
average = mean(total, 3 + 97 * rank, spare)
average.backward()
print(spare.spare, float(average.detach()), float(total.grad), len(gathered(torch.ones(4), spare)[0]), flush=True)
dist.destroy_process_group()
"""


def test_a_process_alone_gets_its_own_rows_back():
    rows = torch.randn(3, 2, requires_grad=True)
    everyone, start = gathered(rows, None)
    assert everyone is rows
    assert start == 0


def test_two_processes_see_each_others_rows_learn_from_all_and_a_spare_one_counts_for_nothing(tmp_path: Path):
    meet = tmp_path / "meet"
    both = [
        subprocess.Popen([sys.executable, "-c", TWO, str(rank), str(meet)], stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    first, second = (process.communicate(timeout=300)[0].splitlines() for process in both)
    assert [process.returncode for process in both] == [0, 0]
    rows = "[0.0, 1.0, 10.0, 11.0, 12.0]"
    # Three times the gradient of one: once for the first process's loss, twice for the second's.
    assert first == [f"0 {rows} [0.0, 6.0]", "[False, True] True False", "False 4.0 0.6666666865348816 4"]
    assert second == [f"2 {rows} [60.0, 66.0, 72.0]", "[False, True] True False", "True 0.0 0.0 4"]
