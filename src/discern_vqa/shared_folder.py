"""A run folder as others may have it: what answers, what says how good it is, and nothing of this machine.

    model.safetensors, config.json, vocabulary.json, answering.json, prior.safetensors, baseline.json
    encoders/, tokenizer/, writer/                 architecture and tokenizer files
    calibration.json, ood.json, ood.safetensors    what an answer is worth
    README.md                                      the model card

What stands in no list here stays at home: questions, predictions, features, audits, logs. `config.json` loses the
folders of this machine. Nothing is a pickle or a program. No torch here.
"""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from discern_vqa import card, registry
from discern_vqa.errors import ConfigError, RunError
from discern_vqa.files import atomic_write_text, explained, read_json
from discern_vqa.run_folder import CONFIG, VOCABULARY, WEIGHTS, require_run

REQUIRED = (CONFIG, VOCABULARY, WEIGHTS)
FILES = (
    *REQUIRED,
    "answering.json",
    "prior.safetensors",
    "baseline.json",
    "calibration.json",
    "ood.json",
    "ood.safetensors",
    "scope.json",
    "scope.safetensors",
    card.CARD,
)
FOLDERS = ("encoders", "tokenizer", "writer")
SUFFIXES = (".json", ".safetensors", ".txt", ".model")
PATTERNS = [*FILES, *(f"{folder}/*{suffix}" for folder in FOLDERS for suffix in SUFFIXES)]
"""What is taken from the hub: the same files, whatever else lies there. In the hub's patterns * goes over slashes."""

_MACHINE = ("root", "from")
"""Keys of config.json that name folders of this machine."""
_PATH = re.compile(r"^(~|[A-Za-z]:[\\/]|[\\/])")
_UNIX_PATH = re.compile(r"(?<![\w/.])/(?:home|root|Users|tmp|mnt|data|work|srv|var|opt|media|scratch)/[^\s\"')]*")


@dataclass(frozen=True)
class Shared:
    """A folder that was made to be given away."""

    folder: Path
    files: tuple[str, ...]  # relative, in order
    size: int  # bytes of all files
    licence: str
    texts: dict[str, list[str]]  # every text of the training data that is in the files, by what it is
    is_own_data: bool  # the data set is not one that is published or drawn


def share(run: Path, out: Path, licence: str = "") -> Shared:
    """Writes the run's shareable folder to `out`, which must not exist or be empty.

    licence: as the hub names it ("apache-2.0"); empty: the one that the model card states. Raises RunError: `run` is no
    finished run. Raises ConfigError: `out` holds something, or no licence is stated anywhere.
    """
    run, out = Path(run), Path(out)
    require_run(run, finished=True)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is there already, and not an empty folder", hint="name another folder for the export")
    _check_licence(run, licence)
    with explained(out):
        out.mkdir(parents=True, exist_ok=True)
        for source in sorted(_files_of(run)):
            target = out / source.relative_to(run)
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.suffix == ".json" and source.parent.name not in FOLDERS:
                content = without_paths(read_json(source))
                if source.name == CONFIG:
                    content = _without_machine(content)
                atomic_write_text(target, json.dumps(content, indent=1, ensure_ascii=False))
            elif source.name != card.CARD:
                shutil.copyfile(source, target)
    _write_card(run, out, licence)
    return read(out)


def copy_trust(run: Path, out: Path, licence: str = "") -> None:
    """Copies what says how far a run's answers are to be believed into another folder: its calibration, what is outside
    its training data, and its model card if it has one; without folders of this machine. licence: as of `share`."""
    for name in ("calibration.json", "ood.json", "scope.json"):
        if (run / name).is_file():
            content = without_paths(read_json(run / name))
            atomic_write_text(out / name, json.dumps(content, indent=1, ensure_ascii=False))
    for name in ("ood.safetensors", "scope.safetensors"):
        if (run / name).is_file():
            shutil.copyfile(run / name, out / name)
    if (run / card.CARD).is_file():
        _write_card(run, out, licence)


