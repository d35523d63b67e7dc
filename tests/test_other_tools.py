"""Exported tasks ask and judge as this program does, also where it is not installed; runs answer inside other tools."""

import importlib
import json
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

import discern_vqa
from discern_vqa import cli
from discern_vqa.data.normalisers import NORMALISERS
from discern_vqa.datasets import phantom, vqa_rad
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.imaging.images import open_image

ROOT = Path(__file__).parents[1]
ANSWERS = (
    "Yes",
    "yes.",
    "no",
    "X-ray",
    "x ray",
    "<5 mm",
    "5 mm",
    "a liver",
    "liver",
    "none",
    "0",
    "Dont know",
    "",
    "肝",
)
ALONE = """
import importlib.util, json, sys
sys.modules["discern_vqa"] = None  # whoever imports it fails
spec = importlib.util.spec_from_file_location("discern_task", sys.argv[1])
task = importlib.util.module_from_spec(spec)
spec.loader.exec_module(task)
docs = [json.loads(line) for line in open(sys.argv[2], encoding="utf-8")]
judged = [[task.judged(doc, [answer]) for answer in json.loads(sys.argv[3])] for doc in docs]
seen = [task.visual(doc)[0] for doc in docs]
print(json.dumps({
    "judged": judged, "texts": [task.text(doc, {"post_prompt": "!"}) for doc in docs],
    "seen": [[image.mode, image.size, image.tobytes().hex()] for image in seen],
    "mean": task.mean([records["accuracy"] for records in judged[0]]),
}))
"""


class Tasks(yaml.SafeLoader):
    """Reads the files as lmms-eval does, but for the functions, which stay names."""


Tasks.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.copy()


