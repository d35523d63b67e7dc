"""The audit of images: copies and neighbours across splits, another data set, and real sets' known flaws."""

import dataclasses
import json

import numpy as np
import pytest
from _pictures import picture, question, save
from PIL import Image, ImageOps

from discern_vqa import audit
from discern_vqa.audit.near import gap
from discern_vqa.datasets import slake, vqa_med_2019, vqa_rad


@pytest.fixture
def clean(tmp_path):
    """Eight questions about eight images, four in each split."""
    samples = {}
    for place, split in enumerate(("train", "test")):
        paths = [save(tmp_path, f"{split}{number}.png", picture(10 * place + number)) for number in range(4)]
        samples[split] = [question(number, split, path) for number, path in enumerate(paths)]
    return samples


def across(samples, **options) -> dict:
    return audit.audit(samples, **options)["near"]["across"]["test in train"]


def test_a_clean_set_has_no_flaw(clean):
    report = audit.audit(clean)
    assert report["flaws"] == 0
    assert report["near"]["pairs"] == 0
    assert audit.as_text(report).startswith("Verdict\n  - No flaw was found.\n\nNotes")


def test_a_copy_with_another_codec_is_found_and_its_answers_with_it(clean):
    save(clean["test"][1].path.parent, "test1.png", picture(2).resize((60, 60)))
    same = dataclasses.replace(clean["test"][1], question="Question 2?")
    report = audit.audit(clean | {"test": [*clean["test"], dataclasses.replace(same, id="more", answer="no"), same]})
    found = report["near"]["across"]["test in train"]
    assert (found["images"], found["of_images"], found["questions"]) == (1, 4, 3)
    assert (found["asked"], found["answered"]) == (2, 1)
    (pair,) = found["pairs"]
    assert (pair["image"], pair["other"]) == ("test1.png", "train2.png")
    assert 0.95 < pair["likeness"] <= 1
    assert "1 of 4 test images are nearly identical to another image in train" in report["verdict"][0]
    assert report["images"]["shared"]["test in train"]["by_name_or_pixels"] == 0


def test_an_image_that_train_has_itself_is_shared_and_not_near(clean):
    save(clean["test"][1].path.parent, "test1.png", picture(2))
    save(clean["train"][3].path.parent, "train3.png", picture(2).resize((60, 60)))
    report = audit.audit(clean)
    assert report["near"]["across"]["test in train"]["images"] == 0
    assert report["near"]["pairs"] == 1
    assert report["near"]["within"][0]["image"] == "train2.png"


def test_equal_pixels_in_another_format_are_shared_under_another_name(clean):
    path = save(clean["test"][1].path.parent, "test1.bmp", picture(2).convert("RGB"))
    samples = clean | {"test": [dataclasses.replace(clean["test"][0], image="test1.bmp", path=path)]}
    report = audit.audit(samples)
    shared = report["images"]["shared"]["test in train"]
    assert (shared["by_name"], shared["by_name_or_content"], shared["by_name_or_pixels"]) == (0, 0, 1)
    assert report["images"]["same_pixels"] == [["test1.bmp", "train2.png"]]
    assert "1 of them under another name" in report["verdict"][0]


def test_patients_and_studies_on_both_sides_are_found(clean):
    rows = [dataclasses.replace(clean["train"][0], patient="p1", study="s1")]
    asked = [
        dataclasses.replace(clean["test"][0], patient="p1", study="s2"),
        dataclasses.replace(clean["test"][1], patient="p1", study="s1"),
    ]
    report = audit.audit({"train": rows, "test": asked})
    shared = report["images"]["shared"]["test in train"]
    assert (shared["by_patient"], shared["by_study"]) == (2, 1)
    said = "\n".join(report["verdict"])
    assert "2 of 2 test questions are about a patient that train has too" in said
    assert "1 of 2 test questions are about a study that train has too" in said


def test_a_blank_image_is_named(clean):
    save(clean["train"][0].path.parent, "train0.png", Image.new("L", (40, 40), 9))
    report = audit.audit(clean)
    assert report["images"]["blank"] == ["train0.png"]
    assert "1 images show one even area and nothing else, e.g. train0.png" in "\n".join(report["verdict"])


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ("imgs/xmlab7/source.jpg", "imgs/xmlab12/source.jpg", 5),
        ("synpic22685.jpg", "synpic22684.jpg", 1),
        ("a1_2.png", "a3_4.png", None),
        ("a.png", "b.png", None),
        ("a1.png", "a1.jpg", None),
        ("a1.png", "a1.png", None),
    ],
)
def test_file_numbers_are_compared_where_nothing_else_differs(one, other, apart):
    assert gap(one, other) == apart


def test_another_set_is_searched_for_the_same_pictures(clean, tmp_path):
    there = tmp_path / "other"
    drawn = [picture(2), picture(10).resize((70, 50)), ImageOps.expand(picture(11), 10, 255), picture(99)]
    paths = [save(there, f"o{number}.png", one) for number, one in enumerate(drawn)]
    copied = there / "copy.png"
    copied.write_bytes(clean["train"][0].path.read_bytes())
    other = {"test": [question(number, "test", path) for number, path in enumerate([*paths, copied])]}
    report = audit.audit(clean, against=("theirs", other))
    found = report["against"]
    assert {entry["image"]: (entry["other"], entry["how"]) for entry in found["images"]} == {
        "train0.png": ("copy.png", "bytes"),
        "train2.png": ("o0.png", "bytes"),
        "test0.png": ("o1.png", "near"),
        "test1.png": ("o2.png", "near"),
    }
    assert (found["by_bytes"], found["by_pixels"], found["near"], found["samples"]) == (2, 0, 2, 4)
    assert found["by_split"] == {"test": 4}
    assert found["exclude"] == ["test0.png", "test1.png", "train0.png", "train2.png"]
    assert "4 of 8 images (4 of 8 samples) are in theirs too (4 of its test)" in "\n".join(report["verdict"])


