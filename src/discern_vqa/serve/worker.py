"""One bounded queue and one thread that owns the models. Requests are answered in the order in which they came;
questions that wait together are answered together, and nothing waits for company.

A request that nobody waits for any more is passed over before its batch is made; one that waited too long is refused.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from discern_vqa.data.answers import Answer
from discern_vqa.errors import DiscernError
from discern_vqa.serve.answerer import Answerer, Question, RunFacts
from discern_vqa.serve.metrics import Metrics
from discern_vqa.serve.problems import Problem, busy, ending, loading
from discern_vqa.serve.settings import Bounds
from discern_vqa.serve.tasks import Task


@dataclass(frozen=True)
class Answered:
    """The results of a request's questions in their order, and where the time went."""

    results: list[Answer | DiscernError]
    queue_s: float
    inference_s: float


@dataclass(eq=False)
class Job:
    """A request: questions, or a task (a heat map, similar cases)."""

    questions: Sequence[Question] = ()
    task: Task | None = None
    future: "Future[Any]" = field(default_factory=Future)
    asked: float = field(default_factory=time.monotonic)
    begun: float = 0.0
    spent: float = 0.0
    results: list[Answer | DiscernError] = field(default_factory=list)
    given_up: bool = False  # nobody waits for it any more

    def give_up(self) -> None:
        """The caller left, or waited too long: what was not begun is not done."""
        self.given_up = True
        self.future.cancel()

    @property
    def left(self) -> int:
        return len(self.questions) - len(self.results)


class Working(Protocol):
    """What a service needs of whoever owns its models: this thread, or replicas on other machines (`on_ray`)."""

    opened: "Future[dict[str, RunFacts]]"

    def start(self) -> None:
        """Begins to open the runs; `opened` is done when they are."""

    def stop(self) -> None:
        """Ends after what is being done."""

    def answer(self, questions: Sequence[Question]) -> Job:
        """Takes questions about one image; the job's future becomes `Answered`. Raises Problem: busy, or loading."""

    def do(self, task: Task) -> Job:
        """Takes a task; the job's future becomes its result. Raises Problem, as `answer`."""

    def forget(self, keys: set[str]) -> None:
        """Frees what is kept of these frames."""


class Worker:
    """`make` opens the models; it is called in the worker's thread, after `start`."""

    def __init__(self, make: Callable[[], Answerer], bounds: Bounds, metrics: Metrics) -> None:
        self._make, self._bounds, self._metrics = make, bounds, metrics
        self._jobs: deque[Job] = deque()
        self._forgotten: set[str] = set()
        self._changed = threading.Condition()
        self._ends = False
        self._thread = threading.Thread(target=self._run, name="discern-worker", daemon=True)
        self.opened: Future[dict[str, RunFacts]] = Future()
        metrics.waiting.set_function(self._waiting)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after what it is doing; what still waits is refused."""
        with self._changed:
            self._ends = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def answer(self, questions: Sequence[Question]) -> Job:
        """Queues a request, whose future becomes `Answered`. Raises Problem: too many wait, or the models are not
        open."""
        return self._put(Job(questions=list(questions)))

    def do(self, task: Task) -> Job:
        """Queues a task, whose result its future becomes. Raises Problem, as `answer`."""
        return self._put(Job(task=task))

    def forget(self, keys: set[str]) -> None:
        """Frees what the models keep of these frames, before the next batch."""
        with self._changed:
            self._forgotten |= keys
            self._changed.notify()

    def _waiting(self) -> float:
        return sum(not job.begun for job in tuple(self._jobs))

    def _put(self, job: Job) -> Job:
        if not self.opened.done():
            raise loading()
        with self._changed:
            if self._ends:
                raise ending()
            if len(self._jobs) >= self._bounds.waiting:
                raise busy()
            self._jobs.append(job)
            self._changed.notify()
        return job

    def _run(self) -> None:
        try:
            answerer = self._make()
            self.opened.set_result(answerer.facts())
        except BaseException as error:  # handed to whoever waits for the start
            self.opened.set_exception(error)
            return
        while True:
            with self._changed:
                while not self._jobs and not self._ends and not self._forgotten:
                    self._changed.wait()
                if self._ends:
                    break
                gone, self._forgotten = self._forgotten, set()
                batch = self._take()
            if gone:
                answerer.forget(gone)
            if batch:
                self._work(answerer, batch)
                answerer.forget(())  # the oldest texts
        for job in self._jobs:
            self._refuse(job, ending())

    def _take(self) -> list[tuple[Job, Sequence[Question]]]:
        """The next request, with the questions of others of its run and mode, as many as fit; nothing where nobody
        waits any more."""
        batch: list[tuple[Job, Sequence[Question]]] = []
        room, unfinished = self._bounds.batch, []
        while self._jobs and room:
            job = self._jobs[0]
            if batch and (job.task is not None or _kind(job) != _kind(batch[0][0])):
                break
            self._jobs.popleft()
            if not self._is_wanted(job):
                continue
            if job.task is not None:
                return [(job, ())]
            start = len(job.results)
            part = job.questions[start : start + room]
            room -= len(part)
            batch.append((job, part))
            if len(part) < job.left:
                unfinished.append(job)
        self._jobs.extend(unfinished)  # a long request lets others go before its next part
        return batch

    def _is_wanted(self, job: Job) -> bool:
        """False for a request that was given up, or is refused since it waited too long."""
        if job.given_up:
            return False
        if job.begun:
            return True
        waited = time.monotonic() - job.asked
        if not job.future.set_running_or_notify_cancel():
            return False
        if waited > self._bounds.wait:
            problem = Problem(
                503, f"the request waited for more than {self._bounds.wait:.0f} s", "try again", 5, "timeout"
            )
            job.future.set_exception(problem)
            return False
        job.begun = time.monotonic()
        self._metrics.queue.observe(waited)
        return True

    def _work(self, answerer: Answerer, batch: list[tuple[Job, Sequence[Question]]]) -> None:
        started = time.monotonic()
        (first, _), *_ = batch
        if first.task is not None:
            _finish(first, first.task, answerer)
            self._metrics.inference.observe(time.monotonic() - started)
            return
        questions = [question for _, part in batch for question in part]
        try:
            results = answerer.answer(questions)
        except BaseException as error:
            for job, _ in batch:
                self._refuse(job, error)
            if not isinstance(error, Exception):
                raise
            return
        spent = time.monotonic() - started
        self._metrics.inference.observe(spent)
        self._metrics.batch.observe(len(questions))
        for job, part in batch:
            job.results += results[: len(part)]
            job.spent += spent
            del results[: len(part)]
            if not job.left and not job.future.done():
                job.future.set_result(Answered(job.results, job.begun - job.asked, job.spent))

    def _refuse(self, job: Job, error: BaseException) -> None:
        if not job.begun and not job.future.set_running_or_notify_cancel():
            return
        if not job.future.done():
            job.future.set_exception(error)


def _kind(job: Job) -> tuple[str, str]:
    return job.questions[0].run, job.questions[0].mode


def _finish(job: Job, task: Task, answerer: Answerer) -> None:
    try:
        job.future.set_result(task.by(answerer))
    except Exception as error:
        job.future.set_exception(error)
