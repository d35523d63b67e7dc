"""Runs given to others: what leaves, what stays, and that it answers the same from a folder in the hub's layout."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from _hub_stand_in import StandIn

from discern_vqa import cli, hub, shared_folder
from discern_vqa.card import CARD
from discern_vqa.errors import ConfigError, RunError
from discern_vqa.files import read_json

SECRET = "Mustermann"


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A trained run in a folder of its own, with files that must stay at home."""
    folder = tmp_path / "machine" / "run"
    learned_later = shutil.ignore_patterns("ood.*", "calibration.json")  # where another test evaluated it
    shutil.copytree(tiny_run, folder, ignore=learned_later)
    config = read_json(folder / "config.json")
    config["model"]["image"]["weights"] = f"/home/{SECRET}/weights/mobilenet"
    config["from"] = f"C:\\Users\\{SECRET}\\runs\\before"
    config["root"] = config["data"]["root"] = f"/home/{SECRET}/phantoms"
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("predictions.test.jsonl", "notes.txt", "encoders/code.py", "report/index.html", ".lock"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(SECRET)
    with open(folder / CARD, "a", encoding="utf-8") as card:
        card.write(f"\nTrained in /home/{SECRET}/runs/one, see /tmp/{SECRET}.\n")
    return folder


def test_what_is_shared_is_what_answers_and_names_no_machine(run: Path, tmp_path: Path) -> None:
    (run / "calibration.json").write_text(json.dumps({"fitted_on": {"file": f"/home/{SECRET}/held_out.jsonl"}}))
    shared = shared_folder.share(run, tmp_path / "out", "cc-by-4.0")
    assert shared.files == (CARD, "calibration.json", "config.json", "model.safetensors", "vocabulary.json")
    assert read_json(tmp_path / "out" / "calibration.json") == {"fitted_on": {"file": "held_out.jsonl"}}
    assert shared.licence == "cc-by-4.0"
    assert not shared.is_own_data
    text = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b"/home/" not in text
    assert b"Users" not in text
    assert str(tmp_path).encode() not in text
    config = read_json(tmp_path / "out" / "config.json")
    assert (config["root"], config["data"]["root"], config["from"]) == ("", "", "")
    assert config["model"]["image"]["weights"] == "mobilenet"
    assert read_json(tmp_path / "out" / "vocabulary.json") == read_json(run / "vocabulary.json")


def test_every_text_of_the_training_data_is_counted(run: Path, tmp_path: Path) -> None:
    content = read_json(run / "vocabulary.json")
    content["answers"]["answers"][0] = SECRET
    (run / "vocabulary.json").write_text(json.dumps(content))
    (run / "baseline.json").write_text(json.dumps({"table": {"Who is it?": [f"it is {SECRET}"]}}))
    texts = shared_folder.share(run, tmp_path / "out", "mit").texts
    assert SECRET in texts["answers"]
    assert texts["words of the questions"] == content["text"]["words"]
    assert texts["what the baseline keeps"] == ["table", "Who is it?", f"it is {SECRET}"]


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("/home/me/x", "x"),
        ("~/runs/a", "a"),
        ("D:\\data\\a.csv", "a.csv"),
        ("\\\\server\\share\\a", "a"),
        ("org/name", "org/name"),
        ("yes / no", "yes / no"),
        ("google/mobilenet_v2_1.0_224", "google/mobilenet_v2_1.0_224"),
    ],
)
def test_a_path_becomes_its_last_part_and_nothing_else_changes(given: str, left: str) -> None:
    assert shared_folder.without_paths({"a": [given]}) == {"a": [left]}


