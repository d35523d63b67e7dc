"""CMI-MTL down the whole road: trained, evaluated in every way, asked, opened again, resumed; imitated faults."""

import json
from pathlib import Path

import pytest

from discern_vqa import cli, recipe_samples
from discern_vqa.config import read_recipe
from discern_vqa.datasets import phantom
from discern_vqa.errors import ConfigError, DataError, RunError
from discern_vqa.evaluation.evaluate import evaluate
from discern_vqa.evaluation.opening import open_run
from discern_vqa.report.terminal import as_table
from discern_vqa.run import Run
from discern_vqa.scoring import metrics, predictions
from discern_vqa.training.train import train

MODES = ("classify", "classify_typed", "generate", "rank", "hybrid")
RECIPE = """
[data]
dataset = "phantom"
text_length = 16
normaliser = "lower"

[model]
name = "cmi_mtl"
width = 16
image = { kind = "tiny", size = 64, patch = 16, channels = 8, layers = 0, heads = 2 }
text = { kind = "tiny", layers = 1, heads = 2 }
fvta = { queries = 4, layers = 1, heads = 2, embed = 8 }
cifr = { layers = 1, expand = 1, states = 4 }
generator = { layers = 1, heads = 2, length = 8, symbols = 300, beams = 2 }

[objective]
name = "cmi_mtl"

[optim]
lr = 3e-3
batch = 32

[run]
epochs = 1
mode = "hybrid"
baselines = ["majority"]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A finished run of a CMI-MTL that has learned next to nothing, beside its recipe and phantoms."""
    folder = tmp_path_factory.mktemp("cmi")
    phantom.draw(folder / "phantoms", images=30, size=64, workers=1)
    (folder / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    train(folder / "tiny.toml", data=folder / "phantoms", out=folder / "run", quiet=True)
    return folder


def some(folder: Path, count: int = 12):
    return phantom.read(folder / "phantoms", "test")[:count]


def test_scores_name_every_way_of_answering_and_which_one_is_the_runs_own(made):
    scores = evaluate(made / "run")
    on_disk = json.loads((made / "run" / "scores.test.json").read_text())
    assert on_disk["mode"] == "hybrid"
    assert tuple(on_disk["modes"]) == MODES
    for figures in on_disk["modes"].values():
        assert figures["n"] == on_disk["n"] == figures["open"]["n"] + figures["closed"]["n"]
    assert on_disk["modes"]["hybrid"]["overall"] == on_disk["overall"]
    for mode in MODES:
        kept = predictions.read(made / "run" / on_disk["modes"][mode]["file"])
        assert metrics.score(kept, "lower")["overall"] == on_disk["modes"][mode]["overall"]
    written = on_disk["modes"]["generate"]["free_text"]
    assert written["exact"]["overall"]["value"] == pytest.approx(on_disk["modes"]["generate"]["overall"]["accuracy"])
    assert {"token_f1", "bleu_1"} <= set(written)
    assert on_disk["modes"]["rank"]["candidates"]["n"] == len(Run.open(made / "run").writer.candidates)
    rows = predictions.read(made / "run" / "predictions.test.jsonl")
    assert {row.mode for row in rows} <= {"classify", "generate"}
    table = as_table(scores)
    assert "ways of answering" in table
    assert "that is no ceiling for 'hybrid', which writes others too" in table
    assert all(f"  {mode} " in table for mode in MODES if mode != "hybrid")
    heat = (made / "run" / "explanations.test.jsonl").read_text().splitlines()
    assert json.loads(heat[0])["method"] == "path_gradient"
    assert len(json.loads(heat[0])["grid"]) == 24


@pytest.mark.parametrize("mode", MODES)
def test_a_run_opened_twice_answers_alike(made, mode):
    samples = some(made)
    first, second = (open_run(made / "run").answer(samples, mode=mode) for _ in range(2))
    assert first == second


def test_ask_answers_in_the_way_that_is_asked_for(made, capsys):
    sample = some(made)[0]
    for mode in ("", *MODES):
        wanted = ["--mode", mode] if mode else []
        assert cli.main(["ask", str(made / "run"), str(sample.path), sample.question, "--json", *wanted]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["mode"] in ({"classify", "generate"} if mode in ("", "hybrid") else {mode})
    assert cli.main(["ask", str(made / "run"), str(sample.path), sample.question, "--mode", "guess"]) == 2
    assert "cannot answer by 'guess'" in capsys.readouterr().err


def test_explain_says_how_far_each_word_opens_the_gate(made, tmp_path, capsys):
    sample = some(made)[0]
    out = tmp_path / "map.png"
    assert cli.main(["explain", str(made / "run"), str(sample.path), "Is there a zebra?", "--out", str(out)]) == 0
    (line,) = [one for one in capsys.readouterr().out.splitlines() if "opens the gate" in one]
    said = [one.rsplit(" ", 1) for one in line.rpartition(": ")[2].split(", ")]
    assert [word for word, _ in said] == ["is", "there", "a", "[unknown]", "?"]
    assert all(float(gate) > 0 for _, gate in said)


def test_predict_writes_how_each_answer_came_about(made, tmp_path):
    sample = some(made)[0]
    (tmp_path / "q.jsonl").write_text(json.dumps({"image": str(sample.path), "question": sample.question}) + "\n")
    files = [str(made / "run"), str(tmp_path / "q.jsonl"), str(tmp_path / "a.jsonl")]
    assert cli.main(["predict", *files, "--mode", "rank"]) == 0
    assert json.loads((tmp_path / "a.jsonl").read_text())["mode"] == "rank"


def test_the_tuned_threshold_travels_with_the_run(made):
    kept = json.loads((made / "run" / "answering.json").read_text())
    assert kept["tuned_on"] == "validation"
    assert Run.open(made / "run").hybrid_below() == kept["hybrid_below"]
    assert kept["hybrid"] >= kept["classify"]


@pytest.mark.parametrize("broken", ["tokens", "candidates"])
def test_a_run_whose_answer_tokens_are_broken_is_refused_in_two_lines(made, tmp_path, broken):
    import shutil

    shutil.copytree(made / "run", tmp_path / "run", ignore=shutil.ignore_patterns("*.safetensors"))
    (tmp_path / "run" / "model.safetensors").symlink_to(made / "run" / "model.safetensors")
    content = json.loads((tmp_path / "run" / "vocabulary.json").read_text())
    if broken == "tokens":
        content["writer"]["tokens"] = {"kind": "byte pairs", "merges": "none"}
    else:
        del content["writer"]["candidates"]
    (tmp_path / "run" / "vocabulary.json").write_text(json.dumps(content))
    with pytest.raises((RunError, DataError)) as error:
        open_run(tmp_path / "run")
    assert error.value.hint


def test_a_way_that_the_model_does_not_have_stops_the_training_before_it_starts(made):
    with pytest.raises(ConfigError, match="cannot answer so"):
        train(made / "tiny.toml", data=made / "phantoms", out=made / "none", quiet=True,
              overrides=["model.generator.kind=none"])  # fmt: skip


def test_a_stopped_training_goes_on_to_the_same_weights(made, tmp_path):
    from safetensors.torch import load_file

    settings = {"data": made / "phantoms", "quiet": True}
    train(made / "tiny.toml", out=tmp_path / "whole", overrides=["run.epochs=2"], **settings)
    import discern_vqa.training.train as module

    real = module.validation_figures
    calls = []

    def stop_after_the_first(*given):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*given)

    module.validation_figures = stop_after_the_first
    try:
        with pytest.raises(KeyboardInterrupt):
            train(made / "tiny.toml", out=tmp_path / "stopped", overrides=["run.epochs=2"], **settings)
    finally:
        module.validation_figures = real
    train(made / "tiny.toml", out=tmp_path / "stopped", overrides=["run.epochs=2"], resume=True, **settings)
    whole, resumed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "stopped"))
    assert all(bool((whole[name] == resumed[name]).all()) for name in whole)


