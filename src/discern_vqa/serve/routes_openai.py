"""OpenAI's shape of a question, for programs and evaluation kits that speak it. No address is ever fetched."""

import base64
import binascii
import math
import re
import time
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from discern_vqa.serve.images import Held
from discern_vqa.serve.problems import Problem
from discern_vqa.serve.routes_answers import ask
from discern_vqa.serve.shared import Running, errors

router = APIRouter()
_DATA_URI = re.compile(r"data:(?:image/[\w.+-]+|application/(?:dicom|octet-stream));base64,", re.ASCII)
_LEAST = 1e-9  # a probability of 0 has no logarithm


class _Loose(BaseModel):
    model_config = ConfigDict(extra="allow")  # kits send temperature, max_tokens and more, which mean nothing here


class ChatMessage(_Loose):
    role: Annotated[str, Field(max_length=32)]
    content: str | list[dict[str, Any]] | None = None


class ChatBody(_Loose):
    model: Annotated[str, Field(max_length=256)] = ""
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=64)]
    logprobs: bool | None = False
    top_logprobs: Annotated[int | None, Field(ge=0, le=20)] = None
    stream: bool | None = False


@router.get("/v1/models", responses=errors(503))
async def models(service: Running) -> dict[str, Any]:
    """The runs, as OpenAI lists models."""
    service.run("")
    listed = [{"id": name, "object": "model", "created": 0, "owned_by": "discern"} for name in service.settings.runs]
    return {"object": "list", "data": listed}


@router.post("/v1/chat/completions", responses=errors(404, 408, 413, 415, 422, 503, 504) | {400: errors(422)[422]})
async def chat(body: ChatBody, request: Request, service: Running) -> dict[str, Any]:
    """Answers the last user text about the one image of the messages."""
    if body.stream:
        raise Problem(400, "answers are one word or two: they are not streamed", "leave out stream")
    run = service.run(body.model)
    text, uris = _asked(body.messages)
    if not text.strip():
        raise Problem(400, "the last user message has no text", "ask a question in a part of the type text")
    if len(uris) != 1:
        raise Problem(400, f"the messages hold {len(uris)} images; expected one", "send it as an image_url part")
    content = _decoded(uris[0])
    # Under a name of its own: what a program asks about is not listed among the images that a person uploaded.
    owner = f"chat/{request.state.user}"
    held: list[Held] = await service.in_thread(service.images.add, owner, [content])
    request.state.image = held[0].digest
    frame = held[0].frame()
    held[0].keys.add(frame.key)
    (entry,), _ = await ask(request, service, run, frame, [text])
    if entry["error"] is not None:
        raise Problem(400, entry["error"]["detail"], entry["error"].get("hint", ""))
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": entry["answer"], "refusal": None},
        "finish_reason": "stop",
        "logprobs": _logprobs(entry, body.top_logprobs or 0) if body.logprobs else None,
    }
    return {
        "id": f"chatcmpl-{request.state.request_id}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": run,
        "choices": [choice],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        "discern": entry,
    }


def _asked(messages: list[ChatMessage]) -> tuple[str, list[str]]:
    """The last user text, and the addresses of all images."""
    text, uris = "", list[str]()
    for message in messages:
        given = message.content
        parts: list[dict[str, Any]] = given if isinstance(given, list) else [{"type": "text", "text": given}]
        texts = [str(part.get("text") or "") for part in parts if part.get("type") == "text"]
        if message.role == "user" and any(part.strip() for part in texts):
            text = "\n".join(texts)
        for part in parts:
            if part.get("type") == "image_url":
                address = part.get("image_url")
                uris.append(str(address.get("url", "") if isinstance(address, dict) else address))
    return text, list(dict.fromkeys(uris))


def _decoded(uri: str) -> bytes:
    head = _DATA_URI.match(uri)
    if head is None:
        raise Problem(400, "the image is no data URI, and no address is fetched", "data:image/png;base64,...")
    try:
        content = base64.b64decode(uri[head.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise Problem(400, "the image's base64 cannot be read", "encode the file's bytes as base64") from error
    if not content:
        raise Problem(400, "the image is empty", "encode the file's bytes as base64")
    return content


def _logprobs(entry: dict[str, Any], count: int) -> dict[str, Any]:
    """Each answer as one token, with the logarithm of its score."""

    def token(text: str, score: float) -> dict[str, Any]:
        return {"token": text, "logprob": math.log(max(score, _LEAST)), "bytes": list(text.encode("utf-8"))}

    top = [token(text, score) for text, score in entry["alternatives"][:count]]
    return {"content": [token(entry["answer"], entry["score"]) | {"top_logprobs": top}], "refusal": None}
