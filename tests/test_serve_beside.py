"""Beside the answers: similar cases are prepared while the service answers, and HEAD is GET without a body."""

import threading
import time

import pytest
from _serve import png, serving, upload

from discern_vqa.errors import DataError
from discern_vqa.evaluation.similar_cases import SimilarCases
from discern_vqa.fitting.cases import Case
from discern_vqa.serve.settings import Bounds

QUESTION = "Is there a nodule?"


class Cases:
    """One case, and what it was asked to forget."""

    def __init__(self):
        self.features, self.forgotten = self, set()

    def nearest_to(self, sample, count):
        return [Case("gone.png", sample.question, "yes", 0.5, 0.25)]

    def forget(self, images):
        self.forgotten |= set(images)


@pytest.fixture
def client(tiny_run):
    with serving(tiny_run, bounds=Bounds(wait=2.0)) as made:
        yield made


def test_similar_cases_are_prepared_while_other_questions_are_answered(client, monkeypatch):
    go_on, calls, made = threading.Event(), [], Cases()

    def prepare(predictor):
        calls.append(threading.current_thread().name)
        assert go_on.wait(60)
        if len(calls) == 1:
            raise DataError("the training images are not here", hint="fetch them")
        return made

    monkeypatch.setattr(SimilarCases, "of", prepare)
    (image,) = upload(client, png(1))
    asked = {"image": image["id"], "question": QUESTION}
    waiting: list = []
    caller = threading.Thread(target=lambda: waiting.append(client.post("/v1/similar", json=asked)))
    caller.start()
    while not calls:
        time.sleep(0.01)
    answered = client.post("/v1/answers", json={"image": image["id"], "questions": [QUESTION]})
    assert answered.json()["answers"][0]["answer"]
    caller.join(60)
    (refused,) = waiting
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert refused.json()["detail"].startswith("the similar cases of run are being prepared")
    go_on.set()
    # The first attempt failed, which is said once; the next call begins anew.
    failed = client.post("/v1/similar", json=asked)
    assert (failed.status_code, failed.json()["hint"]) == (422, "fetch them")
    (case,) = client.post("/v1/similar", json=asked).json()["cases"]
    assert case == {"image": "gone.png", "question": QUESTION, "answer": "yes", "image_similarity": 0.5,
                    "question_similarity": 0.25, "thumbnail": None}  # fmt: skip
    assert calls == ["discern-cases"] * 2
    client.delete(f"/v1/images/{image['id']}")
    client.post("/v1/answers", json={"image": upload(client, png(2))[0]["id"], "questions": [QUESTION]})
    assert made.forgotten


def test_head_is_get_without_its_body(client):
    (image,) = upload(client, png(1))
    for path in ("/livez", "/readyz", "/", "/page.js", "/v1/model", f"/v1/images/{image['id']}/frames/1", "/v1/none"):
        with_body, without = client.get(path), client.head(path)
        assert (without.status_code, without.content) == (with_body.status_code, b""), path
        for name in ("content-type", "content-length", "content-security-policy", "x-rows"):
            assert without.headers.get(name) == with_body.headers.get(name), (path, name)
    refused = client.head("/v1/answers")
    assert (refused.status_code, refused.content, refused.headers["allow"]) == (405, b"", "POST")
    assert client.head("/livez", headers={"Host": "elsewhere.example"}).status_code == 421
