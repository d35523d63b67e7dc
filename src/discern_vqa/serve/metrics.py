"""What the service counts, in Prometheus' form. The names are listed in docs/serve.md. No torch here."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from discern_vqa.data.answers import Answer

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SHARES = tuple(step / 10 for step in range(1, 11))


class Metrics:
    """The figures of one service."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "discern_requests", "Requests by route and status.", ("route", "code"), registry=registry
        )
        self.running = Gauge("discern_requests_running", "Requests that are being worked on.", registry=registry)
        self.waiting = Gauge("discern_requests_waiting", "Requests that wait for the model.", registry=registry)
        self.queue = Histogram(
            "discern_queue_seconds", "How long requests waited.", buckets=_SECONDS, registry=registry
        )
        self.preprocess = Histogram(
            "discern_preprocess_seconds", "How long uploads took to be opened.", buckets=_SECONDS, registry=registry
        )
        self.inference = Histogram(
            "discern_inference_seconds", "How long batches took to be answered.", buckets=_SECONDS, registry=registry
        )
        self.batch = Histogram(
            "discern_batch_size", "Questions in a batch.", buckets=(1, 2, 4, 8, 16), registry=registry
        )
        self.failures = Counter(
            "discern_request_failures",
            "Requests without an answer: busy, left, timeout, image, model.",
            ("reason",),
            registry=registry,
        )
        self.abstentions = Counter(
            "discern_abstentions", "Answers that should not be given.", ("run",), registry=registry
        )
        self.outside = Counter(
            "discern_outside", "Answers to what is unlike the training data.", ("run", "what"), registry=registry
        )
        self.confidence = Histogram(
            "discern_confidence", "Confidence of the answers.", ("run",), buckets=_SHARES, registry=registry
        )
        self.images = Gauge("discern_images_held", "Images in memory.", registry=registry)
        self._info = Gauge(
            "discern_model_info", "The runs that answer.", ("run", "weights", "model", "version"), registry=registry
        )

    def tell_model(self, run: str, weights: str, model: str, version: str) -> None:
        self._info.labels(run, weights, model, version).set(1)

    def count_answer(self, run: str, answer: Answer) -> None:
        verdict = answer.verdict
        self.confidence.labels(run).observe(verdict.confidence)
        if verdict.abstains:
            self.abstentions.labels(run).inc()
        for what in verdict.outside:
            self.outside.labels(run, what).inc()

    def text(self) -> bytes:
        return generate_latest(self._registry)
