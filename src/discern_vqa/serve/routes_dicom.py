"""Answers as DICOM objects, for images that were DICOM."""

import importlib.util
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from discern_vqa.data.answers import Answer
from discern_vqa.dicom_out.reported import Reported
from discern_vqa.serve import archive
from discern_vqa.serve.bodies import ExplainBody
from discern_vqa.serve.problems import Problem, of_error
from discern_vqa.serve.routes_answers import asked_for
from discern_vqa.serve.shared import CHANGES, Running, errors
from discern_vqa.serve.tasks import DrawHeat

router = APIRouter()
Kind = Literal["sr", "sc", "pdf", "seg", "gsps"]


class DicomBody(ExplainBody):
    kinds: Annotated[list[Kind], Field(min_length=1, max_length=5)] = ["sr", "sc"]
    store: bool = False
    heat: Annotated[bool, Field(description="draw the heat map beside the answer; always with seg and gsps")] = False


@router.post(
    "/v1/dicom",
    response_class=Response,
    responses={
        **errors(403, 404, 408, 413, 415, 422, 502, 503, 504),
        200: {"content": {"application/zip": {}, "application/json": {}}, "description": "files, or what was stored"},
    },
    dependencies=CHANGES,
)
async def dicom(body: DicomBody, request: Request, service: Running) -> Response:
    """The answer to a question as DICOM objects: a ZIP file, or stored in the archive of the service."""
    if importlib.util.find_spec("highdicom") is None:
        raise Problem(422, "this service cannot write DICOM", "pip install 'discern-vqa[dicom-out]'")
    url = archive.url_of(service) if body.store else ""
    run = service.run(body.run)
    _, frame = service.frame(request, body.image, body.frame, body.window, body.axis)
    question = asked_for(service, run, frame, body.question)
    answered = await service.turn(request, service.worker.answer([question]))
    (result,) = answered.results
    if not isinstance(result, Answer):
        raise of_error(result)
    reported = Reported(question.text, result.verdict, result.mode, result.notes)
    heat = None
    if body.heat or {"seg", "gsps"} & set(body.kinds):
        heat = await service.turn(request, service.worker.do(DrawHeat(question, body.method)))
    files = service.files[run]
    info = archive.info_of(run, files.model, files.weights)
    kinds: list[str] = list(dict.fromkeys(body.kinds))
    made: list[Any] = await service.in_thread(archive.objects, frame.path, reported, info, kinds, heat)
    if body.store:
        return JSONResponse({"stored": await service.in_thread(archive.store, url, made)})
    content = await service.in_thread(archive.packed, made)
    return Response(content, media_type="application/zip")
