"""The pages of `drawn` as DICOM objects: secondary captures, one for each question, and one encapsulated PDF."""

from typing import TYPE_CHECKING

from discern_vqa.dicom_out import codes, drawn
from discern_vqa.dicom_out.series import Making

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
TITLE = "AI, research only, not for diagnosis"


def secondary_capture(making: Making) -> "Dataset":
    """The page of the one question that is being made, as an RGB image of 8 bits."""
    from highdicom import sc

    (one,) = making.answers
    source = making.source
    made = sc.SCImage(
        pixel_array=drawn.pixels(drawn.page(source.image, one, making.run)),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),  # highdicom demands one; a page has none
        study_instance_uid=source.dataset.StudyInstanceUID,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        specific_character_set="ISO_IR 192",
        **making.arguments,
    )
    made["PatientOrientation"].value = None
    made.Laterality = source.dataset.get("Laterality")  # empty where it is not known (PS3.3 C.7.3.1: type 2C)
    made.DateOfSecondaryCapture, made.TimeOfSecondaryCapture = made.ContentDate, made.ContentTime
    made.BurnedInAnnotation = "YES" if source.has_text else "NO"
    made.DerivationDescription = "The image as a model saw it, beside its answer to a question"
    made.DerivationCodeSequence = [codes.RESAMPLING.concept]
    reference = making.reference(source.named_frame)
    reference.PurposeOfReferenceCodeSequence = [codes.SOURCE_IMAGE.concept]
    made.SourceImageSequence = [reference]
    made.ImageComments = TITLE
    return making.finished(made)


def encapsulated_pdf(making: Making) -> "Dataset":
    """A page for each question, as one document (PS3.3 A.45.1)."""
    from highdicom.base import SOPClass

    source = making.source
    pages = [drawn.page(source.image, one, making.run) for one in making.answers]
    content = drawn.as_pdf(pages, making.run)
    made = SOPClass(
        study_instance_uid=source.dataset.StudyInstanceUID,
        sop_class_uid=_PDF,
        modality="DOC",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        specific_character_set="ISO_IR 192",
        **making.arguments,
    )
    made.ConversionType = "SYN"
    made.AcquisitionDateTime = None
    made.BurnedInAnnotation = "YES" if source.has_text else "NO"
    made.DocumentTitle = TITLE
    made.ConceptNameCodeSequence = [codes.REPORT.concept]
    made.VerificationFlag = "UNVERIFIED"
    made.SourceInstanceSequence = [making.reference(frame=None)]  # this sequence has no place for a frame
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.EncapsulatedDocumentLength = len(content)
    made.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    return making.finished(made)
