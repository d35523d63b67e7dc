"""Questions, heat maps, similar cases and corrections."""

import asyncio
import base64
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from PIL import Image

from discern_vqa.data.answers import Answer
from discern_vqa.errors import DiscernError
from discern_vqa.imaging.images import open_image
from discern_vqa.serve import bodies
from discern_vqa.serve.answerer import Question, check_mode, question_of
from discern_vqa.serve.corrections import Correction
from discern_vqa.serve.images import MOST_ASKED, FrameOf, Held
from discern_vqa.serve.problems import PREPARING, Problem, of_error
from discern_vqa.serve.routes_images import png
from discern_vqa.serve.service import Service
from discern_vqa.serve.shared import CHANGES, Running, errors
from discern_vqa.serve.tasks import Explain, Explanation, FindSimilar, SimilarCase
from discern_vqa.serve.told import answer_fields, failed_fields
from discern_vqa.serve.worker import Answered

router = APIRouter()
_PAUSE = 0.25
"""Seconds between two looks whether the similar cases are prepared."""
_THUMBNAIL = 160
"""The longer side of a similar case's image, in pixels."""
_ERRORS = errors(403, 404, 408, 413, 415, 422, 503, 504)


@router.post("/v1/answers", response_model=bodies.AnswersBody, responses=_ERRORS, dependencies=CHANGES)
async def answers(body: bodies.AskBody, request: Request, service: Running) -> Any:
    """Answers questions about one image. A question that cannot be answered is one entry with `error`."""
    run = service.run(body.run)
    check_mode(service.facts[run], body.mode)
    held, frame = service.frame(request, body.image, body.frame, body.window, body.axis)
    entries, answered = await ask(request, service, run, frame, body.questions, body.mode)
    remember(held, run, frame, entries)
    return {
        "request_id": request.state.request_id,
        "run": run,
        "weights": service.files[run].weights[:16],
        "image": held.id,
        "frame": frame.frame,
        "queue_ms": round(1000 * answered.queue_s, 2),
        "inference_ms": round(1000 * answered.inference_s, 2),
        "answers": entries,
    }


async def ask(
    request: Request, service: Service, run: str, frame: FrameOf, texts: list[Any], mode: str = ""
) -> tuple[list[dict[str, Any]], Answered]:
    """An entry for each question, answered or not, in their order. Raises Problem, as `Service.turn`."""
    entries: list[dict[str, Any]] = [{}] * len(texts)
    questions: dict[int, Question] = {}
    for place, text in enumerate(texts):
        try:
            most = service.settings.bounds.question
            questions[place] = question_of(run, frame.key, frame.path, text, mode, most)
        except DiscernError as error:
            entries[place] = failed_fields(text, error)
    answered = Answered([], 0.0, 0.0)
    if questions:
        answered = await service.turn(request, service.worker.answer(list(questions.values())))
    for (place, question), result in zip(questions.items(), answered.results, strict=True):
        if isinstance(result, Answer):
            service.metrics.count_answer(run, result)
            entries[place] = answer_fields(question.text, result)
        else:
            service.metrics.failures.labels("model").inc()
            entries[place] = failed_fields(question.text, result)
    return entries, answered


@router.post("/v1/explanations", response_model=bodies.ExplanationBody, responses=_ERRORS, dependencies=CHANGES)
async def explanations(body: bodies.ExplainBody, request: Request, service: Running) -> Any:
    """An answer with a map of what it rests on, and how often such maps were right."""
    run = service.run(body.run)
    _, frame = service.frame(request, body.image, body.frame, body.window, body.axis)
    question = asked_for(service, run, frame, body.question)
    made: Explanation = await service.turn(request, service.worker.do(Explain(question, body.method)))
    drawn = await service.in_thread(_map_over, frame, made.grid)
    return {
        "request_id": request.state.request_id,
        "run": run,
        "method": made.method,
        "summary": made.summary,
        "explained": made.explained,
        "answer": answer_fields(question.text, made.answer),
        "map": f"data:image/png;base64,{base64.b64encode(png(drawn)).decode('ascii')}",
        "columns": drawn.width,
        "rows": drawn.height,
        "grid": np.round(_scaled(made.grid), 4).tolist(),
        "measured": made.measured,
        "hit_rate": made.hit_rate,
    }


