"""Heat maps as segmentations: they lie on the pixels of the file, and belong to the image that was asked about."""

import shutil
import subprocess
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from _dicom_out import BARE, ODD, RUN, SURE, UNSURE, again, source, spot
from _medical import dicom
from highdicom import seg, sr

from discern_vqa.data.judged import Verdict
from discern_vqa.dicom_out import KINDS, Reported, file_of, objects_of
from discern_vqa.dicom_out.marked_regions import strongest_region
from discern_vqa.dicomweb.memory_file import memory_file
from discern_vqa.errors import DataError
from discern_vqa.evaluation.answer_heat import with_heat_map
from discern_vqa.evaluation.one_question import single_question
from discern_vqa.evaluation.opening import open_run

OTHER_ID = {"PatientID": "77", "IssuerOfPatientID": "N", "TypeOfPatientID": "TEXT"}


def heat_of(made) -> np.ndarray:
    """(rows, columns) of its only segment as another program reads it, in [0, 1]."""
    read = seg.Segmentation.from_dataset(again(made))
    assert (read.SegmentationType, read.number_of_segments) == ("FRACTIONAL", 1)
    return read.get_pixels_by_source_instance(
        ["1.2.840.3"], ignore_spatial_locations=True, assert_missing_frames_are_empty=True
    )[0, :, :, 0]


def test_a_heat_map_lies_on_the_pixels_of_the_file_however_it_was_shown(tmp_path):
    def map_of(given, heat):
        (made,) = objects_of([Reported("Where?", BARE, heat=heat), Reported("Mass?", SURE)], given, RUN, ["seg"])
        return heat_of(made)

    plain = map_of(source(tmp_path), spot())
    assert plain.shape == (40, 60)
    assert plain[:10, 45:].min() == 1.0
    assert plain[12:].max() == plain[:, :43].max() == 0.0
    # Shown mirrored, the corner is at the left of the file; shown with square pixels, rows are stretched.
    mirrored = map_of(source(tmp_path, choice="#mirror=yes"), spot())
    assert np.array_equal(mirrored, plain[:, ::-1])
    given = source(tmp_path, name="tall.dcm", PixelSpacing=[2.0, 1.0])
    assert given.image.size == (60, 80)
    assert np.abs(map_of(given, spot(80, 60)) - plain).mean() < 0.01


def test_of_a_file_of_several_frames_the_one_that_was_seen_is_named(tmp_path):
    frames = np.random.default_rng(0).integers(0, 4000, (3, 40, 60), dtype=np.uint16)
    for choice, frame in (("", 2), ("#frame=3", 3)):
        kind = "1.2.840.10008.5.1.4.1.1.3.1"  # ultrasound of several frames
        given = source(tmp_path, frames, name="run.dcm", choice=choice, SOPClassUID=kind, PatientOrientation=["L", "F"])
        assert given.frame == frame
        before = deepcopy(given.dataset)
        made = objects_of([Reported("Where?", BARE, heat=spot())], given, RUN, KINDS)
        report, capture, document, segments, marks = map(again, made)
        group = sr.Comprehensive3DSR.from_dataset(report).content.get_image_measurement_groups()[0]
        assert group.source_images[0].ReferencedSOPSequence[0].ReferencedFrameNumber == frame
        assert capture.SourceImageSequence[0].ReferencedFrameNumber == frame
        assert "ReferencedFrameNumber" not in document.SourceInstanceSequence[0]  # the standard has no place for it
        (named,) = marks.GraphicAnnotationSequence[0].ReferencedImageSequence
        assert (named.ReferencedFrameNumber, named.ReferencedSOPClassUID) == (frame, kind)
        (place,) = segments.PerFrameFunctionalGroupsSequence
        assert place.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber == frame
        assert list(segments.PatientOrientation) == ["L", "F"]
        assert given.dataset == before, "the source is left as it was"
        for one in (report, capture, document, segments):
            classes = {
                item.ReferencedSOPClassUID
                for element in one.iterall() if element.VR == "SQ"
                for item in element.value if item.get("ReferencedSOPInstanceUID") == given.dataset.SOPInstanceUID
            }  # fmt: skip
            assert classes == {kind}, one.Modality


