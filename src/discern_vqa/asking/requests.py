"""A request: a question about an image as it is sent to somebody else's model, and what keeps and counts them. No torch
here."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from discern_vqa.asking.images import SentImages, Shown
from discern_vqa.asking.replies import Replies, Reply

_SAVED_EVERY = 50
"""Images: a quarter of a minute where the processor is busy."""
Progress = Callable[[int, int], None]
"""Is told how many are done, and how many there are."""


@dataclass(frozen=True)
class Request:
    """What is sent once.

    prompt: the words; number: 0, 1, ... of requests that are otherwise the same.
    """

    shown: Shown
    prompt: str
    number: int = 0

    def digest(self, settings: Mapping[str, Any], image: str) -> str:
        """Of the image's bytes, whose digest is `image`, the words, and what decides the answers otherwise."""
        about = [image, self.prompt, self.number, settings]
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


@dataclass
class Keeper:
    """Keeps what becomes of requests, while they are asked."""

    replies: Replies
    digests: Mapping[Request, str]  # of all that are asked
    progress: Progress

    def __post_init__(self) -> None:
        self._done = 0
        self._only_failed_ones = all(map(self.replies.failures, self.digests.values()))
        self.progress(self._done, len(self.digests))

    def keep(self, request: Request, reply: Reply) -> None:
        """The reply to a request, on the disk."""
        self.replies.add(self.digests[request], reply)
        self._done += 1
        self.progress(self._done, len(self.digests))

    def give_up(self, request: Request, why: str) -> None:
        """A request has no answer after all tries."""
        self.replies.add_failure(self.digests[request], why)

    def is_final(self, request: Request, others_were_answered: bool) -> bool:
        """Whether a request that was given up stays without an answer: not where the server may have been down.

        It failed in an earlier command too, and others were answered after it in this one; or nothing else is left to
        ask, and it failed in two earlier commands.
        """
        failures = self.replies.failures(self.digests[request])
        return failures > 0 if others_were_answered else self._only_failed_ones and failures > 1


class OutsideModel(Protocol):
    """A model that is not ours, ready to be asked (`outside/*.py`: `Model`)."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that decides its answers besides image and words; JSON values."""

    def ask(self, requests: Sequence[Request], keeper: Keeper) -> None:
        """Asks each request and has its reply kept as it comes, in any order. Raises RunError or ConfigError where it
        cannot go on; what was kept until then stays."""


@dataclass(eq=False)
class Interview:
    """A model and its replies so far."""

    model: OutsideModel
    replies: Replies
    images: SentImages

    @cached_property
    def _settings(self) -> Mapping[str, Any]:
        return self.model.settings

    def digest(self, request: Request) -> str:
        """The name of a request in the file of replies. Raises ImageError."""
        return request.digest(self._settings, self.images.digest(request.shown))

    def prepare(self, requests: Sequence[Request], progress: Progress) -> None:
        """Makes every image that is to be sent, to know it by what is sent. Raises ImageError."""
        shown = list(dict.fromkeys(request.shown for request in requests))
        try:
            for number, one in enumerate(shown):
                progress(number, len(shown))
                self.images.digest(one)
                if number % _SAVED_EVERY == _SAVED_EVERY - 1:  # a process that is killed makes so many anew
                    self.images.save()
        finally:
            self.images.save()

    def open(self, requests: Sequence[Request]) -> dict[str, Request]:
        """Those that were not asked yet, each once, by their digests. Raises ImageError."""
        by_digest = {self.digest(request): request for request in requests}
        return {digest: request for digest, request in by_digest.items() if self.replies.get(digest) is None}

    def replies_to(self, requests: Sequence[Request], progress: Progress = lambda done, total: None) -> list[Reply]:
        """One reply to each, in order; what was not asked yet is asked now."""
        digests = [self.digest(request) for request in requests]
        todo = self.open(requests)
        if todo:
            keeper = Keeper(self.replies, {request: digest for digest, request in todo.items()}, progress)
            with self.replies:
                self.model.ask(list(todo.values()), keeper)
        return [self.replies.of(digest) for digest in digests]
