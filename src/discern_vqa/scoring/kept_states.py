"""`features.<split>.safetensors`: what a model's answers were read from, kept small for the report. No torch here.

One tensor `states` (n, w) in half precision, a row for each of at most `MOST` questions; their ids stand in the
file's metadata under `ids` as a JSON list, in the rows' order.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from discern_vqa.files import atomic_path, from_json
from discern_vqa.scoring.stored import own_file

MOST = 1_000
"""A map of more questions is a cloud, and takes minutes to be laid out."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class States:
    """ids (n); states (n, w) float32."""

    ids: list[str]
    states: np.ndarray


def chosen(items: Sequence[Item]) -> list[Item]:
    """All of them, or `MOST` spread evenly over the list: the same ones each time."""
    if len(items) <= MOST:
        return list(items)
    return [items[place] for place in np.linspace(0, len(items) - 1, MOST).round().astype(int)]


def write(path: Path, ids: Sequence[str], states: np.ndarray) -> None:
    """Writes the file, whole or not at all. states: (n, w)."""
    halves = np.ascontiguousarray(states, dtype=np.float32).astype(np.float16)
    with atomic_path(path) as partial:
        save_file({"states": halves}, partial, metadata={"ids": json.dumps(list(ids))})


def read(path: Path) -> States:
    """Reads the file. Raises RunError when it is broken, or its ids are not those of its rows."""
    with own_file(path, f"write it anew: discern evaluate {path.parent}, or remove it"):
        with safe_open(path, framework="numpy") as file:
            states = np.asarray(file.get_tensor("states"), dtype=np.float32)
            ids = from_json(file.metadata()["ids"])
        if len(ids) != len(states):
            raise ValueError(f"it holds {len(states)} rows, and {len(ids)} ids")
    return States(ids, states)
