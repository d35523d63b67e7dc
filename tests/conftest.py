"""What every test may use: the real data and weights, when they are there."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

BESIDE = Path(__file__).resolve().parents[2] / "shared"


def _find(variable: str, folder: str, name: str) -> Path:
    roots = [Path(part) for part in os.environ.get(variable, "").split(os.pathsep) if part] or [BESIDE / folder]
    for root in roots:
        if (root / name).exists():
            return root / name
    message = f"{name} is in none of {[str(root) for root in roots]}; set {variable} to the folder that holds it"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    warnings.warn(f"SKIPPED: {message}", pytest.PytestWarning, stacklevel=3)
    pytest.skip(message)


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """`real_data("vqa_rad")` is the folder of that data set; skips loudly, and fails where CI=true."""
    return lambda name: _find("DISCERN_DATA", "data", name)


@pytest.fixture(scope="session")
def real_weights() -> Callable[[str], Path]:
    """`real_weights("mobilenet_v2_1.0_224")` is that folder; skips loudly, and fails where CI=true."""
    return lambda name: _find("DISCERN_WEIGHTS", "weights", name)