def test_languages_that_divide_the_images_differently_are_found(clean):
    def speak(rows, language):
        return [dataclasses.replace(row, language=language, id=f"{language}-{row.id}") for row in rows]

    agreed = {split: speak(rows, "en") + speak(rows, "zh") for split, rows in clean.items()}
    assert audit.audit(agreed)["languages"]["conflicts"] == []
    crossed = {
        "train": speak(clean["train"], "en") + speak(clean["test"][:1], "zh"),
        "test": speak(clean["test"], "en") + speak(clean["train"][:3], "zh"),
    }
    conflicts = audit.audit(crossed)["languages"]["conflicts"]
    assert [(one["language"], one["other"], one["images"], one["of_images"]) for one in conflicts] == [
        ("en", "zh", 1, 4),
        ("zh", "en", 3, 3),
    ]


def test_an_encoder_sees_what_thumbnails_do_not(clean, monkeypatch):
    import torch

    from discern_vqa.nn import encoders

    class Halves(torch.nn.Module):
        """States that know which half is brighter, so that an image and its upside-down are one."""

        size = 32

        def states(self, image):
            rows = image.mean(1).mean(2)  # (U, 32)
            return torch.stack([rows + rows.flip(1), rows * rows.flip(1)], dim=1)[:, :1]

    save(clean["test"][1].path.parent, "test1.png", ImageOps.flip(picture(2)))
    monkeypatch.setattr(encoders, "image_encoder", lambda config, d, folder: Halves())
    monkeypatch.setattr("discern_vqa.paths.find_weights", lambda name: None)
    report = audit.audit(clean, encoder="halves")
    assert across(clean)["images"] == 0
    (pair,) = [one for one in report["encoder"]["across"]["test in train"]["pairs"] if one["image"] == "test1.png"]
    assert pair["other"] == "train2.png"
    assert pair["cosine"] > 0.99
    assert "by the features of halves" in "\n".join(report["verdict"])


@pytest.fixture(scope="module")
def of_slake(real_data):
    root = real_data("slake")
    samples = {split: slake.read(root, split) for split in slake.present(root)}
    tables = ("lookup", "thumbnail")
    return audit.audit(samples, published=slake.PUBLISHED, left_out=slake.LEFT_OUT, tables=tables)


def test_slakes_english_images_are_disjoint_but_a_quarter_has_a_neighbour_in_train(of_slake):
    shared = of_slake["images"]["shared"]["validation in train"]
    assert (shared["images"], shared["by_name_or_pixels"]) == (96, 0)
    assert of_slake["counts"]["train"]["images"] == 450
    found = of_slake["near"]["across"]["validation in train"]
    assert (found["images"], found["grey"], found["numbered"]) == (28, 20, 27)
    assert len(found["pairs"]) == 28


def test_slakes_records_and_tables_are_as_measured(of_slake):
    counts = {"read": 4918, "captions": False, "published": 4919, "left_out": slake.LEFT_OUT["train"]}
    assert of_slake["records"]["splits"]["train"] == counts
    said = "\n".join(of_slake["verdict"][of_slake["flaws"] :])
    assert "train has 4,918 of the 4,919 published questions: question 1622, about xmlab281, is published" in said
    assert "test (1,061 published questions) is not here" in said
    tables = of_slake["baselines"]["validation"]
    assert tables["thumbnail"]["accuracy"] == pytest.approx(0.795, abs=0.01)
    assert tables["lookup"]["accuracy"] == pytest.approx(0.498, abs=0.01)
    low, high = tables["thumbnail"]["ci95"]
    assert 0.75 < low < tables["thumbnail"]["accuracy"] < high < 0.84


def test_slakes_languages_divide_its_images_differently(real_data):
    root = real_data("slake")
    samples = {split: slake.read(root, split, language="both") for split in slake.present(root)}
    report = audit.audit(samples)
    conflicts = {
        (one["judged"], one["language"], one["other"]): one["images"] for one in report["languages"]["conflicts"]
    }
    shared = report["images"]["shared"]["validation in train"]["by_name"]
    assert set(conflicts) == {("validation", "en", "zh"), ("validation", "zh", "en")}
    assert sum(conflicts.values()) == shared > 100
    assert "the languages have different splits" in "\n".join(report["verdict"])


def test_at_least_forty_of_vqa_meds_images_that_vqa_rad_has_are_found(real_data):
    med, rad = real_data("vqa_med_2019"), real_data("vqa_rad")
    ours = {"train": vqa_med_2019.read(med, "train", exclude="")}
    theirs = {split: vqa_rad.read(rad, split) for split in vqa_rad.SPLITS}
    found = audit.audit(ours, against=("vqa_rad", theirs))["against"]
    listed = next(iter(json.loads((med / vqa_med_2019.OVERLAP).read_text()).values()))
    pairs = {(entry["image"].rpartition("/")[2], entry["other"].rpartition("/")[2]) for entry in found["images"]}
    right = {(image, other) for image, others in listed.items() for other in others}
    assert len(pairs & right) >= 40
    assert len(pairs - right) <= 3  # neighbouring slices that the list does not have, or false alarms
    assert np.mean([entry["likeness"] > 0.98 for entry in found["images"]]) > 0.6
