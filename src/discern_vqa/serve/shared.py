"""What the files of routes share."""

from typing import Annotated, Any

from fastapi import Depends, Header, Request

from discern_vqa.serve.bodies import ProblemBody
from discern_vqa.serve.problems import MEDIA_TYPE
from discern_vqa.serve.service import Service


def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Running = Annotated[Service, Depends(service_of)]


def _told(x_discern: Annotated[str, Header(description="1: no page of another site can send this")] = "1") -> None:
    """Only for the description of the interface: `guards` refuses a request without the header."""


CHANGES = [Depends(_told)]


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer with, for the description of the interface."""
    schema = {"schema": {"$ref": "#/components/schemas/ProblemBody"}}
    told: dict[int | str, dict[str, Any]] = {
        status: {"model": ProblemBody, "description": "a problem", "content": {MEDIA_TYPE: schema}}
        for status in (401, 403, 404, 408, 413, 415, 421, 422, 500, 502, 503, 504)
        if status in (*statuses, 401, 421, 500)
    }
    return told
