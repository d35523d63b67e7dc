"""The audit: it finds what is known to be wrong with VQA-RAD, each flaw in a small set, and nothing in a clean one."""

import dataclasses
import json
import shutil
import subprocess
import sys

import pytest

from discern_vqa import audit
from discern_vqa.audit import records
from discern_vqa.audit.inputs import AuditInputs
from discern_vqa.data.sample import Sample
from discern_vqa.datasets import jsonl, slake, vqa_rad
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.reading.image_files import tiny_image


@pytest.fixture
def clean(tmp_path):
    """A set without flaws: other images and the same answers in every split."""
    samples = {}
    for place, split in enumerate(("train", "test")):
        rows = []
        for number in range(4):
            image = f"{split}{number}.png"
            tiny_image(tmp_path / image, 10 * place + number)
            rows.append(
                Sample(
                    id=f"{split}-{number}",
                    split=split,
                    image=image,
                    path=tmp_path / image,
                    question=f"Question {number}?",
                    answer=["yes", "no", "axial", "liver"][(number + place) % 4],
                    answer_type="closed" if (number + place) % 4 < 2 else "open",
                    question_type=("PRES",),
                    source=f"samples.jsonl:{number}",
                )
            )
        samples[split] = rows
    return samples


def changed(samples, split, place, **fields):
    rows = list(samples[split])
    rows[place] = dataclasses.replace(rows[place], **fields)
    return samples | {split: rows}


def verdict(samples, **options) -> str:
    return "\n".join(audit.audit(samples, **options)["verdict"])


@pytest.fixture(scope="module")
def of_vqa_rad(real_data):
    root = real_data("vqa_rad")
    return audit.audit({split: vqa_rad.read(root, split) for split in vqa_rad.SPLITS})


def test_vqa_rad_shares_all_its_test_images_with_train(of_vqa_rad):
    shared = of_vqa_rad["images"]["shared"]["test in train"]
    assert (shared["by_name"], shared["by_name_or_content"], shared["images"]) == (203, 203, 203)
    assert (shared["samples"], shared["of_samples"]) == (451, 451)
    assert of_vqa_rad["images"]["missing"] == of_vqa_rad["images"]["unreadable"] == []


def test_vqa_rad_has_rephrasings_of_two_thirds_of_its_test_questions_in_train(of_vqa_rad):
    found = of_vqa_rad["rephrasings"]["test"]
    assert found["frames_in_train"] == 1267
    assert (found["through_frames"], found["through_others"]) == (295, 71)
    assert (found["open_through_frames"], found["open_through_others"], found["open_questions"]) == (103, 3, 179)
    assert found["answer_only_through_frames"] == 68
    assert found["share"] == 0.6541


def test_vqa_rads_train_answers_cover_nine_tenths_of_its_test_answers(of_vqa_rad):
    found = of_vqa_rad["answers"]["test"]["normalisers"]
    assert {name: (counts["vocabulary"], counts["covered"]) for name, counts in found.items()} == {
        "none": (514, 403),
        "plain": (474, 404),
        "lower": (476, 404),
        "m3ae": (461, 407),
        "mevf": (458, 408),
    }


def test_vqa_rad_is_answered_to_a_third_without_looking(of_vqa_rad):
    found = of_vqa_rad["priors"]["test"]
    assert found["majority"] == {"correct": 144, "accuracy": 0.3193}
    assert found["answers"] == {"closed": "No", "open": "Axial"}
    assert 0.32 < found["same_question"]["accuracy"] < 0.35
    assert 80 <= found["questions_seen"] <= 100


def test_vqa_rad_names_a_side_in_a_sixth_of_its_questions(of_vqa_rad):
    test, train = (of_vqa_rad["sides"][split] for split in ("test", "train"))
    assert (test["questions"], test["with_side"], test["in_letters"]) == (451, 72, 4)
    assert (train["questions"], train["with_side"], train["in_letters"]) == (3064, 512, 24)


def test_the_verdict_on_vqa_rad_says_it_in_plain_words(of_vqa_rad):
    said = "\n".join(of_vqa_rad["verdict"])
    for part in (
        "203 of 203 test images are also in train",
        "295 of 451 (65 %) test questions have a template re-phrasing in train",
        "44 of 451 test questions have an answer that train does not have",
        "do not mirror images",
        "different answers",
    ):
        assert part in said


def test_a_report_is_json_and_readable_text(of_vqa_rad):
    assert json.loads(json.dumps(of_vqa_rad)) == of_vqa_rad
    text = audit.as_text(of_vqa_rad)
    assert text.startswith("Verdict\n  - ")
    assert "test in train: 203 of 203 images (203 by name)" in text
    assert all(module.TITLE in text for module in audit.CHECKS.values())
    assert max(map(len, text.splitlines())) <= 120


def test_nothing_is_said_about_a_clean_set_but_its_size(clean):
    told = {split: [dataclasses.replace(row, language="en") for row in rows] for split, rows in clean.items()}
    said = audit.audit(told)["verdict"]
    assert len(said) == 1
    assert said[0].startswith("test has 4 questions about 4 images")


def test_a_copy_under_another_name_is_found_by_its_content(clean):
    shutil.copy(clean["train"][2].path, clean["test"][1].path)
    report = audit.audit(clean)
    shared = report["images"]["shared"]["test in train"]
    assert (shared["by_name"], shared["by_name_or_content"], shared["samples"]) == (0, 1, 1)
    assert report["images"]["same_bytes"] == [["test1.png", "train2.png"]]
    assert "1 of 4 test images are also in train" in "\n".join(report["verdict"])


