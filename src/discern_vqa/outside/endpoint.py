"""*endpoint*: a model behind an address that speaks as OpenAI's chat completions do (vLLM, SGLang, Ollama, TGI, ...).

Each question is one message: the image as a data URI, then the prompt. Nothing is sent anywhere but to
`model.endpoint`, which stands in the recipe or on the command line: redirections are not followed.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any

from pydantic import Field

from discern_vqa.asking import address
from discern_vqa.asking.replies import Reply
from discern_vqa.asking.requests import Channel, Keeper, Request
from discern_vqa.asking.tables import WritingTable
from discern_vqa.errors import ConfigError


class Config(WritingTable):
    """[model] of a recipe."""

    endpoint: str = ""
    """The address, with the version: "http://127.0.0.1:8000/v1". Nothing is sent anywhere else."""
    model: str = ""
    """The model's name, as the server lists it."""
    system: str = ""
    """A system message before each question; "": none."""
    extra: dict[str, Any] = {}
    """Further fields of each request, as the server knows them: {top_p = 0.9}; they win over those of this program."""
    key_from: str = ""
    """The environment variable that holds the key; the key itself stands nowhere. "": no key is sent."""
    concurrency: int = Field(8, ge=1, le=256)
    """The number of requests that are under way at a time."""
    timeout: float = Field(180.0, gt=0)
    """The seconds after which a request without an answer is tried again."""
    tries: int = Field(6, ge=1, le=20)
    """How often a request is tried."""
    send_own_images: bool = False
    """Images of one's own may be sent to an address that is not this machine. Those of public data sets always may."""


class Model:
    """See `asking.requests.OutsideModel`."""

    def __init__(self, config: Config) -> None:
        """Raises ConfigError: no address or no model is named, or the key is not set."""
        self.config = config
        if not config.endpoint or not config.model:
            missing = "endpoint" if not config.endpoint else "model"
            raise ConfigError(
                f"model.{missing} is not set: nothing says {'where' if missing == 'endpoint' else 'whom'} to ask",
                hint="--set model.endpoint=http://127.0.0.1:8000/v1 --set model.model=NAME",
            )
        self.endpoint = address.checked(config.endpoint)
        self._key = address.key_of(config.key_from)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The address is not among them: a server may move while the work goes on."""
        config = self.config
        keys = ("model", "system", "temperature", "max_tokens", "extra")
        return {key: getattr(config, key) for key in keys} | {"logprobs": config.confidence == "logprobs"}

    def ask(self, requests: Sequence[Request], keeper: Keeper) -> None:
        """See OutsideModel. A request that the server refuses for good is answered by the reason."""
        if find_spec("httpx") is None:
            raise ConfigError(
                "httpx, which sends the questions, is not installed", hint="pip install 'discern-vqa[outside]'"
            )
        from discern_vqa.asking.chat import converse

        config = self.config
        how = Channel(self.endpoint, config.model, self._key, config.concurrency, config.timeout, config.tries)
        work = converse(how, self, requests, keeper)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(work)
        else:  # inside somebody's own loop, as in a notebook
            with ThreadPoolExecutor(1) as pool:
                pool.submit(asyncio.run, work).result()

    def body(self, request: Request) -> dict[str, Any]:
        """What is sent. Raises ImageError."""
        config = self.config
        content = [
            {"type": "image_url", "image_url": {"url": request.shown.data_uri()}},
            {"type": "text", "text": request.prompt},
        ]
        system = [{"role": "system", "content": config.system}] if config.system else []
        body: dict[str, Any] = {
            "model": config.model,
            "messages": [*system, {"role": "user", "content": content}],
            "temperature": config.temperature,
        }
        body |= {"max_tokens": config.max_tokens} if config.max_tokens else {}
        body |= {"logprobs": True} if config.confidence == "logprobs" else {}
        return body | config.extra

    def reply(self, answered: Mapping[str, Any], seconds: float, tries: int) -> Reply | None:
        """What a completion says; None where it is none. Raises ConfigError where probabilities were asked for and are
        not there."""
        try:
            choice = answered["choices"][0]
            content = choice["message"].get("content")
        except (LookupError, TypeError, AttributeError):
            return None
        if isinstance(content, list):
            parts = [part.get("text", "") for part in content if isinstance(part, dict)]
            content = "".join(part for part in parts if isinstance(part, str))
        usage = answered.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        return Reply(
            text=content.strip() if isinstance(content, str) else "",
            finish=str(choice.get("finish_reason") or ""),
            probability=self._probability(choice) if self.config.confidence == "logprobs" else None,
            sent=_count(usage.get("prompt_tokens")),
            written=_count(usage.get("completion_tokens")),
            seconds=round(seconds, 3),
            tries=tries,
        )

    def _probability(self, choice: Mapping[str, Any]) -> float:
        """Of all tokens of the answer together."""
        tokens = (choice.get("logprobs") or {}).get("content") or []
        logs = [
            log for token in tokens if isinstance(token, dict) and isinstance(log := token.get("logprob"), float | int)
        ]
        if not logs or len(logs) < len(tokens):
            raise ConfigError(
                f"{self.endpoint} does not say how probable its answers are (logprobs)",
                hint="ask the model for a number instead: --set model.confidence=verbal",
            )
        return math.exp(min(0.0, math.fsum(logs)))


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
