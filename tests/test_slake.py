"""SLAKE: the published counts, languages, boxes and masks, knowledge, and broken files."""

import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from discern_vqa.datasets import slake
from discern_vqa.errors import ConfigError, DataError, ImageError
from discern_vqa.imaging.regions import Region


@pytest.fixture
def tiny(tmp_path):
    """A tiny SLAKE and a function that changes one record of its training file."""
    slake.write_tiny(tmp_path)

    def change(item, **values):
        file = tmp_path / "train.json"
        rows = json.loads(file.read_text("utf-8"))
        rows[item - 1] |= values
        file.write_text(json.dumps(rows), "utf-8")

    return tmp_path, change


def test_slake_has_the_published_english_counts(real_data):
    root = real_data("slake")
    train, validation = slake.read(root, "train"), slake.read(root, "validation")
    assert len(train) == slake.PUBLISHED["train"] - 1
    assert slake.LEFT_OUT == {"train": "question 1622, about xmlab281, is published without an answer"}
    assert "1622" not in {row.id for row in train}
    assert len(validation) == slake.PUBLISHED["validation"]
    images = [{row.image for row in part} for part in (train, validation)]
    assert [len(part) for part in images] == [450, 96]
    assert not images[0] & images[1]
    assert [sum(row.answer_type == "closed" for row in part) for part in (train, validation)] == [1943, 422]
    assert {row.modality for row in train} == {"ct", "mri", "x-ray"}
    kinds = "ORGAN POSITION ABNORMALITY KG MODALITY SIZE PLANE QUANTITY COLOR SHAPE".split()
    assert {row.kind for row in train} == set(kinds)
    assert all(row.language == "en" for row in train)
    assert all((row.kind == "KG") == (row.extra["base_type"] == "kvqa") == ("triple" in row.extra) for row in train)
    assert not any("  " in row.answer for row in train)
    assert slake.present(root) == ("train", "validation")


def test_both_languages_of_slake_share_images_between_the_splits(real_data):
    root = real_data("slake")
    train, validation = (slake.read(root, split, language="both") for split in ("train", "validation"))
    assert (len(train), len(validation)) == (9042, 1969)
    assert len({row.image for row in train} & {row.image for row in validation}) == 130
    assert len(slake.read(root, "train", language="zh")) == 9043 - 4919


def test_the_regions_of_slake_are_those_of_its_boxes_and_masks(real_data):
    root = real_data("slake")
    overlaps = []
    images = sorted({row.image for split in slake.present(root) for row in slake.read(root, split)})
    for image in images[::12]:
        with Image.open(root / image) as picture:
            width, height = picture.size
        for region in slake.regions(root, image):
            assert region.boxes or region.mask
            if region.mask and region.boxes:
                inside = region.pixels(width, height)
                filled = Region(label="", is_finding=False, boxes=region.boxes).pixels(width, height)
                overlaps.append((inside & filled).sum() / inside.sum())
    assert len(overlaps) > 60
    assert np.median(overlaps) == 1.0
    assert np.mean(np.array(overlaps) > 0.9) > 0.85


def test_knowledge_of_slake_is_read_in_both_languages(real_data):
    english, chinese = (slake.knowledge(real_data("slake"), language) for language in ("en", "zh"))
    assert len(english) > 2500
    assert len(chinese) > 2500
    assert ("Skeleton", "belong to", "Motor System") in english
    with pytest.raises(ConfigError, match="no knowledge in 'de'"):
        slake.knowledge(real_data("slake"), "de")


def test_only_the_one_question_that_is_published_without_answer_is_passed_over(tiny):
    root, change = tiny
    change(3, qid=1622, img_id=281, answer="")
    assert [row.id for row in slake.read(root, "train")] == ["0", "3", "4", "5"]
    change(3, qid=1622, img_id=1)
    with pytest.raises(DataError, match="'answer' is empty"):
        slake.read(root, "train")


def test_a_language_is_chosen_and_english_is_the_default(tmp_path):
    slake.write_tiny(tmp_path)
    assert Counter(row.language for row in slake.read(tmp_path, "train")) == {"en": 5}
    assert [row.question for row in slake.read(tmp_path, "train", language="zh")] == ["肝脏在哪个位置?"]
    both = [slake.read(tmp_path, split, language="both") for split in ("train", "validation")]
    assert {row.image for row in both[0]} & {row.image for row in both[1]} == {"imgs/xmlab1/source.jpg"}
    with pytest.raises(ConfigError, match="no language 'fr'"):
        slake.read(tmp_path, "train", language="fr")


def test_slake_is_found_in_the_folder_above_and_under_the_hubs_file_name(tmp_path):
    slake.write_tiny(tmp_path / "Slake1.0")
    (tmp_path / "Slake1.0" / "validate.json").rename(tmp_path / "Slake1.0" / "validation.json")
    (row,) = slake.read(tmp_path, "validation")
    assert row.image == "Slake1.0/imgs/xmlab3/source.jpg"
    assert slake.present(tmp_path) == ("train", "validation", "test")
    (tmp_path / "Slake1.0" / "test.json").unlink()
    assert slake.present(tmp_path) == ("train", "validation")
    with pytest.raises(DataError, match="test.json is not there"):
        slake.read(tmp_path, "test")
    with pytest.raises(DataError, match="holds no SLAKE"):
        slake.present(tmp_path / "Slake1.0" / "imgs")


