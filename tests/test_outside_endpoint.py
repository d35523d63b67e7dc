"""An endpoint that fails, stalls, refuses and lies, asked over HTTP: every request is accounted for."""

import asyncio
import json
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from _outside import Spoken, speaking
from PIL import Image

from discern_vqa.asking import sending
from discern_vqa.asking.images import SentImages, Shown
from discern_vqa.asking.replies import Replies, Reply
from discern_vqa.asking.requests import Interview, Request
from discern_vqa.errors import DiscernError, RunError
from discern_vqa.outside.endpoint import Config, Model


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "FIRST_PAUSE_S", 0.01)


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> list[Request]:
    """Twelve questions about three images."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for number in range(3):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return [Request(Shown(folder / f"{number % 3}.png", f"{number % 3}.png"), f"Q {number}") for number in range(12)]


def interview(spoken: Spoken, file: Path, **keys: Any) -> Interview:
    keys = {"name": "outside.endpoint", "endpoint": spoken.url, "model": "tiny", "tries": 4} | keys
    return Interview(Model(Config.model_validate(keys)), Replies(file), SentImages(file.with_name("sent.json")))


def said(image: bytes, words: str) -> str:
    return f"said to {words}"


def texts(replies: Sequence[Reply]) -> list[str]:
    return [reply.text for reply in replies]


ALL = [f"said to Q {number}" for number in range(12)]


def test_what_may_pass_is_tried_again_and_nothing_is_asked_twice(requests: list[Request], tmp_path: Path) -> None:
    busy = [429, 503, 500, "<html>a page</html>", 408, '{"no": "choices"']
    with speaking(said, before=list(busy)) as spoken:
        talk = interview(spoken, tmp_path / "r.jsonl", concurrency=3, tries=8)
        seen: list[tuple[int, int]] = []
        assert texts(talk.replies_to(requests, lambda done, total: seen.append((done, total)))) == ALL
        assert len(spoken.digests) == len(requests) + len(busy)
        assert set(spoken.answered.values()) == {1}
        assert sum(reply.tries - 1 for reply in talk.replies_to(requests)) == len(busy)
        assert spoken.most_at_once <= 3
        assert seen == [(done, 12) for done in range(13)]
        again = interview(spoken, tmp_path / "r.jsonl", endpoint="http://127.0.0.1:9/v1")
        assert texts(again.replies_to(requests[::-1])) == ALL[::-1]
        assert len(spoken.digests) == len(requests) + len(busy), "all is kept, so that nobody is asked"


def test_some_requests_are_under_way_at_a_time_and_never_more_than_asked_for(
    requests: list[Request], tmp_path: Path
) -> None:
    with speaking(said, before=[0.05] * 12) as spoken:
        interview(spoken, tmp_path / "r.jsonl", concurrency=4).replies_to(requests)
        assert spoken.most_at_once == 4


def test_a_pause_that_the_server_asks_for_holds_for_all_requests(requests: list[Request], tmp_path: Path) -> None:
    with speaking(said, before=[0.0, 429], headers={"Retry-After": "0.4"}) as spoken:
        interview(spoken, tmp_path / "r.jsonl", concurrency=1).replies_to(requests[:3])
        first, refused, after, _ = spoken.times
        assert refused - first < 0.3
        assert after - refused >= 0.4
    with (
        speaking(said, before=[429], headers={"Retry-After": "86400"}) as spoken,
        pytest.raises(RunError, match="a pause of 86,400 s"),
    ):
        interview(spoken, tmp_path / "s.jsonl").replies_to(requests[:3])


def test_an_answer_that_does_not_come_in_time_is_asked_for_again(requests: list[Request], tmp_path: Path) -> None:
    with speaking(said, before=[0.0, 1.0]) as spoken:
        talk = interview(spoken, tmp_path / "r.jsonl", timeout=0.3, concurrency=2)
        assert texts(talk.replies_to(requests[:4])) == ALL[:4]
        assert sorted(reply.tries for reply in talk.replies_to(requests[:4])) == [1, 1, 1, 2]


def test_a_server_that_goes_down_leaves_what_it_answered_and_the_next_command_asks_the_rest(
    requests: list[Request], tmp_path: Path
) -> None:
    file, refused = tmp_path / "r.jsonl", r"gives no answers: HTTP 503: out of memory \(tried 2 times\)"
    with speaking(said, down_after=4) as spoken:
        for limit in (4, 7):
            spoken.down_after = limit
            with pytest.raises(RunError, match=refused) as caught:
                interview(spoken, file, tries=2, concurrency=1).replies_to(requests)
            assert "the same command goes on" in caught.value.hint
            assert len(Replies(file)) == limit
        spoken.down_after = 10**9
        talk = interview(spoken, file)
        assert texts(talk.replies_to(requests)) == ALL
        assert [reply.problem for reply in talk.replies_to(requests)] == [""] * 12
        assert set(spoken.answered.values()) == {1}, "no question was answered twice"
        assert len(spoken.answered) == 12


def test_a_question_that_the_server_cannot_answer_is_given_up_and_counts_when_it_fails_again(
    requests: list[Request], tmp_path: Path
) -> None:
    with speaking(said, refuses={"Q 5": 500}) as spoken:
        for number in (1, 2):
            with pytest.raises(RunError, match="1 of .* requests have no answer: HTTP 500"):
                interview(spoken, tmp_path / "r.jsonl", tries=2).replies_to(requests)
            assert len(spoken.digests) == 11 + 2 * number
        replies = interview(spoken, tmp_path / "r.jsonl", tries=2).replies_to(requests)
        assert texts(replies) == [*ALL[:5], "", *ALL[6:]]
        assert replies[5].problem == "HTTP 500: too many pixels (tried 2 times)"
        assert len(spoken.digests) == 11 + 6
        with pytest.raises(RunError, match="1 of 2 requests"):
            interview(spoken, tmp_path / "s.jsonl", tries=1).replies_to(requests[4:6])
        late = interview(spoken, tmp_path / "s.jsonl", tries=1, concurrency=1).replies_to(requests[5:8])
        assert [reply.problem[:8] for reply in late] == ["HTTP 500", "", ""], "others were answered after it"


def test_a_refusal_of_one_question_is_its_answer_and_of_all_ends_the_work(
    requests: list[Request], tmp_path: Path
) -> None:
    with speaking(said, refuses={"Q 0": 400, "Q 7": 413}) as spoken:
        replies = interview(spoken, tmp_path / "r.jsonl").replies_to(requests)
        assert [place for place, reply in enumerate(replies) if reply.problem] == [0, 7]
        assert replies[0].problem == "HTTP 400: too many pixels"
        assert len(spoken.digests) == 12, "a refusal is not tried again"
    with speaking(said, refuses={f"Q {number}": 400 for number in range(12)}) as spoken:
        with pytest.raises(RunError, match="refuses the request: HTTP 400: too many pixels"):
            interview(spoken, tmp_path / "s.jsonl").replies_to(requests)
        assert len(spoken.digests) == 3
        assert len(Replies(tmp_path / "s.jsonl")) == 0, "it may be the settings: nothing is kept"


@pytest.mark.parametrize(
    ("keys", "error", "hint"),
    [
        ({"model": "tinny"}, "has no model 'tinny'", "did you mean 'tiny'"),
        ({"endpoint": "http://127.0.0.1:9/v1"}, "nothing answers at http://127.0.0.1:9/v1", "start the server"),
        ({"model": ""}, "model.model is not set", "--set model.endpoint=http"),
        ({"endpoint": ""}, "model.endpoint is not set", "--set model.endpoint=http"),
        ({"key_from": "NO_SUCH_KEY"}, "NO_SUCH_KEY, which is not set", "export NO_SUCH_KEY="),
        ({"confidence": "logprobs"}, "does not say how probable", "model.confidence=verbal"),
    ],
)
def test_what_is_wrong_with_all_is_said_at_once(
    keys: dict[str, Any], error: str, hint: str, requests: list[Request], tmp_path: Path
) -> None:
    with speaking(said) as spoken:
        with pytest.raises(DiscernError, match=error) as caught:
            interview(spoken, tmp_path / "r.jsonl", **keys).replies_to(requests)
        assert hint in caught.value.hint
        assert len(spoken.digests) <= 1


@pytest.mark.parametrize(("status", "hint"), [(401, "key_from"), (403, "key_from"), (404, "/v1"), (302, "images")])
def test_a_refusal_for_good_has_a_hint(status: int, hint: str, requests: list[Request], tmp_path: Path) -> None:
    with (
        speaking(said, refuses={f"Q {number}": status for number in range(12)}) as spoken,
        pytest.raises(RunError, match=f"HTTP {status}") as caught,
    ):
        interview(spoken, tmp_path / "r.jsonl").replies_to(requests)
    assert hint in caught.value.hint


def test_what_is_sent_is_what_the_recipe_says_and_the_key_stands_nowhere_else(
    requests: list[Request], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-123")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # this machine is never asked by way of another
    with speaking(said, logprobs=[-0.5, -0.25], finish="length") as spoken:
        keys = {"key_from": "MY_KEY", "confidence": "logprobs", "extra": {"top_k": 5, "temperature": 0.3}}
        (reply,) = interview(spoken, tmp_path / "r.jsonl", system="Be brief.", **keys).replies_to(requests[:1])
    assert spoken.asked == [{"model": "tiny", "temperature": 0.3, "max_tokens": 64, "logprobs": True, "top_k": 5}]
    assert spoken.given_headers[0]["authorization"] == "Bearer sk-123"
    assert "sk-123" not in (tmp_path / "r.jsonl").read_text()
    assert reply.probability == pytest.approx(np.exp(-0.75))
    assert (reply.finish, reply.sent, reply.written) == ("length", 300, 3)


def test_nothing_is_sent_to_where_a_server_points(requests: list[Request], tmp_path: Path) -> None:
    came: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def do_POST(self) -> None:
            came.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(307)
            self.send_header("Location", f"http://127.0.0.1:{server.server_port}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        spoken = Spoken(said, url=f"http://127.0.0.1:{server.server_port}/v1")
        with pytest.raises(RunError, match="HTTP 307"):
            interview(spoken, tmp_path / "r.jsonl").replies_to(requests)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert set(came) == {"/v1/chat/completions"}


def test_an_answer_may_be_empty_long_or_in_parts(requests: list[Request], tmp_path: Path) -> None:
    long = "word " * 20_000
    model = Model(Config(name="outside.endpoint", endpoint="http://127.0.0.1:9/v1", model="m"))

    def reply(content: object) -> Reply | None:
        return model.reply({"choices": [{"message": {"content": content}}]}, 0.1, 1)

    for content, text in ((None, ""), (long, long.strip()), ([{"text": "a"}, {"type": "x"}, {"text": "b"}], "ab")):
        found = reply(content)
        assert found is not None
        assert found.text == text
    for broken in ({}, {"choices": []}, {"choices": [{}]}, {"choices": [{"message": "x"}]}, {"choices": "x"}):
        assert model.reply(broken, 0.1, 1) is None
    with speaking(lambda image, words: "" if words == "Q 1" else long) as spoken:
        replies = interview(spoken, tmp_path / "r.jsonl").replies_to(requests[:2])
    assert texts(replies) == [long.strip(), ""]
    assert json.loads((tmp_path / "r.jsonl").read_text().splitlines()[1])["text"] in ("", long.strip())


def test_it_works_inside_a_loop_of_ones_own(requests: list[Request], tmp_path: Path) -> None:
    async def notebook(talk: Interview) -> list[str]:
        return texts(talk.replies_to(requests))

    with speaking(said) as spoken:
        assert asyncio.run(notebook(interview(spoken, tmp_path / "r.jsonl"))) == ALL


def test_what_is_under_way_when_somebody_interrupts_is_still_kept() -> None:
    kept: list[int] = []

    async def work(number: int) -> None:
        await asyncio.sleep(0.05)
        kept.append(number)

    async def interrupted() -> None:
        task = asyncio.create_task(sending.each(range(100), 3, work))
        await asyncio.sleep(0.07)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(interrupted())
    assert sorted(kept) == [0, 1, 2, 3, 4, 5]


def test_prepared_images_are_on_the_disk_before_all_are(requests: list[Request], tmp_path: Path) -> None:
    image, known = requests[0].shown.path, []
    shown = [Request(Shown(image, "a", seed=number), "Q") for number in range(60)]
    talk = interview(Spoken(said), tmp_path / "r.jsonl", endpoint="http://127.0.0.1:9/v1")
    kept = tmp_path / "sent.json"
    talk.prepare(shown, lambda done, total: known.append(len(json.loads(kept.read_text())) if kept.is_file() else 0))
    assert (known[49], known[50], known[59]) == (0, 50, 50), "what is killed here makes ten images anew, not all"
    assert len(json.loads(kept.read_text())) == 60
