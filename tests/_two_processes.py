"""Trains the same recipes as one process or as one of two, and writes down what each step and validation gave: run by
test_two_processes.py, in processes of their own that talk over 127.0.0.1 as those of torchrun do.

    python _two_processes.py FOLDER ONE|TWO      FOLDER holds phantoms/ and jobs.json, a list of jobs

A job has a name, a recipe, what to `set` in it, and perhaps more. `evaluate`: the run is judged too.
`stop`: after so many steps every process ends as if it had been stopped; those who train in the other number of
processes then go on from what was kept. Numbers are of 64 bits unless a job says "bits": 32.
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import torch

from discern_vqa.evaluation.evaluate import evaluate
from discern_vqa.training import loop, optim
from discern_vqa.training.train import train

PLAIN_FLOAT, PLAIN_OPTIMIZER = torch.Tensor.float, loop.make_optimizer


class Stopped(Exception):
    """The end of a training that is to be gone on with."""


def compute_with(bits: int) -> None:
    """Everything that the package computes in 32 bits is computed in 64: new tensors, and what is made `float`."""
    torch.set_default_dtype(torch.float64 if bits == 64 else torch.float32)
    torch.Tensor.float = torch.Tensor.double if bits == 64 else PLAIN_FLOAT

    def made(*given):
        optimizer = PLAIN_OPTIMIZER(*given)
        if isinstance(optimizer, optim.MuonAdamW) and bits == 64:
            optimizer.precision = torch.float64
        return optimizer

    loop.make_optimizer = made


def run(root: Path, job: dict, kind: str, out: str, resume: bool = False) -> None:
    """One training; `OUT.KIND.json` gets every step's loss and its parts, the figures of validations, the seconds."""
    compute_with(job.get("bits", 64))
    steps, validations, check = [], [], loop.check_finite
    stop = 0 if resume else job.get("stop", 0)

    def checked(loss, parts, progress, state):
        check(loss, parts, progress, state)
        if stop and progress.step == stop:
            raise Stopped
        steps.append([progress.step, *(float(part.detach()) for part in (loss, *parts.values()))])

    loop.check_finite = checked
    started, cpu = time.perf_counter(), time.process_time()
    try:
        train(root / job["recipe"], data=root / "phantoms", overrides=job["set"], out=root / out, resume=resume,
              quiet=True, validated=validations.append)  # fmt: skip
    except Stopped:
        pass
    finally:
        loop.check_finite = check
    taken = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu}
    kept = {"steps": steps, "validations": validations, **taken}
    if os.environ.get("RANK", "0") == "0":
        write(root / f"{out}.{kind}.json", json.dumps(kept))


def write(path: Path, text: str) -> None:
    path.with_suffix(".partial").write_text(text)
    path.with_suffix(".partial").rename(path)


def wait_for(path: Path) -> None:
    for _ in range(3000):
        if path.exists():
            return
        time.sleep(0.1)
    raise TimeoutError(str(path))


def main(root: Path, kind: str) -> None:
    torch.set_num_threads(1)
    jobs, other = json.loads((root / "jobs.json").read_text()), {"one": "two", "two": "one"}[kind]
    for job in jobs:
        run(root, job, kind, f"{job['name']}-{kind}")
    stopped = [job for job in jobs if job.get("stop")]
    for job in stopped:
        begun = root / f"{job['name']}-{other}"
        wait_for(root / f"{begun.name}.{other}.json")
        mine = root / f"{begun.name}-on"
        if os.environ.get("RANK", "0") == "0":
            shutil.copytree(begun, root / "copying" / mine.name)
            (root / "copying" / mine.name).rename(mine)
        wait_for(mine)
        run(root, job, kind, mine.name, resume=True)
    for job in jobs:
        if job.get("evaluate"):  # last of all: then the processes part
            compute_with(job.get("bits", 64))
            evaluate(root / f"{job['name']}-{kind}")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2])
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # the other process must not wait for this one
