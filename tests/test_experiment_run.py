"""The runner of experiments: what is shared, kept, gone on with and told, and when the test split is opened."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from _experiment import FAILING, ROWS, here, recipes, rows
from safetensors.torch import load_file

from discern_vqa import recipe_samples
from discern_vqa.datasets import phantom
from discern_vqa.errors import ConfigError, RunError
from discern_vqa.experiments import (
    demo,
    process_pool,
    runner,
    sections,
)
from discern_vqa.experiments import (
    folder as folders,
)
from discern_vqa.experiments import (
    report as reports,
)
from discern_vqa.experiments.process_pool import Task, work
from discern_vqa.lock import locked
from discern_vqa.training import loop

SEEDS = [0, 1]


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("drawn") / "phantoms"
    phantom.draw(root, size=32, counts={"pretrain": 12, "train": 16, "validation": 4, "test": 12}, workers=1)
    return root


@pytest.fixture
def inside(monkeypatch):
    """Trainings run in this process."""
    monkeypatch.setattr(runner, "work", here)


def grids(folder, text=ROWS, seeds=SEEDS):
    return runner.prepare([rows(folder, text)], str(recipes(folder)), seeds)


def trainings(grid):
    return [training for row in grid.planned for training in row.trainings]


def without_test(root: Path, to: Path) -> Path:
    """The phantoms as they are for somebody who has no test split."""
    shutil.copytree(root, to)
    lines = (to / "samples.jsonl").read_text().splitlines(keepends=True)
    (to / "samples.jsonl").write_text("".join(line for line in lines if json.loads(line)["split"] != "test"))
    return to


def test_an_experiment_trains_shares_and_answers(tmp_path, phantoms, inside):
    said: list[str] = []
    grid = grids(tmp_path)[0]
    assert runner.run([grid], tmp_path / "out", data=phantoms, say=said.append) == {}
    folder = folders.Folder(tmp_path / "out", phantoms, "test")
    assert len(list((tmp_path / "out" / "runs").iterdir())) == 2 * (2 + 3), "full and mixup share their pre-training"
    assert all(folder.predictions(training).is_file() for training in trainings(grid))
    scored = [training for training in trainings(grid) if folder.scores(training).is_file()]
    assert scored == [grid.planned[0].trainings[0]], "baselines are fitted once"
    assert "majority" in json.loads(folder.scores(scored[0]).read_text())["baselines"]
    assert sum("validation" in line for line in said) == 6
    before = json.loads((tmp_path / "out" / "events.jsonl").read_text().splitlines()[-1])
    assert (before["event"], before["trained"], before["failed"]) == ("opens", 10, 0)
    # Again: nothing is trained and nothing is answered twice.
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "runs").rglob("*") if path.is_file()}
    again: list[str] = []
    assert runner.run(grids(tmp_path), tmp_path / "out", data=phantoms, say=again.append) == {}
    assert again == ["10 trainings, 10 of them are there already"]
    assert stamps == {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "runs").rglob("*") if p.is_file()}


def test_training_needs_no_test_split_and_opens_it_last(tmp_path, phantoms, inside, monkeypatch):
    opened: list[str] = []
    original = runner.work

    def watched(tasks, *given):
        opened.extend(task.request["do"] for task in tasks)
        return original(tasks, *given)

    monkeypatch.setattr(runner, "work", watched)
    hidden = without_test(phantoms, tmp_path / "hidden")
    grid = grids(tmp_path, seeds=[0])[0]
    failed = runner.run([grid], tmp_path / "out", data=hidden, say=lambda text: None)
    assert opened == ["train"] * 5 + ["answer"] * 3
    assert set(failed) == {training.key for training in trainings(grid)}
    assert all("the split 'test' has no question" in error for error in failed.values())
    folder = folders.Folder(tmp_path / "out", phantoms, "test")
    assert all(folder.done(training) for training in trainings(grid)), "trained all the same"


def test_a_row_that_fails_is_told_and_the_others_go_on(tmp_path, phantoms, inside):
    said: list[str] = []
    grid = grids(tmp_path, ROWS + FAILING, [0])[0]
    failed = runner.run([grid], tmp_path / "out", data=phantoms, say=said.append)
    broken = grid.planned[-1].trainings[0]
    assert list(failed) == [broken.key]
    assert "has no option" in failed[broken.key]
    assert any("tiny / broken, seed 0: FAILED: [data] options" in line for line in said)
    folder = folders.Folder(tmp_path / "out", phantoms, "test")
    assert [folder.predictions(one).is_file() for one in trainings(grid)] == [True, True, True, False]
    events = [json.loads(line) for line in (tmp_path / "out" / "events.jsonl").read_text().splitlines()]
    assert [one["event"] for one in events].count("failed") == 1


def test_a_split_that_is_not_there_is_told_before_anything_starts(tmp_path, phantoms, inside):
    with pytest.raises(ConfigError, match="--split 'nosuch': phantom has none") as caught:
        runner.run(grids(tmp_path, seeds=[0]), tmp_path / "out", data=phantoms, split="nosuch", say=lambda text: None)
    assert "validation, test" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_every_split_has_its_own_states_and_d7_leaves_the_same_questions_out_everywhere(tmp_path, phantoms, inside):
    text = ROWS[: ROWS.index("[rows.full]")].replace("family", 'sections = ["features"]\nfamily')
    grid = grids(tmp_path, text + '[rows.full]\nboth = { "data.imitate" = ["D7"], "optim.batch" = 8 }\n')[0]
    for split in ("test", "validation"):
        assert runner.run([grid], tmp_path / "out", data=phantoms, split=split, say=lambda text: None) == {}
        folder = folders.Folder(tmp_path / "out", phantoms, split)
        asked = len(recipe_samples.Samples(trainings(grid)[0].recipe.data, phantoms).test(split))
        assert asked % 8
        for training in trainings(grid):  # the first is answered by `evaluate`, the second by the worker
            rows = folder.predictions(training).read_text().splitlines()
            assert len(rows) == (asked // 8 * 8 or asked)
            assert folder.states(training).name == f"features.{split}.json"
            assert json.loads(folder.states(training).read_text())["n"] <= len(rows)
        report = reports.gather(grid, folder, {}, "", "")
        assert report["n"] == len(rows)
        figures = sections.features(grid, folder)["figures"]["full"]["purity"]["values"]
        assert figures == [json.loads(folder.states(one).read_text())["purity"] for one in trainings(grid)]


def test_what_needs_a_failed_pretraining_is_not_started(tmp_path, phantoms, inside):
    text = ROWS.replace('scale_before = { "objective.weights.txt" = 0.5 }', 'before = { "data.options" = { a = 1 } }')
    grid = grids(tmp_path, text, [0])[0]
    failed = runner.run([grid], tmp_path / "out", data=phantoms, say=lambda text: None)
    last = grid.planned[-1].trainings[0]
    assert failed == {last.before.key: failed[last.before.key], last.key: "not started"}


def test_an_experiment_that_is_killed_goes_on_and_ends_as_if_it_had_not(tmp_path, phantoms, inside, monkeypatch):
    grid = grids(tmp_path, seeds=[0])[0]
    runner.run([grid], tmp_path / "whole", data=phantoms, say=lambda text: None)
    save, saves = loop.save_state, []

    def killed(*given):
        save(*given)
        saves.append(given)
        if len(saves) == 2:  # after the first of the two epochs of the first fine-tuning
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "save_state", killed)
    with pytest.raises(KeyboardInterrupt):
        runner.run([grid], tmp_path / "torn", data=phantoms, say=lambda text: None)
    first = folders.Folder(tmp_path / "torn", phantoms, "test").run(trainings(grid)[0])
    assert (first / "state.safetensors").is_file()
    assert not (first / "predictions.test.jsonl").exists()
    monkeypatch.setattr(loop, "save_state", save)
    said: list[str] = []
    runner.run([grid], tmp_path / "torn", data=phantoms, say=said.append)
    assert said[0] == "5 trainings, 1 of them are there already"
    for training in trainings(grid):
        weights = [
            load_file(tmp_path / name / "runs" / training.key / "model.safetensors") for name in ("whole", "torn")
        ]
        assert all(bool((weights[0][key] == weights[1][key]).all()) for key in weights[0])


def test_a_run_of_another_recipe_is_not_taken_for_done(tmp_path):
    grid = grids(tmp_path, seeds=[0])[0]
    folder, training = folders.Folder(tmp_path, None, "test"), trainings(grid)[0]
    run = folder.run(training)
    run.mkdir(parents=True)
    (run / "model.safetensors").write_bytes(b"")
    assert folder.done(training) is None
    (run / "done.json").write_text('{"key": "another"}')
    assert folder.done(training) is None
    (run / "done.json").write_text(json.dumps({"key": training.key}))
    made = training.recipe.to_json()
    made["data"]["root"] = "elsewhere"
    (run / "config.json").write_text(json.dumps(made))
    assert folder.done(training) == {"key": training.key}
    assert made["data"]["auxiliary"] == []
    made["data"]["auxiliary"] = ""  # as versions wrote it that knew one auxiliary set
    (run / "config.json").write_text(json.dumps(made))
    assert folder.done(training) == {"key": training.key}
    wanted = training.recipe.data.model_copy(update={"auxiliary": ["jsonl:pairs"]})
    for missing, is_done in (("refuse", False), ("without", True)):  # trained without a set that was nowhere
        data = wanted.model_copy(update={"auxiliary_missing": missing})
        made["data"]["auxiliary_missing"] = missing
        (run / "config.json").write_text(json.dumps(made))
        other = replace(training, recipe=training.recipe.model_copy(update={"data": data}))
        if is_done:
            assert folder.done(other) == {"key": training.key}
        else:
            with pytest.raises(RunError, match=r"other settings: \[data\] auxiliary"):
                folder.done(other)
    made["data"]["auxiliary_missing"] = "refuse"
    made["optim"]["clip"] = 7.0
    (run / "config.json").write_text(json.dumps(made))
    with pytest.raises(RunError, match=r"other settings: \[optim\] clip"):
        folder.done(training)
    for broken in ("config.json", "done.json"):
        (run / broken).write_text("[" * 100_000)
        with pytest.raises(RunError, match=f"{broken} is broken: it is nested too deep") as caught:
            folder.done(training)
        assert "trains it anew" in caught.value.hint


def test_a_folder_does_not_go_on_with_other_data(tmp_path, phantoms, inside):
    grid = grids(tmp_path, seeds=[0])[0]
    runner.run([grid], tmp_path / "out", data=phantoms, say=lambda text: None)
    moved, other = tmp_path / "moved", tmp_path / "other"
    shutil.copytree(phantoms, moved)
    said: list[str] = []
    runner.run([grid], tmp_path / "out", data=moved, say=said.append)
    assert said == ["5 trainings, 5 of them are there already"], "the same data elsewhere are the same data"
    shutil.copytree(phantoms, other)
    lines = [json.loads(line) for line in (other / "samples.jsonl").read_text().splitlines()]
    lines[-1 - [one["split"] for one in reversed(lines)].index("train")]["answer"] = "something else"
    (other / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(RunError, match="was trained on other data") as caught:
        runner.run([grid], tmp_path / "out", data=other, say=said.append)
    assert "another --out" in caught.value.hint
    last = trainings(grid)[-1]
    run = folders.Folder(tmp_path / "out", phantoms, "test").run(last)
    told = json.loads((run / "done.json").read_text())
    # One that was killed has no done.json yet, and is told too.
    (run / "done.json").unlink()
    assert [one.stem for one in (tmp_path / "out" / "recipes").glob(f"{last.key}.data")]
    with pytest.raises(RunError, match="was trained on other data"):
        folders.same_data(folders.Folder(tmp_path / "out", other, "test"), last, None)
    folders.same_data(folders.Folder(tmp_path / "out", phantoms, "test"), last, None)
    # One of an earlier version says nothing of its data.
    del told["data"]
    folders.same_data(folders.Folder(tmp_path / "out", other, "test"), last, told)


def test_a_test_split_that_was_edited_is_answered_anew_and_nothing_is_trained(tmp_path, phantoms, inside):
    data = tmp_path / "data"
    shutil.copytree(phantoms, data)
    text = ROWS.replace("family", 'sections = ["features"]\nfamily')
    grid, said = grids(tmp_path, text, [0])[0], []
    assert runner.run([grid], tmp_path / "out", data=data, say=said.append) == {}
    folder = folders.Folder(tmp_path / "out", data, "test")
    kept = [folder.run(one) / "model.safetensors" for one in trainings(grid)]
    stamps = [path.stat().st_mtime_ns for path in kept]
    lines = [json.loads(line) for line in (data / "samples.jsonl").read_text().splitlines()]
    last = max(place for place, line in enumerate(lines) if line["split"] == "test")
    lines[last]["answer"] = "something else"
    (data / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    said.clear()
    assert runner.run([grid], tmp_path / "out", data=data, say=said.append) == {}
    assert said[:2] == [
        "5 trainings, 5 of them are there already",
        "test is not what it was when 3 rows answered it; they answer it anew",
    ]
    assert stamps == [path.stat().st_mtime_ns for path in kept]
    for training in trainings(grid):
        assert '"something else"' in folder.predictions(training).read_text()
        assert folder.states(training).is_file()
    assert folder.scores(trainings(grid)[0]).is_file()
    said.clear()
    assert runner.run([grid], tmp_path / "out", data=data, say=said.append) == {}
    assert said == ["5 trainings, 5 of them are there already"], "once"
    # Answers of an earlier version say nothing of their questions.
    folder.answered(trainings(grid)[0]).unlink()
    folders.forget_other_questions(folder, runner.labelled([grid]), said.append)
    assert len(said) == 1
    assert folder.predictions(trainings(grid)[0]).is_file()


def test_a_folder_that_cannot_be_made_is_said_before_anything_is_drawn_or_trained(tmp_path):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        for start in (lambda out=out: locked(out).__enter__(), lambda out=out: demo.run(out)):
            with pytest.raises(RunError, match="nothing can be written into") as caught:
                start()
            assert "--out" in caught.value.hint


ECHO = """
import json, os, sys
for line in sys.stdin:
    told = json.loads(line)
    if told["do"] == "die":
        os.kill(os.getpid(), 9)
    said = {"error": "no"} if told["do"] == "fail" else told | {"t": os.environ["OMP_NUM_THREADS"]}
    print(json.dumps(said), flush=True)
