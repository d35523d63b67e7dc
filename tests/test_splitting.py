"""Splits as files: what hangs together stays together, kinds are dealt evenly, and every reader takes the files."""

import dataclasses
import random
from collections import Counter
from pathlib import Path

import _pictures as pictures
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discern_vqa import audit, registry
from discern_vqa.datasets import jsonl, slake, vqa_rad
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.reading import split_files, splitting
from discern_vqa.reading.splitting import SplitSettings, clusters_of, make
from discern_vqa.reading.stratify import assign, questions_by_kind

READERS = [name for name in registry.names("datasets") if name != "csv"]  # a spreadsheet's columns have to be named


@pytest.fixture
def chain(tmp_path):
    """The twelve samples."""
    return pictures.chain(tmp_path)


def joined(samples, by) -> set[frozenset[int]]:
    """The clusters of more than one sample, by place."""
    clusters = clusters_of(samples, by.split(","))
    groups = {number: frozenset(np.flatnonzero(np.array(clusters) == number).tolist()) for number in set(clusters)}
    return {group for group in groups.values() if len(group) > 1}


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("image", [{0, 1}, {3, 4}, {5, 6, 7}]),  # equal pixels, and what the data set groups
        ("near", [{0, 1, 2}, {3, 4}, {5, 6, 7}]),
        ("patient", [{0, 1}, {3, 4}, {5, 6, 7}]),
        ("study", [{0, 1}, {3, 4}, {5, 6, 7}]),
        ("near,patient", [{0, 1, 2}, {3, 4}, {5, 6, 7}]),
    ],
)
def test_what_hangs_together_is_one_cluster(chain, by, expected):
    assert joined(chain, by) == set(map(frozenset, expected))


def test_clusters_do_not_depend_on_the_order_of_the_samples(chain):
    mixed = random.Random(1).sample(chain, len(chain))
    numbers = dict(zip((row.id for row in mixed), clusters_of(mixed, ["near"]), strict=True))
    assert [numbers[row.id] for row in chain] == clusters_of(chain, ["near"])


@pytest.mark.parametrize("ways", [(), ("near",), ("patient",), ("near", "study")])
@pytest.mark.parametrize("field", ["patient", "study", "group", "twin"])
def test_known_ties_join_images_whatever_a_set_is_split_by(chain, ways, field):
    """Two images that nothing else joins; each of the ties alone has to."""
    rows = [dataclasses.replace(row, group="", patient="", study="") for row in chain]
    rows[10], rows[11] = (dataclasses.replace(rows[place], **{field: "shared"}) for place in (10, 11))
    for way in ("patient", "study"):  # named by somebody, or the split is refused
        rows[9] = dataclasses.replace(rows[9], **{way: "alone"})
    clusters = clusters_of(rows, ways)
    assert clusters[10] == clusters[11]
    assert clusters.count(clusters[10]) == 2


def test_splitting_by_what_nothing_names_is_refused(chain):
    plain = [dataclasses.replace(row, patient="", study="") for row in chain]
    with pytest.raises(DataError, match="no sample names its patient") as caught:
        clusters_of(plain, ["near", "patient"])
    assert "--by near" in caught.value.hint


@pytest.fixture
def set_of_40(tmp_path):
    """The folder of the set of forty pictures."""
    pictures.set_of_40(tmp_path / "set")
    return tmp_path / "set"


