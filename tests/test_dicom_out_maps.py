"""Heat maps as segmentations: they lie on the pixels of the file, and belong to the image that was asked about."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from _dicom_out import BARE, ODD, RUN, SURE, again, source, spot
from _medical import dicom
from highdicom import seg, sr

from discern_vqa.data.judged import Verdict
from discern_vqa.dicom_out import KINDS, Reported, objects_of
from discern_vqa.dicomweb.memory_file import memory_file
from discern_vqa.errors import DataError
from discern_vqa.evaluation.answer_heat import with_heat_map
from discern_vqa.evaluation.one_question import single_question
from discern_vqa.evaluation.opening import open_run


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
        report, capture, document, segments = map(again, made)
        group = sr.Comprehensive3DSR.from_dataset(report).content.get_image_measurement_groups()[0]
        assert group.source_images[0].ReferencedSOPSequence[0].ReferencedFrameNumber == frame
        assert capture.SourceImageSequence[0].ReferencedFrameNumber == frame
        assert "ReferencedFrameNumber" not in document.SourceInstanceSequence[0]  # the standard has no place for it
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
