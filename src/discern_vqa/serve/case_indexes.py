"""The training cases of each run, ready to be searched. They are made in a thread beside the one that answers.

Where a run folder has no `cases.json` yet, all of its training images are encoded first, which takes from seconds to
many minutes; nobody's question waits for that.
"""

import logging
import threading
from collections.abc import Collection
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from discern_vqa.errors import DiscernError
from discern_vqa.serve.tasks import Preparing, SimilarCase

if TYPE_CHECKING:
    from discern_vqa.data.sample import Sample
    from discern_vqa.evaluation.predict import Predictor
    from discern_vqa.evaluation.similar_cases import SimilarCases

log = logging.getLogger("discern.serve")


@dataclass(frozen=True)
class CaseIndex:
    """The cases of one run, and where their images lie; `paths` is empty where the training images are not here."""

    cases: "SimilarCases"
    paths: dict[str, Path]

    def nearest_to(self, sample: "Sample", count: int) -> list[SimilarCase]:
        """The most similar cases, best first. Raises DataError, ImageError."""
        nearest = self.cases.nearest_to(sample, count)
        return [SimilarCase(**asdict(case), path=self.paths.get(case.image)) for case in nearest]


class CaseIndexes:
    """The index of each run. Used by one thread; what makes an index is another."""

    def __init__(self) -> None:
        self._made: dict[str, Future[CaseIndex]] = {}

    def of(self, name: str, predictor: "Predictor") -> CaseIndex:
        """The index of a run; the first call begins to make it.

        Raises Preparing: it is being made; whatever making it raised, once: the call after that begins anew.
        """
        if name not in self._made:
            future: Future[CaseIndex] = Future()
            self._made[name] = future
            thread = threading.Thread(target=_make, args=(predictor, future), name="discern-cases", daemon=True)
            thread.start()
        future = self._made[name]
        if not future.done():
            raise Preparing(
                f"the similar cases of {name} are being prepared: its training images are looked at once",
                hint="ask again in some seconds; questions are answered meanwhile",
            )
        if future.exception() is not None:
            del self._made[name]
        return future.result()

    def forget(self, images: Collection[str]) -> None:
        """Frees what is kept of these images of callers."""
        for future in self._made.values():
            if future.done() and future.exception() is None:
                future.result().cases.features.forget(images)


def _make(predictor: "Predictor", future: "Future[CaseIndex]") -> None:
    from discern_vqa.evaluation.similar_cases import SimilarCases

    try:
        future.set_result(CaseIndex(SimilarCases.of(predictor), _paths(predictor)))
    except Exception as error:  # handed to whoever asks next
        if not isinstance(error, DiscernError):
            log.error("%s while the similar cases were being prepared", type(error).__name__)
        future.set_exception(error)


def _paths(predictor: "Predictor") -> dict[str, Path]:
    """Where the training images lie: image -> file; those that are gone, and sets that cannot be read, are left out."""
    from discern_vqa.evaluation.opening import samples_of

    try:
        train, _ = samples_of(predictor.run).learning
    except DiscernError:
        return {}
    return {sample.image: sample.path for sample in train if sample.path.is_file()}
