"""Baselines as runs: a recipe trains one, its folder reads alone, and every command works on it as on a model's."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from discern_vqa import registry
from discern_vqa.baselines.plain_transformer import Plain
from discern_vqa.cli import main
from discern_vqa.config import check_recipe, read_recipe
from discern_vqa.errors import ConfigError, DiscernError, RunError
from discern_vqa.evaluation.calibrate import calibrate_run
from discern_vqa.evaluation.evaluate import evaluate
from discern_vqa.evaluation.opening import open_run
from discern_vqa.evaluation.similar_cases import SimilarCases
from discern_vqa.report.page import write_report
from discern_vqa.run import Run
from discern_vqa.scoring import predictions
from discern_vqa.scoring.compare import as_text, compare, read_answerers
from discern_vqa.training.train import train

RECIPES = Path(__file__).resolve().parents[1] / "recipes" / "baselines"
NAMES = sorted(path.stem for path in RECIPES.glob("*.toml"))
CHANGES = ["data.dataset=phantom", "data.validation_by=image", 'run.baselines=["majority"]']
SIGHT = ['model.image={ kind = "tiny", size = 64, patch = 16, channels = 4, layers = 1 }']


def fitted(name: str, phantoms: Path, out: Path, *more: str) -> Path:
    changes = [*CHANGES, *(SIGHT if name in ("retrieval", "kernel_ridge") else []), *more]
    train(RECIPES / f"{name}.toml", data=phantoms, overrides=changes, out=out, quiet=True)
    return out


@pytest.fixture(scope="module")
def phantoms(tiny_run: Path) -> Path:
    return tiny_run.parent / "phantoms"


@pytest.fixture(scope="module")
def runs(phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("baselines")
    return {name: fitted(name, phantoms, folder / name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_run_answers_as_what_was_fitted_and_reads_alone(name: str, runs: dict[str, Path], tmp_path: Path) -> None:
    moved = Path(shutil.copytree(runs[name], tmp_path / "moved"))
    kept = {path.name for path in moved.iterdir()} - {"encoders"}
    assert kept == {"recipe.toml", "config.json", "vocabulary.json", "baseline.json", "model.safetensors", "README.md"}
    assert "base =" not in (moved / "recipe.toml").read_text()
    first, second = open_run(runs[name]), open_run(moved)
    samples = registry.load("datasets", "phantom").read(first.run.root, "test")
    asked = [sample for sample in samples if not sample.is_caption][:20]
    answers = first.answer(asked)
    assert second.answer(asked) == answers
    assert len({answer.text for answer in answers}) > 1
    for answer in answers:
        assert (answer.text, answer.score) == answer.alternatives[0]
        assert all(0 <= score <= 1 for _, score in answer.alternatives)
    (alone,) = second.answer(asked[3:4])
    assert alone.text == answers[3].text, "neighbours change nothing"
    assert alone.score == pytest.approx(answers[3].score, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_ask_and_predict_work_on_a_file_that_the_run_has_never_seen(
    name: str, runs: dict[str, Path], tmp_path: Path
) -> None:
    predictor = open_run(runs[name])
    sample = next(one for one in registry.load("datasets", "phantom").read(predictor.run.root, "test") if one.question)
    shutil.copyfile(sample.path, tmp_path / "new.png")
    answer = predictor.ask(tmp_path / "new.png", sample.question)
    assert predictor.run.vocabulary.index(answer.text) >= 0
    (tmp_path / "asked.csv").write_text(f'image,question\nnew.png,"{sample.question}"\n')
    predictor.predict_file(tmp_path / "asked.csv", tmp_path / "out.jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text())["prediction"] == answer.text


@pytest.mark.parametrize("name", ["lookup", "image_identity"])
def test_a_training_image_is_known_by_the_end_of_its_path(name: str, runs: dict[str, Path], tmp_path: Path) -> None:
    predictor = open_run(runs[name])
    train_rows = [one for one in registry.load("datasets", "phantom").read(predictor.run.root, "train") if one.question]
    sample = train_rows[0]
    moved = tmp_path / "elsewhere" / sample.image
    moved.parent.mkdir(parents=True)
    shutil.copyfile(sample.path, moved)
    (by_name,) = predictor.answer([sample])
    assert predictor.ask(moved, sample.question).alternatives == by_name.alternatives
    if name == "lookup":
        assert by_name.score == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["majority", "retrieval"])
def test_evaluate_report_and_compare_take_a_baselines_run(name: str, runs: dict[str, Path], tiny_run: Path) -> None:
    scores = evaluate(runs[name])
    assert set(scores["baselines"]) == {"majority"}
    assert set(scores["controls"]) == {"blank_image", "shuffled_image", "wrong_organ_image"}
    assert set(scores["controls_left_out"]) == {"noise_image"}
    assert "no encoder" in scores["scope"]["missing"]
    if name == "majority":
        assert scores["baselines"]["majority"]["overall"] == scores["overall"]
        assert scores["controls"]["blank_image"]["overall"] == scores["overall"], "it sees no image"
    assert "baselines." + name in write_report(runs[name], runs[name] / "report").read_text()
    assert predictions.read(runs[name] / "predictions.test.jsonl")
    one = str(runs[name] / "predictions.test.jsonl")
    assert "not distinguishable" in as_text(compare(read_answerers([f"a={one}", f"b={one}"], "test"), "m3ae"))


@pytest.mark.parametrize("name", ["lookup", "question_prior"])
def test_a_run_that_held_questions_out_is_calibrated(name: str, phantoms: Path, tmp_path: Path) -> None:
    run = fitted(name, phantoms, tmp_path / name, "data.validation_ratio=0.8", "data.validation_from=train")
    made, rows = calibrate_run(run)
    assert made.fitted_on["n"] == len(rows) >= 50
    images = {row.image for row in rows}
    known = json.loads((run / "baseline.json").read_text()).get("images", [])
    assert not images & set(known), "what is held out teaches nothing"
    answer = open_run(run).ask(phantoms / rows[0].image, rows[0].question)
    assert answer.judged is not None
    assert 0 <= answer.judged.confidence <= 1


@pytest.mark.parametrize("name", ["retrieval", "kernel_ridge"])
def test_similar_cases_of_a_training_question_begin_with_itself(name: str, runs: dict[str, Path]) -> None:
    predictor = open_run(runs[name])
    sample = next(one for one in registry.load("datasets", "phantom").read(predictor.run.root, "train") if one.question)
    cases = SimilarCases.of(predictor).nearest(sample.path, sample.question, 4)
    assert (cases[0].image, cases[0].question) == (sample.image, sample.question)
    assert cases[0].image_similarity == pytest.approx(1, abs=1e-4)
    assert cases[0].question_similarity == pytest.approx(1)
    assert len({case.image for case in cases}) == 4


def test_similar_cases_of_a_model_are_made_once_and_kept(tiny_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    predictor = open_run(run)
    sample = next(one for one in registry.load("datasets", "phantom").read(predictor.run.root, "train") if one.question)
    first = SimilarCases.of(predictor).nearest(sample.path, sample.question, 3)
    kept = (run / "cases.safetensors").stat().st_mtime_ns
    assert SimilarCases.of(open_run(run)).nearest(sample.path, sample.question, 3) == first
    assert (run / "cases.safetensors").stat().st_mtime_ns == kept
    assert first[0].question == sample.question


def test_a_baseline_that_sees_no_image_knows_no_similar_cases(runs: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="sees no image"):
        SimilarCases.of(open_run(runs["lookup"]))


def test_a_baselines_recipe_has_no_tables_for_learning() -> None:
    tables = {"data": {"dataset": "phantom"}, "model": {"name": "baselines.lookup"}, "run": {}}
    assert check_recipe(tables, "here").to_json().keys() == {"data", "model", "run"}
    with pytest.raises(ConfigError, match=r"\[optim\]: a baseline is fitted without this table"):
        check_recipe(tables | {"optim": {"lr": 1.0}}, "here")
    with pytest.raises(ConfigError, match="did you mean 'lookup'"):
        check_recipe(tables | {"model": {"name": "baselines.lokup"}}, "here")
    with pytest.raises(ConfigError, match="cannot be trained by itself"):
        check_recipe(tables | {"model": {"name": "baselines.plain_transformer"}}, "here")


def test_what_does_not_fit_a_baseline_is_said(runs: dict[str, Path], phantoms: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="goes on from no other run"):
        train(RECIPES / "lookup.toml", data=phantoms, from_run=runs["lookup"], overrides=CHANGES, out=tmp_path / "x",
              quiet=True)  # fmt: skip
    with pytest.raises(RunError, match="already holds a run"):
        fitted("lookup", phantoms, runs["lookup"])
    with pytest.raises(ConfigError, match="cannot answer by 'generate'"):
        open_run(runs["majority"]).ask(next(phantoms.rglob("*.png")), "what is it?", "generate")
    beside = fitted("majority", phantoms, tmp_path / "beside", 'run.baselines=["plain_transformer"]')
    with pytest.raises(ConfigError, match="learns from a model's features"):
        evaluate(beside)
    for name in ("retrieval", "kernel_ridge"):
        beside = fitted("majority", phantoms, tmp_path / name, f'run.baselines=["{name}"]')
        with pytest.raises(ConfigError, match=f"{name} has an encoder of its own"):
            evaluate(beside)


def test_a_damaged_or_foreign_state_is_said(runs: dict[str, Path], tmp_path: Path) -> None:
    for file, content in (("baseline.json", "{"), ("baseline.json", "{}"), ("model.safetensors", "no")):
        run = Path(shutil.copytree(runs["lookup"], tmp_path / f"{file}{len(content)}"))
        (run / file).write_text(content)
        with pytest.raises(DiscernError, match=file):
            open_run(run)


def test_an_interrupted_fit_is_done_anew(phantoms: Path, runs: dict[str, Path], tmp_path: Path) -> None:
    run = Path(shutil.copytree(runs["majority"], tmp_path / "run"))
    (run / "model.safetensors").unlink()
    with pytest.raises(RunError, match="has not ended"):
        Run.open(run)
    fitted("majority", phantoms, run)
    assert open_run(run).run.recipe == Run.open(runs["majority"]).recipe
    assert read_recipe(run / "recipe.toml").model.name == "baselines.majority"


def test_explain_refuses_a_baseline_before_torch_is_loaded(runs: dict[str, Path], tmp_path: Path) -> None:
    words = ["explain", str(runs["lookup"]), "a.png", "Why?", "--out", str(tmp_path / "a.png")]
    code = (
        f"import sys; from discern_vqa import cli; assert cli.main({words!r}) == 2; assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "is a baseline's run: it has no network" in done.stderr


@pytest.mark.parametrize("name", ["lookup", "kernel_ridge"])
def test_what_is_said_to_type_instead_of_explain_works(
    runs: dict[str, Path], phantoms: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    image = next((phantoms / "images").rglob("*.png"))
    assert main(["explain", str(runs[name]), str(image), "What's wrong here?", "--out", "a.png"]) == 2
    words = shlex.split(capsys.readouterr().err.partition("try: ")[2].strip())
    assert words[:2] == ["discern", "ask"]
    assert main(words[1:]) == 0
    assert ("Similar cases" in capsys.readouterr().out) == (name == "kernel_ridge")
    assert main(["explain", str(runs[name]), "--score"]) == 2
    assert f"try: discern evaluate {runs[name]} (" in capsys.readouterr().err


def test_the_plain_transformer_reads_nothing_of_unused_positions_and_answers_from_its_token():
    """As the same layers over all positions, of which the first is read."""
    torch.manual_seed(0)
    keep = torch.arange(7) < torch.tensor([[2], [5], [1]])
    keep[:, 6] = torch.tensor([True, False, False])  # a used position behind unused ones
    inputs = SimpleNamespace(
        image=torch.randn(2, 5, 12), which=torch.tensor([0, 1, 1]), text_states=torch.randn(3, 7, 8), keep=keep
    )
    model = Plain(inputs, 4).eval()
    cells = model.project_image(inputs.image)[inputs.which]
    v = torch.cat([model.token.expand(3, -1, -1), cells, model.project_text(inputs.text_states)], dim=1) + model.pos
    v, may = model.enter(v), torch.cat([torch.ones(3, 6).bool(), keep], dim=1)
    for block in model.blocks:
        v = block(v, may)
    torch.testing.assert_close(model.decide(inputs).scores, model.head(v[:, 0]), atol=1e-5, rtol=1e-5)
