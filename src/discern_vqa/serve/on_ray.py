"""The same service on Ray Serve: one front that speaks HTTP and holds the images, and any number of replicas that own
the models, each a process of its own, on this machine or on others of the cluster.

The front is the application of `app.build`, and a replica answers with an `Answerer`, as the thread of `discern serve`
does. An image goes to a replica through Ray's memory when a question first needs it there, and is let go of after as
long as the front keeps one; nothing of it is written to a disk.

Importing this module imports ray (the extra `cluster`).
"""

import asyncio
import logging
import time
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from ray import ObjectRef, put, serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from discern_vqa.data.answers import Answer
from discern_vqa.errors import DiscernError
from discern_vqa.imaging.image_ref import split_choice
from discern_vqa.serve.answerer import Answerer, Question, RunFacts
from discern_vqa.serve.app import build
from discern_vqa.serve.memory_file import MemoryFile
from discern_vqa.serve.metrics import Metrics
from discern_vqa.serve.problems import Problem, busy, loading
from discern_vqa.serve.service import Service
from discern_vqa.serve.settings import Bounds, Settings
from discern_vqa.serve.tasks import Task
from discern_vqa.serve.worker import Answered, Job

APPLICATION, MODELS = "discern", "Models"
_CONNECTIONS = 512
_MOST_IN_REPLICA = 16
"""Requests that one replica has at a time, of which it makes batches; the others wait at the front, and are counted."""


@dataclass(frozen=True)
class Replied:
    """What a replica says to some questions, and how long it took, in seconds."""

    results: list[Answer | DiscernError]
    seconds: float


@dataclass
class _Kept:
    """An image file in a replica, the keys of the frames of it that a model has seen, and when it was last used."""

    file: MemoryFile
    used: float
    keys: set[str] = field(default_factory=set)


class ReplicaImages:
    """The image files that a replica was sent, the most recently used ones; used by one thread."""

    def __init__(self, bounds: Bounds, answerer: Answerer) -> None:
        self._bounds, self._answerer = bounds, answerer
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def placed(self, question: Question, content: bytes) -> Question:
        """The question with the path that its image has here."""
        digest, sign, choice = question.key.partition("#")
        if digest not in self._kept:
            self._kept[digest] = _Kept(MemoryFile(content), 0.0)
        kept = self._kept[digest]
        kept.used = time.monotonic()
        kept.keys.add(question.key)
        self._kept.move_to_end(digest)
        return replace(question, path=Path(f"{kept.file.path}{sign}{choice}"))

    def sweep(self) -> None:
        """Lets go of the images whose time is over, and of the oldest where there are too many."""
        over = time.monotonic() - self._bounds.keep
        while self._kept:
            oldest = next(iter(self._kept.values()))
            size = sum(kept.file.size for kept in self._kept.values())
            fits = len(self._kept) <= self._bounds.images and size <= self._bounds.image_bytes
            if fits and oldest.used >= over:
                return
            self._answerer.forget(self._kept.popitem(last=False)[1].keys)


class Models:
    """One replica: the open runs, owned by one thread. What is wrong with a request is returned and never raised, since
    Ray writes what is raised into its logs."""

    def __init__(self, runs: dict[str, Path], bounds: Bounds) -> None:
        quieten()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="discern-worker")
        self._bounds, self._failed = bounds, None
        self._sweeping: asyncio.Task[None] | None = None
        try:
            self._answerer = Answerer(runs)
        except DiscernError as error:
            self._failed = error
            return
        self._images = ReplicaImages(bounds, self._answerer)
        self._together: Any = serve.batch(  # not as a decorator: its size is the service's
            max_batch_size=bounds.batch, batch_wait_timeout_s=0.0, batch_size_fn=_questions_in
        )(self._answer_batch)

    async def facts(self) -> dict[str, RunFacts] | DiscernError:
        """What the runs are, or why they could not be opened."""
        return self._failed or self._answerer.facts()

    async def answer(self, questions: Sequence[Question], content: bytes) -> Replied:
        """Answers questions about one image; those of several requests that are here are answered together."""
        self._sweeping = self._sweeping or asyncio.ensure_future(self._sweep_now_and_then())
        replied: Replied = await self._together((questions, content))
        return replied

    async def do(self, task: Task, content: bytes) -> Any:
        """The result of a task, or the DiscernError that says why there is none."""
        return await self._in_thread(self._do, task, content)

    async def _answer_batch(self, asked: list[tuple[Sequence[Question], bytes]]) -> list[Replied]:
        replied: list[Replied] = await self._in_thread(self._answer, asked)
        return replied

    def _answer(self, asked: list[tuple[Sequence[Question], bytes]]) -> list[Replied]:
        started = time.monotonic()
        placed = [[self._images.placed(question, content) for question in part] for part, content in asked]
        results = self._answerer.answer([question for part in placed for question in part])
        self._answerer.forget(())  # the oldest texts
        self._images.sweep()
        seconds = time.monotonic() - started
        rest = iter(results)
        return [Replied([next(rest) for _ in part], seconds) for part in placed]

    def _do(self, task: Any, content: bytes) -> Any:
        try:
            return replace(task, question=self._images.placed(task.question, content)).by(self._answerer)
        except DiscernError as error:
            return error
        finally:
            self._images.sweep()

    async def _sweep_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self._bounds.keep / 10)
            await self._in_thread(self._images.sweep)

    async def _in_thread(self, work: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)


