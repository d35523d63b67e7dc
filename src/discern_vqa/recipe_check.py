"""What is wrong with a recipe beyond a single value: tables that contradict each other, and names that do not exist.
Also how a mistake is put into words. `config` declares the tables and calls this; it reports all mistakes at once."""

import json
from typing import Any, get_args

from pydantic import BaseModel, ValidationError, create_model
from pydantic_core import ErrorDetails

from discern_vqa import registry
from discern_vqa.errors import DataError, did_you_mean
from discern_vqa.renamed_keys import advice


def impossible(built: dict[str, Any]) -> list[str]:
    """Where the tables that could be `built` contradict each other."""
    mistakes = []
    data = built.get("data")
    if data is not None and data.fold >= data.folds:
        mistakes.append(f"[data] fold = {data.fold}: expected less than folds = {data.folds}")
    if data is not None and data.out_of_fold is not None and not 0 <= data.out_of_fold[0] < data.out_of_fold[1] > 1:
        mistakes.append(f"[data] out_of_fold = {list(data.out_of_fold)}: expected [i, k] with 0 <= i < k and k > 1")
    if data is not None and data.dataset in data.auxiliary:
        mistakes.append(f"[data] auxiliary: {data.dataset!r} is the data set itself")
    if data is not None and (odd := data.vocabulary_min_count.keys() - set(data.vocabulary_from)):
        mistakes.append(f"[data] vocabulary_min_count: {', '.join(sorted(odd))}: expected names of vocabulary_from")
    if (
        data is not None
        and data.refit != "none"
        and {"objective", "run"} <= built.keys()
        and built["run"].select == "best"
    ):
        mistakes.append(
            '[data] refit: nothing is left to choose the best epoch on, so [run] select = "last" is expected'
        )
    # Cases are compared by the states of frozen encoders, and a mirrored image is no longer the case that it was.
    uses_cases = "prior" in built and built["prior"].cases
    if uses_cases and "model" in built and not (built["model"].image.frozen and built["model"].text.frozen):
        mistakes.append("[prior] cases = true: needs frozen encoders, `frozen = true` in [model] image and text")
    if uses_cases and data is not None and data.mirror:
        mistakes.append("[prior] cases = true: not with [data] mirror = true, which exchanges left and right")
    return mistakes


def unknown_names(built: dict[str, Any]) -> list[str]:
    """Names in the tables that could be `built` of which there is nothing; otherwise `evaluate` would find out."""
    named: list[tuple[str, str, list[str]]] = []
    if "data" in built:
        data, sets = built["data"], registry.names("datasets")
        keys = [("dataset", data.dataset), *(("vocabulary_from", name) for name in data.vocabulary_from)]
        keys += [("auxiliary", entry.partition(":")[0]) for entry in data.auxiliary]
        named += [(f"[data] {key}", name, sets) for key, name in keys]
        named += [("[data] imitate", name, list(registry.load("lab", "faults").FAULTS)) for name in data.imitate]
        named.append(("[data] normaliser", data.normaliser, list(registry.load("data", "answers").NORMALISERS)))
    if "run" in built:
        named += [("[run] baselines", name, registry.names("baselines")) for name in built["run"].baselines]
    mistakes = [
        f"{key} = {json.dumps(name)}: there is none{suggest(name, known)}"
        for key, name, known in named
        if name not in known
    ]
    return mistakes + (_impossible_drawing(built["data"]) if "data" in built else [])


def _impossible_drawing(data: Any) -> list[str]:
    if data.dataset != "phantom" or not data.draw:
        return []
    drawing = registry.load("datasets.phantom", "drawing")
    around = create_model("Around", draw=(drawing.Arguments, ...))
    try:
        checked: Any = around.model_validate({"draw": data.draw}, strict=True)
        drawing.check(checked.draw)
    except ValidationError as error:
        return [explain("data", "", around, detail)[0] for detail in error.errors()]
    except DataError as error:
        return [f"[data] draw: {error} ({error.hint})"]
    return []


def explain(table: str, name: str, cls: type[BaseModel], detail: ErrorDetails) -> tuple[str, str]:
    """One pydantic error about `[table]` (of the model or objective `name`) in the words of the recipe, as in `[optim]
    lrr: unknown key (did you mean 'lr'?)`, and a hint; the hint is empty where the message says enough."""
    location = [str(part) for part in detail["loc"]]
    where = f"[{table}] {'.'.join(location)}".rstrip()
    if detail["type"] == "extra_forbidden":
        unknown = f"{where}: unknown key{suggest(location[-1], _keys(cls, location[:-1]))}"
        return advice(table, name, ".".join(location), detail["input"]) or (unknown, "")
    if detail["type"] == "missing":
        return f"{where}: is missing", ""
    value = json.dumps(detail["input"], default=str)
    return f"{where} = {value}: {detail['msg'][0].lower()}{detail['msg'][1:]}", ""


def _keys(cls: type[BaseModel], path: list[str]) -> list[str]:
    """The keys that the (nested) table at `path` knows."""
    known: type[BaseModel] = cls
    for part in path:
        field = known.model_fields.get(part)
        kinds = [kind for kind in (field.annotation, *get_args(field.annotation)) if field] if field else []
        nested = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if nested:
            known = nested[0]
    return list(known.model_fields)


def suggest(name: str, known: list[str]) -> str:
    """The nearest of the `known` names, or all of them."""
    return " (" + did_you_mean(name, known, f"there are: {', '.join(known)}") + ")"


def without_none(tables: dict[str, Any]) -> dict[str, Any]:
    """Tables without the keys that stand for nothing (None), which TOML cannot write."""
    return {key: without_none(value) if isinstance(value, dict) else value for key, value in tables.items()
            if value is not None}  # fmt: skip
