"""The service without its routes: the runs, the queue, the images, and how a request waits for its turn."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from starlette.requests import Request

from discern_vqa.errors import DiscernError
from discern_vqa.run_folder import weights_sha256
from discern_vqa.serve.access_log import AccessLog
from discern_vqa.serve.answerer import Answerer, RunFacts
from discern_vqa.serve.corrections import Corrections
from discern_vqa.serve.guards import Gate
from discern_vqa.serve.images import FrameOf, Held, Images
from discern_vqa.serve.keys import Keys
from discern_vqa.serve.metrics import Metrics
from discern_vqa.serve.problems import Problem, of_error
from discern_vqa.serve.settings import Bounds, Settings
from discern_vqa.serve.told import RunFiles
from discern_vqa.serve.worker import Job, Worker, Working
from discern_vqa.version import __version__

_DECODING = 2
"""So many images are decoded at a time: one may take 100 million pixels."""


class Service:
    """Raises DiscernError where a file that it was told of cannot be read or written."""

    def __init__(
        self,
        settings: Settings,
        make: Callable[[], Answerer] | None = None,
        hire: Callable[[Bounds, Metrics], Working] | None = None,
    ) -> None:
        """make: opens the models; for tests. hire: gives another owner of the models than a thread of this process."""
        self.settings, self.gate, self.metrics = settings, Gate(), Metrics()
        self.keys = Keys.read(settings.key_file) if settings.key_file is not None else None
        self.access_log = AccessLog(settings.access_log) if settings.access_log is not None else None
        self.corrections = Corrections(settings.corrections) if settings.corrections is not None else None
        opening = make or (lambda: Answerer(settings.runs))
        self.worker: Working = (
            hire(settings.bounds, self.metrics) if hire else Worker(opening, settings.bounds, self.metrics)
        )
        self.images = Images(settings.bounds, self.worker.forget)
        self.metrics.images.set_function(lambda: float(len(self.images)))
        self.facts: dict[str, RunFacts] = {}
        self.files: dict[str, RunFiles] = {}
        self._decoding = asyncio.Semaphore(_DECODING)

    def start(self) -> "Future[dict[str, RunFacts]]":
        """Opens the runs in the worker's thread."""
        self.worker.opened.add_done_callback(self._opened)
        self.worker.start()
        return self.worker.opened

    def _opened(self, opened: "Future[dict[str, RunFacts]]") -> None:
        if opened.exception() is not None:
            return
        for name, folder in self.settings.runs.items():
            weights = weights_sha256(folder)
            self.files[name] = files = RunFiles.read(folder, weights)
            self.metrics.tell_model(name, weights[:16], files.model, __version__)
        self.facts = opened.result()

    @property
    def is_ready(self) -> bool:
        return bool(self.facts) and not self.gate.ends

    def run(self, name: str) -> str:
        """The run that a request names. Raises Problem: there is none, or the runs are loading."""
        if not self.facts:
            raise Problem(503, "the models are still loading", "try again in some seconds", 2, "busy")
        if not name:
            return next(iter(self.settings.runs))
        if name not in self.facts:
            raise Problem(404, "there is no run of this name", f"there are: {', '.join(self.facts)}")
        return name

    def image(self, request: Request, id: str) -> Held:
        """The image that a request names; the access log is told. Raises Problem."""
        held = self.images.get(request.state.user, id)
        request.state.image = held.digest
        return held

    def frame(self, request: Request, id: str, number: int | None, window: str, axis: str) -> tuple[Held, FrameOf]:
        """A frame that a model is to see. Raises Problem."""
        held = self.image(request, id)
        try:
            frame = held.frame(number, window, axis)
        except DiscernError as error:
            raise of_error(error) from error
        held.keys.add(frame.key)
        return held, frame

    async def in_thread(self, work: Callable[..., Any], *args: Any) -> Any:
        """Decodes or draws, beside the loop; a few at a time. Raises Problem."""
        async with self._decoding:
            try:
                return await asyncio.to_thread(work, *args)
            except DiscernError as error:
                raise of_error(error, code="image") from error
            except MemoryError as error:
                raise Problem(413, "the image asks for more memory than there is", "send a smaller one") from error

    async def turn(self, request: Request, job: Job) -> Any:
        """The result of a queued request. Raises Problem: the caller left, it waited too long, or took too long."""
        bounds = self.settings.bounds
        future = asyncio.wrap_future(job.future)
        leaving = asyncio.ensure_future(_left(request))
        try:
            await asyncio.wait({future, leaving}, timeout=bounds.wait, return_when=asyncio.FIRST_COMPLETED)
            if not future.done() and not leaving.done() and not job.begun:
                job.give_up()
                raise Problem(503, f"the request waited for more than {bounds.wait:.0f} s", "try again", 5, "timeout")
            if not future.done() and not leaving.done():
                await asyncio.wait({future, leaving}, timeout=bounds.answer, return_when=asyncio.FIRST_COMPLETED)
            if future.done() and not future.cancelled():
                return future.result()
            job.give_up()
            if leaving.done():
                raise Problem(503, "the caller left", code="left")
            raise Problem(
                504, f"the answer took longer than {bounds.answer:.0f} s", "ask fewer questions", code="timeout"
            )
        except DiscernError as error:
            raise of_error(error, code="model") from error
        finally:
            leaving.cancel()
            if not future.done():
                future.cancel()

    def stop(self) -> None:
        self.worker.stop()


async def _left(request: Request) -> None:
    """Comes back when the caller has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
