"""A service on a real Ray of one node, in a network of its own that nothing outside reaches; see `test_cluster.py`.

    unshare --net python tests/_cluster.py RUN FOLDER TEMPORARY

starts `discern serve RUN --cluster local`, asks it all that the test wants to know, ends it, and writes
FOLDER/seen.json; temporary files of the service go into TEMPORARY, a short name. Whatever happens, nothing that it
started outlives it.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from _orthanc import raise_loopback
from _serve import HEADERS, png, upload

NAME = "PLANTED^NAME"
QUESTIONS = [f"Is there a nodule of {number} mm?" for number in range(20)]
CALLERS = 140
REFUSED = 40
"""Of so many callers at least so many are told that there is too much to do: a replica has 16, and 64 wait for it, or a
few more, as Ray counts."""
PORT = 8765
BASE = f"http://127.0.0.1:{PORT}"


def odd_dicom() -> bytes:
    """A DICOM file whose odd elements hold a name, which pydicom quotes when it reads them."""
    from _medical import dicom, scene

    content = dicom(scene(), PatientName=NAME)
    return content.replace(b"1.2.3", NAME[:5].encode()) + b"\x20\x00\x13\x00IS\x0c\x00" + NAME.encode()


def ask(folder: Path, temporary: Path, running: "subprocess.Popen[bytes]") -> dict[str, Any]:
    """All that is asked of the service while it runs."""
    seen: dict[str, Any] = {"ready_after_s": wait(folder, running)}
    client = httpx.Client(base_url=BASE, headers=HEADERS, timeout=60, trust_env=False)
    seen["ready"] = client.get("/readyz").json()
    (image,) = upload(client, png(1))
    seen["answers"] = client.post("/v1/answers", json={"image": image["id"], "questions": QUESTIONS}).json()
    asked = {"image": image["id"], "question": QUESTIONS[0]}
    seen["explanation"] = client.post("/v1/explanations", json=asked | {"method": "grad_cam"}).json()
    seen["similar"] = client.post("/v1/similar", json=asked).json()
    (planted,) = upload(client, odd_dicom())
    body = {"image": planted["id"], "questions": [QUESTIONS[0], ""], "window": "full"}
    seen["of_a_dicom"] = client.post("/v1/answers", json=body).json()
    seen["wrong"] = client.post("/v1/explanations", json=asked | {"method": "magic"}).json()
    seen["too_large"] = client.post(
        "/v1/images", content=bytes(65 << 20), headers={"Content-Type": "image/png"}
    ).status_code
    head = client.head("/v1/model")
    seen["head"] = [head.status_code, head.headers["content-type"], len(head.content)]
    seen["other_host"] = client.get("/livez", headers={"Host": "elsewhere.example"}).status_code
    seen["at_once"] = asyncio.run(all_at_once(image["id"], replica_of(running.pid)))
    seen["after"] = client.post("/v1/answers", json={"image": image["id"], "questions": QUESTIONS[:1]}).status_code
    seen["listening"] = listening()
    seen["memory_mib"], seen["processes"], seen["cpu_s"] = costs(running.pid)
    (ray,) = temporary.glob("discern-ray-*")
    seen["files_with_the_name"] = [str(path) for path in files(ray) if NAME[:7].encode() in path.read_bytes()]
    return seen


async def all_at_once(image: str, replica: int) -> list[tuple[int, str, list[str]]]:
    """Status, Retry-After and answers of many callers who ask while the replica stands still, and then goes on."""
    limits = httpx.Limits(max_connections=CALLERS)
    os.kill(replica, signal.SIGSTOP)
    async with httpx.AsyncClient(base_url=BASE, headers=HEADERS, timeout=120, limits=limits, trust_env=False) as caller:
        body = {"image": image, "questions": QUESTIONS[:1]}
        asked = [asyncio.ensure_future(caller.post("/v1/answers", json=body)) for _ in range(CALLERS)]
        while sum(each.done() for each in asked) < REFUSED:
            await asyncio.sleep(0.05)
        os.kill(replica, signal.SIGCONT)
        replies = await asyncio.gather(*asked)
    return [
        (
            reply.status_code,
            reply.headers.get("retry-after", ""),
            [one["answer"] for one in reply.json().get("answers", [])],
        )
        for reply in replies
    ]


def replica_of(pid: int) -> int:
    """The process that owns the models."""
    (replica,) = [each for each in family(pid) if b"Models" in Path(f"/proc/{each}/cmdline").read_bytes()]
    return replica


def wait(folder: Path, running: "subprocess.Popen[bytes]") -> float:
    started = time.monotonic()
    while not re.search(r"listening on \S+", (folder / "said").read_text(encoding="utf-8")):
        assert running.poll() is None, "it ended"
        assert time.monotonic() - started < 240, "it does not start"
        time.sleep(0.1)
    return time.monotonic() - started


def listening() -> list[str]:
    """The addresses on which something listens in this network, as hexadecimal digits of /proc/net."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return [row[1].partition(":")[0] for row in rows if row[3] == "0A"]


def family(pid: int) -> list[int]:
    """A process and all that came of it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(each for child in children for each in family(int(child)))]


def costs(pid: int) -> tuple[int, int, float]:
    """Of a process and all that came of it: MiB (what they share counted once), how many they are, and seconds of
    processor time."""
    sizes, ticks = [], 0
    for each in family(pid):
        text = Path(f"/proc/{each}/smaps_rollup").read_text()
        sizes.append(int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1]))
        times = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()[11:15]
        ticks += sum(map(int, times))
    return sum(sizes) >> 10, len(sizes), ticks / os.sysconf("SC_CLK_TCK")


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


def main(run: Path, folder: Path, temporary: Path) -> None:
    raise_loopback()
    command = [sys.executable, "-m", "discern_vqa", "serve", str(run), "--cluster", "local", "--port", str(PORT)]
    with open(folder / "said", "wb") as said:
        running = subprocess.Popen(
            command, stdout=said, stderr=said, start_new_session=True, env=os.environ | {"TMPDIR": str(temporary)}
        )
    started: list[int] = []
    try:
        seen = ask(folder, temporary, running)
        started = family(running.pid)
        begun = time.monotonic()
        running.send_signal(signal.SIGTERM)
        seen["status"] = running.wait(60)
        seen["ended_after_s"] = time.monotonic() - begun
        seen["left"] = [str(path) for path in files(temporary)]
        (folder / "seen.json").write_text(json.dumps(seen))
    finally:
        for pid in started or family(running.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
