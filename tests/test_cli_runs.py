"""The verbs that need a trained run, on a tiny one: ask, predict, evaluate, score, report, and the public `load`."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import discern_vqa
from discern_vqa import cli
from discern_vqa.data.answers import Answer
from discern_vqa.errors import RunError
from discern_vqa.run import Run


@pytest.fixture
def image(tiny_run) -> Path:
    return sorted((tiny_run.parent / "phantoms" / "images" / "test").glob("*.png"))[0]


def test_ask_prints_the_answer_the_next_best_and_the_disclaimer(tiny_run, image, capsys):
    assert cli.main(["ask", str(tiny_run), str(image), "Is there a mass?"]) == 0
    first, *others, last = capsys.readouterr().out.splitlines()
    assert last == "Research software: not for diagnosis."
    assert 0 <= float(first.split()[-1]) <= 1
    assert len(others) >= 2
    assert cli.main(["ask", str(tiny_run), str(image), "Is there a mass?", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["answer"] == first.rsplit(maxsplit=1)[0]
    assert said["alternatives"][0] == [said["answer"], said["score"]]
    assert "not for diagnosis" in said["note"]


def test_the_public_door_gives_the_same_answer(tiny_run, image, capsys):
    answer = discern_vqa.load(str(tiny_run)).ask(image, "Is there a mass?")
    assert isinstance(answer, discern_vqa.Answer)
    assert discern_vqa.Answer is Answer
    assert cli.main(["ask", str(tiny_run), str(image), "Is there a mass?", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answer"] == answer.text


def test_the_public_door_has_no_other_names():
    with pytest.raises(AttributeError, match="no attribute 'Anwser'"):
        _ = discern_vqa.Anwser


def test_predict_answers_a_file_of_questions_in_order(tiny_run, image, tmp_path, capsys):
    questions, out = tmp_path / "questions.csv", tmp_path / "answers.jsonl"
    questions.write_text(f"image,question\n{image},Is there a mass?\n{image},Which organ is shown?\n")
    assert cli.main(["predict", str(tiny_run), str(questions), str(out)]) == 0
    assert "not for diagnosis" in capsys.readouterr().out
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["question"] for row in rows] == ["Is there a mass?", "Which organ is shown?"]
    assert all(row["prediction"] for row in rows)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("X,question\n1,Why?\n", "questions.csv has no column 'image'"),
        ("image,question\na.png,\n", "questions.csv:2: 'question' is missing or empty"),
        ("image,question\ngone.png,Why?\n", "the image 'gone.png' is not there"),
        ("image,question\n", "questions.csv holds no question"),
    ],
)
def test_a_broken_file_of_questions_is_said_before_the_model_is_loaded_and_nothing_is_written(
    tiny_run, tmp_path, capsys, monkeypatch, content, error
):
    def opened(*given):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("discern_vqa.evaluation.opening.open_run", opened)
    questions, out = tmp_path / "questions.csv", tmp_path / "answers.jsonl"
    questions.write_text(content)
    assert cli.main(["predict", str(tiny_run), str(questions), "--out", str(out)]) == 2
    first, second = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert error in first
    assert second.startswith("try: ")
    assert not out.exists()
    questions.write_text("image,question\n")
    assert cli.main(["predict", str(tmp_path), str(questions), "--out", str(out)]) == 2
    assert "is no run folder" in capsys.readouterr().err
    assert cli.main(["predict", str(tiny_run), str(questions)]) == 2
    assert "discern predict" in capsys.readouterr().err


def test_bad_input_of_predict_is_refused_without_torch(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    (tmp_path / "q.csv").write_text("image,question\ngone.png,Why?\n")
    code = (
        "import sys; from discern_vqa import cli\n"
        f"status = cli.main(['predict', {str(tmp_path / 'run')!r}, {str(tmp_path / 'q.csv')!r}, '--out', 'a.csv'])\n"
        "assert status == 2 and 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "the image 'gone.png' is not there" in done.stderr


def test_predict_asks_a_folder_of_images_and_says_what_it_could_not_answer(tiny_run, image, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for name in ("one.png", "two.png"):
        shutil.copy(image, tmp_path / "in" / name)
    (tmp_path / "in" / "three.png").write_text("not an image")
    line = ["predict", str(tiny_run), str(tmp_path / "in"), "--question", "Is there a mass?"]
    assert cli.main([*line, "--out", str(tmp_path / "out.csv")]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("2 of 3 rows answered; 1 not, the first: ")
    assert told[-1] == f"next: discern calibrate {tiny_run}"
    rows = [row.split(",") for row in (tmp_path / "out.csv").read_text("utf-8-sig").splitlines()]
    assert rows[0] == ["image", "question", "answer", "confidence", "abstains", "outside", "error"]
    assert [row[0] for row in rows[1:]] == ["one.png", "three.png", "two.png"]
    asked = discern_vqa.load(tiny_run).ask(image, "Is there a mass?")
    assert [row[2] for row in rows[1:]] == [asked.text, "", asked.text]
    assert float(rows[1][3]) == pytest.approx(asked.score, abs=1e-3)
    assert "three.png is no image" in rows[2][6]
    for name in ("one.png", "two.png"):
        (tmp_path / "in" / name).unlink()
    assert cli.main([*line, "--out", str(tmp_path / "out.csv")]) == 1
    assert "0 of 1 row answered" in capsys.readouterr().out


def test_an_image_that_is_none_and_an_empty_question_are_two_lines(tiny_run, tmp_path, image, capsys):
    (tmp_path / "text.png").write_text("not an image")
    for arguments, error in (
        ([str(tmp_path / "text.png"), "Why?"], "text.png is no image"),
        ([str(tmp_path / "gone.png"), "Why?"], "gone.png is not there; expected a file"),
        ([str(image), " "], "the question is empty"),
    ):
        assert cli.main(["ask", str(tiny_run), *arguments]) == 2
        first, second = capsys.readouterr().err.splitlines()
        assert error in first
        assert second.startswith("try: ")


def test_an_image_that_is_not_there_is_said_before_the_model_is_loaded(tiny_run, tmp_path, capsys, monkeypatch):
    def opened(*given):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("discern_vqa.evaluation.opening.open_run", opened)
    assert cli.main(["ask", str(tiny_run), str(tmp_path / "gone.png"), "Why?"]) == 2
    assert "gone.png is not there" in capsys.readouterr().err


def test_a_run_that_is_half_written_is_said(tmp_path, capsys, image):
    (tmp_path / "config.json").write_text('{"version": 1')
    assert cli.main(["ask", str(tmp_path), str(image), "Why?"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "config.json" in first
    assert second.startswith("try: ")


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("config.json", "[" * 9999, "config.json is broken: it is nested too deep"),
        ("config.json", "9" * 5000, "config.json is broken"),
        ("vocabulary.json", "[" * 9999, "vocabulary.json is broken: it is nested too deep"),
        ("version", 99, "was written by a newer discern: it is of version 99"),
    ],
)
def test_a_run_that_cannot_be_read_or_is_of_a_newer_program_is_said(tmp_path, tiny_run, file, content, said):
    for name in ("config.json", "vocabulary.json", "model.safetensors"):
        (tmp_path / name).write_bytes((tiny_run / name).read_bytes())
    if file == "version":
        config = json.loads((tmp_path / "config.json").read_text())
        file, content = "config.json", json.dumps(config | {"version": content})
    (tmp_path / file).write_text(content)
    with pytest.raises(RunError, match=re.escape(said)) as caught:
        Run.open(tmp_path)
    assert caught.value.hint


def test_a_wrong_recipe_says_every_mistake_at_once(tiny_run, capsys, tmp_path):
    recipe = tiny_run.parent / "tiny.toml"
    line = ["train", str(recipe), "--out", str(tmp_path / "run"), "--set", "optim.lrr=1", "--set", "run.epoch=2"]
    assert cli.main(line) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "did you mean 'lr'?" in first
    assert "did you mean 'epochs'?" in first
    assert second.startswith("try: ")
    assert not (tmp_path / "run").exists()


def test_evaluate_score_and_report_tell_the_same_figures(tiny_run, tmp_path, capsys):
    assert cli.main(["evaluate", str(tiny_run)]) == 0
    table = capsys.readouterr().out
    scores = json.loads((tiny_run / "scores.test.json").read_text())
    assert {"majority", "question_only"} <= scores["baselines"].keys()
    assert {"blank_image", "shuffled_image"} <= scores["controls"].keys()
    assert str(scores["overall"]["n"]) in table
    predictions = tiny_run / "predictions.test.jsonl"
    assert cli.main(["score", str(predictions), "--json", str(tmp_path / "again.json")]) == 0
    capsys.readouterr()
    again = json.loads((tmp_path / "again.json").read_text())
    assert {part: again[part] for part in ("overall", "open", "closed")} == {
        part: scores[part] for part in ("overall", "open", "closed")
    }
    assert cli.main(["report", str(tiny_run), "--out", str(tmp_path / "report")]) == 0
    page = Path(capsys.readouterr().out.splitlines()[0].removeprefix("report: "))
    html = page.read_text(encoding="utf-8")
    assert page == tmp_path / "report" / "index.html"
    assert "not for diagnosis" in html.lower()
    assert "http://" not in html.replace("http://www.w3.org/", "")


def test_evaluate_without_a_split_that_exists_is_two_lines(tiny_run, capsys):
    assert cli.main(["evaluate", str(tiny_run), "--split", "tset"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "'tset'" in first
    assert second.startswith("try: ")
