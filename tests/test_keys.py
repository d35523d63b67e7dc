"""No key without a user: a recipe or an experiment sets it, docs/options.md offers it as a reading, or this file says
who needs it. Every key has a sentence."""

import ast
import inspect
import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from discern_vqa import registry
from discern_vqa.asking.tables import AskedTable, WritingTable
from discern_vqa.config import DataConfig, OptimConfig, PriorConfig, RunConfig
from discern_vqa.errors import ConfigError
from discern_vqa.experiments import catalogue
from discern_vqa.toml import read_tables

ROOT = Path(__file__).resolve().parents[1]
RECIPES = sorted((ROOT / "recipes").rglob("*.toml"))
COMMON = {"data": DataConfig, "prior": PriorConfig, "optim": OptimConfig, "run": RunConfig}
Table = type[BaseModel]
Key = tuple[Table, str]
NEEDED = {
    "DataConfig": "exclude folds index limit mirror options out_of_fold refit root",  # own data, quick looks
    "EncoderConfig": "width heads",  # sizes of the small encoder
    "FvtaConfig": "eps",  # a BERT with another epsilon is refused with this key
    "GeneratorConfig": "beams",  # how long an answer takes to be written
    "OptimConfig": "clip muon_lr recompute",
    "PriorConfig": "share_yes_no",  # docs/prior.md
    "RunConfig": "save_every seed trackers",
    # Where a model of somebody else's is, whose it is, and how fast it may be asked.
    "discern_vqa.outside.endpoint": "endpoint model system extra key_from concurrency timeout tries send_own_images"
    " longest_side samples other_prompts",
    "discern_vqa.outside.folder": "folder batch seed confidence longest_side samples other_prompts",
    "discern_vqa.outside.function": "function batch longest_side samples",
    "discern_vqa.objectives.classify": "name",  # the plain objective of docs/adding.md
    "EncoderTable": "image",  # which encoder
}
"""Keys that users need and that no recipe sets, by the class or the module of their table."""


def module_of(table: str, name: str) -> Any:
    return registry.load_model(name) if table == "model" else registry.load("objectives", name)


def top_tables() -> list[Table]:
    """The table classes that a recipe can hold."""
    found: list[Table] = [*COMMON.values()]
    of_tables = [f"{kind}.{name}" for kind in ("baselines", "outside") for name in registry.names(kind)]
    for name in [*registry.names("models"), *of_tables]:
        try:
            found.append(module_of("model", name).Config)
        except ConfigError:  # a row of `evaluate` only
            continue
    return found + [module_of("objective", name).Config for name in registry.names("objectives")]


def inner(cls: Table, key: str) -> Table | None:
    """The class of an inner table."""
    annotation = cls.model_fields[key].annotation
    kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
    return next((kind for kind in kinds if issubclass(kind, BaseModel)), None)


def all_keys() -> set[Key]:
    """Every key of every table that a recipe can hold; inner tables that several tables share count once."""
    found: set[Key] = set()
    waiting = top_tables()
    while waiting:
        cls = waiting.pop()
        new = {(cls, key) for key in cls.model_fields} - found
        found |= new
        waiting += [part for _, key in new if (part := inner(cls, key))]
    return found


def keys_at(cls: Table, content: dict[str, Any]) -> set[Key]:
    """The keys that a table of a recipe sets; dotted names reach into inner tables."""
    found = set()
    for name, value in content.items():
        key, _, rest = name.partition(".")
        found.add((cls, key))
        part = inner(cls, key)
        if part is not None:
            found |= keys_at(part, {rest: value} if rest else value)
    return found


def set_by_recipes() -> set[Key]:
    found = set()
    for path in RECIPES:
        for table, content in read_tables(path).items():
            found |= keys_at(COMMON.get(table) or module_of(table, content["name"]).Config, content)
    return found


def set_by_experiments() -> set[Key]:
    found = set()
    for name in catalogue.names():
        experiment = catalogue.load(name)
        for row in experiment.rows:
            changed = {
                "main": [*experiment.set, *row.set, *row.scale, *row.both, *row.unset, *row.unset_both],
                "before": [*experiment.before, *row.before, *row.scale_before, *row.both, *row.unset_both],
            }
            family = row.recipe.partition("/")[0] if row.recipe else experiment.family
            stages = {"main": "cmi_mtl" if family == "cmi_mtl" else "cmdpi_finetune", "before": "cmdpi_pretrain"}
            for stage, keys in changed.items():
                for key in keys:
                    table, _, rest = key.partition(".")
                    if family == "baselines" and table == "model":
                        continue
                    names = {"model": family, "objective": stages[stage]}
                    found |= keys_at(COMMON.get(table) or module_of(table, names[table]).Config, {rest: {}})
    return found


def offered_as_readings() -> set[Key]:
    """The keys of docs/options.md, each in every table that has it."""
    text = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    names = re.findall(r"^\| \S+ \| [^|]+ \| `(\w+)\.([\w.]+)` \|", text, re.MULTILINE)
    assert len(names) > 60
    found = set()
    for table, path in names:
        classes = [COMMON[table]] if table in COMMON else [one for one in top_tables() if one not in COMMON.values()]
        for cls in classes:
            *parts, last = path.split(".")
            part: Table | None = cls
            for key in parts:
                if part is not None and key == "readings":
                    found.add((part, key))
                part = inner(part, key) if part is not None and key in part.model_fields else None
            if part is not None and last in part.model_fields:
                found.add((part, last))
    return found


def needed() -> set[Key]:
    found = set()
    for cls, key in all_keys():
        keys = NEEDED.get(cls.__name__, "") if cls.__name__ != "Config" else NEEDED.get(cls.__module__, "")
        if key in keys.split():
            found.add((cls, key))
    return found


def said(keys: set[Key]) -> list[str]:
    return sorted(f"{cls.__module__}.{cls.__name__}.{key}" for cls, key in keys)


def test_every_key_has_a_user():
    used = set_by_recipes() | set_by_experiments()
    assert used <= all_keys()
    unset = all_keys() - used
    assert not said(unset - offered_as_readings() - needed())
    assert len(all_keys()) >= 206
    assert len(unset) >= 54


def test_the_list_of_needed_keys_has_no_other_reason():
    assert not said(needed() & (set_by_recipes() | set_by_experiments() | offered_as_readings()))
    assert len(needed()) == sum(len(keys.split()) for keys in NEEDED.values())


PLAIN = {"name", "profile", "readings", "image", "text", "fvta", "cifr", "generator"}
"""Keys that the docstring of their class explains."""


@pytest.mark.parametrize("cls", sorted({cls for cls, _ in all_keys()}, key=str), ids=str)
def test_every_key_has_a_sentence(cls):
    told = {}
    for owner in [one for one in cls.__mro__[::-1] if one in (cls, AskedTable, WritingTable)]:
        body = ast.parse(inspect.getsource(owner).strip()).body[0].body
        for statement, following in zip(body, [*body[1:], None], strict=True):
            if isinstance(statement, ast.AnnAssign):
                text = following.value.value if isinstance(following, ast.Expr) else ""
                told[statement.target.id] = text
    missing = sorted(key for key in told.keys() - PLAIN if not re.search(r"\.[\")]?$", told[key].strip()))
    assert set(told) == set(cls.model_fields)
    assert not missing


def test_experiments_are_read_whole():
    for path in (ROOT / "src/discern_vqa/experiments/named").glob("*.toml"):
        assert path.stem in catalogue.names()
        assert tomllib.loads(path.read_text(encoding="utf-8"))["family"] in registry.names("models")
