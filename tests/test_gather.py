"""Rows of all processes: alone, and with two processes that talk to each other."""

import subprocess
import sys
from pathlib import Path

import torch

from discern_vqa.nn.gather import gathered

TWO = """
import sys, torch
import torch.distributed as dist
from discern_vqa.nn.gather import gathered
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method=f"file://{sys.argv[2]}", rank=rank, world_size=2)
rows = (torch.arange(2.0 + rank)[:, None] + 10 * rank).requires_grad_()
everyone, start = gathered(rows)
(everyone ** 2).sum().backward()
print(start, everyone.flatten().tolist(), rows.grad.flatten().tolist(), flush=True)
dist.destroy_process_group()
"""


def test_a_process_alone_gets_its_own_rows_back():
    rows = torch.randn(3, 2, requires_grad=True)
    everyone, start = gathered(rows)
    assert everyone is rows
    assert start == 0


def test_two_processes_see_each_others_rows_and_learn_from_their_own(tmp_path: Path):
    meet = tmp_path / "meet"
    both = [
        subprocess.Popen([sys.executable, "-c", TWO, str(rank), str(meet)], stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    said = [process.communicate(timeout=300)[0].strip() for process in both]
    rows = "[0.0, 1.0, 10.0, 11.0, 12.0]"
    assert said[0] == f"0 {rows} [0.0, 2.0]"
    assert said[1] == f"2 {rows} [20.0, 22.0, 24.0]"
