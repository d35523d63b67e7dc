"""A run folder reads alone or says why not; the questions of a file; what the controls show."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from discern_vqa.datasets import phantom
from discern_vqa.errors import DiscernError, RunError
from discern_vqa.evaluation.opening import open_run
from discern_vqa.evaluation.predict import Predictor
from discern_vqa.evaluation.questions import look_through
from discern_vqa.run import Run, load_weights, save_weights


@pytest.fixture(scope="module")
def samples(tiny_run):
    read = phantom.read(tiny_run.parent / "phantoms", "test")
    return [sample for sample in read if not sample.is_caption][:12]


@pytest.fixture(scope="module")
def predictor(tiny_run) -> Predictor:
    return open_run(tiny_run)


@pytest.fixture
def folder(tiny_run, tmp_path):
    """A copy of the run that may be damaged."""
    return shutil.copytree(tiny_run, tmp_path / "copy", ignore=shutil.ignore_patterns("ood.*"))


# -- the run folder ----------------------------------------------------------------------------------------------------


def test_open_save_open_gives_equal_answers_elsewhere_too(folder, predictor, samples):
    run = Run.open(folder)
    save_weights(run.load_model(), folder / "model.safetensors")
    assert open_run(folder).answer(samples) == predictor.answer(samples)


@pytest.mark.parametrize("name", ["config.json", "vocabulary.json", "model.safetensors"])
def test_a_run_folder_that_lacks_a_file_is_two_lines(folder, name):
    (folder / name).unlink()
    with pytest.raises(RunError) as caught:
        open_run(folder)
    assert name in str(caught.value)
    assert "discern train" in caught.value.hint
    assert "\n" not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize("name", ["config.json", "vocabulary.json", "model.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "noise"])
def test_a_damaged_file_is_two_lines_with_its_name(folder, name, damage):
    path = folder / name
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"\x00\xff" * 50)
    with pytest.raises(RunError) as caught:
        open_run(folder)
    assert name in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", {"version": 1}),
        ("config.json", []),
        ("vocabulary.json", {"text": {"kind": "words", "words": []}}),
        ("vocabulary.json", {"answers": {"answers": ["a"], "normaliser": "lower"}, "text": None}),
        ("vocabulary.json", {"answers": None, "text": {"kind": "words", "words": []}}),
        ("vocabulary.json", {"answers": {"answers": ["a"], "normaliser": "lower"}, "text": {"kind": "folder"}}),
    ],
)
def test_json_that_lacks_its_entries_is_an_error_for_the_user_and_not_a_traceback(folder, name, content):
    (folder / name).write_text(json.dumps(content))
    with pytest.raises(DiscernError) as caught:
        open_run(folder)
    assert caught.value.hint


def test_weights_of_another_shape_are_listed(folder):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["h_shared"] = torch.zeros(3)
    tensors["stray"] = tensors.pop("ffn_answer.bias")
    save_file(tensors, path)
    with pytest.raises(RunError) as caught:
        open_run(folder)
    for part in ("ffn_answer.bias", "stray", "h_shared"):
        assert part in str(caught.value)


def test_a_folder_that_is_none_is_said(tmp_path):
    with pytest.raises(RunError, match="there is no "):
        Run.open(tmp_path / "gone")
    with pytest.raises(RunError, match="is no run folder"):
        Run.open(tmp_path)


def test_the_run_folder_holds_no_pickle_and_loads_strictly(tiny_run):
    assert not [path for path in tiny_run.rglob("*") if path.suffix in {".pt", ".pth", ".pkl", ".bin", ".ckpt"}]
    run = Run.open(tiny_run)
    model = run.build_model()
    load_weights(model, tiny_run / "model.safetensors")
    assert model.state_dict().keys() == load_file(tiny_run / "model.safetensors").keys()


# -- answers -----------------------------------------------------------------------------------------------------------


def test_an_answer_is_from_the_table_with_scores_that_are_shares(predictor, samples):
    for answer in predictor.answer(samples):
        assert answer.text in predictor.run.vocabulary.answers
        assert answer.score == answer.alternatives[0][1] <= 1
        assert [score for _, score in answer.alternatives] == sorted(
            (score for _, score in answer.alternatives), reverse=True
        )
    assert predictor.answer([]) == []


def test_asking_one_by_one_gives_what_the_batch_gives(predictor, samples):
    together = predictor.answer(samples)
    for sample, answer in zip(samples, together, strict=True):
        alone = predictor.ask(sample.path, f"  {sample.question} ")
        assert alone.score == pytest.approx(answer.score, abs=1e-5)
        assert alone.text == answer.text or alone.alternatives[1][1] == pytest.approx(alone.score, abs=1e-4)


def test_answering_reads_nothing_gold(predictor, samples):
    blindfolded = [replace(sample, answer="", answer_type="", question_type=(), organ="") for sample in samples]
    assert predictor.answer(blindfolded) == predictor.answer(samples)


def test_a_blank_image_is_the_same_for_all_and_noise_is_not(predictor, samples):
    same_question = [replace(sample, question="is this normal") for sample in samples]
    blank = predictor.answer(same_question, "blank")
    assert len({answer.score for answer in blank}) == 1 or all(
        answer.score == pytest.approx(blank[0].score, abs=1e-6) for answer in blank
    )
    noise = predictor.answer(same_question, "noise")
    assert len({answer.score for answer in noise}) > 1
    assert noise == predictor.answer(same_question, "noise")
    assert noise != predictor.answer(same_question, "noise", seed=1)
    assert predictor.answer(same_question) == predictor.answer(same_question), "the run's own images are untouched"


# -- files of questions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_file_of_questions_is_answered_line_by_line(predictor, samples, tmp_path, kind):
    for sample in samples[:3]:
        shutil.copy(sample.path, tmp_path / sample.path.name)
    rows = [
        {"id": f"mine-{n}", "image": sample.path.name, "question": sample.question, "note": "Größe, 3"}
        for n, sample in enumerate(samples[:3])
    ]
    path = tmp_path / f"questions.{kind}"
    if kind == "csv":
        lines = ["id,image,question,note", *(f'{r["id"]},{r["image"]},"{r["question"]}","{r["note"]}"' for r in rows)]
        path.write_text("\n".join(lines), encoding="utf-8-sig")
    else:
        path.write_text("\n\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    seen = []
    assert predictor.predict_file(path, tmp_path / "out.jsonl", lambda done, of: seen.append((done, of))) == 3
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    expected = predictor.answer(samples[:3])
    for row, given, answer in zip(written, rows, expected, strict=True):
        assert given.items() <= row.items()
        assert row["prediction"] == answer.text
        assert row["alternatives"][0][0] == answer.text
    assert seen[-1] == (3, 3)


def test_two_files_of_one_name_in_different_folders_are_different_images(predictor, samples, tmp_path):
    one = samples[0]
    other = next(sample for sample in samples if sample.image != one.image)
    scores = []
    for folder, sample in (("x", one), ("y", other)):
        (tmp_path / folder).mkdir()
        shutil.copy(sample.path, tmp_path / folder / "same.png")
        path = tmp_path / folder / "questions.csv"
        path.write_text("image,question\nsame.png,what is shown\n")
        (asked,) = (row.sample for row in look_through(path).rows())
        scores.append(predictor.answer([asked])[0].score)
    assert scores[1] == pytest.approx(predictor.ask(other.path, "what is shown").score, abs=1e-6)
    assert scores[0] != scores[1]