@router.post("/v1/similar", response_model=bodies.CasesBody, responses=_ERRORS, dependencies=CHANGES)
async def similar(body: bodies.SimilarBody, request: Request, service: Running) -> Any:
    """Training cases whose words and whose images are like those of the question."""
    run = service.run(body.run)
    _, frame = service.frame(request, body.image, body.frame, body.window, body.axis)
    question = asked_for(service, run, frame, body.question)
    cases = await _prepared(request, service, FindSimilar(question, body.count))
    thumbnails = await service.in_thread(lambda: [_thumbnail(case.path) for case in cases])
    told = [asdict(case) | {"thumbnail": thumbnail} for case, thumbnail in zip(cases, thumbnails, strict=True)]
    return {"run": run, "cases": told}


async def _prepared(request: Request, service: Service, task: FindSimilar) -> list[SimilarCase]:
    """The similar cases, once there is an index of them; while one is made, other questions are answered. Raises
    Problem, as `Service.turn`; 503 where making it takes longer than a request may wait."""
    until = time.monotonic() + service.settings.bounds.wait
    while True:
        try:
            cases: list[SimilarCase] = await service.turn(request, service.worker.do(task))
            return cases
        except Problem as problem:
            if problem.code != PREPARING or time.monotonic() > until:
                raise
        await asyncio.sleep(_PAUSE)


def _thumbnail(path: Path | None) -> str | None:
    """A training image as a small PNG in a data URI, without any tag; None where the image is not here."""
    if path is None:
        return None
    try:
        image = open_image(path)
    except DiscernError:  # it went, or broke, since the run was trained
        return None
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return f"data:image/png;base64,{base64.b64encode(png(image)).decode('ascii')}"


@router.post(
    "/v1/corrections",
    status_code=201,
    response_model=bodies.CorrectedBody,
    responses=_ERRORS,
    dependencies=CHANGES,
)
async def corrections(body: bodies.CorrectionBody, request: Request, service: Running) -> Any:
    """Keeps what a person says is the true answer, as data that a recipe trains on."""
    kept = service.corrections
    if kept is None:
        raise Problem(404, "this service keeps no corrections", "discern serve RUN --corrections FOLDER")
    run = service.run(body.run)
    held, frame = service.frame(request, body.image, body.frame, body.window, body.axis)
    question, answer = body.question.strip(), body.answer.strip()
    if not question or not answer:
        raise Problem(422, "question or answer is empty", "give the question and its true answer")
    correction = Correction(
        path=frame.path,
        key=frame.key,
        frame=frame.frame,
        question=question,
        answer=answer,
        run=run,
        weights=service.files[run].weights[:16],
        user=request.state.user,
        model_answer=body.model_answer,
        confidence=body.confidence,
        before_seeing=body.before_seeing,
        comment=body.comment,
    )
    id = await service.in_thread(kept.add, correction)
    for key in [key for key in held.asked if key[1:] == (frame.key, question)]:
        del held.asked[key]
    return {"id": id, "corrections": kept.count}


def remember(held: Held, run: str, frame: FrameOf, entries: list[dict[str, Any]]) -> None:
    """Keeps with an image what was answered about it, for `/v1/next`."""
    for entry in entries:
        if entry["error"] is None and len(held.asked) < MOST_ASKED:
            told = {name: entry[name] for name in bodies.NextItem.model_fields if name in entry}
            held.asked[run, frame.key, entry["question"]] = told | {"image": held.id, "frame": frame.frame}


def asked_for(service: Service, run: str, frame: FrameOf, text: str) -> Question:
    """The one question of a request. Raises Problem: it is empty or too long."""
    try:
        return question_of(run, frame.key, frame.path, text, "", service.settings.bounds.question)
    except DiscernError as error:
        raise of_error(error) from error


def _map_over(frame: FrameOf, grid: Any) -> Image.Image:
    """A map over exactly the image, 8-bit greys."""
    from discern_vqa.evaluation.heatmaps import canvas, on_picture, scaled

    width, height = canvas(*open_image(frame.path).size)
    return Image.fromarray(np.rint(255 * scaled(on_picture(grid, width, height))).astype(np.uint8))


def _scaled(grid: Any) -> Any:
    from discern_vqa.evaluation.heatmaps import scaled

    return scaled(grid)
