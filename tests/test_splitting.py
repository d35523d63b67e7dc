"""Splits as files: what hangs together stays together, kinds are dealt evenly, and every reader takes the files."""

import dataclasses
import json
import random
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from _pictures import picture, question, save
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discern_vqa import audit, cli, registry
from discern_vqa.config import DataConfig
from discern_vqa.data.dealing import deal, kinds
from discern_vqa.datasets import _index, _load, _splitting, jsonl, slake, vqa_rad
from discern_vqa.datasets._reading import present_splits
from discern_vqa.datasets._splitting import Wanted, clusters_of, make
from discern_vqa.errors import ConfigError, DataError

READERS = [name for name in registry.names("datasets") if name != "csv"]  # a spreadsheet's columns have to be named


@pytest.fixture
def chain(tmp_path):
    """Twelve pictures: 0 and 1 are one in two formats, 2 nearly so, 3 and 4 have one patient, 5 and 6 one study."""
    drawn = [picture(number) for number in range(12)]
    drawn[1], drawn[2] = drawn[0], drawn[0].resize((70, 70))
    names = ["a0.png", "a1.bmp", *(f"a{number}.png" for number in range(2, 12))]
    paths = [save(tmp_path, name, one) for name, one in zip(names, drawn, strict=True)]
    rows = [question(number, "train", path) for number, path in enumerate(paths)]
    patients = {3: "p", 4: "p", 5: "q", 6: "q", 7: "q"}
    studies = {3: "s1", 4: "s2", 5: "s3", 6: "s3", 7: "s4"}
    return [
        dataclasses.replace(row, patient=patients.get(n, ""), study=studies.get(n, ""), group=patients.get(n, ""))
        for n, row in enumerate(rows)
    ]


def joined(samples, by) -> set[frozenset[int]]:
    """The clusters of more than one sample, by place."""
    clusters = clusters_of(samples, by)
    groups = {number: frozenset(np.flatnonzero(np.array(clusters) == number).tolist()) for number in set(clusters)}
    return {group for group in groups.values() if len(group) > 1}


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("image", [{0, 1}, {3, 4}, {5, 6, 7}]),  # equal pixels, and what the data set groups
        ("near", [{0, 1, 2}, {3, 4}, {5, 6, 7}]),
        ("patient", [{0, 1}, {3, 4}, {5, 6, 7}]),
        ("study", [{0, 1}, {5, 6}]),
    ],
)
def test_what_hangs_together_is_one_cluster(chain, by, expected):
    assert joined(chain, by) == set(map(frozenset, expected))


def test_clusters_do_not_depend_on_the_order_of_the_samples(chain):
    mixed = random.Random(1).sample(chain, len(chain))
    numbers = dict(zip((row.id for row in mixed), clusters_of(mixed, "near"), strict=True))
    assert [numbers[row.id] for row in chain] == clusters_of(chain, "near")


def test_splitting_by_what_nothing_names_is_refused(chain):
    plain = [dataclasses.replace(row, patient="", study="") for row in chain]
    with pytest.raises(DataError, match="no sample names its patient") as caught:
        clusters_of(plain, "patient")
    assert "--by image" in caught.value.hint


def sides(rows: dict) -> dict[str, set]:
    return {part: {row.image for row in samples} for part, samples in rows.items()}


