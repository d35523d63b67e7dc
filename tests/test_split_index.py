"""Splits as files: every reader takes them, recipes and verbs read them, and what was spoilt or moved is refused."""

import dataclasses
import json
import shlex
from types import SimpleNamespace

import _pictures as pictures
import numpy as np
import pytest

from discern_vqa import cli, recipe_samples, registry
from discern_vqa.config import DataConfig
from discern_vqa.datasets import jsonl
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.imaging.fingerprints import Fingerprints
from discern_vqa.reading import split_files
from discern_vqa.reading.records import present_splits
from discern_vqa.reading.splitting import SplitSettings, make

READERS = [name for name in registry.names("datasets") if name != "csv"]  # a spreadsheet's columns have to be named


@pytest.fixture
def set_of_40(tmp_path):
    """The folder of the set of forty pictures."""
    pictures.set_of_40(tmp_path / "set")
    return tmp_path / "set"


@pytest.fixture
def chain(tmp_path):
    """The twelve samples."""
    return pictures.chain(tmp_path)


@pytest.fixture
def index(set_of_40, tmp_path):
    """A written split, and a function that changes one of its lines."""
    out = tmp_path / "split"
    make(pictures.by_split(set_of_40), SplitSettings(by="near"), out, {"dataset": "jsonl"})

    def change(which, **values):
        file = out / split_files.ROWS
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        next(row for row in rows if which(row)).update(values)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    return SimpleNamespace(folder=out, root=set_of_40, change=change)


def refused(index) -> str:
    with pytest.raises(DataError) as caught:
        split_files.read(jsonl, index.root, index.folder, {})
    assert caught.value.hint
    return str(caught.value)


def test_a_line_that_was_moved_to_the_other_side_is_noticed(index):
    index.change(lambda row: row["split"] == "test", split="train")
    assert "the cluster" in refused(index)
    assert "and in test (split.jsonl:" in refused(index) or "and in train (split.jsonl:" in refused(index)


def test_a_cluster_number_that_was_changed_with_it_does_not_hide_the_image(index):
    index.change(lambda row: row["split"] == "test", split="train", cluster=999)
    assert "the image" in refused(index)


@pytest.mark.parametrize("by", ["image", "near", "patient", "study"])
@pytest.mark.parametrize(
    ("field", "kind"),
    [("patient", "patient"), ("study", "study"), ("group", "group"), ("twin", "image pair"), ("image", "image")],
)
def test_what_belongs_together_is_refused_on_two_sides_with_its_lines_whatever_the_split_is_by(
    chain, tmp_path, by, field, kind
):
    plain = {"patient": "", "study": "", "group": ""}
    rows = [dataclasses.replace(row, **plain, source=f"samples.jsonl:{n}") for n, row in enumerate(chain, start=1)]
    shared = rows[2].image if field == "image" else "x"
    rows[2], rows[7] = (dataclasses.replace(rows[place], **{field: shared}) for place in (2, 7))
    dealt = [split_files.Row("train", row.id, "train", place) for place, row in enumerate(rows)]
    dealt[7] = dataclasses.replace(dealt[7], split="test")
    about = {"dataset": "jsonl", "by": by, "read": ["train"]}
    with pytest.raises(DataError, match=f"the {kind} '{shared}' is in train .* and in test"):
        split_files.write(tmp_path / "i", dealt, rows, about)
    assert not (tmp_path / "i").exists()
    # Written before this was checked, or edited since.
    split_files.write(tmp_path / "i", dealt, [dataclasses.replace(row, **{field: row.id}) for row in rows], about)
    jsonl.write(rows, tmp_path / jsonl.FILE)
    with pytest.raises(DataError) as caught:
        split_files.read(jsonl, tmp_path, tmp_path / "i", {})
    assert (
        f"the {kind} '{shared}' is in train (split.jsonl:3, samples.jsonl:3) and in test (split.jsonl:8, "
        "samples.jsonl:8)" in str(caught.value)
    )
    assert caught.value.hint == (
        f"make a new one: discern data split jsonl {tmp_path} --out {tmp_path / 'i'} --by {by}"
    )


def table_of_40(folder):
    """A German spreadsheet of forty pictures: each two are near copies, each four are of one patient."""
    pictures.set_of_40(folder)
    lines = ["Bild;Frage;Antwort;Patient;Untersuchung"]
    for number in range(40):
        patient = number // 4
        lines += [f"{number:02}.png;Was ist {asked}?;ja;p{patient};s{number // 2}" for asked in range(2)]
    lines.append("fehlt.png;Was ist das?;ja;p3;s9")
    (folder / "fragen.csv").write_text("\n".join(lines) + "\n", encoding="cp1252")
    columns = {"image": "Bild", "question": "Frage", "answer": "Antwort", "study": "Untersuchung"}
    options = [f"columns.{field}={name}" for field, name in columns.items()] + ["encoding=cp1252"]
    return [word for option in options for word in ("--option", option)]