def test_the_strongest_region_is_marked_on_the_pixels_of_the_file_which_look_as_the_model_saw_them(tmp_path):
    def state_of(given, *answers):
        (made,) = objects_of(answers, given, RUN, ["gsps"])
        return again(made)

    def box_of(mark):
        (polyline,) = mark.GraphicObjectSequence
        assert (polyline.GraphicType, polyline.GraphicAnnotationUnits) == ("POLYLINE", "PIXEL")
        points = np.array(polyline.GraphicData).reshape(-1, 2)
        assert (points[0] == points[-1]).all()
        return [*points.min(axis=0), *points.max(axis=0)]

    sure, unsure = Reported("Mass?", SURE, heat=spot()), Reported("Wo liegt er, größer?", UNSURE, heat=spot())
    state = state_of(source(tmp_path, choice="#window=1000:400"), sure, unsure, Reported("no map", BARE))
    first, second = state.GraphicAnnotationSequence
    assert box_of(first) == box_of(second) == [45, 0, 60, 10]
    texts = [mark.TextObjectSequence[0].UnformattedTextValue for mark in (first, second)]
    assert texts[0] == "AI, research, not for diagnosis. Strongest region for: Mass? yes"
    assert texts[1].endswith("größer? no answer"), "the best guess is not shown as an answer"
    (window,) = state.SoftcopyVOILUTSequence
    assert (window.WindowCenter, window.WindowWidth, window.VOILUTFunction) == (1000, 400, "LINEAR_EXACT")
    assert (state.Modality, state.SeriesNumber, state.PresentationLUTShape) == ("PR", 905, "IDENTITY")
    assert (state.PresentationCreationDate, state.PresentationCreationTime) == ("20261130", "123005")

    second = source(tmp_path, name="c.dcm", choice="#window=2", WindowCenter=[100, 1000], WindowWidth=[50, 400])
    (window,) = state_of(second, sure).SoftcopyVOILUTSequence
    assert (window.WindowCenter, window.WindowWidth) == (999.5, 399), "as LINEAR means 1000:400 (PS3.3 C.11.2.1.2)"
    full = source(tmp_path, name="d.dcm", choice="#window=full", WindowCenter=100, WindowWidth=50)
    (window,) = state_of(full, sure).SoftcopyVOILUTSequence
    assert (window.WindowCenter, window.WindowWidth) == (1770, 3540)

    turned = source(tmp_path, name="b.dcm", choice="#mirror=yes", PhotometricInterpretation="MONOCHROME1",
                    RescaleSlope="2", RescaleIntercept="-100", PixelSpacing=[2.0, 1.0])  # fmt: skip
    state = state_of(turned, replace(sure, heat=spot(80, 60)))
    assert box_of(state.GraphicAnnotationSequence[0]) == [0, 0, 15, 10]
    assert (state.PresentationLUTShape, state.RescaleSlope, state.RescaleIntercept) == ("INVERSE", 2, -100)
    assert state.DisplayedAreaSelectionSequence[0].PresentationPixelAspectRatio == [2, 1]
    assert objects_of([Reported("no map", BARE)], turned, RUN, ["gsps"]) == []


def test_of_two_regions_the_one_with_the_greatest_weight_is_marked():
    weights = np.zeros((10, 12))
    weights[1:4, 1:6], weights[7:9, 8:11], weights[7, 9] = 0.8, 0.7, 1.0
    assert strongest_region(weights) == (8, 7, 11, 9)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed: apt-get install dicom3tools")