def test_the_regions_of_an_image_have_boxes_pixels_and_kinds(tmp_path):
    slake.write_tiny(tmp_path)
    liver, cancer = slake.regions(tmp_path, "imgs/xmlab1/source.jpg")
    assert (liver.label, liver.is_finding, liver.value) == ("Liver", False, 70)
    assert (cancer.label, cancer.is_finding, cancer.value) == ("Liver Cancer", True, 175)
    assert liver.pixels(48, 40).sum() == 20 * 12 - 16
    assert cancer.pixels(48, 40).sum() == 16
    assert not (liver.pixels(48, 40) & cancer.pixels(48, 40)).any()
    lung, mass = slake.regions(tmp_path, "imgs/xmlab2/source.jpg")
    assert (lung.mask, mass.mask, mass.is_finding) == (None, None, True)
    assert mass.boxes == ((30.0, 9.0, 5.0, 6.0), (31.0, 20.0, 4.0, 4.0))
    assert mass.pixels(48, 40).sum() == 30 + 16
    assert slake.regions(tmp_path, "imgs/xmlab3/source.jpg") == []
    with pytest.raises(DataError, match="has 48 x 40 pixels, its image 40 x 48"):
        liver.pixels(40, 48)


def test_a_sample_of_slake_carries_boxes_triple_and_the_place_of_its_masks(tmp_path):
    slake.write_tiny(tmp_path)
    rows = {row.id: row for row in slake.read(tmp_path, "train")}
    assert rows["0"].extra == {
        "base_type": "vqa",
        "boxes": [
            {"label": "Liver", "box": [4.0, 6.0, 20.0, 12.0]},
            {"label": "Liver Cancer", "box": [6.0, 8.0, 4.0, 4.0]},
        ],
        "label_map": "imgs/xmlab1/mask.png",
    }
    assert rows["5"].extra["triple"] == ["vhead", "effect", "ktail"]
    assert "label_map" not in rows["5"].extra
    assert rows["2"].answer == "Liver Cancer"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"q_lang": "fr"}, "'q_lang' is 'fr'; expected en or zh"),
        ({"answer": ""}, "'answer' is empty"),
        ({"answer": float("nan")}, "'answer' is a number (nan); expected text"),
        ({"triple": ["vhead"]}, "'triple' is ['vhead']; expected three texts"),
        ({"img_name": "../../etc/passwd"}, "leads out of the data set's folder"),
        ({"img_name": "xmlab9/source.jpg"}, "the image 'imgs/xmlab9/source.jpg' is not there"),
        ({"img_name": "a" * 5000}, "is not there"),
        ({"qid": 1}, "the id '1' was used before"),
    ],
)
def test_a_broken_record_of_slake_stops_with_its_item(tiny, values, message):
    root, change = tiny
    change(3, **values)
    with pytest.raises(DataError, match="^train.json:item 3: ") as caught:
        slake.read(root, "train", language="both")
    assert message in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"Liver": [1, 2, 3]}]', r"xmlab1/detection.json:item 1: the box of 'Liver' is \[1, 2, 3\]"),
        ('[{"Liver": [1, 2, 3, 0]}]', r"expected \[x, y, width, height\]"),
        ('[{"Liver": [1, 2, 3, NaN]}]', r"expected \[x, y, width, height\]"),
        ('[{"Liver": [1, 2, true, 4]}]', r"expected \[x, y, width, height\]"),
        ("[[1]]", "the record is a list"),
        ("{", "broken JSON"),
    ],
)
def test_broken_boxes_of_slake_stop_with_file_and_item(tmp_path, content, message):
    slake.write_tiny(tmp_path)
    (tmp_path / "imgs" / "xmlab1" / "detection.json").write_text(content)
    with pytest.raises(DataError, match=message):
        slake.read(tmp_path, "train")
    with pytest.raises(DataError, match=message):
        slake.regions(tmp_path, "imgs/xmlab1/source.jpg")


def test_masks_that_nobody_can_read_are_said(tmp_path):
    slake.write_tiny(tmp_path)
    (tmp_path / "mask.txt").write_text("70:Liver\n\n")
    with pytest.raises(DataError, match="has the grey value 175, which mask.txt does not name"):
        slake.regions(tmp_path, "imgs/xmlab1/source.jpg")
    for line in ("Liver", "300000:Liver", "70:", "-1:Liver"):
        (tmp_path / "mask.txt").write_text(f"175:Liver Cancer\n{line}\n")
        with pytest.raises(DataError, match="^mask.txt:2: .*expected value:label"):
            slake.regions(tmp_path, "imgs/xmlab1/source.jpg")
    (tmp_path / "mask.txt").write_text("70:Liver\n175:Liver Cancer")
    (tmp_path / "imgs" / "xmlab1" / "mask.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(ImageError):
        slake.regions(tmp_path, "imgs/xmlab1/source.jpg")


def test_broken_knowledge_stops_with_its_line(tmp_path):
    slake.write_tiny(tmp_path)
    assert ("脑水肿", "描述", "一种, 罕见") in slake.knowledge(tmp_path, "zh")
    (tmp_path / "KG" / "en_organ.csv").write_text("organ#attribute#value\nLiver#function\n")
    with pytest.raises(DataError, match=r"^en_organ.csv:2: .*expected head, relation, tail"):
        slake.knowledge(tmp_path)
