"""The command line: few verbs, frozen flags, quick help, mistakes in two lines."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

from discern_vqa import __version__, cli
from discern_vqa.errors import DataError

# A new knob goes into a recipe; this table changes when the interface that others build on does.
VERBS = {
    "ask": {"--dicomweb", "--instance", "--json", "--mode", "--series", "--similar", "--study"},
    "calibrate": {
        "--accuracy",
        "--coverage",
        "--data",
        "--figure",
        "--folds",
        "--json",
        "--normalise",
        "--on",
        "--outside",
        "--out",
        "--test",
    },
    "compare": {"--json", "--normalise", "--split"},
    "data audit": {"--against", "--encoder", "--html", "--json", "--normalise", "--option", "--skip-broken"},
    "data convert": {"--embed", "--no-embed", "--option", "--skip-broken", "--split"},
    "data draw": {"--images", "--seed", "--sheet", "--size"},
    "data get": {"--accept-licence", "--dry-run", "--out", "--part"},
    "data list": {"--json"},
    "data look": {"--out"},
    "data preview": {"--by", "--images", "--option", "--out", "--seed", "--skip-broken"},
    "data split": {"--by", "--folds", "--option", "--out", "--seed", "--skip-broken", "--test", "--validation"},
    "demo": {"--out"},
    "dicom": {"--dicomweb", "--gsps", "--option", "--out", "--pdf", "--sc", "--seg", "--sr", "--store"},
    "doctor": {"--bench", "--json"},
    "evaluate": {
        "--baselines",
        "--data",
        "--model",
        "--no-baselines",
        "--plan",
        "--profile",
        "--repeats",
        "--set",
        "--split",
    },
    "experiment run": {"--data", "--list", "--on", "--out", "--plan", "--seeds", "--split", "--workers"},
    "experiment search": {"--data", "--out", "--recipe", "--seed", "--set", "--space", "--storage", "--trials"},
    "explain": {"--data", "--limit", "--method", "--methods", "--out", "--score", "--split", "--words"},
    "export": {"--data", "--int8", "--license", "--to"},
    "export-tasks": {"--folds", "--option", "--split"},
    "new model": {"--out"},
    "predict": {"--data", "--dicomweb", "--mode", "--option", "--out", "--profile", "--question", "--resume"},
    "push": {"--i-checked", "--license", "--private", "--yes"},
    "recipe keys": {"--format"},
    "recipe list": set(),
    "recipe show": {"--all"},
    "report": {"--out"},
    "score": {
        "--answers",
        "--check-table",
        "--columns",
        "--counts",
        "--data",
        "--free-text",
        "--from",
        "--json",
        "--normalise",
        "--option",
        "--out",
        "--protocol",
        "--similarity",
        "--values",
    },
    "serve": {
        "--access-log",
        "--behind-proxy",
        "--cluster",
        "--corrections",
        "--dicomweb",
        "--host",
        "--hostname",
        "--key-file",
        "--new-key",
        "--port",
        "--replicas",
        "--tls-cert",
        "--tls-key",
    },
    "start": {"--minutes", "--out", "--yes"},
    "train": {"--data", "--from", "--out", "--profile", "--resume", "--set"},
}


def verbs() -> dict[str, set[str]]:
    """What the program itself says: verb -> its options."""
    found = {}
    root = typer.main.get_command(cli.app)
    for name, command in root.commands.items():
        for path, leaf in [(f"{name} {inner}", leaf) for inner, leaf in getattr(command, "commands", {}).items()] or [
            (name, command)
        ]:
            flags = {flag for one in leaf.params for flag in [*one.opts, *one.secondary_opts] if flag.startswith("--")}
            found[path] = flags - {"--help"}
    return found


def lines_of_a_mistake(capsys) -> tuple[str, str]:
    """The two lines on stderr, without their prefixes; anything else fails."""
    said = capsys.readouterr()
    first, second = said.err.splitlines()
    assert first.startswith("error: ")
    assert second.startswith("try: ")
    return first.removeprefix("error: "), second.removeprefix("try: ")


def test_the_verbs_and_their_flags_are_frozen():
    assert verbs() == VERBS


def test_every_help_answers_without_torch():
    code = (
        "import sys; from discern_vqa.cli import main\n"
        f"for verb in {['', 'data', *VERBS]!r}:\n"
        "    assert main([*verb.split(), '--help']) == 0\n"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules or 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage: discern") == len(VERBS) + 2


@pytest.mark.parametrize(("typed", "offered"), [("discern tr", ["train"]), ("discern data dr", ["draw"])])
def test_the_shell_completes_verbs_without_torch(typed, offered):
    code = (
        "import sys; from discern_vqa.cli import main\n"
        "try: main([])\n"
        "finally: assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    asked = {"_DISCERN_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | asked, capture_output=True, text=True)
    assert (done.stdout.split(), done.stderr) == (offered, "")


def test_completion_can_be_shown_and_installed(tmp_path):
    env = os.environ | {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    shown = [sys.executable, "-m", "discern_vqa", "--show-completion", "bash"]
    done = subprocess.run(shown, env=env, capture_output=True, text=True)
    assert "complete -o default -F _discern_completion discern" in done.stdout
    shown[-2] = "--install-completion"
    done = subprocess.run(shown, env=env, capture_output=True, text=True)
    assert "completion installed in" in done.stdout
    assert "discern" in (tmp_path / ".bashrc").read_text()


def test_help_answers_at_once():
    before = os.times()
    subprocess.run([sys.executable, "-m", "discern_vqa", "--help"], check=True, capture_output=True)
    after = os.times()
    spent = after.children_user - before.children_user + after.children_system - before.children_system
    assert spent < 1.5  # processor time, a fifth of a second as a rule: a busy machine does not fail this


@pytest.mark.parametrize("module", ["discern_vqa", "discern_vqa.cli"])
def test_the_package_runs_as_a_module_as_launchers_need_it(module):
    done = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"discern {__version__}\n")


def test_no_verb_shows_the_help(capsys):
    assert cli.main([]) == 0
    assert "Commands:" in capsys.readouterr().out
    assert cli.main(["data"]) == 0
    assert "audit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "error", "hint"),
    [
        ("trian", "No such command 'trian'", "did you mean train?"),
        ("data drow", "No such command 'drow'", "did you mean draw?"),
        ("train r.toml --form x --out y", "No such option: --form", "did you mean --from?"),
        ("xyzzy", "No such command 'xyzzy'", "discern --help"),
        ("train r.toml", "Missing option '--out'", "discern train --help"),
        ("ask", "Missing argument", "discern ask --help"),
        ("data draw phantom x --images many", "Invalid value for '--images'", "discern data draw --help"),
        ("train no/such.toml --out x", "there is no recipe no/such.toml", ""),
        ("train . --out x", "there is no recipe .", "the shipped recipes are"),
        ("data audit vqa_rid .", "there is no 'vqa_rid' among the datasets", "did you mean 'vqa_rad'?"),
        ("data audit vqa_rad no/such/folder", "no/such/folder does not exist", "--data FOLDER"),
        ("data convert vqa_rad . out.jsonl --split tset", "vqa_rad has no split 'tset'", "it has: train, test"),
        ("data convert vqa_rad . out.jsonl --option editon=owner", "has no option 'editon'", "edition"),
        ("data convert vqa_rad . out.jsonl --option edition", "does not have the form key=value", "--option"),
        ("data split vqa_rad . --out x --by picture", "cannot be split by 'picture'", "image, near, patient, study"),
        ("data split vqa_rad . --out x --test 0.9 --validation 0.2", "leave nothing for training", "0.2 and 0.1"),
        ("data split vqa_rad . --out x --folds 1", "1 folds were asked for", "5 are usual"),
        ("data preview vqa_rad no/such/folder --out x", "no/such/folder does not exist", "--data FOLDER"),
        ("data audit vqa_rad . --against vqa_rid x", "there is no 'vqa_rid'", "did you mean 'vqa_rad'?"),
        ("data audit vqa_rad . --option index=no/such", "no/such holds no split", "discern data split"),
        ("data draw vqa_rad out", "'vqa_rad' cannot be drawn", "discern data draw phantom out"),
        ("score no/such.jsonl", "no/such.jsonl", ""),
        ("ask no/such/run image.png why", "no/such/run", ""),
        ("evaluate no/such/run", "no/such/run", ""),
        ("report no/such/run", "no/such/run", ""),
        ("report no/such/run no/other/run", "2 runs need a folder", "--out DIR"),
        ("predict no/such/run questions.csv out.jsonl", "no/such/run", ""),
    ],
)
def test_a_mistake_is_two_lines_and_exit_code_2(line, error, hint, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(line.split()) == 2
    said, advised = lines_of_a_mistake(capsys)
    assert error in said
    assert hint in advised
    assert list(tmp_path.iterdir()) == []


def test_several_mistakes_at_once_stay_on_one_line(capsys, monkeypatch):
    def broken(*arguments: object, **options: object) -> None:
        raise DataError("first wrong\n  second wrong\n", hint="mend\nboth")

    monkeypatch.setattr("discern_vqa.doctor.examine", broken)
    assert cli.main(["doctor"]) == 2
    assert lines_of_a_mistake(capsys) == ("first wrong; second wrong", "mend; both")


def test_a_mistake_without_a_hint_still_says_what_to_type(capsys, monkeypatch):
    def broken() -> None:
        raise DataError("wrong")

    monkeypatch.setattr("discern_vqa.doctor.examine", broken)
    assert cli.main(["doctor"]) == 2
    assert lines_of_a_mistake(capsys) == ("wrong", "discern --help")


def test_a_bug_of_ours_is_not_dressed_up_as_the_users(monkeypatch):
    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("discern_vqa.doctor.examine", broken)
    with pytest.raises(ZeroDivisionError):
        cli.main(["doctor"])


def test_an_interrupted_training_says_how_to_go_on(capsys, monkeypatch, tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text("")

    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("discern_vqa.training.train.train", interrupted)
    assert cli.main(["train", str(recipe), "--out", "a run"]) == 130
    error, hint = lines_of_a_mistake(capsys)
    assert error.startswith("interrupted")
    assert hint == f"discern train {recipe} --out 'a run' --resume"


def test_train_hands_over_exactly_what_was_typed(monkeypatch, tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text("")
    handed: dict[str, object] = {}

    def remember(found: object, **options: object) -> None:
        handed.update(options, recipe=found)

    monkeypatch.setattr("discern_vqa.training.train.train", remember)
    line = f"train {recipe} --data d --from r --set optim.lr=1e-4 --set run.seed=3 --out o --resume"
    assert cli.main(line.split()) == 0
    assert {key: str(value) for key, value in handed.items() if key != "overrides"} == {
        "recipe": str(recipe),
        "data": "d",
        "from_run": "r",
        "out": "o",
        "resume": "True",
    }
    assert handed["overrides"] == ["optim.lr=1e-4", "run.seed=3"]


def test_doctor_says_what_the_machine_has(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("DISCERN_DATA", str(tmp_path))
    assert cli.main(["doctor", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["discern"] == __version__
    assert facts["threads"] >= 1
    assert facts["disk_free_gib"] > 0
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert facts["extras"].keys() == project["optional-dependencies"].keys() - {"dev"}
    own = {"csv", "dicom_folder", "jsonl", "llava", "parquet"}
    assert own <= set(facts["readers_of_own_data"])
    assert not own & facts["data"].keys()
    assert {"slake", "vqa_rad", "phantom", "ovqa"} <= facts["data"].keys()
    assert cli.main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert f"torch {facts['torch']}" in text
    assert "vqa_rad                not found; discern data get vqa_rad" in text
    assert "own data is read as: coco_vqa, csv, " in text


def test_the_processor_flags_are_read_from_either_family(tmp_path):
    from discern_vqa.doctor import processor_flags

    listing = tmp_path / "cpuinfo"
    listing.write_text("processor\t: 0\nflags\t\t: fpu avx2 amx_bf16\n")
    assert processor_flags(listing) == {"fpu", "avx2", "amx_bf16"}
    listing.write_text("processor\t: 0\nFeatures\t: fp asimd bf16\n")
    assert "bf16" in processor_flags(listing)
    assert processor_flags(tmp_path / "absent") == set()