"""


def test_the_pool_survives_the_death_of_a_worker(tmp_path, monkeypatch):
    monkeypatch.setattr(process_pool, "WORKER", (sys.executable, "-c", ECHO))
    tasks = [
        Task("a", "a", {"do": "well"}, ("b",)),
        Task("b", "b", {"do": "well"}),
        Task("c", "c", {"do": "die"}),
        Task("d", "d", {"do": "well"}, ("c",)),
        Task("e", "e", {"do": "fail"}),
        Task("f", "f", {"do": "well"}),
    ]
    for workers in (1, 3):
        order: list[str] = []
        found = work(tasks, workers, tmp_path / "logs", lambda one, done, total, order=order: order.append(one.task.id))
        assert sorted(order) == sorted(found) == list("abcdef")
        assert order.index("b") < order.index("a")
        assert "signal 9" in found["c"].error
        assert found["d"].error == "not started, since this failed: c"
        assert found["e"].error == "no"
        assert [found[key].error for key in "abf"] == ["", "", ""]
        assert found["f"].answer["t"] == "1", "each on one thread"


def test_a_real_worker_trains_beside_what_goes_wrong(tmp_path, phantoms):
    first = ROWS[: ROWS.index('[rows."without mixup"]')]
    grid = grids(tmp_path, first + FAILING, [0])[0]
    failed = runner.run([grid], tmp_path / "out", data=phantoms, say=lambda text: None)
    assert list(failed) == [grid.planned[-1].trainings[0].key]
    assert (tmp_path / "out" / "logs" / "worker0.log").is_file()
    folder = folders.Folder(tmp_path / "out", phantoms, "test")
    assert [folder.predictions(one).is_file() for one in trainings(grid)] == [True, False]