@pytest.mark.parametrize("by", ["image", "near", "patient", "study", "near,patient", "patient , near", "study,near"])
def test_no_patient_study_or_image_is_divided_and_the_printed_command_works(tmp_path, monkeypatch, capsys, by):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    options = table_of_40(tmp_path / "hospital")
    line = ["data", "split", "csv", "hospital/fragen.csv", "--by", by, "--out", "my split", "--skip-broken", *options]
    assert cli.main(line) == 0
    told = capsys.readouterr().out
    following = shlex.split(told.splitlines()[-1].removeprefix("next: "))
    assert following == ["discern", "data", "audit", "csv", "hospital/fragen.csv", "--option", "index=my split"]
    assert cli.main([*following[1:], "--json", "found.json"]) in (0, 1), capsys.readouterr().err
    found = json.loads((tmp_path / "found.json").read_text())
    kinds = ("by_name", "by_name_or_content", "by_name_or_pixels", "by_group", "by_patient", "by_study")
    shared = {sides: [counts[kind] for kind in kinds] for sides, counts in found["images"]["shared"].items()}
    pairs = ("test in train", "test in validation", "validation in train")
    assert shared == {sides: [0, 0, 0, 0, 0, 0] for sides in pairs}
    assert not any(counts["images"] for counts in found["near"]["across"].values())
    parts = split_files.read(registry.reader("csv"), tmp_path / "hospital/fragen.csv", tmp_path / "my split", {})
    assert {part: len({row.patient for row in rows}) for part, rows in parts.items()} == {
        "train": 7,
        "validation": 1,
        "test": 2,
    }


def test_options_given_when_a_split_is_read_are_put_over_those_it_was_made_with(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    options = table_of_40(tmp_path)
    file = str(tmp_path / "fragen.csv")
    out = str(tmp_path / "i")
    assert cli.main(["data", "split", "csv", file, "--out", out, "--skip-broken", *options]) == 0
    renamed = (tmp_path / "fragen.csv").read_text(encoding="cp1252").replace("Frage;", "Fräge;", 1)
    (tmp_path / "fragen.csv").write_text(renamed, encoding="utf-8")
    again = [
        "data",
        "convert",
        "csv",
        file,
        str(tmp_path / "test.jsonl"),
        "--split",
        "test",
        "--option",
        f"index={out}",
    ]
    assert cli.main(again) == 2
    assert "no column 'Frage'" in capsys.readouterr().err
    assert cli.main([*again, "--option", "columns.question=Fräge", "--option", "encoding=utf-8"]) == 0
    assert len((tmp_path / "test.jsonl").read_text().splitlines()) == 16


def test_data_that_changed_since_is_refused(index):
    with open(index.root / jsonl.FILE, "a") as file:
        file.write('{"split": "test", "image": "00.png", "question": "New?", "answer": "no"}\n')
    assert "was made for 160 samples, and 161 are read now; the first it does not know: samples.jsonl:161" in refused(
        index
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no split of this program"),
        ("[]", "is no split of this program"),
        ('{"format": "other"}', "is no split of this program"),
        ('{"format": "discern split 1", "dataset": "jsonl", "by": "near"}', "is no split of this program"),
        ('{"format": "discern split 1", "dataset": "jsonl", "by": "near", "parts": 3}', "is no split of this program"),
        (
            '{"format": "discern split 1", "dataset": "slake", "by": "near", "parts": {}}',
            "is a split of 'slake', not of 'jsonl'",
        ),
    ],
)
def test_a_broken_index_is_refused(index, content, message):
    (index.folder / split_files.ABOUT).write_text(content)
    assert message in refused(index)


def test_broken_lines_of_an_index_are_named(index):
    file = index.folder / split_files.ROWS
    lines = file.read_text().splitlines()
    whole = json.loads(lines[0])
    for line, message in (
        ('{"id": 3}', "split.jsonl:1: "),
        ("x", "split.jsonl:1: "),
        (json.dumps({"split": "trian"} | whole | {"split": "trian"}), "trian"),
        (json.dumps(whole | {"id": ["2"]}), 'expected {"from": ..., "id": ..., "split": ..., "cluster": 0}'),
        (json.dumps(whole | {"cluster": None}), 'expected {"from": ...'),
        (lines[1], "split.jsonl:2: the sample"),
    ):
        file.write_text("\n".join([line, *lines[1:]]) + "\n")
        assert message in refused(index)
    file.write_text("\n".join([*lines, json.dumps(whole | {"split": "test"})]) + "\n")
    assert "was named before" in refused(index)
    file.write_text("\n".join(lines[1:]) + "\n")
    assert "was made for 159 samples, and 160 are read now" in refused(index)


def test_a_folder_of_folds_is_told_from_a_fold(set_of_40, tmp_path):
    make(pictures.by_split(set_of_40), SplitSettings(folds=2), tmp_path / "f", {"dataset": "jsonl"})
    with pytest.raises(DataError, match="holds no split") as caught:
        split_files.parts(tmp_path / "f")
    assert caught.value.hint.endswith("fold0")


