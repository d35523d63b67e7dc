"""A service around a small run, for tests: opened once, asked over ASGI."""

import io
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from discern_vqa.datasets import phantom
from discern_vqa.evaluation.calibrate import from_validation
from discern_vqa.evaluation.ood_fit import fit_run
from discern_vqa.evaluation.opening import open_run
from discern_vqa.serve.app import build
from discern_vqa.serve.service import Service
from discern_vqa.serve.settings import Settings, named

HEADERS = {"X-Discern": "1"}
BASE = "http://127.0.0.1:8765"


def calibrated(run: Path, folder: Path) -> Path:
    """A copy of `tiny_run` that knows what its confidence is worth and what it was trained on."""
    made = folder / "calibrated"
    shutil.copytree(run, made)
    train = [sample for sample in phantom.read(run.parent / "phantoms", "train") if sample.question]
    predictor = open_run(made)
    half = sorted({sample.image for sample in train})[::2]
    new = [sample for sample in train if sample.image in half]
    calibration, _ = from_validation(predictor, train)
    calibration.write(made / "calibration.json")
    fit_run(predictor, [sample for sample in train if sample.image not in half], new, none_held_out=False)
    return made


def wait_until_ready(service: Service) -> None:
    """Waits for the runs, and for what the service reads of them after they are open."""
    service.worker.opened.result(timeout=60)
    for _ in range(600):
        if service.is_ready:
            return
        time.sleep(0.1)
    raise AssertionError("the service is not ready after a minute")


@contextmanager
def serving(*runs: Path, **settings: Any) -> Iterator[TestClient]:
    """A client of a service of these runs, which are open. It sends the header that changes need."""
    service = Service(Settings(runs=named(list(runs)), **settings))
    with TestClient(build(service), base_url=BASE, headers=HEADERS, raise_server_exceptions=False) as client:
        wait_until_ready(service)
        client.service = service
        yield client


def png(seed: int = 0, size: tuple[int, int] = (64, 64)) -> bytes:
    """A PNG of noise that has structure enough to be an image."""
    values = np.random.default_rng(seed).integers(0, 255, size[::-1], dtype=np.uint8)
    return encoded(values)


def encoded(values: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind)
    return buffer.getvalue()


def upload(client: Any, *contents: bytes, name: str = "image") -> list[dict[str, Any]]:
    """The images that an upload became."""
    reply = client.post("/v1/images", files=[("file", (name, content)) for content in contents])
    assert reply.status_code == 201, reply.text
    return reply.json()["images"]


def pixels(reply):
    """The values of a frame, and what they measure."""
    rows, columns = int(reply.headers["x-rows"]), int(reply.headers["x-columns"])
    if reply.headers["x-kind"] == "rgb8":
        return np.frombuffer(reply.content, "u1").reshape(rows, columns, 3)
    codes = np.frombuffer(reply.content, "<u2").reshape(rows, columns)
    return float(reply.headers["x-slope"]) * codes + float(reply.headers["x-intercept"])


def opened(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)
