"""A recipe's tables as a TOML file: plain values, lists, and nested tables inline."""

import json
from typing import Any


def as_toml(tables: dict[str, dict[str, Any]], comment: str) -> str:
    """The text of a recipe. `comment` opens it, a line of its own for each of its lines."""
    lines = [f"# {line}" for line in comment.splitlines()]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {_value(value)}" for key, value in table.items()), ""]
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(key, ensure_ascii=False)} = {_value(one)}" for key, one in value.items())
        return "{ " + inner + " }" if inner else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML wants DEL escaped
    return repr(value)