def choice(folder: Path, *faults: str):
    return read_recipe(folder / "tiny.toml", [f"data.imitate={json.dumps(list(faults))}"]).data


def test_d12_and_d13_open_the_test_split_only_when_they_are_imitated(made):
    root = made / "phantoms"
    gold = {sample.id for sample in recipe_samples.Samples(choice(made), root).test("test")}
    assert not gold & {sample.id for sample in recipe_samples.Samples(choice(made), root).vocabulary()}
    assert gold <= {sample.id for sample in recipe_samples.Samples(choice(made, "D12"), root).vocabulary()}
    _, validation = recipe_samples.Samples(choice(made), root, 0).learning
    assert not gold & {sample.id for sample in validation}
    _, chosen_on = recipe_samples.Samples(choice(made, "D13"), root, 0).learning
    assert {sample.id for sample in chosen_on} == gold


@pytest.mark.parametrize("faults", [[], ["D7"]])
def test_d7_leaves_the_last_incomplete_batch_out_of_validation_too(made, tmp_path, monkeypatch, faults):
    import discern_vqa.training.train as module

    judged = []
    real = module.validation_figures
    monkeypatch.setattr(module, "validation_figures", lambda *given: (judged.append(len(given[2])), real(*given))[1])
    batch = 7
    train(made / "tiny.toml", data=made / "phantoms", out=tmp_path / "run", quiet=True,
          overrides=[f"data.imitate={json.dumps(faults)}", f"optim.batch={batch}", "run.mode=classify"])  # fmt: skip
    whole = len(recipe_samples.Samples(choice(made), made / "phantoms", 0).learning[1])
    assert whole % batch
    assert judged == [whole - whole % batch if faults else whole]


def test_imitated_faults_are_said_by_training_scores_and_table(made, capsys):
    train(made / "tiny.toml", data=made / "phantoms", out=made / "faulty",
          overrides=['data.imitate=["D7", "D12", "D13"]', "run.mode=classify"])  # fmt: skip
    said = capsys.readouterr().out
    assert said.count("WARNING: imitates D") == 3
    scores = evaluate(made / "faulty", baselines=False)
    whole = len(recipe_samples.Samples(choice(made), made / "phantoms").test("test"))
    assert scores["n"] == whole - whole % 32 < whole
    assert len(scores["imitates"]) == 3
    assert "the epoch was chosen on the test split" in as_table(scores)
    assert "imitates" not in evaluate(made / "run", baselines=False)
