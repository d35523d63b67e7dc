"""A service on this machine, treated badly: many callers, broken files, hours in short, kills. `make drill`.

    python benchmarks/serve_load.py RUN [--callers 200] [--requests 2000] [--uploads 5000] [--soak 60] [--kills 10]
                                        [--seed 1] [--json FILE]

Each part starts `discern serve` as a process of its own on a free port of 127.0.0.1:

    load      so many requests of one question by so many callers at once: answered as if it were asked alone, told to
              come back, anything else; and what the service spends in ten seconds without any
    uploads   so many broken files of every kind that is read (tests/_broken.py): refused, opened, anything else
    soak      seconds of uploads, questions and heat maps; memory in each tenth of them
    kills     the process is ended at a random moment, by SIGKILL and SIGTERM in turns, while corrections are sent: no
              confirmed one may be missing, no line may be broken, nothing may be left in the temporary folder

Exit code 1 when anything happened that must not. Wall-clock figures of a busy machine say little.
"""

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from _broken import SEEDS  # noqa: E402
from _mutations import mutated  # noqa: E402

HEADERS = {"X-Discern": "1"}
IDLE = 10.0
MOST_IDLE = 0.1
"""Seconds of the processor that a service without work may take in so many seconds."""
MOST_GROWTH = 1.05
"""Memory at the end of a soak over that after seven tenths, when what is kept of images and questions has filled up."""


@contextmanager
def service(run: Path, folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """A service of the run, ready, and its address."""
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "discern_vqa", "serve", str(run), "--port", "0"]
    command += ["--corrections", str(folder / "corrections")]
    environment = os.environ | {"TMPDIR": str(folder / "tmp")}
    log = folder / "stderr"
    with open(log, "wb") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr, env=environment)
        try:
            address = None
            while address is None:
                if process.poll() is not None:
                    sys.exit(log.read_text(encoding="utf-8"))
                time.sleep(0.05)
                address = re.search(r"listening on (\S+)", log.read_text(encoding="utf-8"))
            while httpx.get(f"{address[1]}/readyz", timeout=30).status_code != 200:
                time.sleep(0.1)
            yield process, address[1]
        finally:
            process.kill()
            process.wait()


