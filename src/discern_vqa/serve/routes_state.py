"""Whether the service lives, what it counts, and what its runs are."""

import importlib.util
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from discern_vqa.dicom_out import KINDS
from discern_vqa.serve.bodies import StatusBody, SuggestionsBody
from discern_vqa.serve.problems import Problem, ending
from discern_vqa.serve.shared import Running, errors
from discern_vqa.serve.told import model_fields

router = APIRouter()
RunName = Annotated[str, Query(max_length=256, description="none: the first run of the service")]


@router.get("/livez", response_model=StatusBody, responses=errors())
async def livez() -> Any:
    """Whether the process runs."""
    return {"status": "alive"}


@router.get("/readyz", response_model=StatusBody, responses=errors(503))
async def readyz(service: Running) -> Any:
    """Whether questions can be asked: the runs are open, and the service is not ending."""
    if service.gate.ends:
        raise ending()
    if not service.is_ready:
        raise Problem(503, "the models are still loading", "try again in some seconds", 2)
    return {"status": "ready"}


@router.get("/metrics", response_class=Response, responses={**errors(), 200: {"content": {"text/plain": {}}}})
async def metrics(service: Running) -> Response:
    """What the service counts, for Prometheus."""
    return Response(service.metrics.text(), media_type=service.metrics.media_type)


@router.get("/v1/model", responses=errors(404, 422, 503))
async def model(service: Running, run: RunName = "") -> dict[str, Any]:
    """What a run is, and how good."""
    name = service.run(run)
    facts = service.facts[name]
    told = model_fields(name, list(service.settings.runs), service.files[name], facts)
    return told | {
        "corrections": service.corrections is not None,
        "dicomweb": bool(service.settings.dicomweb),
        "dicom": list(KINDS) if importlib.util.find_spec("highdicom") else [],
    }


@router.get("/v1/suggestions", response_model=SuggestionsBody, responses=errors(404, 422, 503))
async def suggestions(service: Running, run: RunName = "", limit: Annotated[int, Query(ge=1, le=200)] = 12) -> Any:
    """Questions that are frequent in the run's stored predictions, and the answers that it can give."""
    files = service.files[service.run(run)]
    return {
        "questions": [{"text": text, "count": count} for text, count in files.questions[:limit]],
        "answers": list(files.answers),
    }