def read(folder: Path) -> Shared:
    """What is in a shareable folder. Raises RunError: it holds a file that such a folder does not have."""
    folder = Path(folder)
    there = sorted(path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix() for path in _files_of(folder)}
    if strange := [name for path in there if (name := path.relative_to(folder).as_posix()) not in named]:
        raise RunError(
            f"{folder} holds {strange[0]}, which is no part of a shared run",
            hint="discern export RUN DIR makes a folder that holds what belongs there and nothing else",
        )
    return Shared(
        folder=folder,
        files=tuple(path.relative_to(folder).as_posix() for path in there),
        size=sum(path.stat().st_size for path in there),
        licence=card.stated_licence(folder),
        texts=texts_of(folder),
        is_own_data=is_own_data(str(read_json(folder / CONFIG)["data"]["dataset"])),
    )


def is_own_data(dataset: str) -> bool:
    """Whether a data set is somebody's own: read from tables or a DICOM folder, or by a reader of one's own package."""
    return dataset not in registry.names("datasets") or not registry.is_a_set(dataset)


def texts_of(folder: Path) -> dict[str, list[str]]:
    """Every text of the training data that the files of a run hold, by what it is. Tokenizers of pre-trained encoders
    hold none: they came as they are."""
    content = read_json(folder / VOCABULARY)
    answers, text = content.get("answers") or {}, content.get("text") or {}
    texts = {
        "answers": [*answers.get("answers", ()), *answers.get("spellings", ())],
        "words of the questions": list(text.get("words", ())),
    }
    if (writer := content.get("writer") or {}).get("vocabulary"):
        texts["pieces of the answers"] = list(writer["vocabulary"])
    if (folder / "baseline.json").is_file():
        texts["what the baseline keeps"] = list(_strings(read_json(folder / "baseline.json")))
    return {what: list(dict.fromkeys(map(str, entries))) for what, entries in texts.items() if entries}


def without_paths(content: Any) -> Any:
    """A JSON value in which every string that is a path of a machine has become its last part."""
    if isinstance(content, dict):
        return {key: without_paths(value) for key, value in content.items()}
    if isinstance(content, list):
        return [without_paths(value) for value in content]
    if isinstance(content, str) and _PATH.match(content) and "\n" not in content:
        return (PureWindowsPath(content) if "\\" in content or content[1:2] == ":" else PurePosixPath(content)).name
    return content


def _without_machine(config: dict[str, Any]) -> dict[str, Any]:
    """Without the folders of this machine; of one's own data also without how its files were read."""
    data = {**config.get("data", {}), "root": ""}
    if is_own_data(str(data["dataset"])):
        data["options"] = {}
    return {**config, "data": data} | {key: "" for key in _MACHINE}


def _files_of(run: Path) -> Iterator[Path]:
    yield from (run / name for name in FILES if (run / name).is_file())
    for folder in FOLDERS:
        yield from (path for path in (run / folder).rglob("*") if path.is_file() and path.suffix in SUFFIXES)


def _check_licence(run: Path, licence: str) -> None:
    if licence or card.stated_licence(run):
        return
    raise ConfigError(
        f"no licence is stated for {run}; expected one, within what those of the data and the encoders allow",
        hint=f"discern export {run} DIR --license cc-by-nc-4.0 (or another of the hub's names)",
    )


def _write_card(run: Path, out: Path, licence: str) -> None:
    path = run / card.CARD
    if not path.is_file():
        card.write_card(out)
        path = out / card.CARD
    text = path.read_text(encoding="utf-8")
    if licence:
        text = card.with_licence(text, licence)
    atomic_write_text(out / card.CARD, _UNIX_PATH.sub(lambda match: PurePosixPath(match[0]).name, text))


def _strings(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from (str(key), *_strings(value))
    elif isinstance(content, list):
        for value in content:
            yield from _strings(value)