def load(run: Path, folder: Path, callers: int, requests: int, seed: int) -> dict[str, Any]:
    """See the module."""
    with service(run, folder) as (process, address):
        here = threading.local()  # a client of each caller: one of many threads closes connections under the others
        with httpx.Client(base_url=address, headers=HEADERS, timeout=120) as client:
            ids = [uploaded(client, SEEDS["png"]()[number]) for number in range(2)]
            bodies = [
                {"image": id, "questions": [f"Is there a nodule of {size} mm?"]} for id in ids for size in range(50)
            ]
            alone = [said(client.post("/v1/answers", json=body)) for body in bodies]
            unequal, before = list[int](), cpu_seconds(process.pid)
            time.sleep(IDLE)
            idle = cpu_seconds(process.pid) - before

            def ask(number: int) -> tuple[int, float]:
                if not hasattr(here, "client"):
                    here.client = httpx.Client(base_url=address, headers=HEADERS, timeout=120)
                started = time.perf_counter()
                reply = here.client.post("/v1/answers", json=bodies[number % len(bodies)])
                took = time.perf_counter() - started
                if reply.status_code == 200 and not same(said(reply), alone[number % len(bodies)]):
                    unequal.append(number)
                return reply.status_code, took

            before, started = cpu_seconds(process.pid), time.perf_counter()
            with ThreadPoolExecutor(callers) as pool:
                replies = list(pool.map(ask, range(requests)))
            wall = time.perf_counter() - started
            spent = cpu_seconds(process.pid) - before
    statuses = Counter(status for status, _ in replies)
    took = sorted(seconds for status, seconds in replies if status == 200)
    others = sum(count for status, count in statuses.items() if status not in (200, 503))
    return {
        "statuses": dict(statuses),
        "answered_per_second": round(len(took) / wall, 1),
        "answered_per_cpu_second": round(len(took) / spent, 1),
        "p50_ms": round(1000 * took[len(took) // 2], 1),
        "p95_ms": round(1000 * took[int(0.95 * len(took))], 1),
        "idle_cpu_s": round(idle, 2),
        "unequal": len(unequal),
        "wrong": others + len(unequal) + (idle > MOST_IDLE),
    }


def said(reply: httpx.Response) -> dict[str, Any]:
    """The answer to the one question of a request."""
    (entry,) = reply.raise_for_status().json()["answers"]
    return dict(entry)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two answers say the same; a confidence may differ as sums in batches do."""
    if any(one[key] != other[key] for key in ("answer", "abstains", "answer_set")):
        return False
    return abs(one["confidence"] - other["confidence"]) < 1e-4


def uploads(run: Path, folder: Path, count: int, seed: int) -> dict[str, Any]:
    """See the module."""
    draw, statuses, wrong = random.Random(seed), Counter[int](), list[str]()
    kinds = {kind: seeds() for kind, seeds in SEEDS.items()}
    others = [content for contents in kinds.values() for content in contents]
    slowest = 0.0
    with service(run, folder) as (process, address), httpx.Client(base_url=address, headers=HEADERS) as client:
        for number in range(count):
            kind = list(kinds)[number % len(kinds)]
            content = mutated(draw.choice(kinds[kind]), kind, draw, others)
            started = time.perf_counter()
            name = draw.choice(["a.dcm", "../../etc/passwd", "a\\b", "x" * 300, "DOE^JANE.png", "a/b.nii.gz"])
            reply = client.post("/v1/images", files=[("file", (name, content))], timeout=120)
            slowest = max(slowest, time.perf_counter() - started)
            statuses[reply.status_code] += 1
            if reply.status_code not in (201, 413, 422) or "/proc/" in reply.text:
                wrong.append(f"{kind} {number}: {reply.status_code} {reply.text[:200]}")
        memory = resident_mib(process.pid)
    told = {"statuses": dict(statuses), "slowest_s": round(slowest, 2), "memory_mib": memory}
    return told | {"wrong": len(wrong), "examples": wrong[:5]}


def soak(run: Path, folder: Path, seconds: float, seed: int) -> dict[str, Any]:
    """See the module."""
    draw, memory, statuses = random.Random(seed), list[float](), Counter[int]()
    with service(run, folder) as (process, address), httpx.Client(base_url=address, headers=HEADERS) as client:
        until, number = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            number += 1
            content = draw.choice(SEEDS["png"]()) + number.to_bytes(8, "big")  # behind its end: a file of its own
            id = uploaded(client, content)
            body = {"image": id, "questions": [f"Is there a nodule of {number} mm?", "Where is it?"]}
            statuses[client.post("/v1/answers", json=body, timeout=120).status_code] += 1
            if number % 10 == 0:
                body = {"image": id, "question": "Where is it?", "method": "grad_cam"}
                statuses[client.post("/v1/explanations", json=body, timeout=120).status_code] += 1
            client.get(f"/v1/images/{id}/seen", timeout=120)
            memory.append(resident_mib(process.pid))
    tenth = max(1, len(memory) // 10)
    means = [
        sum(part) / len(part) for part in (memory[start : start + tenth] for start in range(0, len(memory), tenth))
    ]
    told = {"images": number, "statuses": dict(statuses), "memory_mib": [round(mean) for mean in means]}
    wrong = sum(count for status, count in statuses.items() if status not in (200, 422))
    return told | {"wrong": wrong + (means[-1] > MOST_GROWTH * means[len(means) * 7 // 10])}


def kills(run: Path, folder: Path, count: int, seed: int) -> dict[str, Any]:
    """See the module."""
    draw, confirmed, wrong, codes = random.Random(seed), list[str](), list[str](), Counter[int]()
    for number in range(count):
        with service(run, folder) as (process, address):
            ended = threading.Timer(draw.uniform(0.05, 1.0), process.send_signal, [KILLS[number % 2]])
            try:
                with httpx.Client(base_url=address, headers=HEADERS, timeout=30) as client:
                    id = uploaded(client, SEEDS["png"]()[0])
                    ended.start()
                    while True:
                        body = {"image": id, "question": f"Question {number}?", "answer": "yes"}
                        reply = client.post("/v1/corrections", json=body)
                        if reply.status_code != 201:
                            break
                        confirmed.append(reply.json()["id"])
            except httpx.HTTPError:
                pass
            codes[process.wait(60)] += 1
        if left := [path for path in (folder / "tmp").rglob("*") if path.is_file()]:  # torch makes an empty folder
            wrong.append(f"kill {number} left {len(left)} files")
    lines = (folder / "corrections" / "samples.jsonl").read_bytes().splitlines(keepends=True)
    whole = {json.loads(line)["id"] for line in lines if line.endswith(b"\n")}
    if missing := set(confirmed) - whole:
        wrong.append(f"{len(missing)} confirmed corrections are missing")
    if set(codes) - {0, -signal.SIGKILL}:
        wrong.append(f"exit codes {dict(codes)}")
    return {"confirmed": len(confirmed), "exit_codes": dict(codes), "wrong": len(wrong), "examples": wrong[:5]}


KILLS = (signal.SIGKILL, signal.SIGTERM)


def uploaded(client: httpx.Client, content: bytes) -> str:
    """The id of an upload that is an image."""
    reply = client.post("/v1/images", content=content, headers={"Content-Type": "image/png"}, timeout=120)
    reply.raise_for_status()
    return str(reply.json()["images"][0]["id"])


def cpu_seconds(pid: int) -> float:
    """What a process has spent (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """What a process holds in memory, files without a name included (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--callers", type=int, default=200)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--uploads", type=int, default=5000)
    parser.add_argument("--soak", type=float, default=60.0)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        parts = {
            "load": lambda: load(given.run, place / "load", given.callers, given.requests, given.seed),
            "uploads": lambda: uploads(given.run, place / "uploads", given.uploads, given.seed),
            "soak": lambda: soak(given.run, place / "soak", given.soak, given.seed),
            "kills": lambda: kills(given.run, place / "kills", given.kills, given.seed),
        }
        wanted = {"load": given.requests, "uploads": given.uploads, "soak": given.soak, "kills": given.kills}
        for name, part in parts.items():
            if wanted[name]:
                results[name] = part()
                print(f"{name:8} {json.dumps(results[name])}", flush=True)
    if given.json:
        given.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return int(any(result["wrong"] for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
