"""`data.auxiliary`: another set's training questions are learned from, and nothing else of that set is used."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import TINY_RECIPE

from discern_vqa.auxiliary_sets import auxiliary_samples, folder_of
from discern_vqa.config import DataConfig, check_recipe, read_recipe
from discern_vqa.data.answers import AnswerVocabulary
from discern_vqa.data.sampling import with_auxiliary
from discern_vqa.datasets import phantom, slake
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.evaluation.opening import open_run
from discern_vqa.reading.image_files import tiny_image
from discern_vqa.recipe_samples import Samples
from discern_vqa.run import WEIGHTS
from discern_vqa.training.train import train

YES_NO = AnswerVocabulary.from_answers(["yes", "no", "liver"], "m3ae", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A few phantoms, and a tiny SLAKE in the folder beside them."""
    made = tmp_path_factory.mktemp("beside")
    phantom.draw(made / "phantoms", images=24, size=64, workers=1)
    slake.write_tiny(made / "slake")
    (made / "with.toml").write_text(
        TINY_RECIPE.replace('dataset = "phantom"', 'dataset = "phantom"\nauxiliary = "slake"'), encoding="utf-8"
    )
    return made


def config(**changes) -> DataConfig:
    return DataConfig(dataset="phantom", auxiliary=["slake"], **changes)


def test_an_epoch_has_all_of_the_own_and_a_share_of_the_others():
    rows = with_auxiliary(10, 100, 0.5, seed=0, epoch=0)
    assert rows[:10] == list(range(10))
    assert len(rows) == len(set(rows)) == 15
    assert all(10 <= row < 110 for row in rows[10:])
    assert rows == with_auxiliary(10, 100, 0.5, seed=0, epoch=0)
    assert rows != with_auxiliary(10, 100, 0.5, seed=0, epoch=1)
    assert rows != with_auxiliary(10, 100, 0.5, seed=1, epoch=0)
    assert with_auxiliary(10, 3, 0.5, seed=0, epoch=0) == list(range(13)), "no more than there are"
    assert with_auxiliary(10, 0, 0.5, seed=0, epoch=0) == list(range(10))


def test_only_training_questions_that_the_table_can_answer_are_taken(folder):
    found = auxiliary_samples(
        config(auxiliary_outside="drop"), "slake", folder_of("slake", folder / "phantoms"), YES_NO
    )
    train_part = slake.read(folder / "slake", "train")
    known = {f"slake:{sample.id}" for sample in train_part if YES_NO.index(sample.answer) >= 0}
    assert {sample.id for sample in found} == known
    assert 0 < len(found) < len(train_part)
    assert all(sample.image.startswith("slake:") and sample.source.startswith("slake:") for sample in found)
    assert all(sample.path.is_file() for sample in found)


def test_questions_whose_answer_the_table_lacks_are_kept_without_it(folder):
    found = auxiliary_samples(config(), "slake", folder / "slake", YES_NO)
    train_part = slake.read(folder / "slake", "train")
    assert [sample.id for sample in found] == [f"slake:{sample.id}" for sample in train_part]
    assert any(YES_NO.index(sample.answer) < 0 for sample in found)


def test_a_limit_takes_known_answers_first_and_the_same_rest_every_time(folder):
    everything = auxiliary_samples(config(), "slake", folder / "slake", YES_NO)
    known = {sample.id for sample in everything if YES_NO.index(sample.answer) >= 0}
    for limit in (1, len(known), len(known) + 1, 1000):
        found = [
            sample.id for sample in auxiliary_samples(config(auxiliary_limit=limit), "slake", folder / "slake", YES_NO)
        ]
        assert len(found) == min(limit, len(everything))
        assert len(known & set(found)) == min(limit, len(known))
        again = auxiliary_samples(config(auxiliary_limit=limit), "slake", folder / "slake", YES_NO)
        assert found == [sample.id for sample in again]


