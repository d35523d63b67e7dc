"""docs/options.md is true: each key exists, takes the values it names, and the first of them is the paper's profile."""

import re
import tomllib
from pathlib import Path

import pytest

from discern_vqa.config import DataConfig, OptimConfig, RunConfig
from discern_vqa.models import cmdpi
from discern_vqa.nn.encoders.base import EncoderConfig
from discern_vqa.objectives import cmdpi_finetune, cmdpi_pretrain

PAGE = Path(__file__).resolve().parent.parent / "docs" / "options.md"
TABLES = {
    "model": cmdpi.Config,
    "image": EncoderConfig,
    "cmdpi_pretrain": cmdpi_pretrain.Config,
    "cmdpi_finetune": cmdpi_finetune.Config,
    "data": DataConfig,
    "optim": OptimConfig,
    "run": RunConfig,
}
SET_BY_RECIPES = {"optim.encoder_lr", "optim.schedule", "cmdpi_finetune.similar_percentile"}
"""Keys whose first value is not the default: the recipes set it, or it is off."""


def rows() -> list[tuple[str, str, list[str]]]:
    """(about, table.key, values as they are written in a recipe)."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("| A")
    ]
    return [(row[0], row[2].strip("`"), re.findall(r"`([^`]+)`", row[3])) for row in cells]


def read(text: str) -> object:
    """A value as `--set` reads it: TOML, or else a bare string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


@pytest.mark.parametrize(("about", "key", "values"), rows(), ids=lambda value: str(value) if value else "")
def test_a_key_exists_and_takes_the_values_that_the_page_names(about, key, values):
    table, name = key.split(".")
    needed = {"dataset": "vqa_rad"} if table == "data" else {}
    assert values
    made = [TABLES[table](**needed, **{name: read(value)}) for value in values]
    resolved = TABLES[table](**needed)
    resolved = resolved.resolved() if hasattr(resolved, "resolved") else resolved
    if key not in SET_BY_RECIPES:
        assert getattr(made[0], name) == getattr(resolved, name), f"{about}: the first value is the paper's profile"
    with pytest.raises(ValueError, match=name):
        TABLES[table](**needed, **{f"{name}_": 1})


def test_every_question_of_the_specification_is_answered_once_as_a_key_or_in_words():
    told = PAGE.read_text(encoding="utf-8")
    asked = {f"A{number}" for number in range(1, 41)}
    assert set(re.findall(r"\bA\d+\b", told)) == asked
    with_keys = {about for about, _, _ in rows()}
    in_words = set(re.findall(r"\bA\d+\b", told.rpartition("\n\n")[2]))
    assert with_keys | in_words == asked
    assert not with_keys & in_words
