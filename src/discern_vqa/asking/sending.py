"""Requests over HTTP: some at a time, tried again with growing pauses. No torch here.

Tried again is what may pass: no connection, no answer in time, 408, 409, 425, 429 and 5xx. A server that says how long
to wait (`Retry-After`) is obeyed, by all requests alike. Every other refusal is final.
"""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx

from discern_vqa.errors import RunError

PASSING = frozenset((408, 409, 425, 429))
FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 60.0
"""The pause between two tries doubles from the first of these to the second."""
LONGEST_ASKED_S = 600.0
"""A server that asks for a longer pause than this is not waited for."""
GRACE_S = 5.0
"""So long answers that are under way are waited for after an interruption; they are paid for already."""
_QUOTED = 300

T = TypeVar("T")


class Refused(Exception):
    """A final refusal, with the status of HTTP; the request may be at fault."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(f"HTTP {status}: {why}")
        self.status = status


class GaveUp(Exception):
    """No answer after all tries. `answers`: whether there is a server at all."""

    def __init__(self, why: str, answers: bool) -> None:
        super().__init__(why)
        self.answers = answers


@dataclass
class Sender:
    """Sends JSON to one address.

    client: an open client. tries: how often a request is tried at most.
    """

    client: httpx.AsyncClient
    tries: int
    _not_before: float = field(default=0.0, init=False)  # on the monotonic clock; for all requests

    async def post(self, url: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
        """(the object that is answered, how many tries it took). Raises Refused, GaveUp, RunError."""
        why, answers = "", False
        content = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        for attempt in range(1, self.tries + 1):
            while (left := self._not_before - time.monotonic()) > 0:
                await asyncio.sleep(left)
            pause: float | None = None
            try:
                response = await self.client.post(url, content=content, headers=headers)
            except httpx.TimeoutException as error:
                why, answers = f"no answer within the time ({type(error).__name__})", True
            except httpx.TransportError as error:
                why, answers = f"{type(error).__name__}: {error or 'the connection was lost'}", False
            except httpx.InvalidURL as error:
                raise Refused(0, str(error)) from error
            else:
                answers = True
                passing = response.status_code in PASSING or response.status_code >= 500
                if passing:
                    why = f"HTTP {response.status_code}: {reason_of(response)}"
                    pause = asked_pause(response.headers.get("Retry-After", ""))
                elif response.is_success:
                    answered = object_of(response)
                    if answered is not None:
                        return answered, attempt
                    why = f"an answer that is no JSON object: {shortened(response.text)!r}"
                else:
                    raise Refused(response.status_code, reason_of(response))
            if attempt < self.tries:
                await self._wait(attempt, pause)
        raise GaveUp(f"{why} (tried {self.tries} times)", answers)

    async def _wait(self, attempt: int, asked: float | None) -> None:
        if asked is not None and asked > LONGEST_ASKED_S:
            raise RunError(
                f"the server asks for a pause of {asked:,.0f} s", hint="give the same command later: it goes on"
            )
        if asked is not None:  # everybody waits: the limit is the client's, not the request's
            self._not_before = max(self._not_before, time.monotonic() + asked)
        grown = min(_LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (attempt - 1))
        if asked is None:
            await asyncio.sleep(grown * random.uniform(0.75, 1.25))  # so that not all come back at once


def asked_pause(header: str) -> float | None:
    """The seconds that `Retry-After` asks for, as a number or as a date; None where it says nothing."""
    header = header.strip()
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(header)
    except ValueError:
        return None
    when = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def object_of(response: httpx.Response) -> dict[str, Any] | None:
    """The JSON object of a response; None where it is something else."""
    try:
        answered = response.json()
    except (ValueError, RecursionError):
        return None
    return answered if isinstance(answered, dict) else None


def reason_of(response: httpx.Response) -> str:
    """What the server says is wrong, in one line."""
    answered = object_of(response) or {}
    error = answered.get("error", answered.get("detail", answered.get("message")))
    said = error.get("message", error) if isinstance(error, dict) else error
    return shortened(str(said) if said else response.text or response.reason_phrase)


def shortened(text: str) -> str:
    """A text of somebody else's in one line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= _QUOTED else f"{line[:_QUOTED]}..."


async def each(items: Sequence[T], at_a_time: int, work: Callable[[T], Awaitable[None]]) -> None:
    """`work` of every item, so many at a time. The first exception ends all of it and is raised. When this is cancelled
    (Ctrl-C), nothing new begins, and what is under way gets `GRACE_S` to end."""
    waiting, ends = iter(items), False

    async def worker() -> None:
        for item in waiting:
            if ends:
                return
            await work(item)

    tasks = [asyncio.create_task(worker()) for _ in range(min(at_a_time, len(items)))]
    try:
        await asyncio.shield(asyncio.gather(*tasks))
    except asyncio.CancelledError:
        ends = True
        await asyncio.wait(tasks, timeout=GRACE_S)
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
