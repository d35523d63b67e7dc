"""Plain values written as TOML, what `tomllib` reads; the standard library only reads it."""

import json
import string
from collections.abc import Mapping
from typing import Any

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
