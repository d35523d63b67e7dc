"""Answers as DICOM objects: what each says, whose it is, and where it lies; and what is refused."""

import hashlib
import json
from datetime import datetime

import numpy as np
import pydicom
import pytest
from _dicom_out import BARE, OURS, OUTSIDE, RUN, SURE, UNSURE, again, source, spot
from highdicom import sr
from highdicom._standard_utils import get_module_attribute_map
from PIL import Image, ImageDraw, ImageFont
from pydicom.sr.coding import Code

from discern_vqa.data.judged import Verdict
from discern_vqa.dicom_out import KINDS, Reported, RunInfo, objects_of, read_source
from discern_vqa.dicom_out import patient as modules
from discern_vqa.dicom_out.drawn import page, pixels
from discern_vqa.errors import ConfigError, DataError, DiscernError, ImageError, RunError


def test_the_modules_are_those_of_the_standard():
    known = get_module_attribute_map()

    def top(module):
        return {row["keyword"] for row in known[module] if not row["path"]}

    assert set(modules.PATIENT) == top("patient") | {"OtherPatientIDs", "EthnicGroup"}
    assert set(modules.STUDY) == top("general-study")
    rows = [row for name in ("patient", "general-study") for row in known[name] if not row["path"]]
    assert {row["keyword"] for row in rows if row["type"] == "2"} == set(modules.EMPTY_WHERE_MISSING)


def test_every_object_has_the_patient_and_study_of_its_source_attribute_by_attribute_and_no_more_of_it(tmp_path):
    given = source(tmp_path)
    made = [again(one) for one in objects_of([Reported("größer?", SURE, heat=spot())], given, RUN, KINDS)]
    assert [one.Modality for one in made] == ["SR", "OT", "DOC", "SEG", "PR"]
    plain = pydicom.dcmread(tmp_path / "a.dcm")
    for one in made:
        for keyword in (*modules.PATIENT, *modules.STUDY):
            there, wanted = one.get(keyword), plain.get(keyword)
            if keyword in modules.EMPTY_WHERE_MISSING and wanted is None:
                assert there in (None, ""), (one.Modality, keyword)
            elif keyword == "OtherPatientIDsSequence":
                assert [(item.PatientID, item.IssuerOfPatientID) for item in there] == [("77", "山")]
            else:
                assert str(there) == str(wanted), (one.Modality, keyword)
        assert one["PatientID"].value == " 0815"  # the padding behind it is no part of a value
        assert one.PatientName.ideographic == "山田^太郎"
        assert one.SpecificCharacterSet == "ISO_IR 192"
        for keyword in ("PatientAge", "InstitutionName", "StationName"):
            assert keyword not in one, (one.Modality, keyword)
        assert one.SeriesInstanceUID != plain.SeriesInstanceUID
        assert "research only, not for diagnosis" in one.SeriesDescription
        assert 901 <= one.SeriesNumber <= 905
        when = "PresentationCreation" if one.Modality == "PR" else "Content"
        assert (one[f"{when}Date"].value, one[f"{when}Time"].value[:6]) == ("20261130", "123005")
        assert one.InstanceCreationDate == "20261130"


def values_of(group, name: Code):
    """What stands in a measurement group under a name."""
    found = []
    for item in group.ContentSequence:
        concept = item.ConceptNameCodeSequence[0]
        if (concept.CodeValue, concept.CodingSchemeDesignator) == (name.value, name.scheme_designator):
            code = item.get("ConceptCodeSequence")
            number = item.get("MeasuredValueSequence")
            found.append(code[0].CodeValue if code else number[0].NumericValue if number else item.get("TextValue"))
    return found


def ours(name: str) -> Code:
    return Code(name, OURS, "")


CERTAINTY = Code("111012", "DCM", "")