def test_a_split_by_near_keeps_copies_together_and_the_promised_shares(set_of_40, tmp_path):
    out = tmp_path / "split"
    (made,) = make(
        pictures.by_split(set_of_40), SplitSettings(by="near", test=0.2, validation=0.1), out, {"dataset": "jsonl"}
    )
    assert (made["clusters"], made["largest"]) == (20, 8)
    assert {part: counts["judged"] for part, counts in made["parts"].items()} == {
        "train": 56,
        "validation": 8,
        "test": 16,
    }
    dealt = split_files.read(jsonl, set_of_40, out, {})
    for one, images in pictures.sides(dealt).items():
        for other, others in pictures.sides(dealt).items():
            pairs = {int(name[:2]) // 2 for name in images} & {int(name[:2]) // 2 for name in others}
            assert one == other or {one, other} == {"train", "pretrain"} or not pairs
    assert all(row.split == part for part, rows in dealt.items() for row in rows)
    judged = [*dealt["test"], *dealt["validation"]]
    assert not any(row.is_caption or row.phrase_type == "frame" for row in judged)
    assert sum(row.is_caption for row in dealt["pretrain"]) == len(dealt["pretrain"]) == 28
    assert Counter(row.organ for row in dealt["test"]) == {"head": 8, "chest": 8}
    assert Counter(row.answer_type for row in dealt["test"]) == {"open": 8, "closed": 8}


def test_an_audit_finds_no_near_copy_across_such_a_split(set_of_40, tmp_path):
    samples = pictures.by_split(set_of_40)
    for by, expected in (("near", False), ("image", True)):
        make(samples, SplitSettings(by=by), tmp_path / by, {"dataset": "jsonl"})
        report = audit.audit(split_files.read(jsonl, set_of_40, tmp_path / by, {}))
        assert any(counts["images"] for counts in report["near"]["across"].values()) is expected


def test_folds_test_every_question_once(set_of_40, tmp_path):
    make(pictures.by_split(set_of_40), SplitSettings(by="near", folds=4), tmp_path / "f", {"dataset": "jsonl"})
    tested = []
    for fold in range(4):
        dealt = split_files.read(jsonl, set_of_40, tmp_path / "f" / f"fold{fold}", {})
        assert len(dealt["test"]) == 20
        assert dealt["validation"]
        tested += [row.id for row in dealt["test"]]
    asked = [
        row.id
        for rows in pictures.by_split(set_of_40).values()
        for row in rows
        if row.phrase_type == "freeform" and row.question
    ]
    assert sorted(tested) == sorted(asked)


def test_the_same_seed_gives_the_same_files_and_another_other_ones(set_of_40, tmp_path):
    samples = pictures.by_split(set_of_40)
    mixed = {split: random.Random(2).sample(rows, len(rows)) for split, rows in samples.items()}
    for name, rows, seed in (("a", samples, 0), ("b", mixed, 0), ("c", samples, 1)):
        make(rows, SplitSettings(seed=seed), tmp_path / name, {"dataset": "jsonl"})
    one, same, other = (set((tmp_path / name / split_files.ROWS).read_text().splitlines()) for name in "abc")
    assert one == same
    assert one != other


def test_a_set_that_hangs_together_cannot_be_split(set_of_40, tmp_path):
    there = pictures.by_split(set_of_40).items()
    whole = {split: [dataclasses.replace(row, group="g") for row in rows] for split, rows in there}
    with pytest.raises(
        DataError, match="validation would have no question: 1 clusters, the largest with 160 of the 160 samples"
    ) as caught:
        make(whole, SplitSettings(), tmp_path / "out", {"dataset": "jsonl"})
    assert "--validation 0" in caught.value.hint
    assert not (tmp_path / "out").exists()
    for wanted, hint in (
        (SplitSettings(by="image", validation=0), "add images"),
        (SplitSettings(by="image"), "--validation 0"),
        (SplitSettings(by="image", folds=50, validation=0), "into fewer folds (1 at most)"),
    ):
        alike = {split: [dataclasses.replace(row, image="one", group="g") for row in rows] for split, rows in there}
        with pytest.raises(DataError, match="would have no question") as caught:
            make(alike, wanted, tmp_path / "out", {"dataset": "jsonl"})
        assert hint in caught.value.hint
        assert "--by image" not in caught.value.hint
    named = {split: [dataclasses.replace(row, patient="p") for row in rows] for split, rows in there}
    with pytest.raises(DataError, match="would have no question") as caught:
        make(named, SplitSettings(by="patient"), tmp_path / "out", {"dataset": "jsonl"})
    assert "--by image" not in caught.value.hint, "the patient would stay together all the same"


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
            row = pictures.question(len(samples), "train", Path(f"{cluster}.png"), organ=f"o{kind}", answer_type="open")
            samples.append(row)
            clusters.append(cluster)
    counts = questions_by_kind(samples, clusters, len(sizes))
    assert counts[:, -1].sum() == len(samples)
    shares = {"train": 0.5, "validation": 0.2, "test": 0.3}
    dealt = assign(counts, shares, seed)
    for part, wanted in shares.items():
        have = counts[[one == part for one in dealt]].sum(axis=0)
        assert np.all(np.abs(have - wanted * counts.sum(axis=0)) <= 6)


def test_slake_split_by_near_has_no_near_pair_across(real_data, tmp_path):
    root = real_data("slake")
    samples = {split: slake.read(root, split) for split in slake.present(root)}
    (made,) = make(samples, SplitSettings(by="near"), tmp_path, {"dataset": "slake"})
    assert made["clusters"] == 428
    report = audit.audit(split_files.read(slake, root, tmp_path, {}))
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
    make(samples, SplitSettings(), tmp_path, {"dataset": "vqa_rad"})
    dealt = split_files.read(vqa_rad, root, tmp_path, {})
    assert not pictures.sides(dealt)["train"] & pictures.sides(dealt)["test"]
    assert all(row.phrase_type != "frame" for row in dealt["test"])
    assert any(row.phrase_type == "frame" for row in dealt["train"])
    assert len(dealt["test"]) == pytest.approx(0.2 * 2248, rel=0.03)


def test_a_split_is_wanted_that_leaves_something(tmp_path):
    for wrong in (
        {"by": "picture"},
        {"by": "near,picture"},
        {"by": ","},
        {"test": 0.0},
        {"test": 1.0},
        {"test": 0.6, "validation": 0.4},
        {"folds": 1},
    ):
        with pytest.raises(ConfigError):
            SplitSettings(**wrong)
    assert splitting.SplitSettings(folds=3, test=0.2, validation=0.9).folds == 3
