"""Keys of recipes that had another name before, and keys that do not exist any more. A recipe that holds one is refused
with the present name (`advice`); a run that was trained with them still opens (`translated`).

Names are those within the table, inner tables joined with dots. The entries of "model cmdpi" are for `[model]` with
`name = "cmdpi"`, those of "model" for every model.
"""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any, NamedTuple

from discern_vqa.errors import RunError

Tables = dict[str, Any]


class Gone(NamedTuple):
    """A key that does not exist any more: the value that every recipe has now (its former default), and what the
    program does."""

    value: Any
    now: str


def _into_readings(names: str) -> dict[str, str]:
    return {name: f"readings.{name}" for name in names.split()}


MOVED: dict[str, dict[str, str]] = {
    "data": {f"beside{end}": f"auxiliary{end}" for end in ("", "_missing", "_outside", "_limit", "_share")},
    "model cmdpi": {
        "picture_size": "image_target_size",
        "picture_grey": "image_target_grey",
        **_into_readings("answer_slot head_T image_target text_head input_ln tau_learned"),
    },
    "model cmi_mtl": _into_readings("mask_padding type_head"),
    "objective cmdpi_pretrain": _into_readings(
        "rho_image rho_text rho_question loss_scope rec_reduce tau momentum queue intra_view mask_duplicates"
    ),
    "objective cmdpi_finetune": _into_readings(
        "similar_above similar_percentile similar_nearest similar_same_organ similar_uniform similar_in_batch "
        "similar_fallback eps_min eps_per near_gradient lam_per partner_deviated same_answer_type rho_text"
    ),
    "objective cmi_mtl": _into_readings("mask_false_negatives stale_clip"),
    "run": {"tensorboard": "trackers"},
}


CONVERTED: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "tensorboard": (lambda is_on: ["tensorboard"] if is_on else [], bool),
}
"""Moved keys whose value changed too: from the former value to the present one, and back."""

_NO_DROPOUT = Gone(0.0, "the encoder `tiny` has no dropout")
_TRIED = "the settings that are tried on validation are fixed in the baseline's file"
GONE: dict[str, dict[str, Gone]] = {
    "model": {"image.dropout": _NO_DROPOUT, "text.dropout": _NO_DROPOUT},
    "model cmdpi": {"fusion": Gone("ffn", "the global features are always fused by a feed-forward network")},
    "model cmi_mtl": {
        "fvta.text": Gone("first", "the alignment always reads the state of the text's first position"),
        "fvta.tau": Gone(0.07, "the learned temperature always starts from 0.07"),
        "fvta.token_tau": Gone(0.07, "the temperature of the token term is always 0.07"),
        "cifr.rank": Gone(0, "the rank of dt is always a sixteenth of the width"),
        "cifr.head": Gone(0, "the scan is always Mamba's, not Mamba-2's"),
        "cifr.kernel": Gone(4, "the convolution always covers 4 positions"),
        "cifr.conv": Gone("causal", "the convolution is always causal"),
        "cifr.gate": Gone("pool", "the gate always pools the other stream to the own positions"),
        "cifr.heads": Gone(4, "the variant `xattn` always has 4 heads"),
        "generator.rank_first": Gone(128, "the way of answering `rank` always scores 128 answers in full"),
    },
    "model baselines.image_identity": {"penalties": Gone([0.3, 0.1, 1.0], _TRIED), "own": Gone([1.0, 3.0], _TRIED)},
    "model baselines.kernel_ridge": {
        "words": Gone([2.0, 1.0, 4.0], _TRIED),
        "images": Gone([0.5, 0.25, 1.0], _TRIED),
        "penalties": Gone([0.03, 0.1, 0.01], _TRIED),
    },
    "model baselines.question_only": {"penalties": Gone([0.1, 0.3, 1.0, 3.0], _TRIED)},
    "model baselines.question_prior": {"trust": Gone([1.0, 0.3, 3.0], _TRIED)},
    "model baselines.retrieval": {
        "weights": Gone([0.5, 0.3, 1.0, 0.0], _TRIED),
        "neighbours": Gone([20, 5, 1], _TRIED),
        "temperatures": Gone([0.1, 0.2, 0.05], _TRIED),
    },
    "model baselines.tfidf_linear": {"C": Gone([1.0, 0.3, 3.0], _TRIED)},
    "objective cmdpi_pretrain": {"smoothing": Gone(0.0, "the answer loss of pre-training has no label smoothing")},
    "objective cmi_mtl": {
        "smoothing": Gone(0.1, "the label smoothing of the alignment is always 0.1"),
        "kl": Gone(True, "the alignment is always the divergence from the smoothed target"),
    },
}