def test_a_structured_report_says_what_was_asked_answered_and_how_far_to_trust_it(tmp_path):
    given = source(tmp_path)
    questions = [Reported("Is there a mass?", SURE, "classify"), Reported("Gibt es einen Erguss?", UNSURE)]
    questions += [Reported("Where?", OUTSIDE, notes=("too long",)), Reported("Where?", BARE)]
    (made,) = objects_of(questions, given, RUN, ["sr"])
    report = sr.Comprehensive3DSR.from_dataset(again(made))
    assert (report.PreliminaryFlag, report.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
    assert report.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == OURS
    groups = report.content.get_image_measurement_groups()
    sure, unsure, outside, bare = (group[0] for group in groups)
    assert groups[0].source_images[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.840.3"
    assert values_of(sure, Code("111002", "DCM", "")) == [f"weights: sha256:{'ab' * 32}", "mode: classify"]
    assert values_of(sure, Code("111000", "DCM", "")) == ["123110"]  # artificial intelligence
    assert values_of(sure, ours("question")) == ["Is there a mass?"]
    assert values_of(sure, ours("answer")) == ["373066001", "yes"]
    assert values_of(sure, CERTAINTY) == [93.12]
    assert sure.ContentSequence[0].ConceptNameCodeSequence[0].CodeMeaning == "Tracking Identifier"
    units = [item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue
             for item in sure.ContentSequence if item.ValueType == "NUM"]  # fmt: skip
    assert units == ["%", "%"]
    assert values_of(sure, ours("set-member")) == ["yes", "no"]
    assert values_of(sure, ours("set-coverage")) == [90]
    assert values_of(sure, ours("abstains")) == ["373067005"]
    # One that abstains gives no answer, in no form: its guess has another name.
    assert values_of(unsure, ours("answer")) == []
    assert values_of(unsure, ours("best-guess")) == ["373067005", "Nein"]
    assert values_of(unsure, ours("abstains")) == ["373066001"]
    assert values_of(unsure, ours("reason")) == ["a confidence of 0.30 is below 0.55"]
    assert values_of(unsure, ours("set-any")) == ["373066001"]
    # What is promised holds for what is like the held-out questions alone.
    assert values_of(outside, ours("outside")) == ["image-outside"]
    assert values_of(outside, ours("set-coverage")) == values_of(outside, ours("set-member")) == []
    assert values_of(outside, Code("121106", "DCM", "")) == ["too long", "Research software: not for diagnosis."]
    # Without calibration nothing is called certainty.
    assert (values_of(bare, CERTAINTY), values_of(bare, ours("score"))) == ([], [45.67])
    assert values_of(bare, ours("answer")) == ["left lung"]


def test_the_same_answers_are_the_same_objects_and_others_are_others(tmp_path):
    given, one = source(tmp_path), Reported("Is there a mass?", SURE, heat=spot())

    def uids(answers=(one,), image=given, run=RUN, number=1, kinds=("sr", "seg")):
        return [made.SOPInstanceUID for made in objects_of(list(answers), image, run, kinds, number)]

    first = uids(kinds=KINDS)
    assert uids() == [first[KINDS.index(kind)] for kind in ("sr", "seg")]
    assert len(set(first)) == len(KINDS)
    later = RunInfo("chest", "cmdpi", "ab" * 32, datetime(2026, 11, 30, 12, 30, 6))
    other = RunInfo("chest", "cmdpi", "cd" * 32, RUN.made_at)
    changes = [
        uids([Reported("Is there a mass?", UNSURE, heat=spot())]), uids(run=later), uids(run=other), uids(number=2),
        uids(image=source(tmp_path, name="b.dcm", SOPInstanceUID="1.2.840.4")),
    ]  # fmt: skip
    assert all(not set(first) & set(changed) for changed in changes)
    series = [
        [made.SeriesInstanceUID for made in objects_of([one], given, RUN, ["sr", "seg"], number)] for number in (1, 2)
    ]
    assert series[0] == series[1]  # objects about further images join the series


def test_a_capture_shows_the_image_as_it_was_seen_and_nothing_over_it(tmp_path):
    given = source(tmp_path)
    first, second = objects_of([Reported("A mass?", SURE, heat=spot()), Reported("B?", UNSURE)], given, RUN, ["sc"])
    capture = again(first)
    assert (capture.Rows, capture.Columns, capture.PhotometricInterpretation) == (640, 1280, "RGB")
    assert (first.InstanceNumber, second.InstanceNumber) == (1, 2)
    shown = capture.pixel_array.astype(int)
    assert np.array_equal(shown, pixels(page(given.image, Reported("A mass?", SURE, heat=spot()), RUN)))
    # The left panel is 0.32 of the page wide, its image as wide as that: a ramp from black to white, all of it grey.
    left, right = 13, 13 + round(0.32 * 1280) - 2
    row = shown[640 - round((0.03 + 0.44) * 640), left:right]
    wanted = np.asarray(given.image)[20, (np.arange(right - left) * 60 // (right - left))]
    assert np.abs(row - wanted[:, None]).mean() < 3
    red = (shown == (185, 28, 28)).all(-1)
    assert red[:50].sum() > 5000, "the banner that it is research stands on top"
    assert not red[60:].any()
    assert not np.array_equal(shown[:, 850:], again(second).pixel_array[:, 850:]), "the heat map is on the other side"


@pytest.mark.parametrize(
    ("words", "heat"),
    [("a question of very many words and more ", None), ("a question of very many words and more ", spot()),
     ("RULE OUT MASS IN MEDIASTINUM ", spot()), ("该图像中是否有肿块", spot())],
)  # fmt: skip
def test_the_longest_text_ends_on_the_page_with_who_answered(words, heat):
    long = words * 30
    verdict = Verdict(long, 0.3, True, True, long, tuple(f"{number} {long}" for number in range(40)), 0.9, ())
    drawn = page(Image.new("L", (60, 40)), Reported(long, verdict, "generate", (long, long), heat), RUN)
    drawn.canvas.draw()
    boxes = [text.get_window_extent() for text in drawn.texts]
    assert drawn.texts[-1].get_text() == "Research software: not for diagnosis."
    assert min(box.y0 for box in boxes) >= 0
    ordered = boxes[1:]  # behind the banner: no block touches the next
    assert all(upper.y0 >= lower.y1 for upper, lower in zip(ordered, ordered[1:], strict=False))
    assert max(box.x1 for box in boxes) <= (0.67 if heat is not None else 1.0) * 1280


def test_text_that_is_burned_in_stays_known(tmp_path):
    given = source(tmp_path, BurnedInAnnotation="YES")
    capture, document = objects_of([Reported("A?", SURE)], given, RUN, ["sc", "pdf"])
    assert capture.BurnedInAnnotation == document.BurnedInAnnotation == "YES"
    assert not source(tmp_path, BurnedInAnnotation="NO").has_text
    picture = Image.new("L", (300, 200), 20)
    ImageDraw.Draw(picture).text((8, 8), "DOE JANE 1970-01-01", fill=255, font=ImageFont.load_default(18))
    assert source(tmp_path, np.asarray(picture, np.uint16), BurnedInAnnotation="NO").has_text, (
        "it says no, and has some"
    )


def test_a_pdf_has_a_page_for_each_question_and_names_nobody(tmp_path):
    given = source(tmp_path)
    (made,) = objects_of([Reported("A mass?", SURE), Reported("質問 $x_1$?", OUTSIDE)], given, RUN, ["pdf"])
    read = again(made)
    content = read.EncapsulatedDocument[: read.EncapsulatedDocumentLength]
    assert content.startswith(b"%PDF-")
    assert content.rstrip().endswith(b"%%EOF")
    assert content.count(b"/Type /Page\n") + content.count(b"/Type /Page ") == 2
    assert read.MIMETypeOfEncapsulatedDocument == "application/pdf"
    for name in (b"Yamada", b"0815", str(tmp_path).encode()):
        assert name not in content


LINE = {"prediction": "yes", "score": 0.8, "confidence": 0.7, "answer_set": ["yes"], "set_coverage": 0.9,
        "abstains": True, "reason": "low", "outside": ["image"], "mode": "rank", "notes": ["long"]}  # fmt: skip


def test_a_line_of_answers_is_read_as_predict_writes_it():
    one = Reported.from_line(json.loads(json.dumps(LINE)), "Why?")
    assert one == Reported("Why?", Verdict("yes", 0.7, True, True, "low", ("yes",), 0.9, ("image",)), "rank", ("long",))
    bare = Reported.from_line({"prediction": "no", "score": 0.25}, "Why?").verdict
    assert bare == Verdict("no", 0.25, False, False, "", None, None, ())
    assert Reported.from_line(LINE | {"answer_set": None}, "Why?").verdict.answer_set is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"error": "the image is empty"}, "it was not answered: the image is empty"),
        ({"prediction": ""}, "it has no 'prediction'"),
        ({"prediction": 3}, "it has no 'prediction'"),
        ({"confidence": 1.5}, "'confidence' is 1.5; expected a number from 0 to 1"),
        ({"confidence": float("nan")}, "'confidence' is nan"),
        ({"confidence": True}, "'confidence' is True"),
        ({"answer_set": "yes"}, "'answer_set' is 'yes'; expected a list of texts"),
        ({"outside": [1]}, "'outside' is '[1]'"),
    ],
)
def test_a_line_that_is_none_is_refused(change, told):
    with pytest.raises(DataError) as caught:
        Reported.from_line(LINE | change, "Why?")
    assert str(caught.value).startswith(told)
    assert caught.value.hint


