"""A run as graphs of ONNX: they answer as the run does, in batches of any size and where torch is not installed; an
export that does not is not written."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY_RECIPE

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

import onnx
from safetensors.numpy import load_file, save_file

from discern_vqa import cli
from discern_vqa.data.sample import Sample
from discern_vqa.datasets import phantom
from discern_vqa.errors import ConfigError, RunError
from discern_vqa.evaluation.opening import open_run, open_to_ask
from discern_vqa.evaluation.predict_onnx import OnnxPredictor
from discern_vqa.onnx_export import compared, quantised
from discern_vqa.onnx_export import export as exporting
from discern_vqa.onnx_export.write import domains_of
from discern_vqa.serve.answerer import Answerer, Question
from discern_vqa.serve.settings import named
from discern_vqa.serve.told import RunFiles
from discern_vqa.training.train import train

GRAPHS = ("image_encoder", "text_encoder", "answer")
CLOSE = 1e-5
IMAGES = {"pretrain": 2, "train": 24, "validation": 22, "test": 8}
CMDPI = TINY_RECIPE.replace("[objective]", "[prior]\nwording = true\n\n[objective]")
CMI_MTL = """
[data]
dataset = "phantom"
text_length = 16

[model]
name = "cmi_mtl"
width = 16
image = { kind = "tiny", size = 64, patch = 16, channels = 8, layers = 0, heads = 2 }
text = { kind = "tiny", layers = 1, heads = 2 }
fvta = { queries = 4, layers = 1, heads = 2, embed = 8 }
cifr = { layers = 1, expand = 1, states = 4 }
generator = { kind = "none" }
pooling = "mean"

[objective]
name = "cmi_mtl"

[optim]
lr = 3e-3
batch = 32