def advice(table: str, name: str, key: str, value: Any) -> tuple[str, str] | None:
    """The message about the unknown key `key` of `[table]` (of the model or objective `name`), and the hint. None where
    there never was such a key."""
    for scope in _scopes(table, name):
        if new := MOVED.get(scope, {}).get(key):
            said = f"[{table}] {key}: this key is now {new}"
            value = CONVERTED[key][0](value) if key in CONVERTED else value
            return said, f"{table}.{new} = {json.dumps(value, ensure_ascii=False, default=str)}"
        if gone := GONE.get(scope, {}).get(key):
            return f"[{table}] {key}: there is no such key any more; {gone.now}", f"take {key} out of [{table}]"
    return None


def translated(tables: Tables, where: str) -> Tables:
    """The tables of a run's config.json with the keys of today. Raises RunError where the run was trained with
    something that this version cannot compute."""
    made, lost = {}, []
    for table, content in tables.items():
        made[table] = content = deepcopy(content)
        for scope in _scopes(table, _name(content)):
            for old, new in MOVED.get(scope, {}).items():
                _move(content, old, new, *CONVERTED.get(old, ())[:1])
            for key, gone in GONE.get(scope, {}).items():
                value = _pop(content, key, gone.value)
                if value != gone.value:
                    lost.append(f"[{table}] {key} = {json.dumps(value, default=str)} ({gone.now})")
    if lost:
        raise RunError(
            f"{where}: this version cannot compute what the run was trained with: {'; '.join(lost)}",
            hint="open it with the version that trained it, which stands in its config.json, or train it again",
        )
    return made


def former(tables: Tables, model: str, objective: str) -> Tables:
    """The reverse of `translated`: the tables with every key that was moved under its former name. model, objective:
    the names in the tables, which may be left out there."""
    made = {}
    for table, content in tables.items():
        made[table] = content = deepcopy(content)
        for scope in _scopes(table, {"model": model, "objective": objective}.get(table, "")):
            for old, new in MOVED.get(scope, {}).items():
                _move(content, new, old, *CONVERTED.get(old, ())[1:])
        if not content.get("readings", True):
            del content["readings"]
    if len(names := made.get("data", {}).get("beside", [])) == 1:  # it was the name of one set
        made["data"]["beside"] = names[0]
    return made


def _scopes(table: str, name: str) -> tuple[str, str]:
    return table, f"{table} {name}"


def _name(content: Any) -> str:
    return str(content.get("name", "")) if isinstance(content, dict) else ""


def _move(content: Any, source: str, target: str, convert: Callable[[Any], Any] = lambda value: value) -> None:
    """Moves a key of a table, from one dotted name to another."""
    missing = object()
    value = _pop(content, source, missing)
    if value is not missing:
        *parts, last = target.split(".")
        for part in parts:
            content = content.setdefault(part, {})
        content[last] = convert(value)


def _pop(content: Any, key: str, default: Any) -> Any:
    *parts, last = key.split(".")
    for part in parts:
        content = content.get(part) if isinstance(content, dict) else None
    return content.pop(last, default) if isinstance(content, dict) else default