def test_what_cannot_be_filed_is_refused_with_its_reason(tmp_path, monkeypatch):
    Image.new("L", (30, 20), 90).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="is a PNG file: it belongs to no study"):
        read_source(tmp_path / "a.png")
    with pytest.raises(ImageError, match="has no StudyInstanceUID"):
        source(tmp_path, StudyInstanceUID="")
    given = source(tmp_path)
    with pytest.raises(ConfigError, match="no DICOM object 'sg'") as caught:
        objects_of([Reported("A?", SURE)], given, RUN, ["sg"])
    assert caught.value.hint == "did you mean 'sr'?" or caught.value.hint == "did you mean 'seg'?"
    with pytest.raises(ConfigError, match="no answer is given"):
        objects_of([], given, RUN, ["sr"])
    assert objects_of([Reported("A?", SURE)], given, RUN, ["seg"]) == []  # no map was made
    with pytest.raises(RunError, match="is no run folder"):
        RunInfo.of(tmp_path, RUN.made_at)
    (tmp_path / "config.json").write_text('{"model": {"name": "cmdpi"}}')
    with pytest.raises(RunError, match="its training has not ended"):
        RunInfo.of(tmp_path, RUN.made_at)
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    info = RunInfo.of(tmp_path, RUN.made_at)
    assert (info.model, info.weights) == ("cmdpi", hashlib.sha256(b"weights").hexdigest())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DiscernError) as missing:
        objects_of([Reported("A?", SURE)], given, RUN, ["sr"])
    assert missing.value.hint == "pip install 'discern-vqa[dicom-out]'"
