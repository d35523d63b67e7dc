"""data.toml: one file that says how a data set is read, and that every verb takes in its place."""

import json
from pathlib import Path

import pytest
from conftest import TINY_RECIPE

from discern_vqa import cli, data_file
from discern_vqa.config import read_recipe
from discern_vqa.data_file import DataFile
from discern_vqa.datasets import csv
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.evaluation.opening import open_run, samples_of
from discern_vqa.experiments import runner
from discern_vqa.reading.image_files import tiny_images
from discern_vqa.training.train import train

OPTIONS = {"images": "bilder", "columns": {"image": "Bild", "question": "Frage", "answer": "Antwort"}}


def own_set(folder: Path, images: int = 10) -> Path:
    """A German table of two questions about each image; the path of its data.toml."""
    names = [f"{number:03}.png" for number in range(images)]
    tiny_images(folder / "klinik" / "bilder", names)
    rows = [f"{name};Ist das {word}?;{word}" for name in names for word in ("normal", "krank")]
    (folder / "klinik" / "fragen.csv").write_text("\ufeffBild;Frage;Antwort\n" + "\n".join(rows), encoding="utf-8")
    file = folder / "data.toml"
    DataFile(reader="csv", root="klinik/fragen.csv", options=OPTIONS, name="Klinik Süd").write(file, "Two\nlines")
    return file


def out_of(line: str, capsys) -> str:
    assert cli.main(line.split()) in (0, 1), capsys.readouterr().err
    return capsys.readouterr().out


def test_what_is_written_is_read_again(tmp_path):
    file = own_set(tmp_path)
    assert file.read_text(encoding="utf-8").startswith('# Two\n# lines\nname = "Klinik Süd"\nreader = "csv"\n')
    content = data_file.read(file)
    assert content.options == OPTIONS
    assert content.root_at(file) == tmp_path / "klinik" / "fragen.csv"
    assert (content.index_at(file), content.title(file)) == (None, "Klinik Süd")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('reader = "csv"', "data.toml: root is missing", "discern start FOLDER"),
        ('reader = "csv"\nrot = "."', "rot: unknown key (did you mean 'root'?)", "discern start"),
        ('reader = "csv"\nroot = 5', "root = 5: input should be a valid string", ""),
        ('reader = "cvs"\nroot = "."', 'reader = "cvs": there is no such reader', "did you mean 'csv'?"),
        ('reader = "csv"\nroot = "nothing.csv"', 'root = "nothing.csv": there is no ', "relative to data.toml"),
        ('reader = "csv"\nroot = "."\n[options]\nimage = "a"', "[options]: csv has no option 'image'", "it has: col"),
        ('reader = "csv"\nroot = "."\n[options]\nimages = 5', "[options]: images=5: Input should be", "TOML"),
        ('reader = "csv"\nroot = "."\nindex = "none"', 'index = "none": ', "discern data split"),
        ("reader = csv", "is no TOML", "quotes"),
        (
            '[data]\ndataset = "csv"\n[model]\nname = "cmdpi"',
            "data.toml: reader is missing",
            "this looks like a recipe",
        ),
    ],
)
def test_a_mistake_names_the_file_and_the_key(tmp_path, text, message, hint):
    file = tmp_path / "data.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises((ConfigError, DataError)) as error:
        data_file.read(file)
    assert message in str(error.value)
    assert str(file) in str(error.value)
    assert hint in error.value.hint


def test_the_commands_about_data_take_it_in_place_of_name_and_root(tmp_path, capsys):
    file = own_set(tmp_path)
    shown = out_of(f"data look {file}", capsys)
    assert shown.startswith(
        "20 questions, 10 images (20 without a type)\nfragen.csv:2\n  image         bilder/000.png\n"
    )
    assert "  question      Ist das krank?\n  answer        krank\n" in shown
    assert shown.count("fragen.csv:") == 3
    page = tmp_path / "audit.html"
    out_of(f"data audit {file} --html {page}", capsys)
    assert "Klinik Süd" in page.read_text(encoding="utf-8")
    split = out_of(f"data split {file} --by image --test 0.3 --out {tmp_path / 'teile'}", capsys)
    assert f'{file} reads it with: index = "teile"' in split
    out_of(f"data preview {file} --by split --out {tmp_path / 'sheets'}", capsys)
    assert "Klinik Süd" in (tmp_path / "sheets" / "index.html").read_text(encoding="utf-8")
    out_of(f"data convert {file} {tmp_path / 'neutral.jsonl'}", capsys)
    lines = (tmp_path / "neutral.jsonl").read_text(encoding="utf-8").splitlines()
    assert (len(lines), json.loads(lines[0])["image"]) == (20, "bilder/000.png")


def test_its_split_is_read_and_left_out_where_a_split_is_made(tmp_path, capsys):
    file = own_set(tmp_path)
    out_of(f"data split {file} --by image --test 0.3 --out {tmp_path / 'teile'}", capsys)
    with file.open("a", encoding="utf-8") as end:
        end.write("\n")
    DataFile(reader="csv", root="klinik/fragen.csv", index="teile", options=OPTIONS).write(file)
    assert "; train 12, validation 2, test 6\n" in out_of(f"data look {file}", capsys)
    again = out_of(f"data split {file} --by image --test 0.3 --out {tmp_path / 'again'}", capsys)
    assert "test              6 questions" in again


