"""What a page calls a run's data, split and model, in words that a stranger understands. No torch."""

from collections.abc import Mapping
from pathlib import PureWindowsPath
from typing import Any

from discern_vqa import registry
from discern_vqa.errors import DiscernError
from discern_vqa.measurements.baselines import Sees, sees

UNNAMED = "data set not named"
_OWN = "your own data"
NETWORK = Sees(what="the image and the question", pixels=True)


def data_in_words(config: Mapping[str, Any]) -> str:
    """The data set as its authors call it ("VQA-RAD"); "own data (csv)" of a reader of people's own files. A name that
    no reader has is left as it is. config: the run's."""
    name = str((config.get("data") or {}).get("dataset") or "")
    try:
        summary = registry.load("datasets", name).SUMMARY if name in registry.names("datasets") else ""
    except DiscernError:  # a reader in a package of somebody's own that cannot be imported here
        summary = ""
    if summary.startswith(_OWN):
        return f"own data ({name})"
    title, colon, _ = summary.partition(":")
    return title if colon and len(title) <= 2 * len(name) else name or UNNAMED


def split_in_words(protocol: str) -> str:
    """How training and test were divided; "" where the scores do not say. protocol: as `scores.json` has it."""
    plain, _, fold = protocol.partition(" fold ")
    if plain == "image_disjoint":
        return f"split so that training and test share no image{f' (fold {fold})' if fold else ''}"
    return "the data set's own split" if plain == "usual" else protocol


def model_in_words(config: Mapping[str, Any]) -> str:
    """The model's name, and whether it is a baseline or somebody else's."""
    model = config.get("model") or {}
    name = str(model.get("name") or "model")
    if name.startswith("outside."):
        named = model.get("model") or model.get("function") or PureWindowsPath(str(model.get("folder", ""))).name
        return f"{named or name} (somebody else's model)"
    return f"{name.removeprefix(registry.BASELINE)} (a baseline)" if name.startswith(registry.BASELINE) else name


def what_it_sees(config: Mapping[str, Any]) -> Sees:
    """What the run's model is shown; of a baseline that is not there any more, nothing is known."""
    name = str((config.get("model") or {}).get("name") or "")
    return sees(name.removeprefix(registry.BASELINE)) if name.startswith(registry.BASELINE) else NETWORK


def no_pixels(config: Mapping[str, Any]) -> str:
    """Why the page of a model that sees no pixels has neither mirror test nor heat maps, a sentence; "" of others."""
    seen = what_it_sees(config)
    if seen.pixels is not False:
        return ""
    return (
        f"It is given {seen.what}, and no pixels: it cannot tell an image from its mirror image and looks nowhere, so "
        "there is no mirror test and there are no heat maps."
    )
