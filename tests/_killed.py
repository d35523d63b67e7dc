"""Trains one recipe again and again, killed by SIGKILL at a given moment and gone on with: run by test_resume.py in a
process of its own, so that torch is imported once and every training is a real process that really dies.

    python _killed.py FOLDER    FOLDER holds phantoms/, jobs.json: [{"name", "recipe", "set", "kill": [moment, ...]}]

A moment is "step:N" (before the backward pass of the N-th step of that process), "save:N" (the state is half written),
"saved:N" (right after it stands), or "validated:N" (the best weights are written, the state is not).
"""

import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path

import torch

from discern_vqa.training import loop, state
from discern_vqa.training.train import train

seen: Counter[str] = Counter()


def die_at(moment: str, now: str) -> None:
    """SIGKILL when `now` has come as often as `moment` says."""
    kind, _, number = moment.partition(":")
    if kind == now:
        seen[kind] += 1
        if seen[kind] == int(number):
            os.kill(os.getpid(), signal.SIGKILL)


def set_trap(moment: str) -> None:
    check, save, validate, write = loop.check_finite, loop.save_state, loop._validate, state.save_file

    def checked(*given):
        die_at(moment, "step")
        return check(*given)

    def saved(*given):
        save(*given)
        die_at(moment, "saved")

    def validated(*given):
        validate(*given)
        die_at(moment, "validated")

    def written(tensors, path, **more):
        write(tensors, path, **more)
        die_at(moment, "save")

    loop.check_finite, loop.save_state, loop._validate, state.save_file = checked, saved, validated, written


def once(root: Path, job: dict, moment: str, resume: bool) -> int:
    """One training in a child of its own; its exit status (negative: the signal that ended it)."""
    child = os.fork()
    if child == 0:
        try:
            if moment:
                set_trap(moment)
            train(root / job["recipe"], data=root / "phantoms", overrides=job["set"], out=root / job["name"],
                  resume=resume, quiet=True)  # fmt: skip
        except BaseException as error:
            print(f"{job['name']}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(root: Path) -> None:
    torch.set_num_threads(1)  # a pool of threads does not survive a fork
    for job in json.loads((root / "jobs.json").read_text()):
        ends = [once(root, job, moment, place > 0) for place, moment in enumerate([*job["kill"], ""])]
        (root / f"{job['name']}.ends").write_text(json.dumps(ends))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
