"""No command writes over the file that it reads, by whatever name the file is called."""

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from discern_vqa import cli
from discern_vqa.datasets import jsonl
from discern_vqa.errors import ConfigError
from discern_vqa.paths import refuse_own_input


def refused(line: list[str], file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command is refused in two lines, and the file is what it was."""
    before = file.read_bytes()
    assert cli.main(line) == 2
    first, second = filter(str.strip, capsys.readouterr().err.splitlines())  # a bar leaves an empty line
    assert "is an input of this command, and would be overwritten" in first
    assert second == "try: name another file to write to"
    assert file.read_bytes() == before


def test_a_file_is_known_by_any_name(tmp_path):
    file, link = tmp_path / "a", tmp_path / "link"
    file.write_text("mine")
    link.symlink_to(file)
    for name in (file, link, tmp_path / "." / ".." / tmp_path.name / "a", Path(os.path.relpath(file))):
        with pytest.raises(ConfigError, match="would be overwritten"):
            refuse_own_input(name, None, tmp_path / "gone", file)
    refuse_own_input(tmp_path / "b", file)
    refuse_own_input(None, file)


def test_scores_comparisons_and_calibrations_are_not_written_over_predictions(tmp_path, capsys):
    file = tmp_path / "good.jsonl"
    row = {"image": "a", "gold": "no", "answer_type": "closed", "prediction": "no"}
    file.write_text("".join(json.dumps(row | {"id": str(number)}) + "\n" for number in range(3)))
    name, spelled = str(file), f"{tmp_path}/./good.jsonl"
    refused(["score", name, "--json", spelled], file, capsys)
    refused(["compare", name, name, "--json", spelled], file, capsys)
    refused(["compare", f"a={name},{name}", "--json", spelled], file, capsys)
    refused(["calibrate", name, "--out", spelled], file, capsys)


def test_questions_are_not_written_over(tiny_run, tmp_path, capsys):
    file = tmp_path / "q.csv"
    file.write_text("image,question\na.png,Why?\n")
    (tmp_path / "link.csv").symlink_to(file)
    refused(["predict", str(tiny_run), str(file), str(tmp_path / "link.csv")], file, capsys)


def test_a_picture_is_not_written_over(tmp_path, capsys):
    file = tmp_path / "im.png"
    Image.new("L", (8, 8)).save(file)
    refused(["data", "look", str(file), "--out", str(file)], file, capsys)


def test_a_data_set_is_not_written_over_but_what_was_made_of_it_before_is(tmp_path, capsys):
    jsonl.write_tiny(tmp_path)
    file = tmp_path / jsonl.FILE
    refused(["data", "convert", "jsonl", str(tmp_path), str(file)], file, capsys)
    refused(["data", "audit", "jsonl", str(tmp_path), "--json", str(file)], file, capsys)
    for _ in range(2):
        assert cli.main(["data", "convert", "jsonl", str(tmp_path), str(tmp_path / "converted.jsonl")]) == 0


def test_a_folder_of_parquet_files_is_not_written_over(tmp_path, capsys):
    pytest.importorskip("pyarrow")
    jsonl.write_tiny(tmp_path)
    folder = str(tmp_path)
    assert cli.main(["data", "convert", "jsonl", folder, folder]) == 0
    file = next(tmp_path.rglob("train-*.parquet"))
    capsys.readouterr()
    refused(["data", "convert", "parquet", str(file.parent), str(file.parent)], file, capsys)


def test_what_is_calibrated_is_not_written_over_by_its_own_figures(tiny_run, tmp_path, capsys):
    file, one = tmp_path / "held.jsonl", tmp_path / "one.json"
    row = {"image": "a", "gold": "no", "answer_type": "closed", "prediction": "no", "score": 0.5}
    file.write_text("".join(json.dumps(row | {"id": str(number)}) + "\n" for number in range(60)))
    (tmp_path / "link").symlink_to(tmp_path)
    for line, said in (
        (
            [str(file), "--out", str(one), "--json", str(tmp_path / "link" / "one.json")],
            "--out and --json are the same file",
        ),
        ([str(file), "--figure", f"{one}.png", "--json", f"{one}.png"], "--figure and --json are the same file"),
        ([str(tiny_run), "--json", str(tiny_run / "calibration.json")], "--json and the calibration are the same file"),
        ([str(file), "--out", str(one), "--figure", str(tmp_path / "x.txt")], "expected a name in .png, .svg, .pdf"),
        ([str(tmp_path / "nosuch")], "neither a run folder nor a predictions file"),
    ):
        assert cli.main(["calibrate", *line]) == 2
        first, second = capsys.readouterr().err.splitlines()
        assert said in first
        assert second.startswith("try: ")
        assert not one.exists()
    assert cli.main(["calibrate", str(file), "--out", str(one), "--json", str(tmp_path / "two.json")]) == 0


def test_what_was_evaluated_is_not_written_over_by_other_answers(tiny_run, tmp_path, capsys):
    run, questions = shutil.copytree(tiny_run, tmp_path / "run"), tmp_path / "q.csv"
    image = sorted((tiny_run.parent / "phantoms" / "images" / "test").glob("*.png"))[0]
    questions.write_text(f"image,question\n{image},Is there a mass?\n")
    own = run / "predictions.test.jsonl"
    own.write_text("evaluated")
    (tmp_path / "link").symlink_to(run)
    for out in (own, tmp_path / "link" / own.name, run / "config.json"):
        assert cli.main(["predict", str(run), str(questions), str(out)]) == 2
        assert "is a file of the run folder" in capsys.readouterr().err
    assert own.read_text() == "evaluated"
    for out in (run / "mine.jsonl", tmp_path / "mine.jsonl", tmp_path / "mine.jsonl"):
        assert cli.main(["predict", str(run), str(questions), str(out)]) == 0
