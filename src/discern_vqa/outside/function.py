"""*function*: a function of one's own that answers, in this process.

    def answer(batch: list[tuple[PIL.Image.Image, str]]) -> list[str]: ...

It gets images ("RGB", 8 bits, upright) with the questions as they are (followed by the answers that they offer, if any,
a line each with its letter), and returns a text for each, or, with
`confidence = "verbal"`, pairs of a text and a number from 0 to 1.
"""

import hashlib
import importlib
import inspect
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import Field

from discern_vqa.asking.replies import Reply
from discern_vqa.asking.requests import Keeper, Request
from discern_vqa.asking.tables import AskedTable
from discern_vqa.asking.wording import CONFIDENCE_LINE
from discern_vqa.errors import ConfigError, DiscernError, RunError
from discern_vqa.own_packages import import_own

Function = Callable[[list[tuple[Image.Image, str]]], Sequence[str | tuple[str, float]]]
"""What answers."""
SHAPE = "a function that takes a list of (image, question) and returns a list of texts"


class Config(AskedTable):
    """[model] of a recipe."""

    function: str = ""
    """What answers, as "module:function"; the module is looked for here and where Python looks."""
    batch: int = Field(8, ge=1)
    """The number of questions that the function gets at a time."""


class Model:
    """See `asking.requests.OutsideModel`."""

    def __init__(self, config: Config) -> None:
        """Raises ConfigError: there is no such module or function, or its code does not run."""
        self.config = config
        if config.confidence == "logprobs":
            raise ConfigError(
                'model.confidence = "logprobs": a function returns texts', hint="--set model.confidence=verbal"
            )
        self.function = _imported(config.function)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The function's name, and a digest of its code."""
        return {"function": self.config.function, "code": _digest_of_code(self.function)}

    def ask(self, requests: Sequence[Request], keeper: Keeper) -> None:
        """See OutsideModel."""
        for start in range(0, len(requests), self.config.batch):
            batch = requests[start : start + self.config.batch]
            began = time.monotonic()
            texts = self._called(batch)
            each = (time.monotonic() - began) / len(batch)
            for request, text in zip(batch, texts, strict=True):
                keeper.keep(request, Reply(text=text, seconds=round(each, 3)))

    def _called(self, batch: Sequence[Request]) -> list[str]:
        """Raises RunError: the function failed, or returned something else than it should."""
        name = self.config.function
        asked = [(request.shown.image().convert("RGB"), request.prompt) for request in batch]
        try:
            answered = self.function(asked)
        except DiscernError:
            raise
        except Exception as error:  # the function is the user's, and may raise anything
            place = inspect.trace()[-1]
            raise RunError(
                f"{name} failed on {batch[0].prompt!r} ({batch[0].shown.what} image): {type(error).__name__}: {error}"
                f" ({place.filename}:{place.lineno})",
                hint="correct the function; a run folder keeps what was answered, and the same command goes on",
            ) from error
        if not isinstance(answered, list | tuple) or len(answered) != len(batch):
            count = f"{len(answered)} answers" if isinstance(answered, list | tuple) else type(answered).__name__
            raise RunError(f"{name} returned {count} to {len(batch)} questions", hint=f"expected {SHAPE}")
        return [self._text(answer) for answer in answered]

    def _text(self, answer: object) -> str:
        if isinstance(answer, str):
            return answer.strip()
        if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], str):
            text, confidence = answer
            if isinstance(confidence, Real) and 0 <= float(confidence) <= 1:
                return f"{text.strip()}{CONFIDENCE_LINE.format(100 * float(confidence))}"
        raise RunError(
            f"{self.config.function} returned {type(answer).__name__} {str(answer)[:60]!r} for an answer",
            hint="expected a text, or a pair of a text and a number from 0 to 1",
        )


_PROVIDED: ContextVar[tuple[str, Function] | None] = ContextVar("provided", default=None)


@contextmanager
def provided(function: Function) -> Iterator[str]:
    """For a function that a Python program has at hand: inside the block a recipe's `model.function` may name it by the
    name that is given here, "module:name", whether or not it can be imported."""
    named = f"{_written(function).__module__}:{_written(function).__qualname__}"
    token = _PROVIDED.set((named, function))
    try:
        yield named
    finally:
        _PROVIDED.reset(token)


def _written(function: object) -> Any:
    """The function or class whose code is run: of a partial the function in it, of an object its class."""
    while isinstance(function, partial):
        function = function.func
    return function if inspect.isroutine(function) else type(function)


def _digest_of_code(function: object) -> str:
    """Of the file that it stands in; of its own lines where there is no such file (in a notebook); "" where there are
    none."""
    try:
        file = Path(inspect.getsourcefile(_written(function)) or os.devnull)
        code = file.read_bytes() if file.is_file() else inspect.getsource(_written(function)).encode()
    except (OSError, TypeError):  # typed at a prompt, or compiled
        return ""
    return hashlib.sha256(code).hexdigest()


def _imported(named: str) -> Callable[[list[tuple[Any, str]]], object]:
    given = _PROVIDED.get()
    if given is not None and given[0] == named:
        return given[1]
    module, separator, name = named.partition(":")
    if not separator or not module or not name.isidentifier():
        raise ConfigError(
            f"model.function = {named!r}; expected module:function", hint="--set model.function=mymodel:answer"
        )
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)
        importlib.invalidate_caches()
    function = getattr(import_own(module), name, None)
    if not callable(function):
        raise ConfigError(f"{module} has no function {name!r}", hint=f"define it in {module}.py: {SHAPE}")
    return function  # type: ignore[no-any-return]
