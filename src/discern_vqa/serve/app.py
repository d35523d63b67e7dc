"""The application: all routes around one `Service`, the page, and errors as problems.

FastAPI's own pages of documentation are off: they load scripts from elsewhere.
"""

import gzip
import mimetypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from discern_vqa.errors import DiscernError
from discern_vqa.serve import routes_answers, routes_dicom, routes_images, routes_next, routes_openai, routes_state
from discern_vqa.serve.guards import CHAT, Guard
from discern_vqa.serve.problems import Problem, of_error, of_http
from discern_vqa.serve.service import Service
from discern_vqa.version import __version__

PAGE = "page.html"


def build(service: Service) -> FastAPI:
    """The application of a service; its runs are opened when it starts and let go of when it ends."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        service.stop()

    app = FastAPI(
        title="Discern",
        version=__version__,
        description="Medical visual question answering that can be trusted. Research software: not for diagnosis.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    for routes in (routes_state, routes_images, routes_answers, routes_next, routes_dicom, routes_openai):
        app.include_router(routes.router)
    _add_page(app)
    app.add_exception_handler(HTTPException, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(DiscernError, _mistake)
    app.add_middleware(
        Guard,
        settings=service.settings,
        gate=service.gate,
        metrics=service.metrics,
        keys=service.keys,
        access_log=service.access_log,
    )
    return app


def _add_page(app: FastAPI) -> None:
    """The static files of the page, by the names that the package has: nothing else can be named."""
    folder = files("discern_vqa.serve") / "page"
    static = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()} if folder.is_dir() else {}
    packed = {name: gzip.compress(content) for name, content in static.items()}

    def reply(request: Request, name: str) -> Response:
        if name not in static:
            raise Problem(404, "there is nothing here", "GET /openapi.json lists all routes")
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        is_packed = "gzip" in request.headers.get("accept-encoding", "")
        return Response(
            packed[name] if is_packed else static[name],
            headers={"Vary": "Accept-Encoding"} | ({"Content-Encoding": "gzip"} if is_packed else {}),
            media_type="text/javascript" if name.endswith(".js") else kind,
        )

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return reply(request, PAGE)

    @app.get("/{name}", include_in_schema=False)
    async def page_file(name: str, request: Request) -> Response:
        return reply(request, name)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = of_http(error)
    if problem.code:
        request.app.state.service.metrics.failures.labels(problem.code).inc()
    return problem.response(openai=request.url.path == CHAT)


async def _mistake(request: Request, error: Exception) -> Response:
    assert isinstance(error, DiscernError)
    return of_error(error).response(openai=request.url.path == CHAT)


async def _invalid(request: Request, error: Exception) -> Response:
    """What is wrong with a body or a parameter, by the names of its fields; what was sent is not repeated."""
    assert isinstance(error, RequestValidationError)
    told = [f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()[:5]]
    problem = Problem(422, "; ".join(told) or "the request cannot be read", "docs/serve.md describes each field")
    return problem.response(openai=request.url.path == CHAT)