@pytest.fixture
def set_of_40(tmp_path):
    """Forty pictures in pairs of near copies, three questions each; template re-phrasings and captions too."""
    folder, rows = tmp_path / "set", []
    for number in range(40):
        drawn = picture(number // 2)
        path = save(folder, f"{number:02}.png", drawn if number % 2 else drawn.resize((70, 70)))
        organ = ("head", "chest")[number // 2 % 2]
        for asked in range(3):
            rows.append(
                question(
                    3 * number + asked,
                    ("train", "test")[asked % 2],
                    path,
                    question=f"What is {asked}?",
                    organ=organ,
                    answer_type=("open", "closed")[asked % 2],
                    phrase_type="frame" if asked == 2 else "freeform",
                )
            )
        rows.append(
            question(
                900 + number, "pretrain", path, question="", answer="", caption="A film.", answer_type="", organ=organ
            )
        )
    jsonl.write(rows, folder / jsonl.FILE)
    return folder


def by_split(folder: Path) -> dict:
    return {split: rows for split in jsonl.SPLITS if (rows := jsonl.read(folder, split))}


def test_a_split_by_near_keeps_copies_together_and_the_promised_shares(set_of_40, tmp_path):
    out = tmp_path / "split"
    (made,) = make(by_split(set_of_40), Wanted(by="near", test=0.2, validation=0.1), out, {"dataset": "jsonl"})
    assert (made["clusters"], made["largest"]) == (20, 8)
    assert {part: counts["judged"] for part, counts in made["parts"].items()} == {
        "train": 56,
        "validation": 8,
        "test": 16,
    }
    dealt = _index.read(jsonl, set_of_40, out, {})
    for one, images in sides(dealt).items():
        for other, others in sides(dealt).items():
            pairs = {int(name[:2]) // 2 for name in images} & {int(name[:2]) // 2 for name in others}
            assert one == other or {one, other} == {"train", "pretrain"} or not pairs
    assert all(row.split == part for part, rows in dealt.items() for row in rows)
    judged = [*dealt["test"], *dealt["validation"]]
    assert not any(row.is_caption or row.phrase_type == "frame" for row in judged)
    assert sum(row.is_caption for row in dealt["pretrain"]) == len(dealt["pretrain"]) == 28
    assert Counter(row.organ for row in dealt["test"]) == {"head": 8, "chest": 8}
    assert Counter(row.answer_type for row in dealt["test"]) == {"open": 8, "closed": 8}


def test_an_audit_finds_no_near_copy_across_such_a_split(set_of_40, tmp_path):
    samples = by_split(set_of_40)
    for by, expected in (("near", False), ("image", True)):
        make(samples, Wanted(by=by), tmp_path / by, {"dataset": "jsonl"})
        report = audit.audit(_index.read(jsonl, set_of_40, tmp_path / by, {}))
        assert any(counts["images"] for counts in report["near"]["across"].values()) is expected


def test_folds_test_every_question_once(set_of_40, tmp_path):
    make(by_split(set_of_40), Wanted(by="near", folds=4), tmp_path / "f", {"dataset": "jsonl"})
    tested = []
    for fold in range(4):
        dealt = _index.read(jsonl, set_of_40, tmp_path / "f" / f"fold{fold}", {})
        assert len(dealt["test"]) == 20
        assert dealt["validation"]
        tested += [row.id for row in dealt["test"]]
    asked = [
        row.id
        for rows in by_split(set_of_40).values()
        for row in rows
        if row.phrase_type == "freeform" and row.question
    ]
    assert sorted(tested) == sorted(asked)


def test_the_same_seed_gives_the_same_files_and_another_other_ones(set_of_40, tmp_path):
    samples = by_split(set_of_40)
    mixed = {split: random.Random(2).sample(rows, len(rows)) for split, rows in samples.items()}
    for name, rows, seed in (("a", samples, 0), ("b", mixed, 0), ("c", samples, 1)):
        make(rows, Wanted(seed=seed), tmp_path / name, {"dataset": "jsonl"})
    one, same, other = (set((tmp_path / name / _index.ROWS).read_text().splitlines()) for name in "abc")
    assert one == same
    assert one != other


def test_a_set_that_hangs_together_cannot_be_split(set_of_40, tmp_path):
    whole = {
        split: [dataclasses.replace(row, group="g") for row in rows] for split, rows in by_split(set_of_40).items()
    }
    with pytest.raises(DataError, match="would be left without a question: 1 clusters, the largest of 160") as caught:
        make(whole, Wanted(), tmp_path / "out", {"dataset": "jsonl"})
    assert "--by image" in caught.value.hint
    assert not (tmp_path / "out").exists()


@pytest.fixture
def index(set_of_40, tmp_path):
    """A written split, and a function that changes one of its lines."""
    out = tmp_path / "split"
    make(by_split(set_of_40), Wanted(by="near"), out, {"dataset": "jsonl"})

    def change(which, **values):
        file = out / _index.ROWS
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        next(row for row in rows if which(row)).update(values)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    return SimpleNamespace(folder=out, root=set_of_40, change=change)


def refused(index) -> str:
    with pytest.raises(DataError) as caught:
        _index.read(jsonl, index.root, index.folder, {})
    assert caught.value.hint
    return str(caught.value)


def test_a_line_that_was_moved_to_the_other_side_is_noticed(index):
    index.change(lambda row: row["split"] == "test", split="train")
    assert "the cluster" in refused(index)
    assert "is in test and in train" in refused(index) or "is in train and in test" in refused(index)


def test_a_cluster_number_that_was_changed_with_it_does_not_hide_the_image(index):
    index.change(lambda row: row["split"] == "test", split="train", cluster=999)
    assert "the image" in refused(index)


def test_a_patient_on_two_sides_is_noticed_when_the_split_was_by_patient(chain, tmp_path):
    jsonl.write(chain, tmp_path / jsonl.FILE)
    rows = [
        _index.Row("train", row.id, "test" if row.image == "a3.png" else "train", place)
        for place, row in enumerate(chain)
    ]
    about = {"dataset": "jsonl", "by": "image", "read": ["train"]}
    _index.write(tmp_path / "i", rows, chain, about)
    assert set(_index.read(jsonl, tmp_path, tmp_path / "i", {})) == {"train", "test"}
    with pytest.raises(DataError, match="the patient 'p' is in"):
        _index.write(tmp_path / "p", rows, chain, about | {"by": "patient"})


def test_data_that_changed_since_is_refused(index):
    with open(index.root / jsonl.FILE, "a") as file:
        file.write('{"split": "test", "image": "00.png", "question": "New?", "answer": "no"}\n')
    assert "was made for 160 samples, and 161 are read now; the first it does not know: samples.jsonl:161" in refused(
        index
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "broken JSON"),
        ("[]", "expected an object"),
        ('{"format": "other"}', "is no split of this program"),
        ('{"format": "discern split 1", "dataset": "slake", "parts": {}}', "is a split of 'slake', not of 'jsonl'"),
    ],
)
def test_a_broken_index_is_refused(index, content, message):
    (index.folder / _index.ABOUT).write_text(content)
    assert message in refused(index)


def test_broken_lines_of_an_index_are_named(index):
    file = index.folder / _index.ROWS
    lines = file.read_text().splitlines()
    for line, message in (('{"id": 3}', "expected"), (lines[1], "was named before"), ("x", "broken JSON")):
        file.write_text("\n".join([line, *lines[1:]]) + "\n")
        assert message in refused(index)
    file.write_text("\n".join(lines[1:]) + "\n")
    assert "was made for 159 samples, and 160 are read now" in refused(index)


def test_a_folder_of_folds_is_told_from_a_fold(set_of_40, tmp_path):
    make(by_split(set_of_40), Wanted(folds=2), tmp_path / "f", {"dataset": "jsonl"})
    with pytest.raises(DataError, match="holds no split") as caught:
        _index.parts(tmp_path / "f")
    assert caught.value.hint.endswith("fold0")


def test_a_recipe_reads_the_index_and_carves_no_cluster_apart(set_of_40, tmp_path):
    make(by_split(set_of_40), Wanted(by="near", validation=0), tmp_path / "i", {"dataset": "jsonl"})
    choice = DataConfig(dataset="jsonl", index=str(tmp_path / "i"), validation_ratio=0.25)
    train, validation = _load.learning_samples(choice, set_of_40, seed=3)
    test = _load.test_samples(choice, set_of_40, "test")
    pairs = [{int(row.image[:2]) // 2 for row in rows} for rows in (train, validation, test)]
    assert all(pairs)
    assert not pairs[0] & pairs[1]
    assert not (pairs[0] | pairs[1]) & pairs[2]
    answers = _load.vocabulary_samples(choice, set_of_40)
    assert {row.id for row in answers} == {row.id for row in [*train, *validation]} | {
        row.id for row in answers if row.phrase_type == "frame"
    }
    with pytest.raises(ConfigError, match="has no split 'validation'"):
        _load.test_samples(choice, set_of_40, "validation")
    both = DataConfig(dataset="jsonl", index=str(tmp_path / "i"), protocol="image_disjoint")
    with pytest.raises(ConfigError, match="two ways of splitting"):
        _load.learning_samples(both, set_of_40, seed=3)


def test_a_recipe_with_an_index_takes_its_validation(set_of_40, tmp_path):
    make(by_split(set_of_40), Wanted(by="near"), tmp_path / "i", {"dataset": "jsonl"})
    choice = DataConfig(dataset="jsonl", index=str(tmp_path / "i"))
    _, validation = _load.learning_samples(choice, set_of_40, seed=3)
    assert {row.id for row in validation} == {
        row.id for row in _index.read(jsonl, set_of_40, tmp_path / "i", {})["validation"]
    }


@pytest.mark.parametrize("name", READERS)
def test_every_reader_takes_an_index(name, tmp_path):
    reader = registry.load("datasets", name)
    root = tmp_path / "set"
    reader.write_tiny(root)
    samples = {split: reader.read(root, split) for split in present_splits(reader, root)}
    questions = {row.image for rows in samples.values() for row in rows if not row.is_caption}
    if not questions:  # captions alone
        with pytest.raises(DataError, match="asks no question"):
            make(samples, Wanted(), tmp_path / "i", {"dataset": name})
        return
    make(samples, Wanted(test=0.4, validation=0), tmp_path / "i", {"dataset": name, "options": {}})
    dealt = _index.read(reader, root, tmp_path / "i", {})
    assert dealt["train"]
    assert dealt["test"]
    assert not sides(dealt)["test"] & (sides(dealt)["train"] | sides(dealt).get("pretrain", set()))


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
    assert "not of another split" in capsys.readouterr().err


unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@unhurried
@given(
    sizes=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2)), min_size=30, max_size=120),
    seed=st.integers(0, 5),
)
def test_kinds_are_dealt_evenly_when_no_cluster_is_large(sizes, seed):
    samples, clusters = [], []
    for cluster, (size, kind) in enumerate(sizes):
        for _ in range(size):
            row = question(len(samples), "train", Path(f"{cluster}.png"), organ=f"o{kind}", answer_type="open")
            samples.append(row)
            clusters.append(cluster)
    counts = kinds(samples, clusters, len(sizes))
    assert counts[:, -1].sum() == len(samples)
    shares = {"train": 0.5, "validation": 0.2, "test": 0.3}
    dealt = deal(counts, shares, seed)
    for part, wanted in shares.items():
        have = counts[[one == part for one in dealt]].sum(axis=0)
        assert np.all(np.abs(have - wanted * counts.sum(axis=0)) <= 6)


