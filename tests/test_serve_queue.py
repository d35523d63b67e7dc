"""The queue of the service: who is answered together, who is refused, who is passed over; and the limits of images."""

import asyncio
import os
import threading
import time

import httpx
import pytest
from _serve import BASE, HEADERS, png, wait_until_ready
from starlette.testclient import TestClient

from discern_vqa.data.answers import Answer
from discern_vqa.errors import DataError, ImageError
from discern_vqa.serve.answerer import Answerer, ModelError, Question
from discern_vqa.serve.app import build
from discern_vqa.serve.images import Images
from discern_vqa.serve.memory_file import MemoryFile
from discern_vqa.serve.metrics import Metrics
from discern_vqa.serve.problems import Problem, of_error
from discern_vqa.serve.service import Service
from discern_vqa.serve.settings import Bounds, Settings
from discern_vqa.serve.tasks import FindSimilar
from discern_vqa.serve.worker import Worker


class Recorder:
    """Answers with the question itself, once it is let go on; keeps what was asked together."""

    def __init__(self) -> None:
        self.batches, self.go_on, self.forgotten = [], threading.Event(), set()

    def answer(self, questions):
        self.go_on.wait(10)
        self.batches.append([(question.run, question.text) for question in questions])
        return [Answer(question.text, 1.0) for question in questions]

    def facts(self):
        return {}

    def forget(self, keys):
        self.forgotten |= set(keys)


@pytest.fixture
def recorder():
    return Recorder()


def opened(recorder, **bounds):
    worker = Worker(lambda: recorder, Bounds(**bounds), Metrics())
    worker.start()
    worker.opened.result(5)
    return worker


def questions(*texts, run="a"):
    return [Question(run, "key", None, text) for text in texts]


def blocked(worker, recorder):
    """A first request that the thread is busy with, so that what follows waits."""
    job = worker.answer(questions("first"))
    while not job.begun:
        time.sleep(0.001)
    return job


def texts(job):
    return [answer.text for answer in job.future.result(5).results]


def test_what_waits_together_is_answered_together_by_run_and_never_more_than_a_batch(recorder):
    worker = opened(recorder, batch=4)
    blocked(worker, recorder)
    long = worker.answer(questions(*"abcdef"))
    jobs = [worker.answer(questions(text)) for text in "xy"]
    other = worker.answer(questions("z", run="b"))
    left = worker.answer(questions("left"))
    left.give_up()
    recorder.go_on.set()
    assert [texts(job) for job in (long, *jobs, other)] == [list("abcdef"), ["x"], ["y"], ["z"]]
    worker.stop()
    asked = [[text for _, text in batch] for batch in recorder.batches]
    assert asked == [["first"], list("abcd"), ["x", "y"], ["z"], ["e", "f"]]
    assert [{run for run, _ in batch} for batch in recorder.batches][3] == {"b"}


def test_a_full_queue_says_so_and_a_request_that_waited_too_long_is_refused(recorder):
    worker = opened(recorder, waiting=2, wait=0.05)
    first = blocked(worker, recorder)
    late = [worker.answer(questions("late")), worker.do(FindSimilar(None, 5))]
    with pytest.raises(Problem) as refused:
        worker.answer(questions("too many"))
    assert (refused.value.status_code, refused.value.headers["Retry-After"]) == (503, "1")
    time.sleep(0.1)
    recorder.go_on.set()
    assert texts(first) == ["first"]
    for job in late:
        with pytest.raises(Problem, match="waited"):
            job.future.result(5)
    worker.stop()
    with pytest.raises(Problem, match="ending"):
        worker.answer(questions("after"))


def test_what_waits_when_the_service_stops_is_refused_and_what_runs_is_finished(recorder):
    worker = opened(recorder)
    first, second = blocked(worker, recorder), worker.answer(questions("second", run="b"))
    ending = threading.Thread(target=worker.stop)
    ending.start()
    time.sleep(0.05)
    recorder.go_on.set()
    ending.join(5)
    assert texts(first) == ["first"]
    with pytest.raises(Problem, match="ending"):
        second.future.result(1)


def test_a_run_that_cannot_be_opened_is_an_error_of_the_start():
    def make():
        raise DataError("broken")

    worker = Worker(make, Bounds(), Metrics())
    worker.start()
    with pytest.raises(DataError, match="broken"):
        worker.opened.result(5)


def test_one_bad_question_does_not_spoil_its_batch_and_a_bug_quotes_nothing(caplog):
    class Picky:
        def answer_judged(self, samples, mode):
            for sample in samples:
                if sample.question == "bad":
                    raise ImageError("the image /proc/self/fd/7#frame=2 is broken")
                if sample.question == "secret":
                    raise ZeroDivisionError(sample.question)
            return [Answer(sample.question, 1.0) for sample in samples]

    answerer = object.__new__(Answerer)
    answerer.predictors = {"a": Picky(), "b": Picky()}
    asked = [*questions("1", "bad", "secret", "2"), *questions("3", run="b")]
    results = answerer.answer(asked)
    assert [getattr(result, "text", type(result)) for result in results] == ["1", ImageError, ModelError, "2", "3"]
    assert of_error(results[1]).fields()["detail"] == "the image is broken"
    assert "ZeroDivisionError" in caplog.text
    assert "secret" not in caplog.text


class Gated(Answerer):
    """The real answers, when the gate is open; counts what was asked."""

    gate = threading.Event()
    asked = 0

    def answer(self, questions):
        self.gate.wait(20)
        Gated.asked += len(questions)
        return super().answer(questions)


