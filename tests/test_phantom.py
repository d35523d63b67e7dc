"""The phantom set as drawn: the same everywhere, twins that differ within their masks, sizes, splits, mistakes."""

import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from discern_vqa.data.sample import Sample
from discern_vqa.datasets import phantom
from discern_vqa.datasets.phantom import anatomy, drawing, sheet
from discern_vqa.datasets.phantom.findings import Case, kinds
from discern_vqa.errors import DataError

COUNTS = {"pretrain": 30, "train": 30, "validation": 6, "test": 90}
SIZE = 64


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    phantom.draw(folder, counts=COUNTS, size=SIZE, seed=3, workers=2)
    return folder


@pytest.fixture(scope="module")
def samples(root) -> list[Sample]:
    return [sample for split in phantom.SPLITS for sample in phantom.read(root, split)]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def test_the_same_seed_draws_the_same_bytes_with_any_number_of_workers(tmp_path):
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        phantom.draw(folder, counts={"train": 60, "test": 12}, size=32, seed=5, workers=workers)
    assert content(tmp_path / "1") == content(tmp_path / "2")
    phantom.draw(tmp_path / "other", counts={"train": 60, "test": 12}, size=32, seed=6, workers=1)
    assert content(tmp_path / "1") != content(tmp_path / "other")


def test_a_split_does_not_change_when_another_grows():
    small = anatomy.plan({"train": 6, "test": 9}, 0, 64, 1 / 3)
    large = anatomy.plan({"train": 50, "test": 9}, 0, 64, 1 / 3)
    assert [unit for unit in small if unit.split == "test"] == [unit for unit in large if unit.split == "test"]


def test_as_many_images_as_asked_for_and_all_of_the_stated_size(root, samples):
    images = {split: {sample.image for sample in samples if sample.split == split} for split in COUNTS}
    assert {split: len(names) for split, names in images.items()} == COUNTS
    for name in set().union(*images.values()):
        with Image.open(root / name) as picture:
            assert (picture.size, picture.mode) == ((SIZE, SIZE), "L")


def test_no_image_is_empty_or_saturated(root, samples):
    for name in {sample.image for sample in samples}:
        picture = pixels(root / name)
        assert 15 < picture.mean() < 200, name
        assert picture.std() > 25, name


def test_splits_share_no_anatomy(samples):
    splits = defaultdict(set)
    for sample in samples:
        splits[sample.group].add(sample.split)
    assert all(len(found) == 1 for found in splits.values())


def test_twins_are_two_images_of_one_anatomy_with_one_question_and_two_answers(samples):
    twins = defaultdict(list)
    for sample in samples:
        if sample.twin:
            twins[sample.twin].append(sample)
    assert len(twins) >= 25
    for pair in twins.values():
        first, second = pair
        assert first.image != second.image
        assert first.question == second.question
        assert first.answer != second.answer
        assert (first.group, first.split, first.question_type) == (second.group, second.split, second.question_type)


def test_about_a_third_of_the_images_belong_to_a_pair_and_every_pair_is_asked(samples):
    test = [sample for sample in samples if sample.split == "test"]
    paired = {sample.image for sample in test if sample.image.endswith(("a.png", "b.png"))}
    assert 0.25 < len(paired) / COUNTS["test"] < 0.40
    assert {sample.image for sample in test if sample.twin} == paired


def test_twin_images_differ_within_their_masks_and_nowhere_else(root):
    cases = [json.loads(line) for line in (root / "cases.jsonl").read_text("utf-8").splitlines()]
    groups = defaultdict(list)
    for case in cases:
        groups[case["group"]].append(case)
    pairs = [pair for pair in groups.values() if len(pair) == 2]
    assert len(pairs) >= 20
    for first, second in pairs:
        changed_pixels = np.abs(pixels(root / first["image"]) - pixels(root / second["image"])) > 8
        masks = {name: union(root, case) for name, case in (("first", first), ("second", second))}
        near = ndimage.binary_dilation(masks["first"] | masks["second"], iterations=6)
        assert changed_pixels.any(), first["image"]
        assert not (changed_pixels & ~near).any(), (first["image"], first["findings"], second["findings"])


def union(root: Path, case: dict) -> np.ndarray:
    empty = np.zeros((SIZE, SIZE), bool)
    return np.logical_or.reduce([empty, *(pixels(root / name) > 0 for name in case["masks"].values())])


def test_every_finding_leaves_a_visible_mark_in_its_mask():
    """Removing a finding changes its mask's pixels by more than the noise."""
    seen = Counter()
    for unit in anatomy.plan({"train": 240}, 1, 96, 0.0):
        (case,), exposure = anatomy.invent(unit)
        if len(case.findings) != 1:
            continue
        image, masks = anatomy.render(unit, case, exposure)
        plain, _ = anatomy.render(unit, Case(**{**vars(case), "findings": ()}), exposure)
        (name,) = masks
        assert masks[name].sum() >= 4, (name, unit.group)
        change = np.abs(image.astype(int) - plain)[masks[name]].mean()
        assert change > 6, (name, unit.group, change)
        seen[name] += 1
    assert len(seen) == len({kind.name for region in ("chest", "abdomen") for kind in kinds(region, "ct")}) + 5


