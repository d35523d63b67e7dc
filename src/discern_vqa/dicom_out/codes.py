"""The codes of what is written, each from a public scheme where it has one, else from a private scheme of ours.

SCT is SNOMED CT, DCM is DICOM's own (PS3.16), UCUM has the units. The private scheme is declared in every object that
uses it, as PS3.3 C.12.1.1 asks; its codes are words of at most 16 letters (PS3.3 8.1), so that they can be read.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from highdicom.sr import CodedConcept
    from pydicom.sr.coding import Code

OURS = "99DISCERN"


@dataclass(frozen=True)
class Named:
    """A code: value, scheme, meaning."""

    value: str
    scheme: str
    meaning: str

    @property
    def code(self) -> "Code":
        """As pydicom and highdicom have it."""
        from pydicom.sr.coding import Code

        return Code(self.value, self.scheme, self.meaning)

    @property
    def concept(self) -> "CodedConcept":
        """As an item of a sequence of codes."""
        from highdicom.sr import CodedConcept

        return CodedConcept(self.value, self.scheme, self.meaning)


YES = Named("373066001", "SCT", "Yes")
NO = Named("373067005", "SCT", "No")
PROCEDURE = Named("363679005", "SCT", "Imaging procedure")
SPATIAL = Named("309825002", "SCT", "Spatial and Relational Concept")
DEVICE = Named("121007", "DCM", "Device")
INTELLIGENCE = Named("123110", "DCM", "Artificial Intelligence")
CERTAINTY = Named("111012", "DCM", "Certainty of Finding")
COMMENT = Named("121106", "DCM", "Comment")
REPORT = Named("126000", "DCM", "Imaging Measurement Report")
SOURCE_IMAGE = Named("121322", "DCM", "Source image for image processing operation")
RESAMPLING = Named("113085", "DCM", "Spatial resampling")
PERCENT = Named("%", "UCUM", "Percent")

FINDING = Named("visual-question", OURS, "Answer to a question about the image")
QUESTION = Named("question", OURS, "Question")
ANSWER = Named("answer", OURS, "Answer")
GUESS = Named("best-guess", OURS, "Best guess, not given as an answer")
ABSTAINS = Named("abstains", OURS, "The model abstains from an answer")
REASON = Named("reason", OURS, "Reason for abstaining")
SET_MEMBER = Named("set-member", OURS, "Member of the answer set")
COVERAGE = Named("set-coverage", OURS, "Coverage of the answer set")
ANY_ANSWER = Named("set-any", OURS, "The answer set holds any answer")
UNCALIBRATED = Named("score", OURS, "Score of the model, not calibrated")
OUTSIDE = Named("outside", OURS, "Unlike the training data")
OUTSIDE_OF = {
    "image": Named("image-outside", OURS, "The image"),
    "question": Named("question-outside", OURS, "The question"),
}
WEIGHT = Named("answer-weight", OURS, "Weight of the image on an answer")


def our_scheme() -> "CodingSchemeIdentificationItem":
    """The declaration of the private scheme."""
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    return CodingSchemeIdentificationItem(
        designator=OURS,
        name="Discern, medical visual question answering",
        responsible_organization="Discern developers",
    )
