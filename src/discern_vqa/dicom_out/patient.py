"""Patient and study of a DICOM object: copied from its source attribute by attribute, and nothing beside them.

An archive files an object by these modules (PS3.3 C.7.1.1, C.7.2.1), and takes one whose values differ in a space for
another patient's. So they are copied as they stand, odd or invalid values too, and no other module's attribute is.
Only the character set changes: everything is written as UTF-8, in which a source's every letter and the text of a
question have a place.
"""

import warnings
from copy import deepcopy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

PATIENT = (
    "ReferencedPatientSequence PatientName PatientID IssuerOfPatientID TypeOfPatientID "
    "IssuerOfPatientIDQualifiersSequence SourcePatientGroupIdentificationSequence "
    "GroupOfPatientsIdentificationSequence PatientBirthDate PatientBirthTime PatientBirthDateInAlternativeCalendar "
    "PatientDeathDateInAlternativeCalendar PatientAlternativeCalendar PatientSex QualityControlSubject "
    "StrainDescription StrainNomenclature StrainStockSequence StrainAdditionalInformation StrainCodeSequence "
    "GeneticModificationsSequence OtherPatientIDs OtherPatientNames OtherPatientIDsSequence "
    "ReferencedPatientPhotoSequence EthnicGroup EthnicGroupCodeSequence PatientSpeciesDescription "
    "PatientSpeciesCodeSequence PatientBreedDescription PatientBreedCodeSequence BreedRegistrationSequence "
    "ResponsiblePerson ResponsiblePersonRole ResponsibleOrganization PatientComments PatientIdentityRemoved "
    "DeidentificationMethod DeidentificationMethodCodeSequence"
).split()
"""The attributes of the Patient module (PS3.3 C.7.1.1), two retired ones included."""

STUDY = (
    "StudyInstanceUID StudyDate StudyTime AccessionNumber IssuerOfAccessionNumberSequence ReferringPhysicianName "
    "ReferringPhysicianIdentificationSequence ConsultingPhysicianName ConsultingPhysicianIdentificationSequence "
    "StudyDescription ProcedureCodeSequence PhysiciansOfRecord PhysiciansOfRecordIdentificationSequence "
    "NameOfPhysiciansReadingStudy PhysiciansReadingStudyIdentificationSequence ReferencedStudySequence StudyID "
    "RequestingService RequestingServiceCodeSequence ReasonForPerformedProcedureCodeSequence"
).split()
"""The attributes of the General Study module (PS3.3 C.7.2.1)."""

EMPTY_WHERE_MISSING = (
    "PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime AccessionNumber ReferringPhysicianName "
    "StudyID"
).split()
"""Those that must be there, and may be empty (type 2)."""

_ELSEWHERE = (
    "AdmittingDiagnosesDescription AdmittingDiagnosesCodeSequence PatientAge PatientSize PatientSizeCodeSequence "
    "PatientBodyMassIndex MeasuredAPDimension MeasuredLateralDimension PatientWeight MedicalAlerts Allergies "
    "Occupation SmokingStatus AdditionalPatientHistory PregnancyStatus LastMenstrualDate PatientSexNeutered "
    "ReasonForVisit ReasonForVisitCodeSequence AdmissionID ServiceEpisodeID ServiceEpisodeDescription PatientState"
).split()
"""Of the Patient Study module (PS3.3 C.7.2.2): about the patient, and not needed to file an object."""


def copy_patient_and_study(source: "Dataset", target: "Dataset") -> None:
    """Gives `target` the Patient and General Study modules of `source`, and takes out whatever it had of them."""
    from pydicom.datadict import tag_for_keyword

    for keyword in (*PATIENT, *STUDY, *_ELSEWHERE):
        if keyword in target:
            delattr(target, keyword)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values that the standard forbids are the source's, and stay as they are
        for keyword in (*PATIENT, *STUDY):
            tag = tag_for_keyword(keyword)
            assert tag is not None, keyword
            if tag in source:
                target.add(_in_unicode(source[tag]))
            elif keyword in EMPTY_WHERE_MISSING:
                setattr(target, keyword, None)
    target.SpecificCharacterSet = "ISO_IR 192"


def _in_unicode(element: "DataElement") -> "DataElement":
    """A copy whose texts no longer depend on the character set that they were read in."""
    from pydicom.dataelem import DataElement
    from pydicom.valuerep import PersonName

    copy = deepcopy(element)
    if copy.VR == "SQ":
        for item in copy.value:
            _make_unicode(item)
        return copy
    if copy.VR == "PN" and not copy.is_empty:
        names = copy.value if copy.VM > 1 else [copy.value]
        plain = [PersonName(str(name)) for name in names]
        return DataElement(copy.tag, "PN", plain if copy.VM > 1 else plain[0])
    return copy


def _make_unicode(item: "Dataset") -> None:
    if "SpecificCharacterSet" in item:
        del item.SpecificCharacterSet
    for tag in list(item.keys()):
        item[tag] = _in_unicode(item[tag])