def test_a_licence_is_needed_and_nothing_is_overwritten(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no licence is stated"):
        shared_folder.share(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="no licence's name"):
        shared_folder.share(run, tmp_path / "bad", "my own licence")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        shared_folder.share(run, tmp_path / "full", "mit")
    text = (run / CARD).read_text(encoding="utf-8")
    (run / CARD).write_text(text.replace("license: unknown", "license: cc0-1.0"), encoding="utf-8")
    assert shared_folder.share(run, tmp_path / "out").licence == "cc0-1.0"


def test_a_run_on_own_data_is_shown_and_refused_until_somebody_read_it(run: Path, capsys, monkeypatch) -> None:
    config = read_json(run / "config.json")
    config["data"]["dataset"], config["data"]["options"] = "csv", {"columns": {"patient": SECRET}}
    (run / "config.json").write_text(json.dumps(config))
    sent = []
    monkeypatch.setattr(hub, "push", lambda shared, name, **given: sent.append((shared, name)) or "done")
    line = ["push", str(run), "clinic/chest", "--license", "mit", "--yes"]
    assert cli.main(line) == 2
    shown = capsys.readouterr()
    assert "your own data" in shown.err
    answers = read_json(run / "vocabulary.json")["answers"]["answers"]
    assert f"answers ({len(answers)}): {' | '.join(answers)}" in shown.out
    assert not sent
    assert cli.main([*line, "--i-checked"]) == 0
    assert [name for _, name in sent] == ["clinic/chest"]


@pytest.mark.parametrize("name", ["chest", "a/b/c", "/tmp/run", "../x", "a b/c", "org/"])
def test_a_name_that_is_no_repository_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="no repository of the hub"):
        hub.repository(name)


def test_a_pushed_run_answers_the_same_wherever_it_is_loaded(run: Path, tiny_run: Path, tmp_path: Path) -> None:
    image = next((tiny_run.parent / "phantoms" / "images" / "test").iterdir())
    with StandIn() as stand_in:
        environment = {
            **os.environ,
            "HF_ENDPOINT": stand_in.url,
            "HF_HOME": str(tmp_path / "cache"),
            "HF_TOKEN": "hf_x",
        }
        environment |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1", "XDG_CACHE_HOME": str(tmp_path / "c")}

        def python(code: str, **more: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-c", code], cwd=tmp_path, env=environment | more, capture_output=True, text=True
            )

        pushed = python(
            "import sys; from discern_vqa import cli;"
            f"sys.exit(cli.main(['push', {str(run)!r}, 'clinic/chest', '--license', 'mit', '--yes', '--private']))"
        )
        assert pushed.returncode == 0, pushed.stderr
        assert "torch" not in pushed.stderr
        assert stand_in.private == {"clinic/chest"}
        files = stand_in.repositories["clinic/chest"]
        assert set(files) - {".gitattributes"} == {CARD, "config.json", "model.safetensors", "vocabulary.json"}
        files["evil.py"] = files["encoders/evil.py"] = files["state.pkl"] = b"raise SystemExit('code of the hub ran')"
        commit = stand_in.commit("clinic/chest")
        code = (
            "import discern_vqa, json; from pathlib import Path\n"
            "def ask(*given, **more):\n"
            f"    answer = discern_vqa.load(*given, **more).ask({str(image)!r}, 'Is there a mass?')\n"
            "    return [answer.text, answer.score]\n"
            f"first, second = ask({str(run)!r}), ask('clinic/chest')\n"
            f"print(json.dumps([first, second, ask('hf://clinic/chest', revision={commit!r})]))"
        )
        loaded = python(code)
        assert loaded.returncode == 0, loaded.stderr
        here, there, at_commit = json.loads(loaded.stdout)
        assert here == there == at_commit
        names = {path.name for path in (tmp_path / "cache").rglob("*")}
        assert "config.json" in names
        assert not names & {"evil.py", "state.pkl"}
        asked = len(stand_in.asked)
        offline = python(code, HF_HUB_OFFLINE="1")
        assert json.loads(offline.stdout)[1] == here, offline.stderr
        assert len(stand_in.asked) == asked
        missing = python("import discern_vqa; discern_vqa.load('clinic/none')")
        assert "RunError: the hub has no repository clinic/none" in missing.stderr


def test_a_folder_with_more_than_belongs_there_is_no_shared_run(run: Path, tmp_path: Path) -> None:
    shared_folder.share(run, tmp_path / "out", "mit")
    (tmp_path / "out" / "evil.py").write_text("")
    with pytest.raises(RunError, match=r"evil\.py"):
        shared_folder.read(tmp_path / "out")
