"""`discern export-tasks`: a data set as tasks of lmms-eval, its usual evaluation split and the image-disjoint folds.

    DIR/discern_vqa_rad.yaml, .jsonl                       the usual split
    DIR/discern_vqa_rad_disjoint_fold0.yaml, .jsonl ...    the folds of the protocol `image_disjoint`
    DIR/discern_vqa_rad_disjoint.yaml                      all folds as one group
    DIR/discern_task.py                                    what the tasks do (`lmms_task`)
    DIR/images/                                            images that lmms-eval could not open as they are

The questions are those that `discern evaluate` asks of a run of that protocol, in the same order. Nothing is
downloaded: records name the image files where they lie. No torch here.
"""

import hashlib
import inspect
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from discern_vqa import registry
from discern_vqa.config import DataConfig
from discern_vqa.data import normalising
from discern_vqa.data.sample import CLOSED, OPEN, Sample
from discern_vqa.errors import ConfigError
from discern_vqa.files import atomic_path, atomic_write_text, explained
from discern_vqa.imaging.images import open_image
from discern_vqa.other_tools import lmms_task
from discern_vqa.paths import refuse_own_input
from discern_vqa.recipe_samples import Samples
from discern_vqa.version import __version__

MODULE = "discern_task"
PROMPT = "\nAnswer the question using a single word or phrase."
"""What lmms-eval's own tasks of this kind add to a question, for models that write freely."""
_ORIENTATION = 0x0112
_PREFERRED = ("test", "validation")


@dataclass(frozen=True)
class Task:
    """An exported task."""

    name: str
    protocol: str  # "usual, split test", "image_disjoint, fold 0 of 5"
    samples: Sequence[Sample]


@dataclass(frozen=True)
class Exported:
    """What was written. group: the name of the folds together; "" without folds. converted: images written as PNG."""

    folder: Path
    tasks: tuple[Task, ...]
    group: str
    converted: int


def export_tasks(out: Path, choice: DataConfig, root: Path, title: str, split: str = "", folds: int = 5) -> Exported:
    """Writes the tasks of a data set into the folder `out`; files of an earlier export are replaced.

    choice: which data set, and how it is read. root: its folder. title: what tasks are called after. split: the usual
    evaluation split; "": test, or validation where there is no test. folds: of images; 0: none. A set that is read by
    an index of its own has no folds besides.

    Raises ConfigError: there is no such split, or questions offer answers to choose from, which these tasks do not do.
    DataError: the data are not there or broken, or have fewer images than folds. ImageError: an image cannot be opened.
    """
    if folds == 1 or folds < 0:
        raise ConfigError(f"--folds {folds}; expected 2 or more, or 0 for none", hint="--folds 5")
    refuse_own_input(out, root)
    out, name = Path(out), f"discern_{_plain(title) or choice.dataset}"
    usual = Samples(choice, root)
    split = split or _usual_split(usual, choice)
    tasks = [Task(name, f"usual, split {split}", _without_choices(usual.test(split)))]
    group = f"{name}_disjoint" if folds and not choice.index else ""
    for fold in range(folds if group else 0):
        changes = {"protocol": "image_disjoint", "folds": folds, "fold": fold}
        samples = _without_choices(Samples(choice.model_copy(update=changes), root).test("test"))
        tasks.append(Task(f"{group}_fold{fold}", f"image_disjoint, fold {fold} of {folds}", samples))
    with explained(out):
        out.mkdir(parents=True, exist_ok=True)
    files = _image_files(out, {sample.image: sample.path for task in tasks for sample in task.samples})
    atomic_write_text(out / f"{MODULE}.py", task_module())
    for task in tasks:
        _write_task(out, task, choice, files)
    if group:
        atomic_write_text(out / f"{group}.yaml", _group_yaml(group, [task.name for task in tasks[1:]]))
    converted = sum(file.parent == out.resolve() / "images" for file in files.values())
    return Exported(out, tuple(tasks), group, converted)


def task_module() -> str:
    """The module that exported tasks name: `lmms_task`, with the rules of `normalising` instead of their import."""
    rules = inspect.getsource(normalising).partition('"""\n\n')[2]
    about, end, body = inspect.getsource(lmms_task).partition('"""\n\n')
    statement = f"from {normalising.__name__} import NORMALISERS\n"
    assert statement in body
    return f"{about}{end}{rules}\n\n{body.replace(statement, '').strip()}\n"


def _plain(title: str) -> str:
    """A title in small letters, digits and underscores."""
    letters = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", letters).strip("_")