def test_a_mask_lies_on_the_side_that_the_answer_names(root, samples):
    checked = 0
    for sample in samples:
        if (
            sample.question.startswith(("On which side is the", "Which side shows the"))
            and "pacemaker" not in sample.question
        ):
            columns = np.nonzero(pixels(root / sample.mask))[1]
            on_the_right_of_the_image = columns.mean() > SIZE / 2
            assert on_the_right_of_the_image == (sample.answer == "left"), sample
            checked += 1
    assert checked >= 10


def test_masks_belong_to_questions_that_a_present_finding_answers(root, samples):
    for sample in samples:
        if sample.mask:
            assert pixels(root / sample.mask).any()
        if sample.kind in ("POS", "COUNT") or (sample.kind == "PRES" and sample.answer == "yes"):
            assert sample.mask, sample
        if sample.kind == "PRES" and sample.answer == "no":
            assert not sample.mask, sample


def test_captions_are_in_pretrain_only_one_per_image(samples):
    captions = [sample for sample in samples if sample.is_caption]
    assert {sample.split for sample in captions} == {"pretrain"}
    assert Counter(sample.image for sample in captions) == Counter({sample.image for sample in captions})
    assert len(captions) == COUNTS["pretrain"]
    assert len({sample.caption for sample in captions}) > 0.8 * len(captions)


def test_regions_are_drawn_in_equal_shares_and_unknown_ones_refused(tmp_path):
    phantom.draw(tmp_path / "set", counts={"test": 9}, size=32, regions=("chest", "abdomen"), twins=0.0)
    assert Counter(
        sample.organ for sample in {s.image: s for s in phantom.read(tmp_path / "set", "test")}.values()
    ) == {
        "chest": 5,
        "abdomen": 4,
    }
    with pytest.raises(DataError, match="another phantom set .*regions"):
        phantom.draw(tmp_path / "set", counts={"test": 9}, size=32, twins=0.0)
    for wrong in (("knee",), ()):
        with pytest.raises(DataError, match="regions = "):
            phantom.draw(tmp_path / "none", counts={"test": 9}, regions=wrong)


@pytest.mark.parametrize("size", [48, 100, 224])
def test_geometry_scales_with_the_size_of_the_image(size):
    unit = anatomy.plan({"test": 30}, 0, size, 0.0)[5]
    (case,), exposure = anatomy.invent(unit)
    image, _ = anatomy.render(unit, case, exposure)
    assert image.shape == (size, size)
    reference, _ = anatomy.render(anatomy.plan({"test": 30}, 0, 64, 0.0)[5], case, exposure)
    thumbnail, expected = (np.asarray(Image.fromarray(one).resize((16, 16), 4)).ravel() for one in (image, reference))
    assert np.corrcoef(thumbnail, expected)[0, 1] > 0.98


def test_a_folder_without_phantoms_says_how_to_draw_them(tmp_path):
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(DataError, match="holds no phantom set") as caught:
            phantom.read(folder, "train")
        assert caught.value.hint == f"discern data draw phantom {folder}"
    with pytest.raises(DataError, match="cases.jsonl does not exist"):
        phantom.contact_sheet(tmp_path, "test", tmp_path / "sheet.png")


def test_drawing_refuses_a_folder_that_holds_something_else(tmp_path):
    phantom.write_tiny(tmp_path / "tiny")
    before = content(tmp_path / "tiny")
    with pytest.raises(DataError, match="already holds another phantom set .*seed 0 instead of 1"):
        phantom.draw(tmp_path / "tiny", images=4, size=32, seed=1)
    phantom.write_tiny(tmp_path / "tiny")  # the very same set may be drawn again
    assert content(tmp_path / "tiny") == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "samples.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="holds a data set other than a phantom set"):
        phantom.draw(tmp_path / "mine", images=4, size=32)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"size": 8}, "a phantom of 8 pixels"),
        ({"twins": 1.5}, "`twins` = 1.5"),
        ({"counts": {"trian": 3}}, "no split 'trian'"),
        ({"counts": {"train": -3}}, "-3 images"),
        ({"splits": {"train": 0.0}}, "no image"),
        ({"images": 0}, "no image"),
        ({"seed": -1}, "a seed of -1"),
    ],
)
def test_impossible_wishes_are_refused_before_anything_is_written(tmp_path, wrong, said):
    with pytest.raises(DataError, match=said):
        phantom.draw(tmp_path / "set", **wrong)
    assert not (tmp_path / "set").exists()


def test_images_are_shared_out_over_the_splits():
    assert drawing.shared_out(1200, None) == {"pretrain": 600, "train": 300, "validation": 60, "test": 240}
    assert drawing.shared_out(10, {"train": 2, "test": 1}) == {"train": 7, "test": 3}


def test_a_contact_sheet_shows_what_is_on_each_image(root, tmp_path):
    phantom.contact_sheet(root, "test", tmp_path / "sheet.png", columns=3, rows=2, outline=True)
    page = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert page.shape[1] > 3 * 256
    assert (page[..., 0].astype(int) - page[..., 1] > 150).any()  # outlines are red
    case = {"sequence": "ct", "contrast": True, "findings": []}
    assert sheet.describe(case) == "ct + contrast: normal"