def test_of_a_further_set_the_frequent_answers_alone_can_join_the_table(folder, monkeypatch):
    once = slake.read(folder / "slake", "train")
    monkeypatch.setattr(slake, "read", lambda root, split: [*once, once[0], once[1], once[0]])
    own = len(Samples(DataConfig(dataset="phantom"), folder / "phantoms").vocabulary())
    for least, kept in ((1, len(once) + 3), (2, 5), (3, 3)):
        choice = DataConfig(dataset="phantom", vocabulary_from=["slake"], vocabulary_min_count={"slake": least})
        assert len(Samples(choice, folder / "phantoms").vocabulary()[own:]) == kept
    data = {"dataset": "phantom", "vocabulary_min_count": {"slake": 2}}
    tables = {"data": data, "model": {"name": "cmdpi"}, "objective": {"name": "cmdpi_finetune"}, "run": {}}
    with pytest.raises(ConfigError, match="vocabulary_min_count: slake: expected names of vocabulary_from"):
        check_recipe(tables, "a recipe")


def test_the_table_s_further_sets_lie_in_the_same_place(folder, tmp_path, monkeypatch):
    choice = DataConfig(dataset="phantom", vocabulary_from=["slake"])
    own = Samples(DataConfig(dataset="phantom"), folder / "phantoms").vocabulary()
    both = Samples(choice, folder / "phantoms").vocabulary()
    assert [sample.id for sample in both[len(own) :]] == [one.id for one in slake.read(folder / "slake", "train")]
    monkeypatch.setenv("DISCERN_DATA", str(tmp_path))
    phantom.draw(tmp_path / "alone", images=2, size=64, workers=1)
    with pytest.raises(DataError, match="vocabulary_from = 'slake'"):
        Samples(choice, tmp_path / "alone").vocabulary()


def test_names_that_are_empty_stay_empty(folder):
    first = auxiliary_samples(config(), "slake", folder / "slake", YES_NO)[0]
    plain = next(one for one in slake.read(folder / "slake", "train") if f"slake:{one.id}" == first.id)
    assert (first.group == "") == (plain.group == "")
    assert replace(first, id=plain.id, image=plain.image, group=plain.group, patient=plain.patient, study=plain.study,
                   twin=plain.twin, source=plain.source) == plain  # fmt: skip


def test_a_run_learns_from_both_and_answers_for_its_own(folder, capsys):
    run = train(folder / "with.toml", data=folder / "phantoms", out=folder / "run")
    told = capsys.readouterr().out
    assert "auxiliary: " in told
    assert not (run.folder / "auxiliary.txt").exists()
    assert "of slake" in told
    alone = train(folder / "with.toml", data=folder / "phantoms", out=folder / "alone",
                  overrides=["data.auxiliary="], quiet=True)  # fmt: skip
    assert run.vocabulary == alone.vocabulary, "the answers are those of the own set"
    steps = [max(json.loads(line)["step"] for line in (one.folder / "metrics.jsonl").read_text().splitlines())
             for one in (run, alone)]  # fmt: skip
    assert steps[0] >= steps[1]
    samples, _ = Samples(run.recipe.data, run.root, 0).learning
    assert all(sample.source and "slake" not in sample.source for sample in samples)
    answer = open_run(run.folder).ask(samples[0].path, samples[0].question)
    assert answer.text in run.vocabulary.answers
    assert "It was learned from auxiliary data too: `slake`" in (folder / "run" / "README.md").read_text(
        encoding="utf-8"
    )