def _without_choices(samples: Sequence[Sample]) -> Sequence[Sample]:
    """The same samples. Raises ConfigError where one of them offers answers."""
    offered = next((sample for sample in samples if sample.choices), None)
    if offered is not None:
        raise ConfigError(
            f"{offered.source}: the question offers answers to choose from, and exported tasks compare texts",
            hint="choose a data set of open and closed questions, as vqa_rad or slake",
        )
    return samples


def _usual_split(samples: Samples, choice: DataConfig) -> str:
    from discern_vqa.reading import split_files
    from discern_vqa.reading.records import present_splits

    there = split_files.parts(Path(choice.index)) if choice.index else present_splits(samples.reader, samples.root)
    return next((split for split in _PREFERRED if split in there), _PREFERRED[0])


def _write_task(out: Path, task: Task, choice: DataConfig, files: Mapping[str, Path]) -> None:
    rows = [
        {
            "id": sample.id,
            "image": sample.image,
            "file": str(files[sample.image]),
            "question": sample.question,
            "answer": sample.answer,
            "answer_type": sample.answer_type,
            "question_type": sample.question_type[0] if sample.question_type else "",
            "organ": sample.organ,
            "language": sample.language,
            "normaliser": choice.normaliser,
        }
        for sample in task.samples
    ]
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    atomic_write_text(out / f"{task.name}.jsonl", "".join(f"{line}\n" for line in lines))
    types = [kind for kind in (OPEN, CLOSED) if any(sample.answer_type == kind for sample in task.samples)]
    atomic_write_text(out / f"{task.name}.yaml", _task_yaml(out, task, choice, types))


def _task_yaml(out: Path, task: Task, choice: DataConfig, types: Sequence[str]) -> str:
    """JSON is YAML: only what lmms-eval looks up by `!function` has to be written otherwise."""
    metrics = "".join(
        f"  - metric: {name}\n    aggregation: !function {MODULE}.mean\n    higher_is_better: true\n"
        for name in ("accuracy", *(f"{kind}_accuracy" for kind in types))
    )
    prompts = {
        "default": {"pre_prompt": "", "post_prompt": PROMPT},
        "discern": {"pre_prompt": "", "post_prompt": ""},
    }
    about = {
        "version": 1.0,
        "dataset": choice.dataset,
        "protocol": task.protocol,
        "questions": len(task.samples),
        "images": len({sample.image for sample in task.samples}),
        "license": registry.reader(choice.dataset).LICENCE,
        "written_by": f"discern {__version__}",
    }
    data = {"data_files": {"test": str(out.resolve() / f"{task.name}.jsonl")}}
    return (
        f"task: {task.name}\n"
        "dataset_path: json\n"
        f"dataset_kwargs: {_json(data)}\n"
        "test_split: test\n"
        "output_type: generate_until\n"
        f"doc_to_visual: !function {MODULE}.visual\n"
        f"doc_to_text: !function {MODULE}.text\n"
        "doc_to_target: answer\n"
        f"process_results: !function {MODULE}.judged\n"
        "cluster_key: image\n"
        f"generation_kwargs: {_json({'max_new_tokens': 32, 'temperature': 0, 'do_sample': False})}\n"
        f"metric_list:\n{metrics}"
        f"lmms_eval_specific_kwargs: {_json(prompts)}\n"
        f"metadata: {_json(about)}\n"
    )


def _group_yaml(group: str, names: Sequence[str]) -> str:
    # Folds are as large as each other. By size lmms-eval would weigh them by the items of the metric that comes last.
    together = [{"metric": "accuracy", "aggregation": "mean", "weight_by_size": False}]
    keys = {"group": group, "task": list(names), "aggregate_metric_list": together, "metadata": {"version": 1.0}}
    return "".join(f"{key}: {_json(value)}\n" for key, value in keys.items())


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _image_files(out: Path, paths: Mapping[str, Path]) -> dict[str, Path]:
    """The file that lmms-eval opens for each image: itself, or a PNG of what this program sees in it."""
    files = {}
    for image, path in paths.items():
        if _is_plain(path):
            files[image] = path.resolve()
            continue
        file = out.resolve() / "images" / f"{hashlib.sha256(image.encode()).hexdigest()[:16]}.png"
        with explained(file):
            file.parent.mkdir(exist_ok=True)
        with atomic_path(file) as partial:
            open_image(path).save(partial, "PNG")
        files[image] = file
    return files


def _is_plain(path: Path) -> bool:
    """Whether Pillow alone shows of a file what this program does: one image of 8 bits, upright, without a profile."""
    try:
        with Image.open(path) as image:
            return (
                image.format in ("PNG", "JPEG")
                and image.mode in ("L", "RGB")
                and image.getexif().get(_ORIENTATION, 1) == 1
                and not image.info.keys() & {"icc_profile", "transparency"}
            )
    except (OSError, ValueError, Image.DecompressionBombError):
        return False
