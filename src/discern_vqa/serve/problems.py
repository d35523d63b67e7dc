"""Errors as they go over HTTP: problems (RFC 9457) with what was given, what was expected, and a hint."""

import re
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from discern_vqa.dicomweb.connection import ArchiveError
from discern_vqa.errors import ConfigError, DataError, DiscernError
from discern_vqa.serve.tasks import Preparing

MEDIA_TYPE = "application/problem+json"
PREPARING = "preparing"
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
_HELD = re.compile(r"(?:the image )?(?:/proc/self/fd/\d+|\S*discern-held-\w+)(?:#[\w=:.+-]+)*")
"""Where an uploaded image lies, in a message of a reader: nobody outside knows that name."""
_COMMAND = re.compile(r"\b(?:gunzip|discern) ")


class Problem(HTTPException):
    """An error of a request. `code`: why, for the metrics: "busy", "left", "timeout", "image", "model",
    "preparing", or ""."""

    def __init__(self, status: int, detail: str, hint: str = "", retry_after: int = 0, code: str = "") -> None:
        super().__init__(status, detail, {"Retry-After": str(retry_after)} if retry_after else None)
        self.hint, self.code = hint, code

    def fields(self) -> dict[str, Any]:
        """The members of the problem."""
        title = _TITLES.get(self.status_code) or HTTPStatus(self.status_code).phrase
        told = {"type": "about:blank", "title": title, "status": self.status_code, "detail": str(self.detail)}
        return told | ({"hint": self.hint} if self.hint else {})

    def response(self, openai: bool = False) -> JSONResponse:
        """openai: with the `error` object that OpenAI's clients read."""
        fields = self.fields()
        if openai:
            kind = "invalid_request_error" if self.status_code < 500 else "server_error"
            message = " ".join(filter(None, (fields["detail"], self.hint)))
            fields["error"] = {"message": message, "type": kind, "param": None, "code": None}
        return JSONResponse(fields, self.status_code, dict(self.headers or {}), MEDIA_TYPE)


def of_error(error: DiscernError, code: str = "") -> Problem:
    """An error of ours as a problem; the place of an upload becomes "the image"."""
    if isinstance(error, Preparing):
        return Problem(503, str(error), error.hint, retry_after=5, code=PREPARING)
    # What is wrong with an image, a question or an option is the caller's to correct; a full disk is not.
    status = 502 if isinstance(error, ArchiveError) else 422 if isinstance(error, (ConfigError, DataError)) else 500
    hint = _without_place(error.hint)
    if _COMMAND.search(hint) and _HELD.search(error.hint):
        hint = "unpack or export the file, and upload it again"
    return Problem(status, _without_place(str(error)), hint, code=code)


def of_http(error: HTTPException) -> Problem:
    """An error of the framework as a problem."""
    if isinstance(error, Problem):
        return error
    if error.status_code == 400:  # the framework's word for a body that it cannot read
        return Problem(422, "the body is no JSON that can be read", "send JSON in UTF-8")
    hints = {404: "GET /openapi.json lists all routes", 405: "GET /openapi.json lists the methods of each route"}
    details = {404: "there is no such route", 405: "this route has no such method"}
    detail = details.get(error.status_code, str(error.detail))
    problem = Problem(error.status_code, detail, hints.get(error.status_code, ""))
    problem.headers = error.headers
    return problem


def busy(seconds: int = 1) -> Problem:
    return Problem(503, "too many requests are waiting", f"try again in {seconds} s", retry_after=seconds, code="busy")


def loading() -> Problem:
    return Problem(503, "the models are still loading", "try again in some seconds", 2, "busy")


def ending() -> Problem:
    return Problem(503, "the service is ending", "try again when it is back", retry_after=5, code="busy")


def _without_place(text: str) -> str:
    return _HELD.sub("the image", text)