@pytest.mark.parametrize("shape", ["frames in a class without frames", "colour"])
def test_dciodvfy_finds_no_error_in_objects_about_odd_images(tmp_path, shape):
    frames = np.random.default_rng(0).integers(0, 4000, (3, 40, 60), dtype=np.uint16)
    colour = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    kind = "1.2.840.10008.5.1.4.1.1.2" if shape != "colour" else "1.2.840.10008.5.1.4.1.1.6.1"
    values = colour if shape == "colour" else frames
    given = source(tmp_path, values, SOPClassUID=kind, PatientSex="F", OtherPatientIDsSequence=[OTHER_ID])
    for made in objects_of([Reported("Where?", SURE, heat=spot())], given, RUN, KINDS):
        (tmp_path / "made.dcm").write_bytes(file_of(made))
        command = ["dciodvfy", str(tmp_path / "made.dcm")]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
        assert errors == [], made.Modality
    if shape != "colour":
        report = again(objects_of([Reported("Where?", SURE)], given, RUN, ["sr"])[0])
        group = report.ContentSequence[-1].ContentSequence[0].ContentSequence
        assert any(item.get("TextValue", "").startswith("about frame 2 of the image") for item in group)


def test_a_frame_that_has_a_place_in_the_patient_keeps_it(tmp_path):
    """An enhanced file: each frame has a position, all share orientation and spacing."""
    frames = np.random.default_rng(0).integers(0, 4000, (3, 40, 60), dtype=np.uint16)
    shared = [{"PlaneOrientationSequence": [{"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}],
               "PixelMeasuresSequence": [{"PixelSpacing": [0.5, 0.5], "SliceThickness": 2}]}]  # fmt: skip
    own = [{"PlanePositionSequence": [{"ImagePositionPatient": [0, 0, 2 * number]}]} for number in range(3)]
    placed = {"FrameOfReferenceUID": "1.2.840.9", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2.1"}
    given = source(tmp_path, frames, choice="#frame=3", SharedFunctionalGroupsSequence=shared,
                   PerFrameFunctionalGroupsSequence=own, **placed)  # fmt: skip
    (made,) = objects_of([Reported("Where?", BARE, heat=spot())], given, RUN, ["seg"])
    read = again(made)
    assert read.FrameOfReferenceUID == "1.2.840.9"
    (frame,) = read.PerFrameFunctionalGroupsSequence
    assert frame.PlanePositionSequence[0].ImagePositionPatient == [0, 0, 4]
    measures = read.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert (list(measures.PixelSpacing), measures.SliceThickness) == ([0.5, 0.5], 2)


def test_two_images_that_lie_in_memory_one_after_the_other_are_never_taken_for_one(tmp_path, tiny_run, monkeypatch):
    """Their paths come again, and what is kept of an image (the states of a frozen encoder) is kept under its path."""
    predictor, question, forgotten = open_run(tiny_run), "Is there a mass?", []
    monkeypatch.setattr(predictor, "forget", lambda samples: forgotten.append(samples[0].image))
    ramp = np.tile(np.arange(64, dtype=np.uint16) * 60, (64, 1))
    paths, plain = (
        [],
        {key: value for key, value in ODD.items() if not isinstance(value, list)} | {"PatientName": "A^B"},
    )
    for values in (ramp, ramp.T.copy()):
        content = dicom(values, **plain)
        with memory_file(content) as file:
            answer = predictor.ask(file, question)
            reported = with_heat_map(predictor, file, Reported(question, answer.verdict))
            assert forgotten[-1] == single_question(file, question).image
            with_heat_map(predictor, file.with_name(f"{file.name}#window=full"), replace(reported, mode="rank"))
            assert forgotten[-1].endswith("#window=full")
            paths.append(file)
        assert reported.heat is not None
        assert reported.heat.weights.shape == (64, 64)
        assert (reported.heat.weights.min(), reported.heat.weights.max()) == (0, 1)
    assert paths[0] == paths[1], "the path came again"
    assert forgotten[0] != forgotten[2], "and was not taken for the same image"
    other = Reported(question, Verdict("something else", 0.5, False, False, "", None, None, ()))
    with memory_file(content) as file, pytest.raises(DataError, match="asked again, the run answers"):
        with_heat_map(predictor, file, other)