def test_a_recipe_reads_the_index_and_carves_no_cluster_apart(set_of_40, tmp_path):
    make(pictures.by_split(set_of_40), SplitSettings(by="near", validation=0), tmp_path / "i", {"dataset": "jsonl"})
    choice = DataConfig(dataset="jsonl", index=str(tmp_path / "i"), validation_ratio=0.25)
    train, validation = recipe_samples.Samples(choice, set_of_40, seed=3).learning
    test = recipe_samples.Samples(choice, set_of_40).test("test")
    pairs = [{int(row.image[:2]) // 2 for row in rows} for rows in (train, validation, test)]
    assert all(pairs)
    assert not pairs[0] & pairs[1]
    assert not (pairs[0] | pairs[1]) & pairs[2]
    answers = recipe_samples.Samples(choice, set_of_40).vocabulary()
    assert {row.id for row in answers} == {row.id for row in [*train, *validation]} | {
        row.id for row in answers if row.phrase_type == "frame"
    }
    assert recipe_samples.Samples(choice, set_of_40, seed=3).held_out() == validation
    refit = choice.model_copy(update={"validation_ratio": 0.0})
    assert recipe_samples.Samples(refit, set_of_40, seed=3).held_out() == [], (
        "the set's own rows are dealt by the index"
    )
    with pytest.raises(ConfigError, match="has no split 'validation'"):
        recipe_samples.Samples(choice, set_of_40).test("validation")
    both = DataConfig(dataset="jsonl", index=str(tmp_path / "i"), protocol="image_disjoint")
    with pytest.raises(ConfigError, match="two ways of splitting"):
        recipe_samples.Samples(both, set_of_40, seed=3).held_out()


def test_a_recipe_with_an_index_takes_its_validation(set_of_40, tmp_path):
    make(pictures.by_split(set_of_40), SplitSettings(by="near"), tmp_path / "i", {"dataset": "jsonl"})
    choice = DataConfig(dataset="jsonl", index=str(tmp_path / "i"))
    _, validation = recipe_samples.Samples(choice, set_of_40, seed=3).learning
    assert {row.id for row in validation} == {
        row.id for row in split_files.read(jsonl, set_of_40, tmp_path / "i", {})["validation"]
    }


def all_different(paths):
    digests = [str(path).encode() for path in paths]
    thumbs = np.zeros((len(paths), 2, 32, 32), np.uint8)
    return Fingerprints(
        digests, digests, np.ones((len(paths), 2), np.int32), thumbs, [""] * len(paths), [()] * len(paths)
    )


@pytest.mark.parametrize("name", READERS)
def test_every_reader_takes_an_index(name, tmp_path):
    reader = registry.load("datasets", name)
    root = tmp_path / "set"
    reader.write_tiny(root)
    samples = {split: reader.read(root, split) for split in present_splits(reader, root)}
    questions = {row.image for rows in samples.values() for row in rows if not row.is_caption}
    if not questions:  # captions alone
        with pytest.raises(DataError, match="has no question"):
            make(samples, SplitSettings(), tmp_path / "i", {"dataset": name})
        return
    # Tiny sets show few different pictures, of several patients: here a picture is what its path says.
    make(
        samples, SplitSettings(test=0.4, validation=0), tmp_path / "i", {"dataset": name, "options": {}}, all_different
    )
    dealt = split_files.read(reader, root, tmp_path / "i", {})
    assert dealt["train"]
    assert dealt["test"]
    images = pictures.sides(dealt)
    assert not images["test"] & (images["train"] | images.get("pretrain", set()))


def test_the_verbs_write_and_read_an_index(set_of_40, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    out = str(tmp_path / "s")
    assert cli.main(["data", "split", "jsonl", str(set_of_40), "--by", "near", "--out", out]) == 0
    said = capsys.readouterr().out
    assert "20 clusters, the largest of 8 samples" in said
    assert f'index = "{out}"' in said
    converted = tmp_path / "test.jsonl"
    line = ["data", "convert", "jsonl", str(set_of_40), str(converted), "--split", "test", "--option", f"index={out}"]
    assert cli.main(line) == 0
    assert len(converted.read_text().splitlines()) == 16
    assert cli.main(["data", "split", "jsonl", str(set_of_40), "--out", out, "--option", f"index={out}"]) == 2
    assert "not from another split" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        (
            {"validation_ratio": 0.0},
            "8 validation questions are not learned from, and nothing is chosen on them; they are",
        ),
        (
            {"validation_from": "train"},
            "8 validation questions are not learned from, and nothing is chosen on them (data.",
        ),
        ({"refit": "train+validation"}, ""),
    ],
)
def test_validation_questions_that_a_recipe_does_not_use_are_named(set_of_40, tmp_path, changes, said):
    make(pictures.by_split(set_of_40), SplitSettings(by="near"), tmp_path / "i", {"dataset": "jsonl"})
    choice = DataConfig(dataset="jsonl", index=str(tmp_path / "i"), **changes)
    told = recipe_samples.Samples(choice, set_of_40).unused_validation()
    assert said in told
    assert bool(told) is bool(said)
