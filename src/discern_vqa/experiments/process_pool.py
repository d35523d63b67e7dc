"""Tasks in worker processes: several at a time, each on one thread, one's failure is its own.

A worker is `python -m discern_vqa.experiments.worker`, which reads a request a line and answers each with a line. It
lives for many tasks, so that torch is imported once; when it dies (out of memory, killed), its task has failed and the
next task gets a new worker.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
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
    crew = _Crew(tasks, log, told)
    count = max(1, min(workers, len(tasks)))
    threads = [threading.Thread(target=crew.serve, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)
    except BaseException:
        crew.stop()
        raise
    if crew.broken is not None:
        raise crew.broken
    return crew.outcomes


class _Crew:
    def __init__(self, tasks: Sequence[Task], log: Path, told: Callable[[Outcome, int, int], None]) -> None:
        self.waiting, self.total, self.log, self.told = list(tasks), len(tasks), log, told
        self.outcomes: dict[str, Outcome] = {}
        self.change = threading.Condition()
        self.stopped = False
        self.processes: dict[int, subprocess.Popen[str]] = {}
        self.broken: BaseException | None = None
        log.mkdir(parents=True, exist_ok=True)

    def serve(self, number: int) -> None:
        """A thread with a worker process of its own, until there is nothing left to do."""
        try:
            while (task := self._next()) is not None:
                started = time.monotonic()
                answer, error = self._ask(number, task)
                self._done(Outcome(task, answer, error, time.monotonic() - started))
        except BaseException as error:  # handed to the main thread, which raises it
            with self.change:
                self.broken, self.stopped = error, True
                self.change.notify_all()
        finally:
            self._end(number)

    def stop(self) -> None:
        """Ends the workers now; their trainings go on from their checkpoints another time."""
        with self.change:
            self.stopped = True
            self.change.notify_all()
        for number in list(self.processes):
            self._end(number)

    def _next(self) -> Task | None:
        with self.change:
            while not self.stopped:
                for task in self.waiting:
                    found = [self.outcomes.get(need) for need in task.needs]
                    if all(found):
                        self.waiting.remove(task)
                        failed = [one for one in found if one is not None and one.error]
                        if not failed:
                            return task
                        self._note(Outcome(task, {}, f"not started, since this failed: {failed[0].task.label}"))
                        break
                else:
                    if not self.waiting:
                        return None
                    self.change.wait()
            return None

    def _done(self, outcome: Outcome) -> None:
        with self.change:
            if not self.stopped:
                self._note(outcome)

    def _note(self, outcome: Outcome) -> None:
        self.outcomes[outcome.task.id] = outcome
        self.told(outcome, len(self.outcomes), self.total)
        self.change.notify_all()

    def _ask(self, number: int, task: Task) -> tuple[dict[str, Any], str]:
        process = self.processes.get(number) or self._start(number)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(task.request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except (OSError, ValueError):  # its pipe is closed: it was ended, or it died
            line = ""
        if not line:
            self._end(number)
            return {}, f"its process ended ({_how(process.returncode)}); see {self.log.name}/worker{number}.log"
        answer: dict[str, Any] = json.loads(line)
        return answer, str(answer.pop("error", ""))

    def _start(self, number: int) -> "subprocess.Popen[str]":
        environment = os.environ | dict.fromkeys(THREADS, "1")
        with open(self.log / f"worker{number}.log", "a", encoding="utf-8") as log:
            process = subprocess.Popen(
                WORKER,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8", env=environment,
            )  # fmt: skip
        self.processes[number] = process
        return process

    def _end(self, number: int) -> None:
        process = self.processes.pop(number, None)
        if process is None:
            return
        if self.stopped:
            process.terminate()
        try:
            if process.stdin is not None:
                process.stdin.close()  # it leaves when there is nothing more to read
        except OSError:
            pass  # what was in the pipe of a dead worker is lost with it
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _how(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"status {code}"
