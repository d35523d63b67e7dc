"""Every key that a recipe can set, with its type, its default and its meaning: read off the classes that check recipes,
so that the reference (`discern recipe keys`, docs/recipes.md) cannot say anything else than the program does."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from discern_vqa import registry
from discern_vqa.config import DataConfig, OptimConfig, PriorConfig, RunConfig
from discern_vqa.errors import ConfigError
from discern_vqa.recipe_table import Profiled, Table
from discern_vqa.toml import toml_value

COMMON: dict[str, type[Table]] = {"data": DataConfig, "prior": PriorConfig, "optim": OptimConfig, "run": RunConfig}
"""The tables that are the same whatever the model is."""
ORDER = ("data", "model", "prior", "objective", "optim", "run")
_PLAIN = {bool: "true or false", int: "whole number", float: "number", str: "text", dict: "table"}
_PLURAL = {"text": "texts", "number": "numbers", "whole number": "whole numbers"}
_BOUNDS = {Ge: ("at least", "ge"), Gt: ("above", "gt"), Le: ("at most", "le"), Lt: ("below", "lt")}


@dataclass(frozen=True)
class Key:
    """One key of a recipe."""

    table: str
    name: str
    """Within the table; keys of inner tables are joined with dots."""
    kind: str
    """What may be given, in words: "whole number, at least 1"."""
    default: str
    """As TOML; "required" where a recipe has to state it, "none" where it stands for nothing unless it is stated."""
    meaning: str
    takers: tuple[str, ...] = ()
    """The models or objectives that have the key in this form; none: every recipe that has the table."""

    @property
    def full(self) -> str:
        """As `--set` names it: "optim.lr"."""
        return f"{self.table}.{self.name}"


def all_keys() -> list[Key]:
    """Every key, table by table, in the order of its class. A key that several models share, with one type, one
    default and one meaning, is there once, and `takers` names them."""
    keys = {table: list(_keys(table, cls)) for table, cls in COMMON.items()}  # these need neither torch nor a model
    networks = {name: registry.model(name).Config for name in registry.names("models")}
    baselines = {f"{registry.BASELINE}{name}": registry.fitted_baseline(f"{registry.BASELINE}{name}").Config
                 for name in registry.trainable_baselines()}  # fmt: skip
    objectives = {name: registry.objective(name).Config for name in registry.names("objectives")}
    outside = {f"{registry.OUTSIDE}{name}": registry.outside(name).Config for name in registry.names("outside")}
    keys["model"] = _shared("model", {**networks, **baselines, **outside})
    keys["objective"] = _shared("objective", objectives)
    return [key for table in ORDER for key in keys[table]]


def matching(wanted: str) -> list[Key]:
    """The keys whose full name holds the text, or, where there is none, whose meaning or takers do; all for "".

    Raises ConfigError that suggests the nearest key.
    """
    text = wanted.lower()
    if (table := text.partition(".")[0]) in COMMON:
        keys = list(_keys(table, COMMON[table]))  # without the seconds that it takes to load every model
    else:
        keys = all_keys()
    chosen = [key for key in keys if text in key.full.lower()]
    chosen = chosen or [key for key in keys if text in key.meaning.lower() or text in " ".join(key.takers).lower()]
    if not chosen:
        names = {key.name.rpartition(".")[2]: key.full for key in keys} | {key.full: key.full for key in keys}
        near = difflib.get_close_matches(text, names, n=1) or difflib.get_close_matches(
            text.rpartition(".")[2], names, n=1
        )
        hint = f"discern recipe keys {names[near[0]] if near else ''}".rstrip()
        raise ConfigError(f"no key of a recipe has to do with {wanted!r}", hint=hint)
    return chosen


def _shared(table: str, classes: Mapping[str, type[Table]]) -> list[Key]:
    """The keys of several classes, those that are the same only once."""
    takers: dict[Key, list[str]] = {}
    for taker, cls in classes.items():
        for key in _keys(table, cls):
            takers.setdefault(key, []).append(taker)
    name = Key(table, "name", " or ".join(map(toml_value, classes)), "required", f"Which {table} it is.")
    return [name, *(replace(key, takers=tuple(names)) for key, names in takers.items() if key.name != "name")]


def _keys(table: str, cls: type[Table], before: str = "", defaults: Mapping[str, Any] | None = None) -> Iterator[Key]:
    """The keys of a class, with those of its inner tables. defaults: by profile, the class's defaults as it fills
    them."""
    profiles = defaults if defaults is not None else _profiles(cls)
    for name, field in cls.model_fields.items():
        inner = _table_of(field.annotation)
        if inner is not None and not field.is_required():
            parts = {profile: getattr(filled, name) for profile, filled in profiles.items()}
            yield from _keys(table, inner, f"{before}{name}.", parts)
        else:
            meaning = _meaning(cls, name)
            default = _default(field, {profile: getattr(filled, name) for profile, filled in profiles.items()})
            yield Key(table, f"{before}{name}", _kind(field.annotation, field.metadata), default, meaning)


def _profiles(cls: type[Table]) -> dict[str, Any]:
    """The table with nothing stated, as each of its profiles fills it."""
    field = cls.model_fields.get("profile")
    filled = (
        {profile: cls.model_validate({"profile": profile}) for profile in get_args(field.annotation)} if field else {}
    )
    return {profile: table.resolved() for profile, table in filled.items() if isinstance(table, Profiled)}


FOLLOWS = "follows from other keys"
"""In place of a default that the meaning of the key explains."""


def _default(field: FieldInfo, by_profile: Mapping[str, Any]) -> str:
    if field.is_required():
        return "required"
    if field.default_factory_takes_validated_data:
        return FOLLOWS
    value = field.get_default(call_default_factory=True)
    if value is not None:
        return _toml(value)
    chosen = {profile: _toml(choice) for profile, choice in by_profile.items()}
    if len(set(chosen.values())) > 1:
        return "; ".join(f"{choice} ({profile})" for profile, choice in chosen.items())
    return next(iter(chosen.values()), "none")


def _toml(value: Any) -> str:
    return "none" if value is None else toml_value(list(value) if isinstance(value, tuple) else value)


def _meaning(cls: type[Table], name: str) -> str:
    """The docstring below the key, in the class or in one that it is derived from, in one line."""
    for owner in cls.__mro__:
        field = getattr(owner, "model_fields", {}).get(name) if issubclass(owner, Table) else None
        if field is not None and field.description:
            return " ".join(field.description.split())
    return ""


def _table_of(annotation: Any) -> type[Table] | None:
    kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type) and issubclass(kind, Table)]
    return kinds[0] if kinds and get_origin(annotation) not in (list, dict) else None


def _kind(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """A type in words, with its bounds."""
    bounds = [f"{word} {getattr(bound, name)}" for kind, (word, name) in _BOUNDS.items() for bound in _flat(metadata)
              if isinstance(bound, kind)]  # fmt: skip
    return ", ".join([_word(annotation), *bounds])


def _flat(metadata: Iterable[Any]) -> Iterator[Any]:
    for entry in metadata:
        yield from _flat(entry.metadata) if isinstance(entry, FieldInfo) else [entry]


def _word(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        return _kind(inner[0], annotation.__metadata__)
    if origin is Literal:
        return " or ".join(map(_toml, inner))
    if origin in (Union, UnionType):
        return " or ".join(_word(part) for part in inner if part is not type(None))
    if origin is list:
        word = _word(inner[0])
        return f"list of {_PLURAL.get(word, word)}"
    if origin is tuple:
        words = [_word(part) for part in inner]
        return f"list of {len(words)}: {words[0]} each" if len(set(words)) == 1 else f"list: {'; '.join(words)}"
    if origin is dict and inner[1] is not Any:
        return f"table of: {_word(inner[1])}"
    return _PLAIN.get(origin or annotation, "any value")
