"""What to look at next, least certain first: of what was asked already, or of an archive's newest studies."""

import time
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from discern_vqa.dicomweb.address import Address
from discern_vqa.dicomweb.worklist import Worklist
from discern_vqa.serve import archive, bodies
from discern_vqa.serve.answerer import question_of
from discern_vqa.serve.images import Held
from discern_vqa.serve.problems import Problem
from discern_vqa.serve.routes_answers import ask, remember
from discern_vqa.serve.routes_images import told
from discern_vqa.serve.service import Service
from discern_vqa.serve.shared import CHANGES, Running, errors

router = APIRouter()
_OF_THE_IMAGE = (404, 413, 422)
"""Statuses that say what is wrong with one image; the others end the request."""


@router.get("/v1/next", response_model=bodies.NextBody, responses=errors(404, 422, 503))
async def next_cases(
    request: Request,
    service: Running,
    run: Annotated[str, Query(max_length=256)] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
) -> Any:
    """What was answered and not yet corrected, least certain first, of equally certain ones the more unusual."""
    items = _items(service.images.of(request.state.user), service.run(run))
    return {"items": items[:limit]}


@router.post(
    "/v1/next",
    response_model=bodies.NextOfArchive,
    responses=errors(403, 404, 408, 413, 415, 422, 502, 503, 504),
    dependencies=CHANGES,
)
async def next_of_archive(body: bodies.NextOfArchiveBody, request: Request, service: Running) -> Any:
    """Asks one question about the archive's newest studies: the middle image of each series, at most `most` of them.
    An image that cannot be answered is named under `failed`."""
    run, url = service.run(body.run), archive.url_of(service)
    question_of(run, "", Path(), body.question, most=service.settings.bounds.question)
    until = time.monotonic() + service.settings.bounds.answer
    listed: Worklist = await service.in_thread(archive.newest, url, body.most, body.date, body.modality)
    images, failed, digests = list[Held](), list[dict[str, str]](), list[str]()
    reached = 0
    for address in listed.addresses:
        if time.monotonic() > until:
            break
        reached += 1
        try:
            held, entry = await _asked_about(request, service, run, address, body.question)
        except Problem as problem:
            if problem.status_code not in _OF_THE_IMAGE:
                raise
            failed.append(_failed(address, str(problem.detail)))
            continue
        digests.append(held.digest[:16])
        images.append(held)
        if entry["error"] is not None:
            failed.append(_failed(address, entry["error"]["detail"]))
    request.state.image = ",".join(digests)
    not_reached = len(listed.addresses) - reached
    return {
        "items": [item for item in _items(images, run) if item["question"] == body.question.strip()],
        "images": [told(service, held) for held in images],
        "failed": failed,
        "studies": listed.studies,
        "left_out": listed.left_out + not_reached,
        "complete": listed.complete,
    }


async def _asked_about(
    request: Request, service: Service, run: str, address: Address, question: str
) -> tuple[Held, dict[str, Any]]:
    """An image of the archive, held for this user, and the entry of its answer. Raises Problem."""
    given = (service.settings.dicomweb, address.study, address.series, address.instance, service.settings.bounds)
    fetched: archive.Fetched = await service.in_thread(archive.fetch, *given)
    mine = (request.state.user, fetched.files, fetched.patient, fetched.study)
    (held,) = await service.in_thread(service.images.add, *mine)
    frame = held.frame()
    held.keys.add(frame.key)
    entries, _ = await ask(request, service, run, frame, [question])
    remember(held, run, frame, entries)
    return held, entries[0]


def _failed(address: Address, reason: str) -> dict[str, str]:
    return {"study": address.study, "series": address.series, "reason": reason}


def _items(images: list[Held], run: str) -> list[dict[str, Any]]:
    """What a run answered about these images, least certain first."""
    items = [entry for held in images for key, entry in held.asked.items() if key[0] == run]
    return sorted(items, key=lambda entry: (entry["confidence"], -len(entry["outside"])))
