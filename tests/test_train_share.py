"""`[data] train_share`: a part of the images, the same for every seed, and nested."""

from pathlib import Path

import pytest

from discern_vqa.config import DataConfig
from discern_vqa.datasets import phantom
from discern_vqa.recipe_samples import Samples


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("share") / "phantoms"
    phantom.draw(folder, size=32, counts={"train": 40, "validation": 4, "test": 4}, workers=1)
    return folder


def images(root, share, seed=0):
    train, validation = Samples(DataConfig(dataset="phantom", train_share=share), root, seed).learning
    assert len({one.image for one in validation}) == 4, "validation stays whole"
    return {one.image for one in train}


def test_a_share_is_of_images_and_a_smaller_one_is_part_of_a_larger(root):
    found = {share: images(root, share) for share in (0.001, 0.1, 0.25, 0.5, 1.0)}
    assert [len(one) for one in found.values()] == [1, 4, 10, 20, 40]
    assert found[0.001] < found[0.1] < found[0.25] < found[0.5] < found[1.0]
    assert images(root, 0.25, seed=7) == found[0.25]


def test_an_image_keeps_all_its_questions_and_the_answer_table_is_whole(root):
    whole, _ = Samples(DataConfig(dataset="phantom"), root, 0).learning
    part, _ = Samples(DataConfig(dataset="phantom", train_share=0.25), root, 0).learning
    kept = {one.image for one in part}
    assert part == [one for one in whole if one.image in kept]
    assert Samples(DataConfig(dataset="phantom", train_share=0.25), root).vocabulary() == whole