def test_slake_split_by_near_has_no_near_pair_across(real_data, tmp_path):
    root = real_data("slake")
    samples = {split: slake.read(root, split) for split in slake.present(root)}
    (made,) = make(samples, Wanted(by="near"), tmp_path, {"dataset": "slake"})
    assert made["clusters"] == 428
    report = audit.audit(_index.read(slake, root, tmp_path, {}))
    assert {pair: counts["images"] for pair, counts in report["near"]["across"].items()} == {
        "test in train": 0,
        "test in validation": 0,
        "validation in train": 0,
    }
    shares = {part: counts["share"] for part, counts in made["parts"].items()}
    assert shares == pytest.approx({"train": 0.7, "validation": 0.1, "test": 0.2}, abs=0.02)


def test_vqa_rads_official_parts_are_pooled_and_its_rephrasings_are_not_tested(real_data, tmp_path):
    root = real_data("vqa_rad")
    samples = {split: vqa_rad.read(root, split) for split in vqa_rad.SPLITS}
    make(samples, Wanted(), tmp_path, {"dataset": "vqa_rad"})
    dealt = _index.read(vqa_rad, root, tmp_path, {})
    assert not sides(dealt)["train"] & sides(dealt)["test"]
    assert all(row.phrase_type != "frame" for row in dealt["test"])
    assert any(row.phrase_type == "frame" for row in dealt["train"])
    assert len(dealt["test"]) == pytest.approx(0.2 * 2248, rel=0.03)


def test_a_split_is_wanted_that_leaves_something(tmp_path):
    for wrong in ({"by": "picture"}, {"test": 0.0}, {"test": 1.0}, {"test": 0.6, "validation": 0.4}, {"folds": 1}):
        with pytest.raises(ConfigError):
            Wanted(**wrong)
    assert _splitting.Wanted(folds=3, test=0.2, validation=0.9).folds == 3