def test_a_patient_on_both_sides_is_found_where_the_images_differ(clean):
    samples = changed(changed(clean, "train", 0, group="p1"), "test", 3, group="p1")
    assert "1 of 4 test questions are about a patient or case that train has too" in verdict(samples)


def test_missing_and_broken_image_files_are_named(clean):
    clean["train"][0].path.unlink()
    clean["test"][0].path.write_bytes(b"no image")
    report = audit.audit(clean)
    assert report["images"]["missing"] == ["train0.png"]
    assert [entry["image"] for entry in report["images"]["unreadable"]] == ["test0.png"]
    said = "\n".join(report["verdict"])
    assert "1 image files are missing, the first: train0.png" in said
    assert "is no image that can be read" in said
    assert "test0.png" in audit.as_text(report)


def test_a_rephrased_test_question_is_found(clean):
    asked = clean["test"][0]
    frame = dataclasses.replace(asked, id="f", split="train", question="In other words?", phrase_type="frame")
    samples = clean | {"train": [*clean["train"], frame]}
    assert audit.audit(samples)["rephrasings"]["test"]["through_frames"] == 1
    assert "1 of 4 (25 %) test questions have a template re-phrasing in train" in verdict(samples)
    other_answer = clean | {"train": [*clean["train"], dataclasses.replace(frame, answer="something else")]}
    assert audit.audit(other_answer)["rephrasings"]["test"]["through_frames"] == 0


def test_repetitions_and_contradictions_are_found_within_and_across_splits(clean):
    row = clean["train"][0]
    samples = clean | {
        "train": [*clean["train"], dataclasses.replace(row, id="again", answer=row.answer.upper())],
        "test": [*clean["test"], dataclasses.replace(row, id="against", split="test", answer="never")],
    }
    found = audit.audit(samples)["repetitions"]
    assert found["splits"]["train"]["repeated_rows"] == 1
    assert found["splits"]["train"]["conflicting_questions"] == 0
    assert found["all"]["conflicting_questions"] == 1
    assert found["all"]["conflicts"][0]["answers"] == ["yes", "YES", "never"]
    assert "1 rows of train repeat" in verdict(samples)
    assert "with different answers, e.g. 'Question 0?': yes / YES / never" in verdict(samples)


def test_an_answer_that_only_test_has_lowers_the_ceiling(clean):
    samples = changed(clean, "test", 2, answer="Spleen")
    assert audit.audit(samples)["answers"]["test"]["examples"] == ["Spleen"]
    assert "reaches at most 75.0 %" in verdict(samples)
    same = changed(clean, "test", 2, answer="The liver.")
    assert audit.audit(same)["answers"]["test"]["only_here"] == 0
    assert audit.audit(same, normalise="lower")["answers"]["test"]["only_here"] == 1


def test_the_words_of_the_question_alone_are_tried(clean):
    samples = {split: [dataclasses.replace(row, answer=row.question) for row in rows] for split, rows in clean.items()}
    found = audit.audit(samples)["priors"]["test"]
    assert found["same_question"] == {"correct": 4, "accuracy": 1.0}
    assert "the words of the question alone answer 100 % of test" in verdict(samples)


def test_captions_and_sets_without_test_are_audited_too(tmp_path):
    jsonl.write_tiny(tmp_path)
    samples = {split: jsonl.read(tmp_path, split) for split in jsonl.SPLITS}
    report = audit.audit(samples)
    assert report["counts"]["pretrain"]["captions"] == 1
    assert set(report["answers"]) == {"test", "validation"}
    alone = audit.audit({"pretrain": samples["pretrain"], "train": []})
    assert alone["answers"] == {}
    assert "pretrain: 1 captions read" in audit.as_text(alone)
    assert "Contents" in audit.as_text(alone)
    assert "No flaw was found" in audit.as_text(alone)


def test_a_published_question_that_is_not_read_is_told_with_the_reason_where_it_is_known(clean):
    read, many = len(clean["train"]), [clean["train"][0]] * 4918
    found = records.check(AuditInputs({"train": many}, "m3ae", None, {"train": 4919}, slake.LEFT_OUT))
    (said,) = records.notes(found)
    assert said == f"train has 4,918 of the 4,919 published questions: {slake.LEFT_OUT['train']}."
    (plain,) = records.notes(records.check(AuditInputs({"train": many}, "m3ae", None, {"train": 4919})))
    assert plain == "train has 4,918 of the 4,919 published questions."
    whole = audit.audit(clean, published={"train": read, "test": 4}, left_out={"train": "nothing"})
    assert whole["records"]["splits"]["train"] == {
        "read": read, "captions": False, "published": read, "left_out": "nothing",
    }  # fmt: skip
    assert not [one for one in whole["verdict"] if "published" in one]


def test_nothing_to_audit_and_an_unknown_normaliser_are_refused(clean):
    with pytest.raises(DataError, match="nothing to audit"):
        audit.audit({"train": [], "test": []})
    with pytest.raises(DataError, match="no split has a sample; of 2 broken records the first: a.json:1: no image"):
        audit.audit({"train": []}, broken=["a.json:1: no image", "a.json:2: no image"])
    with pytest.raises(ConfigError, match="no answer normaliser 'm4ae'"):
        audit.audit(clean, normalise="m4ae")


def test_the_audit_does_not_wake_torch():
    code = "import sys, discern_vqa.audit; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
