"""What every test may use: the real data and weights, when they are there."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # a browser, which most tests do without
    from _browser import Watch
    from _desk import Desk
    from playwright.sync_api import BrowserContext

BESIDE = Path(__file__).resolve().parents[2] / "shared"

# No test may reach the hub; set before anything imports its client.
os.environ["HF_HUB_OFFLINE"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:  # each core has a worker of its own; set before anything imports torch
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with a slow test go first, so that no worker is left alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session", autouse=True)
def _folders_of_the_tests(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests use neither the user's cache nor the user's key for pseudonyms. Fingerprints of the real images stay in
    pytest's cache folder for the next session, and processes may share that; the key is drawn anew."""
    assert request.config.cache is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(request.config.cache.mkdir("discern")))
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


def _find(variable: str, folder: str, name: str) -> Path:
    roots = [Path(part) for part in os.environ.get(variable, "").split(os.pathsep) if part] or [BESIDE / folder]
    for root in roots:
        if (root / name).exists():
            return root / name
    message = f"{name} is in none of {[str(root) for root in roots]}; set {variable} to the folder that holds it"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """`real_data("vqa_rad")` is the folder of that data set; skips loudly, and fails where CI=true."""
    return lambda name: _find("DISCERN_DATA", "data", name)


@pytest.fixture(scope="session")
def real_weights() -> Callable[[str], Path]:
    """`real_weights("mobilenet_v2_1.0_224")` is that folder; skips loudly, and fails where CI=true."""
    return lambda name: _find("DISCERN_WEIGHTS", "weights", name)


TINY_RECIPE = """
[data]
dataset = "phantom"
text_length = 16

[model]
name = "cmdpi"
width = 32
layers = 1
heads = 2
ffn = 64
compact_text = true
image = { kind = "tiny", size = 64, patch = 16, channels = 16, layers = 1, heads = 2 }
text = { kind = "tiny", layers = 1, heads = 2 }

[objective]
name = "cmdpi_finetune"

[optim]
lr = 1e-3
batch = 32

[run]
epochs = 1
baselines = ["majority", "question_only"]
"""


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run folder of a model that has learned next to nothing; `phantoms` and `tiny.toml` lie beside it."""
    from discern_vqa.datasets import phantom
    from discern_vqa.training.train import train

    folder = tmp_path_factory.mktemp("tiny")
    phantom.draw(folder / "phantoms", images=40, size=64, workers=1)
    (folder / "tiny.toml").write_text(TINY_RECIPE, encoding="utf-8")
    train(folder / "tiny.toml", data=folder / "phantoms", out=folder / "run", quiet=True)
    return folder / "run"


@pytest.fixture(scope="module")
def page_context(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[tuple[BrowserContext, Watch]]":
    """A service with `tiny_run` and a browser for it (`_desk.served`)."""
    from _desk import served

    with served(tiny_run, tmp_path_factory.mktemp("corrections")) as context:
        yield context


@pytest.fixture
def desk(page_context: "tuple[BrowserContext, Watch]", tiny_run: Path, tmp_path: Path) -> "Iterator[Desk]":
    """A fresh page of that service without images (`_desk.cleared`)."""
    from _desk import cleared

    with cleared(*page_context, tiny_run, tmp_path) as desk:
        yield desk


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A run that looked at less than it could says so in one line before the counts."""
    unseen = [report for report in terminalreporter.stats.get("skipped", []) if "DISCERN_" in str(report.longrepr)]
    if unseen:
        terminalreporter.write_line(
            f"NOTE: {len(unseen)} tests did not run for want of real data or weights; set DISCERN_DATA and"
            " DISCERN_WEIGHTS",
            yellow=True,
        )
