"""The bodies of requests and answers, as /openapi.json describes them (docs/serve.md says what each field means)."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length=1000)]
ShortText = Annotated[str, Field(max_length=64)]


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Frame(_Given):
    image: Annotated[str, Field(max_length=64, description="the id of an uploaded image")]
    frame: Annotated[int | None, Field(ge=1, le=1_000_000, description="from 1; none: the usual one")] = None
    window: Annotated[str, Field(max_length=64, description="a name, CENTRE:WIDTH or full")] = ""
    axis: Annotated[str, Field(max_length=16, description="of a volume: axial, coronal, sagittal")] = ""
    run: Annotated[str, Field(max_length=256, description="none: the first run of the service")] = ""


class AskBody(_Frame):
    questions: Annotated[list[Any], Field(min_length=1, max_length=64, description="texts of at most 1,000 characters")]
    mode: Annotated[str, Field(max_length=32, description="a way of answering; none: the run's own")] = ""


class ExplainBody(_Frame):
    question: str
    method: ShortText = "auto"


class SimilarBody(_Frame):
    question: str
    count: Annotated[int, Field(ge=1, le=50)] = 5


class CorrectionBody(_Frame):
    question: Annotated[str, Field(min_length=1, max_length=1000)]
    answer: Annotated[str, Field(min_length=1, max_length=1000)]
    model_answer: Text | None = None
    confidence: Annotated[float | None, Field(ge=0, le=1)] = None
    before_seeing: Text | None = None
    comment: Text | None = None


class Named(_Given):
    """An image, a series or a study of the archive, by its UIDs."""

    study: ShortText
    series: ShortText = ""
    instance: ShortText = ""


class ListedSeries(BaseModel):
    series: str
    modality: str
    body_part: str
    images: int


class SeriesBody(BaseModel):
    series: list[ListedSeries]


class FetchBody(_Given):
    dicomweb: Named


class ProblemBody(BaseModel):
    type: str
    title: str
    status: int
    detail: str
    hint: str | None = None


class Window(BaseModel):
    centre: float
    width: float
    why: str


class ImageBody(BaseModel):
    id: str
    expires_s: int
    kind: str
    columns: int
    rows: int
    modality: str | None
    frames: int
    frame: int
    axes: dict[str, int]
    window: Window | None
    windows: list[str]
    spacing: list[float] | None
    sides: dict[str, str] | None
    steps: list[str]
    warnings: list[str]
    patient: dict[str, str] | None
    study: dict[str, str] | None


class ImagesBody(BaseModel):
    images: list[ImageBody]


class AnswerBody(BaseModel):
    question: str
    answer: str
    score: float
    alternatives: list[tuple[str, float]]
    others: int | None
    mode: str
    is_calibrated: bool
    confidence: float
    abstains: bool
    reason: str
    answer_set: list[str] | None
    set_coverage: float | None
    promise: str
    in_words: str
    outside: list[str]
    typical: dict[str, float] | None
    notes: list[str]
    error: None = None


class FailedBody(BaseModel):
    question: str
    error: ProblemBody


class AnswersBody(BaseModel):
    request_id: str
    run: str
    weights: str
    image: str
    frame: int
    queue_ms: float
    inference_ms: float
    answers: list[AnswerBody | FailedBody]


class HitRate(BaseModel):
    mean: float
    n: int
    chance: float
    blind: float | None
    split: str


class ExplanationBody(BaseModel):
    request_id: str
    run: str
    method: str
    summary: str
    explained: str
    answer: AnswerBody
    map: str
    columns: int
    rows: int
    grid: list[list[float]]
    measured: str
    hit_rate: HitRate | None


class CaseBody(BaseModel):
    image: str
    question: str
    answer: str
    image_similarity: float
    question_similarity: float
    thumbnail: str | None


class CasesBody(BaseModel):
    run: str
    cases: list[CaseBody]


class CorrectedBody(BaseModel):
    id: str
    corrections: int


class NextItem(BaseModel):
    image: str
    frame: int
    question: str
    answer: str
    confidence: float
    is_calibrated: bool
    abstains: bool
    outside: list[str]


class NextBody(BaseModel):
    items: list[NextItem]


class NextOfArchiveBody(_Given):
    question: str
    date: Annotated[str, Field(max_length=17, description="of the studies, 20261130 or 20261101-20261130")] = ""
    modality: Annotated[str, Field(max_length=16, description="of the series, as CT; none: any")] = ""
    most: Annotated[int, Field(ge=1, le=32, description="images that are read")] = 20
    run: Annotated[str, Field(max_length=256, description="none: the first run of the service")] = ""


class NotAnswered(BaseModel):
    study: str
    series: str
    reason: str


class NextOfArchive(NextBody):
    images: list[ImageBody]
    failed: list[NotAnswered]
    studies: int
    left_out: int
    complete: bool


class Suggestion(BaseModel):
    text: str
    count: int


class SuggestionsBody(BaseModel):
    questions: list[Suggestion]
    answers: list[str]


class StatusBody(BaseModel):
    status: str
