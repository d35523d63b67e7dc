"""A real process: it drains when it is asked to end, and leaves nothing behind when it is killed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from _medical import dicom, scene
from _serve import HEADERS, png

QUESTIONS = [f"Is there a nodule of {number} mm?" for number in range(64)]


@contextmanager
def process(run, folder):
    """A service of a run on a free port, ready; and a client of it. What it writes goes to `folder`."""
    (folder / "tmp").mkdir(parents=True)
    command = [sys.executable, "-m", "discern_vqa", "serve", str(run), "--port", "0"]
    command += ["--corrections", str(folder / "corrections")]
    environment = os.environ | {"TMPDIR": str(folder / "tmp"), "OMP_NUM_THREADS": "1"}
    with open(folder / "stderr", "w+", encoding="utf-8") as stderr:
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr, env=environment)
        try:
            address = ""
            while not address and running.poll() is None:
                time.sleep(0.05)
                match = re.search(r"listening on (\S+)", (folder / "stderr").read_text(encoding="utf-8"))
                address = match[1] if match else ""
            with httpx.Client(base_url=address, headers=HEADERS, timeout=60) as client:
                assert client.get("/readyz").status_code == 200, "it says where it listens when it is ready"
                yield running, client
        finally:
            running.kill()
            running.wait()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_the_commands_of_the_page_run_as_they_stand(tiny_run, tmp_path):
    page = (Path(__file__).parents[1] / "docs" / "serve.md").read_text(encoding="utf-8")
    (commands,) = re.findall(r"^```sh\n(address=.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "chest.png").write_bytes(png())
    with process(tiny_run, tmp_path / "asked") as (_, client):
        commands = commands.replace("http://127.0.0.1:8765", str(client.base_url).rstrip("/"))
        told = subprocess.run(
            ["sh", "-ec", commands], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
        )
        assert client.get("/v1/images").json() == {"images": []}
    assert '"answers":[{"question":"Is there a pleural effusion?","answer":' in told.stdout
    assert '"map":"data:image/png;base64,' in told.stdout


def test_it_finishes_what_it_began_and_leaves_nothing_when_it_is_killed(tiny_run, tmp_path):
    content = dicom(scene(), PatientName="DOE^JANE")
    # pydicom quotes what it finds odd: a number and an identifier that hold a name.
    content = content.replace(b"1.2.3", b"DOE^J") + b"\x20\x00\x13\x00IS\x08\x00DOE^JANE"
    with process(tiny_run, tmp_path / "drained") as (running, client):
        _, loading, ready = (tmp_path / "drained" / "stderr").read_text(encoding="utf-8").splitlines()
        assert loading == "loading run ..."
        assert re.fullmatch(r"ready after \d+ s, listening on http://127\.0\.0\.1:\d+", ready)
        reply = client.post("/v1/images", files={"file": ("DOE^JANE.dcm", content)})
        id = reply.json()["images"][0]["id"]
        replies = []

        def ask():
            body = {"image": id, "questions": QUESTIONS}
            replies.append(httpx.post(f"{client.base_url}/v1/answers", json=body, headers=HEADERS, timeout=60))

        callers = [threading.Thread(target=ask) for _ in range(6)]
        for caller in callers:
            caller.start()
        while b"discern_requests_running 1.0" in client.get("/metrics").content and not replies:
            time.sleep(0.005)
        running.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        refused = client.get("/readyz")
        assert (refused.status_code, refused.json()["detail"]) == (503, "the service is ending")
        for caller in callers:
            caller.join(60)
        assert running.wait(30) == 0
    finished = [reply for reply in replies if reply.status_code == 200]
    assert len(replies) == 6
    assert finished
    assert all(len(reply.json()["answers"]) == 64 for reply in finished)
    assert all(reply.json()["detail"] == "the service is ending" for reply in replies if reply not in finished)

    folder = tmp_path / "killed"
    with process(tiny_run, folder) as (running, client):
        id = client.post("/v1/images", files={"file": ("DOE^JANE.dcm", content)}).json()["images"][0]["id"]
        confirmed = [
            client.post("/v1/corrections", json={"image": id, "question": text, "answer": "no"}).json()["id"]
            for text in QUESTIONS[:5]
        ]
        running.send_signal(signal.SIGKILL)
        running.wait()
    lines = (folder / "corrections" / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == confirmed
    assert not [path for path in (folder / "tmp").rglob("*") if path.is_file()]
    written = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert not [content for content in written if b"DOE" in content]
