"""The audit's page and verb: one file that loads nothing and escapes what the data says; exit codes that mean it."""

import dataclasses
import json
import re

import pytest
from _pictures import picture, question, save

from discern_vqa import audit, cli
from discern_vqa.audit.page import SHOWN, write_page
from discern_vqa.datasets import jsonl, vqa_rad


@pytest.fixture
def flawed(tmp_path):
    """A set with a near-identical pair, a close re-phrasing, a contradiction and a broken file."""
    folder = tmp_path / "set"
    train = [
        question(number, "train", save(folder, f"t{number}.png", picture(number)), source=f"train:{number}")
        for number in range(4)
    ]
    test = [
        question(0, "test", save(folder, "j0.png", picture(1).resize((60, 60)))),
        dataclasses.replace(train[2], id="x", split="test", question="Question 2 now?", answer="<b>yes</b>"),
        question(2, "test", save(folder, "j2.png", picture(50))),
    ]
    train.append(dataclasses.replace(train[2], id="y", question="Now question 2?", answer="<b>yes</b>"))
    train.append(dataclasses.replace(train[3], id="z", answer="no & <script>alert(1)</script>"))
    test[2].path.write_bytes(b"no image")
    jsonl.write([*train, *test], folder / jsonl.FILE)
    return folder


def run(line: list[str], tmp_path, monkeypatch) -> int:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cli.main(line)


def test_flaws_exit_with_1_and_everything_is_written(flawed, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    line = ["data", "audit", "jsonl", str(flawed), "--json", str(out / "a.json"), "--html", str(out / "a.html")]
    assert run(line, tmp_path, monkeypatch) == 1
    said = capsys.readouterr().out
    assert said.startswith("Verdict\n  - ")
    found = json.loads((out / "a.json").read_text())
    assert found["flaws"] >= 4
    assert found["near"]["across"]["test in train"]["pairs"][0]["image"] == "j0.png"
    assert set(found["baselines"]["test"]) == {"lookup", "question_only", "thumbnail"}
    page = (out / "a.html").read_text()
    assert page.count("data:image/jpeg;base64,") >= 4
    for part in ("j0.png", "t1.png", "Question 2 now?", "is no image that can be read", "&lt;script&gt;"):
        assert part in page
    assert "<script" not in page
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    assert "http" not in re.sub(r"data:image[^\"]+", "", page)


def test_a_clean_set_exits_with_0_and_a_mistake_with_2(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "set"
    rows = [
        question(number, split, save(folder, f"{split}{number}.png", picture(number + 40 * place)))
        for place, split in enumerate(("train", "test"))
        for number in range(3)
    ]
    jsonl.write(rows, folder / jsonl.FILE)
    assert run(["data", "audit", "jsonl", str(folder)], tmp_path, monkeypatch) == 0
    assert run(["data", "audit", "jsonl", str(folder / "none")], tmp_path, monkeypatch) == 2
    capsys.readouterr()


def test_broken_records_are_a_flaw_unless_they_are_to_be_skipped(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "set"
    rows = [question(number, "train", save(folder, f"{number}.png", picture(number))) for number in range(3)]
    jsonl.write(rows, folder / jsonl.FILE)
    with open(folder / jsonl.FILE, "a") as file:
        file.write('{"split": "train", "image": "gone.png", "question": "Is it?", "answer": "no"}\n')
    assert run(["data", "audit", "jsonl", str(folder)], tmp_path, monkeypatch) == 1
    assert "1 records cannot be read; the first: samples.jsonl:4: the image 'gone.png'" in capsys.readouterr().out
    assert run(["data", "audit", "jsonl", str(folder), "--skip-broken"], tmp_path, monkeypatch) == 0
    assert "left out 1 broken records" in capsys.readouterr().err


def test_a_set_is_held_against_another_by_name_and_folder(flawed, tmp_path, monkeypatch, capsys):
    rad = tmp_path / "rad"
    vqa_rad.write_tiny(rad)
    (rad / "images" / "synpic101.jpg").write_bytes((flawed / "t0.png").read_bytes())
    page = tmp_path / "a.html"
    line = ["data", "audit", "jsonl", str(flawed), "--against", "vqa_rad", str(rad), "--html", str(page)]
    assert run(line, tmp_path, monkeypatch) == 1
    assert "are in vqa_rad too (1 of its test, 1 of its train): 1 with equal bytes" in capsys.readouterr().out.replace(
        "\n    ", " "
    )
    assert "In vqa_rad too" in page.read_text()


def test_a_page_shows_a_part_of_many_pairs_and_says_so(tmp_path):
    path = save(tmp_path, "a.png", picture(1))
    samples = {"train": [question(0, "train", path)], "test": [question(1, "test", path)]}
    report = audit.audit(samples)
    pair = {"image": "a.png", "other": "a.png", "likeness": 0.95, "grey": 0.9, "bits": 3, "gap": None}
    report["near"]["across"]["test in train"] |= {"images": 60, "of_images": 60, "pairs": [pair] * 60}
    write_page(report, tmp_path / "a.html", "many", samples)
    page = (tmp_path / "a.html").read_text()
    assert page.count('class="two"') == SHOWN
    assert f"The first {SHOWN} are shown, {60 - SHOWN} more are in the JSON file" in page


def test_a_page_of_captions_alone_is_written_too(tmp_path):
    jsonl.write_tiny(tmp_path)
    samples = {"pretrain": jsonl.read(tmp_path, "pretrain")}
    write_page(audit.audit(samples), tmp_path / "a.html", "captions", samples)
    assert "No flaw was found" in (tmp_path / "a.html").read_text()