class RemoteWorker:
    """The replicas, as the front's `Service` sees them (see `worker.Working`). Used in the event loop of the front."""

    def __init__(self, bounds: Bounds, metrics: Metrics) -> None:
        self.opened: Future[dict[str, RunFacts]] = Future()
        self._bounds, self._metrics = bounds, metrics
        self._models = serve.get_deployment_handle(MODELS, app_name=APPLICATION)
        self._sent: dict[str, ObjectRef[bytes]] = {}  # files in Ray's memory, by their digests
        self._tasks: set[asyncio.Task[None]] = set()
        metrics.waiting.set_function(lambda: float(len(self._tasks)))

    def start(self) -> None:
        self._begin(self._open())

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    def answer(self, questions: Sequence[Question]) -> Job:
        """See `worker.Working`. That too many wait is known when Ray has been asked, and is then the job's error."""
        return self._put(Job(questions=list(questions)))

    def do(self, task: Task) -> Job:
        """See `worker.Working`."""
        return self._put(Job(task=task))

    def forget(self, keys: set[str]) -> None:
        """Frees the files in Ray's memory. The replicas let go of theirs by the clock."""
        for key in keys:
            self._sent.pop(key.partition("#")[0], None)

    async def _open(self) -> None:
        facts = await self._models.facts.remote()
        if isinstance(facts, DiscernError):
            self.opened.set_exception(facts)
        else:
            self.opened.set_result(facts)

    def _put(self, job: Job) -> Job:
        if not self.opened.done():
            raise loading()
        job.begun = job.asked  # Ray bounds how many wait, and not for how long: waiting counts as answering
        running = self._begin(self._finish(job))
        job.future.add_done_callback(lambda future: running.cancel() if future.cancelled() else None)
        return job

    def _begin(self, work: Any) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _finish(self, job: Job) -> None:
        try:
            result = await (self._ask(job) if job.task is None else self._do(job.task))
        except RayServeException:  # more wait than may
            error: Exception = busy()
        except RayError:
            error = Problem(503, "a replica ended before it had answered", "ask again", 2, "busy")
        except Exception as failed:
            error = failed
        else:
            if not job.future.done():
                job.future.set_result(result)
            return
        if not job.future.done():
            job.future.set_exception(error)

    async def _ask(self, job: Job) -> Answered:
        content = await self._content(job.questions[0])
        results: list[Answer | DiscernError] = []
        spent, most = 0.0, self._bounds.batch
        for start in range(0, len(job.questions), most):
            part: Replied = await self._models.answer.remote(job.questions[start : start + most], content)
            self._metrics.inference.observe(part.seconds)
            results += part.results
            spent += part.seconds
        queued = max(0.0, time.monotonic() - job.asked - spent)
        self._metrics.queue.observe(queued)
        return Answered(results, queued, spent)

    async def _do(self, task: Task) -> Any:
        started = time.monotonic()
        result = await self._models.do.remote(task, await self._content(task.question))
        self._metrics.inference.observe(time.monotonic() - started)
        if isinstance(result, DiscernError):
            raise result
        return result

    async def _content(self, question: Question) -> "ObjectRef[bytes]":
        """The file of a question's image in Ray's memory, put there once."""
        digest = question.key.partition("#")[0]
        if digest not in self._sent:
            file, _ = split_choice(question.path)
            self._sent[digest] = await asyncio.to_thread(lambda: put(file.read_bytes()))
        return self._sent[digest]


def application(settings: Settings, replicas: int, node: str) -> Any:
    """The application for `serve.run`. node: the address of the machine whose front this is: corrections, keys and the
    access log are its files."""

    def front() -> FastAPI:
        quieten()
        return build(Service(settings, hire=RemoteWorker))

    bounds = settings.bounds
    models = serve.deployment(
        Models,
        name=MODELS,
        num_replicas=replicas,
        max_ongoing_requests=_MOST_IN_REPLICA,
        max_queued_requests=bounds.waiting,
        graceful_shutdown_timeout_s=bounds.drain,
        ray_actor_options={"num_cpus": 1},
    ).bind(dict(settings.runs), bounds)
    return serve.deployment(
        serve.ingress(front)(Front),
        name="Front",
        num_replicas=1,
        max_ongoing_requests=_CONNECTIONS,
        graceful_shutdown_timeout_s=bounds.drain,
        ray_actor_options={"num_cpus": 0, "resources": {f"node:{node}": 0.001}},
        logging_config={"enable_access_log": False},
    ).bind(models)


class Front:
    """What Ray wraps the application in. models: named here so that Ray starts them with it."""

    def __init__(self, models: Any) -> None:
        self.models = models


def quieten() -> None:
    """Keeps readers of images from quoting what they find odd in a file, which may be a patient's name: Ray writes what
    a process says into files."""
    warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())
    logging.getLogger("discern.serve").setLevel(logging.ERROR)


def _questions_in(asked: list[tuple[Sequence[Question], bytes]]) -> int:
    return sum(len(part) for part, _ in asked)
