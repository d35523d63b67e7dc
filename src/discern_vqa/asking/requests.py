"""A request: a question about an image as it is sent to somebody else's model, and what keeps and counts them. No torch
here."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from discern_vqa.asking.images import Shown
from discern_vqa.asking.replies import Replies, Reply

Progress = Callable[[int, int], None]
"""Is told how many requests are answered, and how many there are."""


@dataclass(frozen=True)
class Request:
    """What is sent once.

    question: the user's words alone, which a Python function gets. prompt: what a model that reads text gets. number:
    0, 1, ... of requests that are otherwise the same.
    """

    shown: Shown
    question: str
    prompt: str
    number: int = 0

    def digest(self, settings: Mapping[str, Any]) -> str:
        """Of the image's bytes, the words, and what decides the answers otherwise. Raises ImageError."""
        about = [self.shown.digest(), self.question, self.prompt, self.number, settings]
        return hashlib.sha256(json.dumps(about, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True)
class Channel:
    """How a model behind an address is reached. key: "" for none; concurrency: requests under way at a time; timeout:
    in seconds; tries: of each request."""

    endpoint: str
    model: str
    key: str = field(repr=False)
    concurrency: int
    timeout: float
    tries: int


Keep = Callable[[Request, Reply], None]
GiveUp = Callable[[Request, str], bool]
"""Told of a request that was given up, and why; returns whether its place is taken by this reason for good."""


class OutsideModel(Protocol):
    """A model that is not ours, ready to be asked (`outside/*.py`: `Model`)."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that decides its answers besides image and words; JSON values."""

    def ask(self, requests: Sequence[Request], keep: Keep, give_up: GiveUp) -> None:
        """Asks each request and hands its reply to `keep` as it comes, in any order. Raises RunError or ConfigError
        where it cannot go on; what was kept until then stays."""


@dataclass(eq=False)
class Interview:
    """A model and its replies so far."""

    model: OutsideModel
    replies: Replies

    @cached_property
    def _settings(self) -> Mapping[str, Any]:
        return self.model.settings

    def digest(self, request: Request) -> str:
        """The name of a request in the file of replies."""
        return request.digest(self._settings)

    def open(self, requests: Sequence[Request]) -> dict[str, Request]:
        """Those that were not asked yet, each once, by their digests. Raises ImageError."""
        by_digest = {self.digest(request): request for request in requests}
        return {digest: request for digest, request in by_digest.items() if self.replies.get(digest) is None}

    def replies_to(self, requests: Sequence[Request], progress: Progress = lambda done, total: None) -> list[Reply]:
        """One reply to each, in order; what was not asked yet is asked now."""
        digests = [self.digest(request) for request in requests]
        todo = self.open(requests)
        if todo:
            self._ask(todo, progress)
        return [self.replies.of(digest) for digest in digests]

    def _ask(self, todo: Mapping[str, Request], progress: Progress) -> None:
        digests = {request: digest for digest, request in todo.items()}
        done, total = 0, len(todo)
        progress(done, total)

        def keep(request: Request, reply: Reply) -> None:
            nonlocal done
            self.replies.add(digests[request], reply)
            done += 1
            progress(done, total)

        # A server that fails every request must not make all of them unanswerable at its second try.
        only_failed_ones = all(self.replies.has_failed(digest) for digest in todo)

        def give_up(request: Request, why: str) -> bool:
            if self.replies.has_failed(digests[request]) and (done or only_failed_ones):
                keep(request, Reply(problem=why))
                return True
            self.replies.add_failure(digests[request], why)
            return False

        with self.replies:
            self.model.ask(list(todo.values()), keep, give_up)