def docs_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def alone(folder: Path, name: str, answers: tuple[str, ...] = ANSWERS) -> dict[str, Any]:
    """What the exported module says of a task's records, in a process without this package."""
    command = [sys.executable, "-c", ALONE, str(folder / "discern_task.py"), str(folder / f"{name}.jsonl")]
    done = subprocess.run([*command, json.dumps(answers)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_the_tasks_ask_each_question_once_and_no_image_is_in_two_folds(tmp_path, capsys):
    vqa_rad.write_tiny(tmp_path / "rad")
    assert cli.main(["export-tasks", str(tmp_path / "tasks"), "vqa_rad", str(tmp_path / "rad"), "--folds", "2"]) == 0
    said = capsys.readouterr().out
    assert "discern_vqa_rad: 4 questions of 4 images (usual, split test)" in said
    usual = yaml.load((tmp_path / "tasks" / "discern_vqa_rad.yaml").read_text(), Tasks)
    assert (usual["cluster_key"], usual["process_results"]) == ("image", "discern_task.judged")
    assert usual["lmms_eval_specific_kwargs"]["discern"] == {"pre_prompt": "", "post_prompt": ""}
    assert [metric["metric"] for metric in usual["metric_list"]] == ["accuracy", "open_accuracy", "closed_accuracy"]
    (file,) = usual["dataset_kwargs"]["data_files"].values()
    test = vqa_rad.read(tmp_path / "rad", "test")
    assert [(doc["id"], doc["answer"]) for doc in docs_of(Path(file))] == [(one.id, one.answer) for one in test]

    group = yaml.load((tmp_path / "tasks" / "discern_vqa_rad_disjoint.yaml").read_text(), Tasks)
    folds = [docs_of(tmp_path / "tasks" / f"{name}.jsonl") for name in group["task"]]
    assert len(folds) == 2
    images = [{doc["image"] for doc in fold} for fold in folds]
    assert not images[0] & images[1]
    asked = [one.id for split in vqa_rad.SPLITS for one in vqa_rad.read(tmp_path / "rad", split)
             if one.phrase_type != "frame"]  # fmt: skip
    assert sorted(doc["id"] for fold in folds for doc in fold) == sorted(asked)


def test_a_task_judges_and_shows_without_this_package_as_this_package_does(tmp_path, capsys):
    rng = np.random.default_rng(0)
    colour = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    colour.save(tmp_path / "plain.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    colour.save(tmp_path / "turned.jpg", exif=turned)
    Image.fromarray(rng.integers(0, 2**16, (6, 8), dtype=np.uint16)).save(tmp_path / "deep.png")
    rows = [
        {"id": str(place), "split": "test", "image": image, "question": f"What is {place}?", "answer": answer,
         "answer_type": "open"}
        for place, (image, answer) in enumerate(zip(["plain.png", "turned.jpg", "deep.png"] * 4, ANSWERS, strict=False))
    ]  # fmt: skip
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows if row["answer"]))
    (tmp_path / "data.toml").write_text('name = "Klinik Süd"\nreader = "jsonl"\nroot = "."\n', encoding="utf-8")
    tasks = tmp_path / "tasks"
    assert cli.main(["export-tasks", str(tasks), str(tmp_path / "data.toml"), "--folds", "0"]) == 0
    assert "written as PNG, since lmms-eval could not open them as they are: 2" in capsys.readouterr().out
    assert not list(tasks.glob("*disjoint*"))
    docs, said = docs_of(tasks / "discern_klinik_sud.jsonl"), alone(tasks, "discern_klinik_sud")
    same = NORMALISERS["plain"]
    expected = [[float(same(answer) == same(doc["answer"])) for answer in ANSWERS] for doc in docs]
    assert [[records["accuracy"]["score"] for records in row] for row in said["judged"]] == expected
    assert said["mean"] == pytest.approx(sum(expected[0]) / len(ANSWERS))
    for row in docs:  # the rule of published sets, which the tasks of own sets carry too
        row["normaliser"] = "m3ae"
    (tasks / "m3ae.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    published = alone(tasks, "m3ae")["judged"]
    rule = NORMALISERS["m3ae"]
    assert [[records["open_accuracy"]["score"] for records in row] for row in published] == [
        [float(rule(answer) == rule(doc["answer"])) for answer in ANSWERS] for doc in docs
    ]
    for doc, (mode, size, pixels) in zip(docs, said["seen"], strict=True):
        shown = open_image(tmp_path / doc["image"]).convert("RGB")
        assert (mode, tuple(size), pixels) == ("RGB", shown.size, shown.tobytes().hex())
    assert said["texts"][0] == "What is 0?!"


def test_samples_of_a_task_are_scored_with_the_tasks_own_accuracy(tmp_path, capsys):
    vqa_rad.write_tiny(tmp_path / "rad")
    tasks = tmp_path / "tasks"
    assert cli.main(["export-tasks", str(tasks), "vqa_rad", str(tmp_path / "rad"), "--folds", "0"]) == 0
    docs = docs_of(tasks / "discern_vqa_rad.jsonl")
    given = ["yes", "3 cm", "Coronal", "MRI"]
    judged = [records[place] for place, records in enumerate(alone(tasks, "discern_vqa_rad", tuple(given))["judged"])]
    lines = [  # as lmms_eval/evaluator.py and evaluation_tracker.py write them
        {"doc_id": place, "target": doc["answer"], "filtered_resps": [answer], "input": doc["question"], **records}
        for place, (doc, answer, records) in enumerate(zip(docs, given, judged, strict=True))
    ]
    file = tmp_path / "20260101_000000_samples_discern_vqa_rad.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert cli.main(["score", str(file), "--json", str(tmp_path / "scores.json")]) == 0, capsys.readouterr().err
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["overall"]["accuracy"] == sum(records["accuracy"]["score"] for records in judged) / 4 == 0.5
    assert (scores["images"], scores["open"]["n"], scores["closed"]["correct"]) == (4, 2, 1)


@pytest.mark.parametrize(
    ("arguments", "told", "hint"),
    [
        (["vqa_rad", "rad", "--folds", "1"], "--folds 1; expected 2 or more, or 0", "--folds 5"),
        (["vqa_rad", "rad", "--split", "tset"], "vqa_rad has no split 'tset'", "it has: train, test"),
        (["vqa_rad", "rad", "--folds", "99"], "99", ""),
        (["pmc_vqa", "pmc"], "offers answers to choose from", "open and closed"),
        (["vqa_rod", "rad"], "there is no 'vqa_rod' among the datasets", "did you mean 'vqa_rad'?"),
        (["vqa_rad"], "is given without the folder that holds it", ""),
    ],
)
def test_what_cannot_be_exported_is_said(arguments, told, hint, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISCERN_DATA", raising=False)
    vqa_rad.write_tiny(tmp_path / "rad")
    importlib.import_module("discern_vqa.datasets.pmc_vqa").write_tiny(tmp_path / "pmc")
    assert cli.main(["export-tasks", "tasks", *arguments]) == 2
    error, _, advice = capsys.readouterr().err.partition("\n")
    assert told in error
    assert hint in advice
    assert not (tmp_path / "tasks").exists()


class Lmms:
    """Of lmms_eval.api.model.lmms what every model gets."""

    def __init__(self) -> None:
        self.task_dict: dict[str, Any] = {}
        self.cache_hook = SimpleNamespace(add_partial=lambda name, request, text: None)


def test_a_run_answers_lmms_evals_requests_without_their_prompts(tiny_run, monkeypatch):
    modules = {"lmms_eval": ModuleType("lmms_eval"), "lmms_eval.api": ModuleType("lmms_eval.api"),
               "lmms_eval.api.model": ModuleType("lmms_eval.api.model")}  # fmt: skip
    modules["lmms_eval.api.model"].lmms = Lmms  # type: ignore[attr-defined]
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    sys.modules.pop("discern_vqa.other_tools.lmms_eval_model", None)
    module = importlib.import_module("discern_vqa.other_tools.lmms_eval_model")
    monkeypatch.setattr(module, "AT_A_TIME", 3)
    model = module.Discern(run=str(tiny_run), batch_size=4)
    samples = phantom.read(tiny_run.parent / "phantoms", "test")[:8]
    model.task_dict = {"x": {"test": [{"question": f" {one.question}", "file": one.path} for one in samples]}}

    def request(place: int, context: str, images: int = 1) -> Any:
        show = lambda doc: [opened(doc["file"])] * images  # noqa: E731
        return SimpleNamespace(args=(context, {}, show, place, "x", "test"))

    asked = [
        request(place, f"Look. {one.question}\nAnswer in one word.")
        for place, one in reversed(list(enumerate(samples)))
    ]
    predictor = discern_vqa.load(tiny_run)
    assert model.generate_until(asked) == [predictor.ask(one.path, one.question).text for one in reversed(samples)]
    assert module.question_of("Is it?\nA word, please.", {"question": "Another one?"}) == "Is it?\nA word, please."
    with pytest.raises(DataError, match="question 0 of the task x has 2 images"):
        model.generate_until([request(0, "?", images=2)])
    with pytest.raises(ConfigError, match="no likelihoods") as caught:
        model.loglikelihood([])
    assert "generate_until" in caught.value.hint
    with pytest.raises(ConfigError, match="no run is named"):
        module.Discern()
    sys.modules.pop("discern_vqa.other_tools.lmms_eval_model", None)


@dataclass
class BatcherOutput:
    """Of multimedeval.utils."""

    text: str


@dataclass
class BatcherInput:
    """Of multimedeval.utils."""

    conversation: list[dict[str, str]] = field(default_factory=list)
    images: list[Any] = field(default_factory=list)


def test_a_run_answers_multimedevals_prompts_without_the_sentence_that_tells_the_kind_of_answer(tiny_run, monkeypatch):
    tool = ModuleType("multimedeval.utils")
    tool.BatcherInput, tool.BatcherOutput = BatcherInput, BatcherOutput  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "multimedeval", ModuleType("multimedeval"))
    monkeypatch.setitem(sys.modules, "multimedeval.utils", tool)
    from discern_vqa.other_tools.multimedeval import asked, batcher

    samples = phantom.read(tiny_run.parent / "phantoms", "test")[:6]
    prompts = []
    for one in samples:
        before = "Answer the following question with yes or no. " if one.answer in ("yes", "no") else ""
        content = f"{before}<img> {one.question}"
        example = [{"role": "user", "content": "<img> What?"}, {"role": "assistant", "content": "that"}]
        turns = [*example, {"role": "user", "content": content}]
        prompts.append(BatcherInput(turns, [Image.new("L", (4, 4)), opened(one.path)]))
    assert {"yes", "no"} & {one.answer for one in samples}
    assert [asked(prompt)[1] for prompt in prompts] == [one.question for one in samples]
    predictor = discern_vqa.load(tiny_run)
    assert batcher(tiny_run)(prompts) == [BatcherOutput(predictor.ask(one.path, one.question).text) for one in samples]
    for content, images in (("no image?", 1), ("<img><img> which?", 2)):
        with pytest.raises(DataError, match=f"about {0 if images == 1 else 2} images"):
            asked(BatcherInput([{"role": "user", "content": content}], [Image.new("L", (4, 4))] * images))


def test_the_entry_point_names_a_function_that_is_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, name = project["entry-points"]["lmms_eval.models"]["discern"].partition(":")
    manifest = getattr(importlib.import_module(module), name)
    if find_spec("lmms_eval") is None:
        with pytest.raises(ModuleNotFoundError, match="lmms_eval"):
            manifest()
    else:
        assert manifest().model_id == "discern"


def test_lmms_eval_itself_runs_a_task_and_its_samples_are_scored_alike(tiny_run, tmp_path, monkeypatch, capsys):
    if find_spec("lmms_eval") is None or "discern" not in entry_points(group="lmms_eval.models").names:
        pytest.skip("lmms-eval is not installed beside this package: pip install 'discern-vqa[lmms-eval]'")
    phantoms, tasks = tiny_run.parent / "phantoms", tmp_path / "tasks"
    assert cli.main(["export-tasks", str(tasks), "phantom", str(phantoms), "--folds", "0"]) == 0
    command = (
        f"-m lmms_eval --model discern --model_args run={tiny_run} --tasks discern_phantom --include_path {tasks}"
        f" --limit 10 --log_samples --output_path {tmp_path / 'results'}"
    )
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    done = subprocess.run([sys.executable, *command.split()], capture_output=True, text=True, cwd=tmp_path)
    (file,) = (tmp_path / "results").rglob("*_samples_discern_phantom.jsonl")
    (results,) = (tmp_path / "results").rglob("*_results.json")
    theirs = json.loads(results.read_text())["results"]["discern_phantom"]
    assert cli.main(["score", str(file), "--json", str(tmp_path / "scores.json")]) == 0, done.stderr
    ours = json.loads((tmp_path / "scores.json").read_text())
    predictor = discern_vqa.load(tiny_run)
    ten = phantom.read(phantoms, "test")[:10]
    right = [NORMALISERS["plain"](predictor.ask(one.path, one.question).text) == one.answer for one in ten]
    assert ours["n"] == 10
    assert ours["overall"]["accuracy"] == theirs["accuracy,none"] == sum(right) / 10
    assert isinstance(theirs["accuracy_stderr_clustered,none"], float)
    capsys.readouterr()
