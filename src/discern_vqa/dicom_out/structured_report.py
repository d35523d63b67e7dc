"""Answers as a structured report: TID 1500, with one measurement group (TID 1501) for each question.

Imaging Measurement Report
  Procedure reported, device that observes
  Imaging Measurements
    Measurement Group                      one question
      Finding                              an answer to a question about the image
      Algorithm                            name, version, SHA-256 of the weights (TID 4019)
      Source image, its frame
      Question, Answer                     as texts; yes and no as codes of SNOMED CT too
      The model abstains                   yes or no; with yes the answer stands as "best guess" and never as "answer"
      Certainty of Finding                 calibrated, in %; where the run is not calibrated a score of another name
      Members of the answer set, and how often such sets hold the true answer, in %
      Comment                              not for diagnosis
"""

from typing import TYPE_CHECKING

from discern_vqa.data.judged import Verdict
from discern_vqa.dicom_out import codes
from discern_vqa.dicom_out.codes import Named
from discern_vqa.dicom_out.reported import DISCLAIMER, Reported
from discern_vqa.dicom_out.series import MANUFACTURER, MODEL, Making, uid
from discern_vqa.reading.spellings import yes_or_no

if TYPE_CHECKING:
    from highdicom import sr
    from pydicom.dataset import Dataset


def structured_report(making: Making) -> "Dataset":
    """The report about one image."""
    from highdicom import sr

    evidence = making.stand_in()
    device = sr.ObserverContext(
        observer_type=codes.DEVICE.concept,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=uid("device", making.run.weights),
            name=making.run.name,
            manufacturer_name=MANUFACTURER,
            model_name=MODEL,
            serial_number=making.run.weights[:16],
        ),
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=device),
        procedure_reported=codes.PROCEDURE.code,
        imaging_measurements=[_group(making, number, one) for number, one in enumerate(making.answers, start=1)],
        title=codes.REPORT.code,
    )
    report = sr.Comprehensive3DSR(
        evidence=[evidence],
        content=content[0],
        is_complete=True,
        is_final=False,
        is_verified=False,
        coding_schemes=[codes.our_scheme()],
        specific_character_set="ISO_IR 192",
        **making.arguments,
    )
    return making.finished(report)


def _group(making: Making, number: int, one: Reported) -> "sr.MeasurementsAndQualitativeEvaluations":
    """One question."""
    from highdicom import sr

    run, source, verdict = making.run, making.source, one.verdict
    mode = [f"mode: {one.mode}"] if one.mode else []
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(making.uid(f"question {number}"), f"question {number}"),
        finding_type=codes.FINDING.code,
        algorithm_id=sr.AlgorithmIdentification(
            name=f"{MODEL} {run.model}, run {run.name}",
            version=run.version,
            parameters=[f"weights: sha256:{run.weights}", *mode],
            family=codes.INTELLIGENCE.code,
            manufacturer=MANUFACTURER,
        ),
        measurements=[sr.Measurement(name.code, value, codes.PERCENT.code) for name, value in _numbers(verdict)],
        qualitative_evaluations=[sr.QualitativeEvaluation(name.code, value.code) for name, value in _coded(verdict)],
        source_images=[
            sr.SourceImageForMeasurementGroup(
                source.dataset.SOPClassUID,
                source.dataset.SOPInstanceUID,
                None if source.named_frame is None else [source.named_frame],
            )
        ],
    )
    told = group[0].ContentSequence
    if source.frame is not None and source.named_frame is None:
        about = f"about frame {source.frame} of the image, whose class has no frames to refer to"
        told.append(sr.TextContentItem(codes.COMMENT.code, about, sr.RelationshipTypeValues.CONTAINS))
    for name, text in _texts(one):
        told.append(sr.TextContentItem(name.code, text, sr.RelationshipTypeValues.CONTAINS))
    return group


def _numbers(verdict: Verdict) -> list[tuple[Named, float]]:
    """Shares in per cent, of two digits behind the decimal sign."""
    sure = codes.CERTAINTY if verdict.is_calibrated else codes.UNCALIBRATED
    numbers = [(sure, round(100 * verdict.confidence, 2))]
    if (
        verdict.coverage is not None and not verdict.outside
    ):  # what is promised holds for what is like the held-out ones
        numbers.append((codes.COVERAGE, round(100 * verdict.coverage, 2)))
    return numbers


def _coded(verdict: Verdict) -> list[tuple[Named, Named]]:
    coded = [(codes.ABSTAINS, codes.YES if verdict.abstains else codes.NO)]
    agrees = yes_or_no(verdict.answer)
    if agrees is not None:
        coded.append((codes.GUESS if verdict.abstains else codes.ANSWER, codes.YES if agrees else codes.NO))
    coded += [(codes.OUTSIDE, codes.OUTSIDE_OF[what]) for what in verdict.outside if what in codes.OUTSIDE_OF]
    if verdict.coverage is not None and verdict.answer_set is None and not verdict.outside:
        coded.append((codes.ANY_ANSWER, codes.YES))
    return coded


def _texts(one: Reported) -> list[tuple[Named, str]]:
    verdict = one.verdict
    texts = [(codes.QUESTION, one.question), (codes.GUESS if verdict.abstains else codes.ANSWER, verdict.answer)]
    if verdict.reason:
        texts.append((codes.REASON, verdict.reason))
    if not verdict.outside:
        texts += [(codes.SET_MEMBER, answer) for answer in verdict.answer_set or ()]
    return [*texts, *((codes.COMMENT, note) for note in one.notes), (codes.COMMENT, DISCLAIMER)]
