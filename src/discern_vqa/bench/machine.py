"""Which machine this is, and whether other work runs on it."""

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from discern_vqa.version import __version__

PACKAGES = ("numpy", "onnxruntime", "pillow", "pydicom", "torch", "transformers")


def about_this_machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, Any]:
    """machine (the processor's or card's name), system, cores, threads, versions: all JSON."""
    return {
        "machine": torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(cpuinfo),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "versions": {"discern": __version__, "python": platform.python_version()} | _versions(),
    }


def load() -> float | None:
    """How many processes wanted to run over the last minute; None where the system does not say."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _processor(cpuinfo: Path) -> str:
    text = cpuinfo.read_text(errors="replace") if cpuinfo.is_file() else ""
    named = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return named[1].strip() if named else platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
