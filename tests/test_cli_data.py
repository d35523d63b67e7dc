"""The verbs of `discern data` on the command line: what is there, and converting it."""

import json
import subprocess
import sys

from discern_vqa import cli


def test_data_list_names_every_reader_with_its_licence_and_place(capsys, monkeypatch, tmp_path):
    (tmp_path / "vqa_rad").mkdir()
    monkeypatch.setenv("DISCERN_DATA", str(tmp_path))
    assert cli.main(["data", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert {"vqa_rad", "jsonl", "phantom"} <= rows.keys()
    assert rows["vqa_rad"]["found"] == str(tmp_path / "vqa_rad")
    assert rows["vqa_rad"]["licence"] == "CC0 1.0"
    assert cli.main(["data", "list"]) == 0
    assert "train 3,064, test 451 | CC0 1.0" in capsys.readouterr().out


def test_data_list_does_not_wake_torch():
    code = "import sys; from discern_vqa.cli import main; main(['data', 'list']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_a_set_converts_to_lines_that_read_back_the_same(capsys, tmp_path):
    from discern_vqa.datasets import jsonl, vqa_rad

    vqa_rad.write_tiny(tmp_path / "rad")
    assert cli.main(["data", "convert", "vqa_rad", str(tmp_path / "rad"), str(tmp_path / "rad.jsonl")]) == 0
    assert capsys.readouterr().out.startswith("wrote ")
    for split in vqa_rad.SPLITS:
        there = vqa_rad.read(tmp_path / "rad", split)
        back = jsonl.read(tmp_path / "rad.jsonl", split)
        assert [(one.id, one.question, one.answer) for one in back] == [(o.id, o.question, o.answer) for o in there]


def test_broken_records_are_left_out_only_when_asked_and_then_counted(capsys, tmp_path):
    from discern_vqa.datasets import jsonl

    jsonl.write_tiny(tmp_path)
    file = tmp_path / jsonl.FILE
    count = len(file.read_text().splitlines())
    file.write_text(file.read_text() + '{"split": "train", "image": "gone.png", "question": "Why?", "answer": "yes"}\n')
    line = ["data", "convert", "jsonl", str(tmp_path), str(tmp_path / "out.jsonl")]
    assert cli.main(line) == 2
    assert f"{jsonl.FILE}:{count + 1}" in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()
    assert cli.main([*line, "--skip-broken"]) == 0
    assert "left out 1 broken records" in capsys.readouterr().err
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == count