[run]
epochs = 1
baselines = ["majority"]
"""


@dataclass(frozen=True)
class Made:
    """A run and its export."""

    run: Path
    folder: Path

    def questions(self, count: int) -> list[Sample]:
        """About several images, and of unequal lengths."""
        asked = phantom.read(self.run.parent / "phantoms", "test")
        return asked[:: max(1, len(asked) // count)][:count]


@pytest.fixture(scope="module", params=["cmdpi", "cmi_mtl"])
def made(request, tmp_path_factory) -> Made:
    """Calibrated, so that trust travels along."""
    folder = tmp_path_factory.mktemp(request.param)
    phantom.draw(folder / "phantoms", counts=IMAGES, size=64, workers=1)
    (folder / "tiny.toml").write_text(CMDPI if request.param == "cmdpi" else CMI_MTL, encoding="utf-8")
    train(folder / "tiny.toml", data=folder / "phantoms", out=folder / "run", quiet=True)
    assert cli.main(["calibrate", str(folder / "run")]) == 0
    exporting.export(folder / "run", folder / "onnx")
    return Made(folder / "run", folder / "onnx")


def test_graphs_answer_as_the_run_does_in_batches_of_any_size(made):
    predictor, samples = open_run(made.run, "cpu"), made.questions(14)
    assert len({sample.image for sample in samples}) > 2
    answering = predictor.answering(samples)
    wanted = answering.decided.probabilities.numpy()
    assert wanted.std(axis=0).max() > 100 * CLOSE, "the questions must be told apart for this to mean anything"
    for batch in (1, 2, 7):
        graphs = OnnxPredictor.open(made.folder, images_at_once=batch).graphs
        parts = [graphs.probabilities(samples[start : start + batch]) for start in range(0, len(samples), batch)]
        np.testing.assert_allclose(np.concatenate([part[0] for part in parts]), wanted, atol=CLOSE)
        if answering.decided.openness is not None:
            openness = np.concatenate([part[1] for part in parts])
            np.testing.assert_allclose(openness, answering.decided.openness.numpy(), atol=CLOSE)
    opened = open_to_ask(made.folder)
    assert opened.modes == tuple(mode for mode in predictor.modes if mode in ("classify", "classify_typed"))
    for mode in opened.modes:
        texts = [answer.text for answer in answering.answers(mode)]
        assert [answer.text for answer in opened.answer(samples, mode=mode)] == texts


def test_what_is_told_of_an_answer_is_the_runs(made):
    samples = [*made.questions(5), *made.questions(1)]
    samples[-1] = Sample(**{**vars(samples[-1]), "question": "is there an effusion " * 12})
    for of_run, of_graphs in zip(
        open_run(made.run, "cpu").answer_judged(samples), open_to_ask(made.folder).answer_judged(samples), strict=True
    ):
        assert of_graphs.verdict.confidence == pytest.approx(of_run.verdict.confidence, abs=10 * CLOSE)
        assert (of_graphs.text, of_graphs.judged.answer_set) == (of_run.text, of_run.judged.answer_set)
        assert (of_graphs.judged.abstains, of_graphs.within.outside) == (of_run.judged.abstains, of_run.within.outside)
        assert of_graphs.within.image == pytest.approx(of_run.within.image, abs=0.02)
        assert of_graphs.notes == of_run.notes
    assert of_graphs.notes


def test_a_program_without_torch_asks_the_folder(made, tmp_path):
    sample = made.questions(1)[0]
    table = tmp_path / "questions.csv"
    table.write_text(f"image,question\n{sample.path},{sample.question}\n", encoding="utf-8")
    code = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers", "onnx", "onnxscript"):
            raise ImportError(name + " is not installed")

sys.meta_path.insert(0, Blocked())
from discern_vqa import cli
assert cli.main(["ask", {str(made.folder)!r}, {str(sample.path)!r}, {sample.question!r}, "--json"]) == 0
assert cli.main(["predict", {str(made.folder)!r}, {str(table)!r}, "--out", {str(tmp_path / "a.jsonl")!r}]) == 0
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    asked, written = json.loads(done.stdout.splitlines()[0]), json.loads((tmp_path / "a.jsonl").read_text())
    (answer,) = open_run(made.run, "cpu").answer_judged([sample])
    for line in (asked["answer"], written["prediction"]):
        assert line == answer.text
    assert asked["confidence"] == written["confidence"] == pytest.approx(answer.judged.confidence, abs=1e-4)
    assert asked["outside"] == list(answer.within.outside)
    assert written["weights_sha256"] == open_run(made.run, "cpu").weights_sha256


def test_the_files_are_standard_and_hold_nothing_of_this_machine(made):
    operators = set()
    for name in GRAPHS:
        assert domains_of(made.folder / f"{name}.onnx") == {""}
        model = onnx.load(made.folder / f"{name}.onnx")
        onnx.checker.check_model(model)
        assert [opset.version for opset in model.opset_import] == [20]
        operators |= {node.op_type for node in model.graph.node}
        assert str(made.run.parent).encode() not in model.SerializeToString()
    facts = json.loads((made.folder / "onnx.json").read_text())
    assert ("Scan" in operators) is (facts["model"]["name"] == "cmi_mtl")
    assert facts["parity"]["same_answers"] == facts["parity"]["questions"] == 32
    assert 0 < facts["parity"]["largest_difference"] < CLOSE
    assert facts["parity"]["part"] == "validation"
    assert all(facts["graphs"][name]["ms"][engine] > 0 for name in GRAPHS for engine in ("torch", "onnxruntime"))
    for file in made.folder.glob("*.*"):
        assert str(made.run.parent).encode() not in file.read_bytes(), file


def test_the_service_opens_an_export(made):
    name = made.folder.name
    answerer = Answerer(named([made.folder]))
    sample = made.questions(1)[0]
    (answer,) = answerer.answer([Question(name, sample.image, sample.path, sample.question)])
    assert answer.text == open_run(made.run, "cpu").answer([sample])[0].text
    asked = Question(name, sample.image, sample.path, sample.question)
    for refused in (lambda: answerer.explain(asked, "auto"), lambda: answerer.similar(asked, 3)):
        with pytest.raises(ConfigError, match="exported to ONNX: it has neither heat maps nor similar cases"):
            refused()  # 422, and not 500
    facts = answerer.facts()[name]
    assert (facts.size, facts.explains, facts.similar, facts.detects_outside) == (64, (), False, True)
    files = RunFiles.read(made.folder, "0")
    assert files.dataset == "phantom"
    assert answer.text in files.answers


def test_what_needs_the_run_itself_says_so(made, capsys):
    for words in (["report", made.folder], ["evaluate", made.folder], ["calibrate", made.folder]):
        assert cli.main(list(map(str, words))) == 2
        problem = capsys.readouterr().err
        assert "was exported to ONNX" in problem
        assert "Traceback" not in problem
    image, question = made.questions(1)[0].path, "Is there a mass?"
    assert cli.main(["ask", str(made.folder), str(image), question, "--similar", "2"]) == 2
    assert "was exported to ONNX" in capsys.readouterr().err
    assert cli.main(["ask", str(made.folder), str(image), question, "--mode", "generate"]) == 2
    assert "cannot answer by 'generate'" in capsys.readouterr().err


@pytest.fixture
def with_ready_graphs(made, monkeypatch):
    """An export that takes the graphs that are there, instead of making them."""
    monkeypatch.setattr(exporting, "write_graph", lambda graph, path: shutil.copyfile(made.folder / path.name, path))
    return made


def test_an_export_that_answers_otherwise_is_not_written(with_ready_graphs, tmp_path):
    made = with_ready_graphs
    other = tmp_path / "run"
    shutil.copytree(made.run, other)
    weights = load_file(other / "model.safetensors")
    last = next(name for name in ("ffn_answer.bias", "head.3.bias") if name in weights)
    weights[last][0] += 1
    save_file(weights, other / "model.safetensors", {"format": "pt"})
    for name in ("calibration.json", "ood.json", "ood.safetensors"):
        (other / name).unlink()
    with pytest.raises(RunError, match=r"do not answer as .* does.*nothing was written"):
        exporting.export(other, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [other]


def test_a_damaged_export_is_told(made, tmp_path):
    broken = tmp_path / "onnx"
    shutil.copytree(made.folder, broken)
    sample = made.questions(1)[0]
    (broken / "answer.onnx").write_bytes(b"nothing")
    with pytest.raises(RunError, match=r"answer\.onnx is not the file that was exported"):
        open_to_ask(broken).answer([sample])
    (broken / "answer.onnx").unlink()
    with pytest.raises(RunError, match=r"answer\.onnx is not there"):
        open_to_ask(broken).answer([sample])
    facts = json.loads((broken / "onnx.json").read_text())
    (broken / "onnx.json").write_text(json.dumps(facts | {"weights_sha256": "0" * 64}))
    with pytest.raises(RunError, match="other weights than those that were exported"):
        open_to_ask(broken)
    (broken / "onnx.json").write_text(json.dumps(facts | {"version": 2}))
    with pytest.raises(RunError, match="of version 2") as newer:
        open_to_ask(broken)
    assert "pip install --upgrade discern-vqa" in newer.value.hint
    (broken / "onnx.json").write_text(json.dumps(facts | {"image": facts["image"] | {"size": 32}}))
    with pytest.raises(RunError, match=r"image_encoder\.onnx does not take what onnx\.json describes"):
        open_to_ask(broken).answer([sample])
    (broken / "onnx.json").write_text(json.dumps(facts))
    (broken / "calibration.json").write_text("{}")
    with pytest.raises(RunError, match=r"calibration\.json is broken") as damaged:
        open_to_ask(broken)
    assert damaged.value.hint.startswith("calibrate the run: discern calibrate RUN; then export"), "not the export"


def test_files_of_another_export_do_not_answer(made, tmp_path):
    """A changed weight, or answers in another order, would be answered with as if nothing had happened."""
    mixed, sample = tmp_path / "onnx", made.questions(1)[0]
    for name in (*GRAPHS, "vocabulary"):
        shutil.copytree(made.folder, mixed, dirs_exist_ok=True)
        if name == "vocabulary":
            file = mixed / "vocabulary.json"
            content = json.loads(file.read_text(encoding="utf-8"))
            content["answers"]["answers"].reverse()
            file.write_text(json.dumps(content), encoding="utf-8")
        else:
            file = mixed / f"{name}.onnx"
            model = onnx.load(file)
            floats = [tensor for tensor in model.graph.initializer if tensor.data_type == 1 and tensor.raw_data]
            largest = max(floats, key=lambda tensor: len(tensor.raw_data))
            largest.raw_data = np.frombuffer(largest.raw_data, np.float32)[::-1].tobytes()
            onnx.save(model, file)
        with pytest.raises(RunError, match=rf"{file.name} is not the file that was exported"):
            open_to_ask(mixed).answer([sample])


def test_eight_bits_are_kept_only_where_they_are_faster_and_no_worse():
    images = [str(number // 2) for number in range(60)]
    even, worse = np.zeros(60), np.where(np.arange(60) % 6 == 0, -1.0, 0.0)
    assert quantised.decide(even, images, ms=2.0, ms_int8=1.0)[0]
    assert not quantised.decide(even, images, ms=1.0, ms_int8=1.0)[0]
    assert not quantised.decide(worse, images, ms=2.0, ms_int8=1.0)[0]
    one_less = even.copy()
    one_less[7] = -1.0
    assert quantised.decide(one_less, images, ms=2.0, ms_int8=1.0)[0], "a single question is chance"


@pytest.mark.parametrize("faster", [True, False])
def test_eight_bits_take_the_place_of_the_graphs_or_leave_nothing(with_ready_graphs, tmp_path, monkeypatch, faster):
    def taken(graphs, folder):
        return dict.fromkeys(GRAPHS, 1.0 if (folder.name == "int8") is faster else 2.0)

    made = with_ready_graphs
    monkeypatch.setattr(quantised, "milliseconds_of_folder", taken)
    monkeypatch.setattr(compared, "_TIMES", 1)
    exported = exporting.export(made.run, tmp_path / "out", int8=True)
    assert exported.int8.is_used is faster
    assert exported.int8.accuracy_int8 is not None
    operators = {node.op_type for node in onnx.load(tmp_path / "out" / "answer.onnx").graph.node}
    assert ("MatMulInteger" in operators) is faster
    assert domains_of(tmp_path / "out" / "answer.onnx") == {""}
    assert json.loads((tmp_path / "out" / "onnx.json").read_text())["int8"]["is_used"] is faster
    assert not (tmp_path / "out" / "int8").exists()
    assert OnnxPredictor.open(tmp_path / "out").answer(made.questions(2))


def test_an_export_that_is_ended_leaves_nothing(made, tmp_path, monkeypatch, capsys):
    def ended(folder, *_):
        (folder / "answer.onnx").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(exporting, "_written", ended)
    assert cli.main(["export", str(made.run), str(tmp_path / "out"), "--to", "onnx"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == before


def test_what_no_graph_has_is_refused_at_once(made, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(exporting, "open_run", lambda *given, **more: pytest.fail("opened all the same"))
    with pytest.raises(ConfigError, match="not an empty folder"):
        exporting.export(made.run, made.folder)
    here = tmp_path / "here"
    here.mkdir()
    (tmp_path / "link").symlink_to(here)
    monkeypatch.chdir(here)
    for out, told in ((Path(), "is the folder in which you are"), (tmp_path / "link", "is a link, and an export")):
        with pytest.raises(ConfigError, match=told):
            exporting.export(made.run, out)
    written = tmp_path / "writes"
    shutil.copytree(made.run, written)
    config = json.loads((written / "config.json").read_text())
    config["run"]["mode"] = "generate"
    (written / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="answers by 'generate'"):
        exporting.export(written, tmp_path / "out")
    assert cli.main(["export", str(made.run), str(tmp_path / "out"), "--int8"]) == 2
    assert "--int8 is for --to onnx" in capsys.readouterr().err
