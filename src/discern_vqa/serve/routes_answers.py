"""Questions, heat maps, similar cases, corrections, and what to look at next."""

import base64
from dataclasses import asdict
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from PIL import Image

from discern_vqa.data.answers import Answer
from discern_vqa.errors import DiscernError
from discern_vqa.serve import bodies
from discern_vqa.serve.answerer import Question, check_mode, question_of
from discern_vqa.serve.corrections import Correction
from discern_vqa.serve.images import MOST_ASKED, FrameOf, Held
from discern_vqa.serve.problems import Problem, of_error
from discern_vqa.serve.routes_images import png
from discern_vqa.serve.service import Service
from discern_vqa.serve.shared import CHANGES, Running, errors
from discern_vqa.serve.told import answer_fields, failed_fields
from discern_vqa.serve.worker import Answered

router = APIRouter()
_ERRORS = errors(403, 404, 408, 413, 415, 422, 503, 504)


@router.post("/v1/answers", response_model=bodies.AnswersBody, responses=_ERRORS, dependencies=CHANGES)
async def answers(body: bodies.AskBody, request: Request, service: Running) -> Any:
    """Answers questions about one image. A question that cannot be answered is one entry with `error`."""
    run = service.run(body.run)
    check_mode(service.facts[run], body.mode)
    held, frame = service.frame(request, body.image, body.frame, body.window, body.axis)
    entries, answered = await ask(request, service, run, frame, body.questions, body.mode)
    _remember(held, run, frame, entries)
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

    job = service.worker.do(
        lambda answerer: (answerer.explain(question, body.method), answerer.hit_rate(run, body.method))
    )
    made, hit_rate = await service.turn(request, job)
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
        "hit_rate": hit_rate,
    }


@router.post("/v1/similar", response_model=bodies.CasesBody, responses=_ERRORS, dependencies=CHANGES)
async def similar(body: bodies.SimilarBody, request: Request, service: Running) -> Any:
    """Training cases whose words and whose images are like those of the question."""
    run = service.run(body.run)
    _, frame = service.frame(request, body.image, body.frame, body.window, body.axis)
    question = asked_for(service, run, frame, body.question)
    cases = await service.turn(request, service.worker.do(lambda answerer: answerer.similar(question, body.count)))
    return {"run": run, "cases": [asdict(case) for case in cases]}


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


@router.get("/v1/next", response_model=bodies.NextBody, responses=errors(404, 422, 503))
async def next_cases(
    request: Request,
    service: Running,
    run: Annotated[str, Query(max_length=256)] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
) -> Any:
    """What was answered and not yet corrected, least certain first, of equally certain ones the more unusual."""
    name = service.run(run)
    items = [
        entry for held in service.images.of(request.state.user) for key, entry in held.asked.items() if key[0] == name
    ]
    items.sort(key=lambda entry: (entry["confidence"], -len(entry["outside"])))
    return {"items": items[:limit]}


def _remember(held: Held, run: str, frame: FrameOf, entries: list[dict[str, Any]]) -> None:
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
    from discern_vqa.imaging.images import open_image

    width, height = canvas(*open_image(frame.path).size)
    return Image.fromarray(np.rint(255 * scaled(on_picture(grid, width, height))).astype(np.uint8))


def _scaled(grid: Any) -> Any:
    from discern_vqa.evaluation.heatmaps import scaled

    return scaled(grid)
