"""docs/options.md is true: each key exists, takes the values it names, and has those that it marks as a profile's."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from discern_vqa.config import DataConfig, OptimConfig, RunConfig
from discern_vqa.models import cmdpi
from discern_vqa.models import cmi_mtl as cmi_model
from discern_vqa.objectives import cmdpi_finetune, cmdpi_pretrain
from discern_vqa.objectives import cmi_mtl as cmi_objective

PAGE = Path(__file__).resolve().parent.parent / "docs" / "options.md"
COMMON = {"data": DataConfig, "optim": OptimConfig, "run": RunConfig}
SECTIONS = {
    "CMDPI: model, data and run": COMMON | {"model": cmdpi.Config},
    'CMDPI: pre-training, `[objective] name = "cmdpi_pretrain"`': {"objective": cmdpi_pretrain.Config},
    'CMDPI: fine-tuning, `[objective] name = "cmdpi_finetune"`': {"objective": cmdpi_finetune.Config},
    "CMI-MTL": COMMON | {"model": cmi_model.Config, "objective": cmi_objective.Config},
}
SET_BY_RECIPES = {
    "optim.encoder_lr",
    "optim.schedule",
    "objective.readings.similar_percentile",
    "objective.readings.rho_question",
}
"""Keys whose first value is not the default: the recipes set it, or there is no such value unless it is asked for."""


def rows() -> list[tuple[str, str, str, str]]:
    """(section, about, key, cell of values)."""
    found, section = [], ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        section = line.removeprefix("## ") if line.startswith("## ") else section
        if re.match(r"\| (A\d|D\d|Fig|CIFR|FVTA|FFAE)", line):
            about, _, key, values = (cell.strip() for cell in line.strip("|").split("|"))
            found.append((section, about, key.strip("`"), values))
    return found


def read(text: str) -> object:
    """A value as `--set` reads it: TOML, or else a bare string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def made(cls: Any, path: list[str], *value: object, **settings: object) -> Any:
    """A table in which the key at `path` has the value; without a value the profile chooses."""
    needed: dict[str, Any] = {"dataset": "vqa_rad"} if cls is DataConfig else {}
    if value:
        inner: Any = value[0]
        for part in reversed(path):
            inner = {part: inner}
        needed |= inner
    table = cls(**needed, **settings)
    return table.resolved() if hasattr(table, "resolved") else table


def at(table: Any, path: list[str]) -> object:
    for part in path:
        table = getattr(table, part)
    return list(table) if isinstance(table, tuple) else table


@pytest.mark.parametrize(("section", "about", "key", "cell"), rows(), ids=lambda cell: str(cell)[:40])
def test_a_key_exists_and_takes_the_values_that_the_page_names(section, about, key, cell):
    table, *path = key.split(".")
    cls = SECTIONS[section][table]
    values = [read(value) for value in re.findall(r"`([^`]+)`", cell)]
    assert len(values) > 1 or key in SET_BY_RECIPES
    for value in values:
        assert at(made(cls, path, value), path) == value
    if key not in SET_BY_RECIPES:
        assert at(made(cls, path), path) == values[0], f"{about}: the first value is the default profile's"
    for value, profile in re.findall(r"`([^`]+)` \((robust|released)", cell):
        assert at(made(cls, path, profile=profile), path) == read(value), f"{about}: the value of {profile}"
    with pytest.raises(ValueError, match=path[-1]):
        made(cls, [*path[:-1], f"{path[-1]}_"], 1)


def test_the_page_has_every_reading():
    named = {(section, key) for section, _, key, _ in rows()}
    count = 0
    for section, classes in SECTIONS.items():
        for table in classes.keys() & {"model", "objective"}:
            keys = classes[table].model_fields["readings"].annotation.model_fields
            count += len(keys)
            assert {(section, f"{table}.readings.{key}") for key in keys} <= named
    assert count == 35


def test_every_question_of_the_specification_is_answered_once_as_a_key_or_in_words():
    asked = {f"A{number}" for number in range(1, 41)}
    with_keys = {about for _, about, _, _ in rows() if about.startswith("A")}
    words = PAGE.read_text(encoding="utf-8").split("## CMDPI: questions with one reading")[1].split("## ")[0]
    in_words = set(re.findall(r"\bA\d+\b", words))
    assert with_keys | in_words == asked
    assert not with_keys & in_words


def test_every_defect_of_the_published_program_has_a_key_or_none_in_words():
    told = PAGE.read_text(encoding="utf-8").split("## CMI-MTL")[1]
    assert set(re.findall(r"\bD\d+\b", told)) == {f"D{number}" for number in range(1, 15)}
