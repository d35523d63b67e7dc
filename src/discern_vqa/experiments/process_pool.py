"""Tasks in worker processes: several at a time, each on one thread, one's failure is its own.

A worker is `python -m discern_vqa.experiments.worker`, which reads a request a line and answers each with a line. It
lives for many tasks, so that torch is imported once; when it dies (out of memory, killed), its task has failed and the
next task gets a new worker.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WORKER = (sys.executable, "-m", "discern_vqa.experiments.worker")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Task:
    """Something to do: `request` goes to a worker once all `needs` (ids of other tasks) are done."""

    id: str
    label: str
    request: dict[str, Any]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of a task: its answer, or why it failed."""

    task: Task
    answer: dict[str, Any]
    error: str = ""
    seconds: float = 0.0


def work(
    tasks: Sequence[Task], workers: int, log: Path, told: Callable[[Outcome, int, int], None]
) -> dict[str, Outcome]:
    """Does all tasks, `workers` at a time, in the order given as far as their needs allow; returns outcomes by id.

    Args:
        log: a folder; what worker k prints is appended to `worker<k>.log`.
        told: called after each task with its outcome, how many are done and how many there are.

    A task whose need failed fails unstarted. An interrupt ends the workers and is passed on.
    """
    log.mkdir(parents=True, exist_ok=True)
    crew = [_Worker(log / f"worker{number}.log") for number in range(max(1, min(workers, len(tasks))))]
    idle, waiting = list(crew), list(tasks)
    running: dict[Future[Outcome], _Worker] = {}
    outcomes: dict[str, Outcome] = {}

    def note(outcome: Outcome) -> None:
        outcomes[outcome.task.id] = outcome
        told(outcome, len(outcomes), len(tasks))

    with ThreadPoolExecutor(len(crew)) as threads:
        try:
            while waiting or running:
                while idle and (task := next((task for task in waiting if outcomes.keys() >= {*task.needs}), None)):
                    waiting.remove(task)
                    if failed := [outcomes[need].task.label for need in task.needs if outcomes[need].error]:
                        note(Outcome(task, {}, f"not started, since this failed: {failed[0]}"))
                    else:
                        worker = idle.pop(0)
                        running[threads.submit(worker.do, task, worker.start())] = worker
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    idle.append(running.pop(future))
                    note(future.result())
        except BaseException:
            for worker in crew:
                worker.interrupt()
            raise
        finally:
            for worker in crew:
                worker.end()
    return outcomes


class _Worker:
    """A worker process, which is started with its first task, and again with the next one after it has died."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> "subprocess.Popen[str]":
        """The process; a new one where there is none, or none that lives."""
        if self.process is None or self.process.poll() is not None:
            self.end()
            with open(self.log, "a", encoding="utf-8") as log:
                self.process = subprocess.Popen(
                    WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8",
                    env=os.environ | dict.fromkeys(THREADS, "1"),
                )  # fmt: skip
        return self.process

    def do(self, task: Task, process: "subprocess.Popen[str]") -> Outcome:
        """Has the task done, and waits for its answer."""
        assert process.stdin is not None
        assert process.stdout is not None
        started, line = time.monotonic(), ""
        with suppress(OSError):  # its pipe is broken: it died
            process.stdin.write(json.dumps(task.request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        if line:
            answer = json.loads(line)
            error = str(answer.pop("error", ""))
        else:
            code = process.wait()
            how = f"signal {-code}" if code < 0 else f"status {code}"
            answer, error = {}, f"its process ended ({how}); see {self.log.parent.name}/{self.log.name}"
        return Outcome(task, answer, error, time.monotonic() - started)

    def interrupt(self) -> None:
        """Ends the process at once; its training goes on from its checkpoint another time."""
        if self.process is not None:
            self.process.terminate()

    def end(self) -> None:
        """Ends the process, which leaves when there is nothing more to read."""
        if self.process is not None:
            try:
                self.process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.communicate()
            self.process = None
