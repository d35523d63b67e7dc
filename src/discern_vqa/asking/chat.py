"""A conversation with an endpoint: which requests go when, and what becomes of those that fail. Needs httpx; no torch.

The first requests go one by one until one is answered, so that what is wrong with all of them is said at once. A
request that the server refuses for good is answered by the reason; one that gets no answer after all tries is given
up, and asked again by the next command.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import httpx

from discern_vqa.asking import address
from discern_vqa.asking.replies import Reply
from discern_vqa.asking.requests import Channel, Keeper, Request
from discern_vqa.asking.sending import GaveUp, Refused, Sender, each, object_of
from discern_vqa.errors import ConfigError, RunError, did_you_mean

_FIRST = 3
"""So many requests go one by one at most."""
_IN_A_ROW = 5
"""So many requests that are given up one after the other end the work: the server is not what it was."""
_LISTED = 20


class Speaker(Protocol):
    """What is said to a server, and what is read from what it says (`outside.endpoint.Model`)."""

    def body(self, request: Request) -> dict[str, Any]:
        """What is sent. Raises ImageError."""

    def reply(self, answered: Mapping[str, Any], seconds: float, tries: int) -> Reply | None:
        """What a completion says; None where it is none."""


async def converse(channel: Channel, speaker: Speaker, requests: Sequence[Request], keeper: Keeper) -> None:
    """Asks all requests. Raises RunError, ConfigError: nothing answers, all are refused, or some were given up."""
    headers = {"Authorization": f"Bearer {channel.key}"} if channel.key else {}
    limits = httpx.Limits(max_connections=channel.concurrency)
    # A proxy of the environment never stands between this machine and itself.
    by_proxy = not address.is_this_machine(channel.endpoint)
    async with httpx.AsyncClient(
        headers=headers, limits=limits, timeout=channel.timeout, trust_env=by_proxy, follow_redirects=False
    ) as client:
        await _check_model(client, channel)
        work = _Round(channel, speaker, Sender(client, channel.tries), keeper)
        first = 0
        while first < len(requests) and not work.answered and first < _FIRST:
            await work.ask(requests[first])
            first += 1
        if not work.answered and work.refusals:
            raise _refused(channel, work.refusals[-1][1])
        work.keep_refusals()
        await each(requests[first:], channel.concurrency, work.ask)
    if failed := work.left_over():
        raise RunError(
            f"{len(failed):,} of {len(requests):,} requests have no answer: {failed[-1]}",
            hint="give the same command again: it asks those alone; what fails again counts as unanswered",
        )


async def _check_model(client: httpx.AsyncClient, channel: Channel) -> None:
    """Raises RunError where nothing answers, ConfigError where the server lists its models and has none of that name. A
    server that does not list them is asked all the same."""
    try:
        response = await client.get(f"{channel.endpoint}/models", timeout=min(10.0, channel.timeout))
    except httpx.ConnectError as error:
        raise RunError(
            f"nothing answers at {channel.endpoint}: {error or type(error).__name__}",
            hint="start the server (docs/outside_models.md has a command for each), or correct model.endpoint",
        ) from error
    except httpx.HTTPError:
        return
    listed = (object_of(response) or {}).get("data") if response.is_success else None
    entries = listed if isinstance(listed, list) else []
    names = [str(entry["id"]) for entry in entries if isinstance(entry, dict) and "id" in entry]
    if names and channel.model not in names:
        known = f"it has: {', '.join(names[:_LISTED])}"
        raise ConfigError(
            f"{channel.endpoint} has no model {channel.model!r}", hint=did_you_mean(channel.model, names, known)
        )


def _refused(channel: Channel, error: Refused) -> RunError:
    key = "check the key" if channel.key else "name the environment variable of your key: --set model.key_from=NAME"
    hints = {
        401: key,
        403: key,
        404: "check model.endpoint (with /v1 at its end, for most servers) and model.model",
        413: "send smaller images: --set model.longest_side=512",
    }
    hint = hints.get(error.status, "check that the model takes images; smaller ones: --set model.longest_side=512")
    return RunError(f"{channel.endpoint} refuses the request: {error}", hint=hint)


class _Round:
    """The requests of one call, and what became of them."""

    def __init__(self, channel: Channel, speaker: Speaker, sender: Sender, keeper: Keeper) -> None:
        self.channel, self.speaker, self.sender, self.keeper = channel, speaker, sender, keeper
        self.url = f"{channel.endpoint}/chat/completions"
        self.answered = 0
        self.refusals: list[tuple[Request, Refused]] = []  # before anything was answered: all may be refused
        self.given_up: list[tuple[Request, str, int]] = []  # with how many had been answered by then
        self._in_a_row = 0

    async def ask(self, request: Request) -> None:
        """Keeps the reply to one request, or what stands for it. Raises RunError where the work cannot go on."""
        body = await asyncio.to_thread(self.speaker.body, request)
        began = time.monotonic()
        try:
            answered, tries = await self.sender.post(self.url, body)
        except Refused as error:
            if error.status in (401, 403, 404):
                raise _refused(self.channel, error) from error
            if self.answered:
                self.keeper.keep(request, Reply(problem=str(error)))
            else:
                self.refusals.append((request, error))
            return
        except GaveUp as error:
            self.give_up(request, str(error))
            return
        reply = self.speaker.reply(answered, time.monotonic() - began, tries)
        if reply is None:
            self.give_up(request, "an answer without choices: this is no chat completion")
            return
        self.answered += 1
        self._in_a_row = 0
        self.keeper.keep(request, reply)

    def keep_refusals(self) -> None:
        """The first requests that were refused while a later one was answered: they are at fault themselves."""
        for request, error in self.refusals:
            self.keeper.keep(request, Reply(problem=str(error)))
        self.refusals = []

    def left_over(self) -> list[str]:
        """Why requests have no answer that are to be asked again; what is final by now is kept as that."""
        why = []
        for request, reason, answered_then in self.given_up:
            if self.keeper.is_final(request, self.answered > answered_then):
                self.keeper.keep(request, Reply(problem=reason))
            else:
                why.append(reason)
        return why

    def give_up(self, request: Request, why: str) -> None:
        """Raises RunError where the server gives no answers any more."""
        self.keeper.give_up(request, why)
        self.given_up.append((request, why, self.answered))
        self._in_a_row += 1
        if self._in_a_row >= (_IN_A_ROW if self.answered else _FIRST):
            raise RunError(
                f"{self.channel.endpoint} gives no answers: {why}",
                hint="what was answered is kept, and the same command goes on; --set model.concurrency=1 and a longer"
                " model.timeout ask less of the server",
            )