def test_an_option_that_is_typed_wins(tmp_path, capsys):
    file = own_set(tmp_path)
    shown = out_of(f"data look {file}", capsys)
    swapped = "--option columns.question=Antwort --option columns.answer=Frage"
    out_of(f"data convert {file} {tmp_path / 'a.jsonl'} {swapped}", capsys)
    assert '"answer": "Ist das normal?"' in (tmp_path / "a.jsonl").read_text(encoding="utf-8")
    assert "answer        normal" in shown
    assert cli.main(["data", "audit", str(file), "--option", "images=elsewhere"]) == 2
    assert "images=elsewhere: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("data audit csv", "'csv' is given without the folder that holds it"),
        ("data audit {file} klinik", "says where the data lie, and klinik is given too"),
        ("data convert csv out.jsonl", "'csv' is given without the folder that holds it"),
        ("data look {file} --out a.png", "--out is for an image"),
        ("data audit nothing.toml", "there is no file nothing.toml"),
    ],
)
def test_names_and_folders_that_do_not_go_together_are_refused(tmp_path, capsys, line, error):
    assert cli.main(line.format(file=own_set(tmp_path)).split()) == 2
    assert error in capsys.readouterr().err


def test_a_training_takes_it_and_set_wins(tmp_path):
    file = own_set(tmp_path)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[data]\ndataset = "vqa_rad"\nprotocol = "image_disjoint"\noptions = { edition = "owner" }\n'
                      '[model]\nname = "baselines.majority"\n[run]\n', encoding="utf-8")  # fmt: skip
    run = train(
        recipe,
        data=file,
        overrides=["data.options.columns.question=Antwort", "data.options.columns.answer=Frage"],
        out=tmp_path / "run",
        quiet=True,
    )
    data = run.recipe.data
    assert (data.dataset, data.protocol) == ("csv", "usual")
    assert data.options == {"images": "bilder", "columns": {"image": "Bild", "question": "Antwort", "answer": "Frage"}}
    assert set(run.vocabulary.answers) == {"ist das normal?", "ist das krank?"}
    assert run.root == (tmp_path / "klinik" / "fragen.csv").resolve()


def test_an_evaluation_reads_as_the_file_says_now(tmp_path):
    file = own_set(tmp_path)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[data]\ndataset = "csv"\n[model]\nname = "baselines.majority"\n[run]\n', encoding="utf-8")
    run = train(recipe, data=file, out=tmp_path / "run", quiet=True)
    (tmp_path / "klinik").rename(tmp_path / "moved")
    DataFile(reader="csv", root="moved/fragen.csv", options=OPTIONS | {"use_as": "test"}).write(file)
    samples = samples_of(open_run(run.folder).run, file).test("test")
    assert len(samples) == 20
    assert samples[0].path == tmp_path / "moved" / "bilder" / "000.png"
    assert csv.read(tmp_path / "moved" / "fragen.csv", "test", **(OPTIONS | {"use_as": "test"})) == samples


def test_an_experiment_learns_from_it(tmp_path):
    file = own_set(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY_RECIPE, encoding="utf-8")
    grid = runner.prepare(["table4"], str(tmp_path / "tiny.toml"), [0], data=file)[0]
    sets = {training.recipe.data.dataset for training in grid.trainings}
    assert sets == {"csv"}
    assert {training.recipe.data.options["images"] for training in grid.trainings} == {"bilder"}
    with pytest.raises(ConfigError, match="is a recipe for csv; table2 reports slake's usual split"):
        runner.prepare(["table2"], "", [0], data=file)


def test_overrides_stand_before_those_given_and_other_paths_are_passed_on(tmp_path):
    folder, overrides = data_file.as_overrides(tmp_path, ["optim.lr=1"])
    assert (folder, overrides) == (tmp_path, ["optim.lr=1"])
    folder, overrides = data_file.as_overrides(own_set(tmp_path), ["data.dataset=jsonl"])
    assert folder is None
    (tmp_path / "tiny.toml").write_text(TINY_RECIPE, encoding="utf-8")
    settings = read_recipe(tmp_path / "tiny.toml", overrides)
    assert settings.data.dataset == "jsonl"
    assert settings.data.root == str((tmp_path / "klinik" / "fragen.csv").resolve())


def test_a_root_is_named_without_a_way_through_a_folder_that_may_not_be_there(tmp_path):
    (tmp_path / "klinik").mkdir()
    (tmp_path / "out").mkdir()
    content = DataFile(reader="csv", root="../klinik")
    assert content.root_at(tmp_path / "out" / "data.toml") == tmp_path / "klinik"
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "er")
    (tmp_path / "deep" / "klinik").mkdir()
    through_link = content.root_at(tmp_path / "link" / "data.toml")
    assert through_link.samefile(tmp_path / "deep" / "klinik")
