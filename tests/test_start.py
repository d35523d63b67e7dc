"""`discern start`: from a folder to a report; what it prefers and says on sets of which the truth is known."""

import io
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import _hospital
import _planted
import pytest
import typer

from discern_vqa import cli, data_file
from discern_vqa.config import read_recipe
from discern_vqa.data_file import DataFile
from discern_vqa.errors import DataError, DiscernError, RunError
from discern_vqa.paths import find_recipe
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.start import candidates, choosing, run, summary
from discern_vqa.start.candidates import BY_NAME, CANDIDATES, Size
from discern_vqa.start.record import Record


def never(doubt) -> int:
    raise AssertionError(f"asked: {doubt}")


def walk(source: Path, out: Path, minutes: float = 10) -> list[str]:
    """The lines of a walk."""
    lines: list[str] = []
    run(source, out, minutes, never, lines.append)
    return "\n".join(lines).splitlines()


def timeless(line: str) -> str:
    """A line without the seconds before it."""
    return re.sub(r"^\[ *\d+ s\] ", "", line)


def rows(right: Callable[[int], bool], images: int = 30) -> list[Prediction]:
    """Answers to two questions about each image, of which those of these numbers are right."""
    return [
        Prediction(
            id=str(number),
            image=str(number // 2),
            gold="yes",
            answer_type="closed",
            prediction="yes" if right(number) else "no",
        )
        for number in range(2 * images)
    ]


def test_a_model_is_chosen_where_it_is_clearly_better_than_a_simpler_one():
    weak, better = rows(lambda n: n % 4 == 0), rows(lambda n: n % 4 != 3)
    made = choosing.choose({"majority": weak, "question_only": weak, "kernel_ridge": better}, "m3ae")
    assert made.name == "kernel_ridge"
    assert made.steps[0].startswith("question_only and majority are not distinguishable")
    assert made.steps[1].startswith("kernel_ridge is better than majority: +50.0 percentage points")


def test_a_network_that_is_not_clearly_better_is_not_chosen_however_high_its_figure():
    plain = rows(lambda n: n % 2 == 0)
    a_little_better = rows(lambda n: n % 2 == 0 or n in (1, 3))
    made = choosing.choose(
        {"majority": rows(lambda n: n % 8 == 0), "kernel_ridge": plain, "cmdpi": a_little_better}, "m3ae"
    )
    assert made.name == "kernel_ridge"
    assert "cmdpi and kernel_ridge are not distinguishable: +3.3 percentage points" in made.steps[-1]
    clearly = choosing.choose({"majority": plain, "cmdpi": rows(lambda n: True)}, "m3ae")
    assert clearly.name == "cmdpi"


def test_models_of_image_names_are_never_chosen():
    best = rows(lambda n: True)
    made = choosing.choose({"majority": rows(lambda n: n % 2 == 0), "lookup": best, "image_identity": best}, "m3ae")
    assert made.name == "majority"
    assert made.steps == ()


def test_the_simplest_models_come_first_and_networks_last():
    assert [candidate.name for candidate in CANDIDATES if candidate.network] == ["cmi_mtl", "cmdpi"]
    assert [candidate.name for candidate in CANDIDATES][-2:] == ["cmi_mtl", "cmdpi"]
    assert next(iter(BY_NAME)) == "majority"
    for candidate in CANDIDATES:
        recipe = read_recipe(find_recipe(Path(candidate.recipe)), candidates.HELD_OUT)
        assert recipe.is_baseline is not candidate.network
        assert (recipe.data.validation_from, recipe.data.validation_by) == ("own", "image")


def test_networks_for_one_s_own_data_use_their_validation_part_and_the_prior():
    for candidate in (BY_NAME["cmi_mtl"], BY_NAME["cmdpi"]):
        recipe = candidates.recipe_of(candidate)
        assert (recipe.data.validation_from, recipe.run.select) == ("own", "best")
        assert recipe.prior.wording
        assert recipe.prior.cases


@pytest.fixture(scope="module")
def planted(tmp_path_factory, real_weights) -> Callable[[str], tuple[Path, list[str]]]:
    """The folder of a walk over a planted set, and what it said; each walked once."""
    folder_of_weights = str(real_weights("mobilenet_v2_1.0_224").parent)
    done: dict[str, tuple[Path, list[str]]] = {}

    def walked(follows: str) -> tuple[Path, list[str]]:
        if follows not in done:
            folder = tmp_path_factory.mktemp(follows)
            source = _planted.write(folder / "own", follows)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("DISCERN_WEIGHTS", folder_of_weights)
                done[follows] = (folder / "out", walk(source, folder / "out"))
        return done[follows]

    return walked


def choice_of(out: Path) -> dict:
    return json.loads((out / "start.json").read_text(encoding="utf-8"))["steps"]["choice"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("follows", "chosen", "uses", "sentence"),
    [
        ("pixels", "kernel_ridge", "content", "The content of the images tells answers"),
        (
            "question",
            "question_only",
            "question",
            "The answers follow the questions; that an image adds anything is not",
        ),
        ("identity", "", "identity", "The answers follow which image it is"),
    ],
)
def test_what_the_answers_follow_is_said_and_preferred_rightly(planted, follows, chosen, uses, sentence):
    out, lines = planted(follows)
    made = choice_of(out)
    assert made["chosen"] == chosen or (not chosen and not BY_NAME[made["chosen"]].sees_pixels)
    assert made["uses"]["kernel_ridge"] == uses
    assert made["identity"] is (follows != "question")  # what an image shows is its own, too
    assert any(line.startswith(sentence) for line in lines)


@pytest.mark.slow
def test_the_walk_leaves_all_that_it_names_and_its_commands_parse(planted):
    out, lines = planted("pixels")
    for name in ("data.toml", "audit.html", "split/split.json", "summary.md", "report/index.html", "start.json"):
        assert (out / name).is_file(), name
    commands = [line.partition(": ")[2] for line in lines if line.startswith(("ask it: ", "next: ", "next, "))]
    assert len(commands) == 3
    for command in commands:
        program, *words = shlex.split(command, comments=True)
        assert program == "discern"
        parser = typer.main.get_command(cli.app)
        parser.commands[words[0]].make_context(words[0], words[1:])
    assert cli.main(shlex.split(commands[0])[1:]) == 0


@pytest.mark.slow
def test_the_same_command_repeats_nothing_that_has_ended(planted, monkeypatch):
    out, lines = planted("pixels")
    source = out.parent / "own"
    for name in ("audit", "evaluate"):
        monkeypatch.setattr(f"discern_vqa.start.{name}", lambda *given, **more: pytest.fail("done a second time"))
    monkeypatch.setattr("discern_vqa.start.candidates.train", lambda *given, **more: pytest.fail("trained again"))
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*") if file.is_file() and file.name != "summary.md"}
    again = walk(source, out)
    assert list(map(timeless, again[-8:])) == list(map(timeless, lines[-8:]))
    assert {file: file.stat().st_mtime_ns for file in before} == before


@pytest.mark.slow
def test_a_walk_that_was_stopped_goes_on_and_other_data_are_refused(planted, monkeypatch):
    out, _ = planted("question")
    source = out.parent / "own"
    record = json.loads((out / "start.json").read_text(encoding="utf-8"))
    for step in ("choice", "evaluate"):
        del record["steps"][step]
    (out / "start.json").write_text(json.dumps(record), encoding="utf-8")
    monkeypatch.setattr("discern_vqa.start.candidates.train", lambda *given, **more: pytest.fail("trained again"))
    walk(source, out)
    assert choice_of(out)["chosen"] == "question_only"
    record = json.loads((out / "start.json").read_text(encoding="utf-8"))
    del record["steps"]["choice"]["validation"]["kernel_ridge"]  # as if it had been left out then
    record["steps"]["choice"]["chosen"] = "majority"
    (out / "start.json").write_text(json.dumps(record), encoding="utf-8")
    walk(source, out)
    assert choice_of(out)["chosen"] == "question_only"
    assert "kernel_ridge" in choice_of(out)["validation"]
    other = _planted.write(out.parent / "other", "pixels", images=12)
    with pytest.raises(DiscernError, match="is given now"):
        walk(other, out)
    table = source / "questions.csv"
    as_it_was = table.read_text(encoding="utf-8")
    table.write_text(as_it_was.replace("liver", "aorta"), encoding="utf-8")
    with pytest.raises(RunError, match="was begun with other data, or these have changed since"):
        walk(source, out)
    table.write_text(as_it_was, encoding="utf-8")
    file = out / "data.toml"
    content = data_file.read(file)
    content.model_copy(update={"options": {"columns": {"answer": "question", "question": "answer"}}}).write(file)
    with pytest.raises(pytest.fail.Exception, match="trained again"):  # understood otherwise: all is done anew
        walk(source, out)
    assert not (out / "models" / "majority").exists()


def test_too_few_images_end_with_what_is_there(tmp_path):
    source = _planted.write(tmp_path / "own", "question", images=2)
    with pytest.raises(DataError, match="the data cannot be divided") as error:
        walk(source, tmp_path / "out")
    assert "add images" in error.value.hint
    assert (tmp_path / "out" / "data.toml").is_file()
    assert (tmp_path / "out" / "audit.html").is_file()


def test_a_data_file_that_is_wrong_is_told_before_anything_is_written(tmp_path):
    source = _planted.write(tmp_path / "own", "question", images=3)
    file = tmp_path / "mine.toml"
    DataFile(reader="csv", root="own/questions.csv", options={"images": "nowhere"}).write(file)
    with pytest.raises(DiscernError):
        walk(file, tmp_path / "out")
    assert not (tmp_path / "out" / "data.toml").exists()
    DataFile(reader="csv", root="own/questions.csv", name="mine").write(file)
    with pytest.raises(DataError, match="cannot be divided"):
        walk(file, tmp_path / "out")
    written = data_file.read(tmp_path / "out" / "data.toml")
    assert (written.root, written.name) == ("../own/questions.csv", "mine")
    assert source.is_dir()


def made(**changes) -> dict:
    figure = {"n": 60, "accuracy": 0.5, "ci95": [0.4, 0.6]}
    whole = {
        "chosen": "question_only",
        "steps": [],
        "uses": {"majority": "nothing", "question_only": "question"},
        "identity": False,
        "validation": {"majority": figure, "question_only": figure},
        "images": 12,
        "left_out": {},
    }
    return whole | changes


def test_promises_that_so_few_images_do_not_allow_are_named():
    scores = {"overall": {"n": 60, "accuracy": 0.5, "ci95": [0.4, 0.6]}, "images": 12}
    (promise,) = summary.not_promised(made(), scores)
    assert "known to about +-10 percentage points (60 questions about 12 images)" in promise
    assert "for +-5 it takes about 48 test images" in promise
    few = {"overall": {"n": 20, "accuracy": 0.5, "ci95": None}, "images": 4}
    figure = {"n": 20, "accuracy": 0.5, "ci95": None}
    promises = summary.not_promised(made(validation={"majority": figure, "question_only": figure}), few)
    assert promises[0].startswith("4 test images give no interval for the accuracy; it takes 10")
    assert "there are 20 validation questions, and it takes 50" in promises[1]
    sure = {"overall": {"n": 9000, "accuracy": 0.5, "ci95": [0.49, 0.51]}, "images": 900}
    assert summary.not_promised(made(), sure) == []


def test_what_was_left_out_and_a_network_s_next_command_are_said():
    lines = summary.choice(made(left_out={"cmdpi": "the time is up"}))
    assert "Left out: cmdpi: the time is up" in lines
    end = summary.end(
        made(chosen="cmdpi", uses={"cmdpi": "content"}),
        {"overall": {"n": 1}, "images": 1},
        Path("o"),
        ("a b.png", "Is it?"),
    )
    assert any(line == "next: discern explain o/models/cmdpi 'a b.png' 'Is it?' --out map.png" for line in end)


def test_a_network_is_begun_only_where_its_time_fits(tmp_path, monkeypatch):
    walk_of = run.__globals__["_Walk"](tmp_path, deadline=0.0, say=lambda text: None, began=0.0)
    walk_of.samples = [type("S", (), {"image": str(number)}) for number in range(200)]
    size = Size(questions=100, images=50, validation=20, seconds_an_image=0.1)
    assert walk_of._no_time_for(BY_NAME["kernel_ridge"], size) == ""
    assert "the time is up" in walk_of._no_time_for(BY_NAME["cmdpi"], size)
    monkeypatch.setattr(walk_of, "left", lambda: 100.0)
    monkeypatch.setattr("discern_vqa.start.candidates.estimated_seconds", lambda *given: 101.0)
    assert "does not fit" in walk_of._no_time_for(BY_NAME["cmdpi"], size)
    monkeypatch.setattr("discern_vqa.start.candidates.estimated_seconds", lambda *given: 99.0)
    assert walk_of._no_time_for(BY_NAME["cmdpi"], size) == ""
    walk_of.samples = walk_of.samples[:99]
    assert "99 images are too few" in walk_of._no_time_for(BY_NAME["cmdpi"], size)


def test_a_step_is_done_once_and_its_result_is_kept(tmp_path):
    record = Record(tmp_path, "a", {"reader": "csv"})
    assert record.step("x", lambda: {"n": 1}) == {"n": 1}
    again = Record(tmp_path, "a", {"reader": "csv"})
    assert again.step("x", lambda: pytest.fail("done again")) == {"n": 1}
    assert not again.done("y")
    again.forget("x", "never done")
    assert again.step("x", lambda: {"n": 2}) == {"n": 2}
    with pytest.raises(RunError, match="other data"):
        Record(tmp_path, "b", {"reader": "csv"})
    assert not Record.forget_other(tmp_path, {"reader": "csv"})
    assert Record.forget_other(tmp_path, {"reader": "json"})
    assert not Record(tmp_path, "b", {"reader": "json"}).done("x")


def test_without_a_terminal_a_doubt_is_an_error_and_yes_takes_the_first(tmp_path, capsys, monkeypatch):
    own = _planted.write(tmp_path / "own", "question", images=3)
    (own / "more.csv").write_bytes((own / "questions.csv").read_bytes())
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert cli.main(["start", str(own), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "Several files may be the table of questions." in told
    assert "add --yes to take the first" in told
    assert cli.main(["start", str(own), "--out", str(tmp_path / "out"), "--yes"]) == 2  # three images are too few
    assert f"Took {own / 'more.csv'}; it could also be {own / 'questions.csv'}" in capsys.readouterr().out


@pytest.mark.slow
def test_a_hospital_s_folder_becomes_a_report(tmp_path, real_data, real_weights):
    real_weights("mobilenet_v2_1.0_224")
    source = tmp_path / "klinik"
    _hospital.semicolons(_hospital.rows(real_data("slake"), source), source)
    lines = walk(source, tmp_path / "out")
    assert any("patients, images and near-identical images are kept together" in line for line in lines)
    assert any("60 images are too few to show that a network is better" in line for line in lines)
    assert any(line.startswith("Test: ") for line in lines)
    made_of = choice_of(tmp_path / "out")
    assert made_of["validation"]["question_only"]["accuracy"] > made_of["validation"]["majority"]["accuracy"]
    content = data_file.read(tmp_path / "out" / "data.toml")
    assert content.index == "split"
    assert cli.main(["data", "audit", str(tmp_path / "out" / "data.toml")]) in (0, 1)


@pytest.mark.parametrize(
    ("chosen", "uses", "sentence"),
    [
        ("question_only", {"kernel_ridge": "content"}, "kernel_ridge answers clearly worse with another image"),
        ("kernel_ridge", {"kernel_ridge": "question"}, "kernel_ridge answers better than models without images. That"),
        ("kernel_ridge", {"kernel_ridge": "content"}, "The content of the images tells answers"),
    ],
)
def test_what_is_said_of_the_images_is_said_of_the_model_that_was_chosen(chosen, uses, sentence):
    lines = summary.choice(made(chosen=chosen, uses={"majority": "nothing", "question_only": "question"} | uses))
    assert any(line.startswith(sentence) for line in lines)
