"""Recipes as files: read with their base and with `--set`, and written (the standard library only reads TOML)."""

import itertools
import json
import os
import string
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discern_vqa.errors import ConfigError

ENCODING = "utf-8-sig"
"""UTF-8, with the byte order mark that some editors put before it, or without."""
_BARE = set(string.ascii_letters + string.digits + "_-")


def as_toml(tables: Mapping[str, Any]) -> str:
    """Tables of plain values as TOML: a [table] for each, inner tables inline. Values as `tomllib` gives them, but no
    dates: TypeError."""
    parts = []
    for name, table in tables.items():
        lines = "".join(f"{_toml_key(key)} = {toml_value(value)}\n" for key, value in table.items())
        parts.append(f"[{_toml_key(name)}]\n{lines}")
    return "\n".join(parts)


def toml_value(value: Any) -> str:
    """One value as TOML: text, numbers, lists and inner tables."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):  # JSON's strings are TOML's, but for the one control character that JSON leaves bare
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, dict):
        inner = ", ".join(f"{_toml_key(key)} = {toml_value(one)}" for key, one in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    raise TypeError(f"no TOML for {value!r}")


def _toml_key(key: str) -> str:
    return key if key and set(key) <= _BARE else toml_value(key)


def read_tables(path: Path) -> dict[str, Any]:
    """The tables of a TOML recipe, completed with those of its `base`; not checked yet.

    Raises ConfigError: the file or a base is missing or is no TOML, or a recipe is its own base.
    """
    tables, base = _recipe(path), path
    seen = [path.resolve()]
    while "base" in tables:
        named = tables.pop("base")
        if not isinstance(named, str) or not named:
            raise ConfigError(f"{base}: base = {named!r}: expected a recipe's path", hint='base = "other.toml"')
        base = base.parent / named
        if base.resolve() in seen:
            raise ConfigError(f"{path} has itself as a base, by way of {base}", hint="take `base` out of one of them")
        seen.append(base.resolve())
        tables = _over(_recipe(base), tables)
    return tables


def override(tables: dict[str, Any], setting: str) -> None:
    """Puts `optim.lr=1e-4` into the tables. The value is read as TOML, or else as a bare string. Raises ConfigError."""
    key, equals, text = setting.partition("=")
    parts = key.strip().split(".")
    if not equals or len(parts) < 2 or not all(parts):
        raise ConfigError(f"--set {setting!r}: expected table.key=value", hint="for example: --set optim.lr=1e-4")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    table, last = innermost(tables, parts, f"--set {setting!r}")
    table[last] = value


def innermost(tables: dict[str, Any], parts: list[str], where: str) -> tuple[dict[str, Any], str]:
    """The table that holds the key of these parts, made where there is none yet, and the last part. Raises
    ConfigError, about `where`."""
    table = tables
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{where}: {part!r} is a value, not a table", hint="see the keys of the recipe")
    return table, parts[-1]


def whole_recipe(path: Path) -> str:
    """The text of a recipe without a `base`: as it is, or put together with its base under its first comment."""
    text = Path(path).read_text(encoding=ENCODING)
    if "base" not in _recipe(Path(path)):
        return text
    comment = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines(keepends=True))
    return "".join(comment) + as_toml(read_tables(Path(path)))


def read_toml(path: Path, hint: str) -> dict[str, Any]:
    """The tables of a TOML file. Raises ConfigError where it is none or cannot be read; FileNotFoundError is the
    caller's."""
    try:
        return tomllib.loads(path.read_text(encoding=ENCODING))
    except FileNotFoundError:
        raise
    except OSError as error:  # a folder, or no permission
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigError(f"{path} cannot be read: {reason}", hint="name a recipe, a file that ends in .toml") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}", hint=hint) from None
    except (ValueError, RecursionError):
        raise ConfigError(f"{path} is no TOML: nested too deep, or a number is too long", hint=hint) from None


def _recipe(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path, "strings need quotes; tables look like [data]")
    except FileNotFoundError:
        near = sorted(str(recipe) for recipe in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        raise ConfigError(
            f"there is no recipe {path}",
            hint=f"there are: {', '.join(near)}" if near else "see the folder recipes/, or write one (docs/adding.md)",
        ) from None


def _over(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """`own` over `base`, table by table and key by key, and so the inner table `readings`; any other inner table is
    replaced whole. A table whose `name` differs from the base's takes nothing over."""
    merged = dict(base)
    for table, content in own.items():
        before = base.get(table)
        if isinstance(before, dict) and isinstance(content, dict) and content.get("name") in (None, before.get("name")):
            merged[table] = before | content
            readings = before.get("readings"), content.get("readings")
            if isinstance(readings[0], dict) and isinstance(readings[1], dict):
                merged[table]["readings"] = readings[0] | readings[1]
        else:
            merged[table] = content
    return merged
