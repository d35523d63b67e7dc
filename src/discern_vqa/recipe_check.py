"""What is wrong with a recipe beyond the single value: tables that do not go together, names of nothing; and how
mistakes are put into the recipe's words. `config` knows the tables and calls this; all it finds is said at once."""

import difflib
import json
from typing import Any, get_args

from pydantic import BaseModel, ValidationError, create_model
from pydantic_core import ErrorDetails

from discern_vqa import registry
from discern_vqa.errors import DataError


def impossible(built: dict[str, Any]) -> list[str]:
    """What the tables that could be `built` say against each other."""
    mistakes = []
    data = built.get("data")
    if data is not None and data.fold >= data.folds:
        mistakes.append(f"[data] fold = {data.fold}: expected less than folds = {data.folds}")
    if data is not None and data.beside == data.dataset:
        mistakes.append(f"[data] beside = {data.beside!r}: that is the data set itself")
    if data is not None and (odd := data.vocabulary_min_count.keys() - set(data.vocabulary_from)):
        mistakes.append(f"[data] vocabulary_min_count: {', '.join(sorted(odd))}: expected names of vocabulary_from")
    return mistakes + _impossible_prior(built)


def _impossible_prior(built: dict[str, Any]) -> list[str]:
    """Cases are compared by what frozen encoders say, and a mirrored image is no longer its own case."""
    if "prior" not in built or not built["prior"].cases:
        return []
    mistakes = []
    if "model" in built and not (built["model"].image.frozen and built["model"].text.frozen):
        mistakes.append("[prior] cases = true: needs frozen encoders, `frozen = true` in [model] image and text")
    if "data" in built and built["data"].mirror:
        mistakes.append("[prior] cases = true: not with [data] mirror = true, which changes sides and their answers")
    return mistakes


def unknown_names(built: dict[str, Any]) -> list[str]:
    """What the tables that could be `built` name and nobody has: it would be missed late, or only by `evaluate`."""
    named: list[tuple[str, str, list[str]]] = []
    if "data" in built:
        data, sets = built["data"], registry.names("datasets")
        asked = [("dataset", data.dataset), *(("vocabulary_from", name) for name in data.vocabulary_from)]
        asked += [("beside", data.beside)] if data.beside else []
        named += [(f"[data] {key}", name, sets) for key, name in asked]
        faults = [name.upper() for name in registry.names("lab.faults")]
        named += [("[data] imitate", name, faults) for name in data.imitate]
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
    """Arguments that a phantom set cannot be drawn with."""
    if data.dataset != "phantom" or not data.draw:
        return []
    drawing = registry.load("datasets.phantom", "drawing")
    around = create_model("Around", draw=(drawing.Arguments, ...))
    try:
        asked: Any = around.model_validate({"draw": data.draw}, strict=True)
        drawing.check(asked.draw)
    except ValidationError as error:
        return [explain("data", around, detail) for detail in error.errors()]
    except DataError as error:
        return [f"[data] draw: {error} ({error.hint})"]
    return []


def explain(table: str, cls: type[BaseModel], detail: ErrorDetails) -> str:
    """One pydantic error in the words of the recipe: `[optim] lrr: unknown key (did you mean 'lr'?)`."""
    location = [str(part) for part in detail["loc"]]
    where = f"[{table}] {'.'.join(location)}".rstrip()
    if detail["type"] == "extra_forbidden":
        return f"{where}: unknown key{suggest(location[-1], _keys(cls, location[:-1]))}"
    if detail["type"] == "missing":
        return f"{where}: is missing"
    given = json.dumps(detail["input"], default=str)
    return f"{where} = {given}: {detail['msg'][0].lower()}{detail['msg'][1:]}"


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
    near = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else f" (there are: {', '.join(known)})"
