"""Images: uploaded, looked at, let go of."""

import io
import time
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from PIL import Image
from pydantic import ValidationError

from discern_vqa.imaging.images import load_image, open_image
from discern_vqa.imaging.stored import StoredFrame, stored_frame
from discern_vqa.serve import archive
from discern_vqa.serve.bodies import FetchBody, ImageBody, ImagesBody, SeriesBody
from discern_vqa.serve.images import Held, window_fields
from discern_vqa.serve.problems import Problem
from discern_vqa.serve.service import Service
from discern_vqa.serve.shared import CHANGES, Running, errors
from discern_vqa.serve.uploads import files_of

router = APIRouter()
WindowName = Annotated[str, Query(max_length=64, description="a name, CENTRE:WIDTH or full")]
Axis = Annotated[str, Query(max_length=16, description="of a volume: axial, coronal, sagittal")]
_UPLOAD: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.post(
    "/v1/images",
    status_code=201,
    response_model=ImagesBody,
    responses=errors(403, 408, 413, 415, 422, 502, 503),
    dependencies=CHANGES,
    openapi_extra=_UPLOAD,
)
async def upload(request: Request, service: Running) -> Any:
    """Takes images into memory. DICOM files of one series become one image."""
    if request.headers.get("content-type", "").lower().startswith("application/json"):
        return await _fetch(request, service)
    files = await files_of(request, service.settings.bounds)
    return await _add(request, service, files)


async def _add(
    request: Request,
    service: Service,
    files: list[bytes],
    patient: dict[str, str] | None = None,
    study: dict[str, str] | None = None,
) -> dict[str, Any]:
    started = time.perf_counter()
    held: list[Held] = await service.in_thread(service.images.add, request.state.user, files, patient, study)
    service.metrics.preprocess.observe(time.perf_counter() - started)
    request.state.image = held[0].digest
    return {"images": [told(service, image) for image in held]}


async def _fetch(request: Request, service: Service) -> dict[str, Any]:
    """The images that a JSON body names, from the archive of the service. Raises Problem."""
    settings = service.settings
    url = archive.url_of(service)
    try:
        named = FetchBody.model_validate_json(await request.body()).dicomweb
    except ValidationError as error:
        raise Problem(422, "the body names no image of the archive", '{"dicomweb": {"study": UID}}') from error
    given = (url, named.study, named.series, named.instance, settings.bounds)
    fetched: archive.Fetched = await service.in_thread(archive.fetch, *given)
    return await _add(request, service, fetched.files, fetched.patient, fetched.study)


@router.get("/v1/series", response_model=SeriesBody, responses=errors(422, 502, 503))
async def series(service: Running, study: Annotated[str, Query(max_length=64, description="a UID")]) -> Any:
    """The series of a study of the archive that hold images."""
    return {"series": await service.in_thread(archive.series_of, archive.url_of(service), study)}


@router.get("/v1/images", response_model=ImagesBody, responses=errors())
async def images(request: Request, service: Running) -> Any:
    """The user's own images, the newest first."""
    return {"images": [told(service, held) for held in service.images.of(request.state.user)]}


@router.get("/v1/images/{id}", response_model=ImageBody, responses=errors(404))
async def image(id: str, request: Request, service: Running) -> Any:
    """One image."""
    return told(service, service.image(request, id))


@router.delete("/v1/images/{id}", status_code=204, responses=errors(403, 404), dependencies=CHANGES)
async def delete(id: str, request: Request, service: Running) -> None:
    """Lets go of an image."""
    service.image(request, id)
    service.images.remove(request.state.user, id)


@router.get(
    "/v1/images/{id}/frames/{number}",
    response_class=Response,
    responses={
        **errors(404, 413, 422),
        200: {"content": {"application/octet-stream": {}, "image/png": {}}, "description": "values, or a PNG"},
    },
)
async def frame(
    id: str,
    number: int,
    request: Request,
    service: Running,
    axis: Axis = "",
    window: WindowName = "",
    how: Annotated[Literal["", "png"], Query(alias="as", description="png: as an image of 8 bits")] = "",
) -> Response:
    """The values of a frame for a viewer (docs/serve.md has the headers), or the frame as a PNG."""
    held = service.image(request, id)
    path = held.frame(number, window, axis).path
    if how == "png":
        content = await service.in_thread(lambda: png(open_image(path)))
        return Response(content, media_type="image/png")
    if window:
        raise Problem(422, "window: only with as=png", "leave it out: a viewer windows the values itself")
    stored: StoredFrame = await service.in_thread(stored_frame, path)
    count = held.parts[0].axes.get(axis or "axial", held.frames)
    return Response(_bytes(stored), headers=_headers(stored, count), media_type="application/octet-stream")


@router.get(
    "/v1/images/{id}/seen",
    response_class=Response,
    responses={**errors(404, 413, 422, 503), 200: {"content": {"image/png": {}}, "description": "a PNG"}},
)
async def seen(
    id: str,
    request: Request,
    service: Running,
    frame: Annotated[int | None, Query(ge=1)] = None,
    window: WindowName = "",
    axis: Axis = "",
    run: Annotated[str, Query(max_length=256)] = "",
) -> Response:
    """Exactly what a model sees: the frame fitted into its square."""
    size = service.facts[service.run(run)].size or 256
    path = service.image(request, id).frame(frame, window, axis).path
    content = await service.in_thread(lambda: png(Image.fromarray(load_image(path, size))))
    return Response(content, media_type="image/png")


def png(image: Image.Image) -> bytes:
    """An image as a file, without any tag."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def told(service: Service, held: Held) -> dict[str, Any]:
    """An image as the service tells of it."""
    return held.about | {"expires_s": service.images.remaining(held)}


def _bytes(stored: StoredFrame) -> bytes:
    is_colour = stored.values.ndim == 3
    return np.ascontiguousarray(stored.values, "u1" if is_colour else "<u2").tobytes()


def _headers(stored: StoredFrame, frames: int) -> dict[str, str]:
    rows, columns = stored.values.shape[:2]
    headers = {
        "X-Kind": "rgb8" if stored.values.ndim == 3 else "grey16",
        "X-Rows": str(rows),
        "X-Columns": str(columns),
        "X-Slope": repr(stored.slope),
        "X-Intercept": repr(stored.intercept),
        "X-Invert": str(int(stored.inverted)),
        "X-Aspect": repr(stored.aspect),
        "X-Frames": str(frames),
    }
    if (window := window_fields(stored)) is not None:
        headers |= {"X-Window-Centre": repr(window["centre"]), "X-Window-Width": repr(window["width"])}
    if stored.spacing is not None:
        headers["X-Spacing"] = ",".join(map(repr, stored.spacing))
    return headers