@pytest.fixture(scope="module")
def service(tiny_run):
    Gated.gate.set()
    settings = Settings(runs={"run": tiny_run}, bounds=Bounds(waiting=8))
    return Service(settings, lambda: Gated(settings.runs))


@pytest.fixture(scope="module")
def client(service):
    with TestClient(build(service), base_url=BASE, headers=HEADERS) as made:
        wait_until_ready(service)
        yield made


def test_of_200_callers_each_is_answered_as_if_alone_or_told_that_there_is_too_much_to_do(client):
    asked = [f"Is there a nodule of {number} mm?" for number in range(200)]
    ids = [
        client.post("/v1/images", content=png(seed), headers={"Content-Type": "image/png"}).json() for seed in (0, 1)
    ]
    ids = [body["images"][0]["id"] for body in ids]

    async def all_at_once():
        transport = httpx.ASGITransport(client.app)
        async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=HEADERS, timeout=60) as caller:
            bodies = [{"image": ids[number % 2], "questions": [text]} for number, text in enumerate(asked)]
            return await asyncio.gather(*(caller.post("/v1/answers", json=body) for body in bodies))

    replies = client.portal.call(all_at_once)
    statuses = [reply.status_code for reply in replies]
    assert set(statuses) == {200, 503}
    assert all(reply.headers["retry-after"] for reply in replies if reply.status_code == 503)
    assert statuses.count(200) >= 8
    for number, reply in enumerate(replies):
        if reply.status_code == 200:
            alone = client.post("/v1/answers", json={"image": ids[number % 2], "questions": [asked[number]]}).json()
            (entry,), (again,) = reply.json()["answers"], alone["answers"]
            assert entry["answer"] == again["answer"]
            assert entry["score"] == pytest.approx(again["score"], abs=2e-4)


def test_of_more_requests_than_run_at_a_time_each_is_told_when_to_come_back(tiny_run):
    settings = Settings(runs={"run": tiny_run}, bounds=Bounds(running=2))
    crowded = Service(settings, lambda: Gated(settings.runs))
    with TestClient(build(crowded), base_url=BASE, headers=HEADERS) as client:
        wait_until_ready(crowded)
        (image,) = client.post("/v1/images", content=png(0), headers={"Content-Type": "image/png"}).json()["images"]
        body = {"image": image["id"], "questions": ["Is there a mass?"]}

        async def all_at_once():
            transport = httpx.ASGITransport(client.app)
            async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=HEADERS, timeout=60) as caller:
                Gated.gate.clear()
                waiting = [asyncio.ensure_future(caller.post("/v1/answers", json=body)) for _ in range(2)]
                while crowded.gate.running < 2:
                    await asyncio.sleep(0.01)
                refused, lives = await caller.get("/v1/model"), await caller.get("/livez")
                Gated.gate.set()
                return refused, lives, await asyncio.gather(*waiting)

        refused, lives, answered = client.portal.call(all_at_once)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["detail"] == "too many requests are waiting"
        assert [reply.status_code for reply in (lives, *answered, client.get("/v1/model"))] == [200] * 4


def test_nobody_is_answered_who_has_left(client, service):
    reply = client.post("/v1/images", content=png(2), headers={"Content-Type": "image/png"})
    id = reply.json()["images"][0]["id"]
    body = b'{"image": "%s", "questions": ["Is there a mass?"]}' % id.encode()

    async def ask(leaves: bool):
        sent, messages = [], [{"type": "http.request", "body": body, "more_body": False}]

        async def receive():
            if messages:
                return messages.pop()
            await asyncio.sleep(0.05 if leaves else 30)
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"), (b"x-discern", b"1")]
        scope = {"type": "http", "method": "POST", "path": "/v1/answers", "headers": headers, "query_string": b""}
        await client.app(scope | {"http_version": "1.1", "scheme": "http", "root_path": ""}, receive, send)
        return sent[0]["status"]

    async def both():
        Gated.gate.clear()
        first = asyncio.ensure_future(ask(leaves=False))
        await asyncio.sleep(0.02)
        left = await ask(leaves=True)
        Gated.gate.set()
        return await first, left

    before = Gated.asked
    assert client.portal.call(both) == (200, 503)
    assert Gated.asked == before + 1
    assert 'discern_request_failures_total{reason="left"} 1.0' in client.get("/metrics").text


def test_images_go_after_a_while_and_the_oldest_makes_room(recorder):
    now, gone = [0.0], set()
    images = Images(Bounds(images=2, keep=100, image_bytes=200_000), gone.update, lambda: now[0])
    (first,) = images.add("anna", [png(0)])
    first.keys.add("a key")
    now[0] = 60
    (second,) = images.add("anna", [png(1)])
    assert images.add("anna", [png(1)]) == [second]
    assert images.add("otto", [png(1)]) != [second]
    assert gone == {"a key"}
    with pytest.raises(Problem):
        images.get("anna", first.id)
    with pytest.raises(Problem):
        images.get("otto", second.id)
    now[0] = 159
    assert images.get("anna", second.id) is second
    now[0] = 258
    assert images.of("anna") == [second]
    now[0] = 260
    assert (images.of("anna"), len(images)) == ([], 0)
    with pytest.raises(Problem, match="MiB"):
        images.add("anna", [b"0" * 300_000])


def test_an_upload_lies_on_no_disk_and_its_memory_is_given_back():
    file = MemoryFile(b"pixels")
    path = file.path
    assert path.read_bytes() == b"pixels"
    assert os.path.realpath(path).startswith("/memfd:") or not hasattr(os, "memfd_create")
    inode = path.stat().st_ino
    del file
    assert not path.exists() or path.stat().st_ino != inode