def test_a_set_that_is_not_there_is_named_before_anything_is_written(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("DISCERN_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (folder / "phantoms").rename(tmp_path / "phantoms")
    with pytest.raises(DataError, match=r"\[data\] auxiliary = 'slake'") as raised:
        train(folder / "with.toml", data=tmp_path / "phantoms", out=tmp_path / "run", quiet=True)
    (tmp_path / "phantoms").rename(folder / "phantoms")
    assert "--set data.auxiliary=" in raised.value.hint
    assert not (tmp_path / "run").exists()


def test_a_recipe_can_do_without_it_and_says_so_and_goes_on_as_it_began(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DISCERN_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    phantom.draw(tmp_path / "phantoms", images=24, size=64, workers=1)
    line = {"data": tmp_path / "phantoms", "overrides": ['data.auxiliary_missing="without"'], "out": tmp_path / "run"}
    run = train(folder / "with.toml", **line)
    told = capsys.readouterr().out
    assert "WARNING: [data] auxiliary = 'slake'" in told
    assert "learned without it" in told
    assert "auxiliary: " not in told
    assert json.loads((run.folder / "config.json").read_text())["data"]["auxiliary"] == []
    assert "slake" not in (run.folder / "README.md").read_text()
    slake.write_tiny(tmp_path / "slake")  # it comes too late for this run
    train(folder / "with.toml", resume=True, **line)
    (run.folder / WEIGHTS).unlink()
    train(folder / "with.toml", resume=True, **line)
    assert "auxiliary: " not in capsys.readouterr().out
    train(folder / "with.toml", **line | {"out": tmp_path / "other"})
    assert "auxiliary: " in capsys.readouterr().out


def test_a_set_without_a_usable_answer_is_refused(folder):
    with pytest.raises(DataError, match="none of its training questions"):
        auxiliary_samples(
            config(), "slake", folder / "slake", AnswerVocabulary.from_answers(["a rare thing"], "m3ae", 1)
        )


def test_a_set_is_no_auxiliary_set_of_itself(tmp_path):
    path = tmp_path / "twice.toml"
    path.write_text(TINY_RECIPE.replace('dataset = "phantom"', 'dataset = "phantom"\nauxiliary = "phantom"'), "utf-8")
    with pytest.raises(ConfigError, match="is the data set itself"):
        read_recipe(path)


def test_a_baseline_learns_from_one_set() -> None:
    tables = {"data": {"dataset": "vqa_rad", "auxiliary": "slake"}, "model": {"name": "baselines.majority"}, "run": {}}
    with pytest.raises(ConfigError, match="a baseline learns from one data set alone"):
        check_recipe(tables, "a recipe")


PAIRS = [
    {"image": "a.png", "split": "pretrain", "caption": "A chest film with an effusion."},
    {"image": "b.png", "split": "pretrain", "caption": "A head scan without a bleed."},
    {"image": "c.png", "split": "train", "question": "Is there an effusion?", "answer": "yes"},
]


def neutral(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for row in PAIRS:
        tiny_image(folder / row["image"], 1)
    lines = [json.dumps(row) + "\n" for row in PAIRS]
    (folder / "samples.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


def test_a_pretraining_reads_the_captions_of_a_folder_in_the_neutral_format(folder):
    root = neutral(folder / "pairs")
    choice = DataConfig(dataset="phantom", split="pretrain", auxiliary=["jsonl:pairs", "slake"])
    assert folder_of("jsonl:pairs", folder / "phantoms") == root
    captions = auxiliary_samples(choice, "jsonl:pairs", root, YES_NO)
    assert [(sample.image, sample.caption) for sample in captions] == [
        ("pairs:a.png", "A chest film with an effusion."),
        ("pairs:b.png", "A head scan without a bleed."),
    ]
    # SLAKE has no split "pretrain": its training questions are taken.
    questions = auxiliary_samples(choice, "slake", folder / "slake", YES_NO)
    assert [sample.id for sample in questions] == [f"slake:{one.id}" for one in slake.read(folder / "slake", "train")]
    learning = DataConfig(dataset="phantom", auxiliary=["jsonl:pairs"])
    (question,) = auxiliary_samples(learning, "jsonl:pairs", root, YES_NO)
    assert question.question == "Is there an effusion?"


def test_a_pretraining_learns_from_several_sets_and_knows_the_words_of_their_captions(
    folder, tmp_path, capsys, monkeypatch
):
    neutral(folder / "pairs")
    recipe = pretraining(tmp_path)
    both = ['data.auxiliary=["jsonl:pairs", "slake"]', "data.auxiliary_share=99"]
    reads, read = [], slake.read
    monkeypatch.setattr(slake, "read", lambda root, split: reads.append(split) or read(root, split))
    run = train(recipe, data=folder / "phantoms", out=tmp_path / "run", overrides=both)
    assert reads == ["train"], "read from disk once"
    told = capsys.readouterr().out
    assert "auxiliary: 2 samples of 2 images of pairs" in told
    assert f"auxiliary: {len(slake.read(folder / 'slake', 'train'))} samples" in told
    assert {"film", "bleed"} <= set(run.tokenizer.words)
    train(recipe, data=folder / "phantoms", out=tmp_path / "half", overrides=[*both, "data.train_share=0.5"])
    assert "auxiliary: 1 samples of 1 images of pairs" in capsys.readouterr().out


def pretraining(tmp_path: Path) -> Path:
    """A recipe that learns from the phantoms' captions and questions."""
    path = tmp_path / "pretraining.toml"
    text = TINY_RECIPE.replace('dataset = "phantom"', 'dataset = "phantom"\nsplit = "pretrain"')
    path.write_text(text.replace("cmdpi_finetune", "cmdpi_pretrain"), encoding="utf-8")
    return path
