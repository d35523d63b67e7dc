"""Questions about the image as an image: contrast, colours, modality, plane, region, marker, devices."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from discern_vqa.datasets.phantom.candidate import Candidate, absent_share, yes
from discern_vqa.datasets.phantom.findings import REGIONS, Case, kinds

_MODALITIES = {"chest": {"x-ray"}, "head": {"ct", "mri"}, "abdomen": {"ct"}}
_PLANES = {"chest": "frontal", "head": "axial", "abdomen": "axial"}
_IDLE = 0.15  # how much less often a question is asked when every image of the set has the same answer


def about_image(case: Case, regions: Sequence[str] = REGIONS) -> list[Candidate]:
    """All questions that fit the image whatever its findings are, in a set that shows these regions."""
    technique_and_region = [
        replace(question, weight=question.weight * _IDLE) if _idle(question, regions) else question
        for question in (*_technique(case), *_region(case))
    ]
    return [*_look(case), *technique_and_region, *_other(case)]


def _idle(question: Candidate, regions: Sequence[str]) -> bool:
    """Whether a question on technique or region has the same answer for every image of these regions."""
    if question.type == "ORGAN":
        return len(regions) == 1
    if question.type == "PLANE":
        return len({_PLANES[region] for region in regions}) == 1
    return question.key != "sequence" and len(set().union(*(_MODALITIES[region] for region in regions))) == 1


def _look(case: Case) -> Iterator[Candidate]:
    if case.region == "abdomen":
        wordings = ("Was contrast given?", "Is this a contrast-enhanced scan?", "Has intravenous contrast been given?")
        yield Candidate("contrast", "ATTRIB", wordings, yes(case.contrast), 0.6)
        colour = (
            "What color is the aorta, white or gray?",
            "What color is the aorta?",
            "Which color does the aorta have?",
        )
        yield Candidate("color aorta", "COLOR", colour, "white" if case.contrast else "gray", 0.35)
    if case.region == "head":
        bone = ("What color is the skull?", "Is the skull black or white?", "What color does the bone have?")
        even = 0.45 if case.modality == "ct" else 0.6
        yield Candidate("color bone", "COLOR", bone, "white" if case.modality == "ct" else "black", even)
        fluid = (
            "What color is the cerebrospinal fluid?",
            "Is the fluid in the ventricles black or white?",
            "What color are the ventricles?",
        )
        white = case.sequence == "t2"
        yield Candidate("color fluid", "COLOR", fluid, "white" if white else "black", 0.9 if white else 0.15)


def _technique(case: Case) -> Iterator[Candidate]:
    open_ = (
        "What modality is this?",
        "How was this image taken?",
        "What type of imaging is this?",
        "Which imaging method was used?",
    )
    weight = {"x-ray": 0.48, "ct": 0.32, "mri": 1.0}[case.modality]
    yield Candidate("modality", "MODALITY", open_, case.modality, weight)
    is_ct = ("Is this a ct scan?", "Is this a ct image?", "Was this taken by ct?")
    yield Candidate("is ct", "MODALITY", is_ct, yes(case.modality == "ct"), 0.2)
    if case.modality == "mri":
        sequence = ("Which mr sequence is this?", "What weighting does this image have?", "Is this t1, t2 or flair?")
        yield Candidate("sequence", "MODALITY", sequence, case.sequence, 0.8)
    plane = _PLANES[case.region]
    even = 1.0 if plane == "frontal" else 0.5
    planes = (
        "In what plane is this image?",
        "What is the plane of this image?",
        "Is this an axial or a frontal image?",
        "Which plane is shown?",
    )
    yield Candidate("plane", "PLANE", planes, plane, 0.65 * even)
    axial = ("Is this an axial image?", "Is this an axial slice?", "Is the image in the axial plane?")
    yield Candidate("is axial", "PLANE", axial, yes(plane == "axial"), 0.3 * even)


def _region(case: Case) -> Iterator[Candidate]:
    parts = (
        "Which part of the body is shown?",
        "What body region is this?",
        "What part of the body was imaged?",
        "What is imaged here?",
    )
    yield Candidate("region", "ORGAN", parts, case.region, 0.6)
    for region in REGIONS:
        wordings = (
            f"Is this an image of the {region}?",
            f"Is the {region} shown?",
            f"Does this image show the {region}?",
        )
        here = case.region == region
        yield Candidate(f"is {region}", "ORGAN", wordings, yes(here), 0.2 if here else 0.1)


def _other(case: Case) -> Iterator[Candidate]:
    wordings = ("Which side marker is on the image?", "What letter is on the image?", "Which letter marks the side?")
    yield Candidate("marker", "OTHER", wordings, case.marker.lower() or "none", 0.4)
    closed = ("Is there a side marker?", "Is a letter written on the image?", "Does the image carry a side marker?")
    yield Candidate("is marker", "OTHER", closed, yes(bool(case.marker)), 0.2 if case.marker else 0.4)
    if case.region == "chest":
        here = any(finding.kind.device for finding in case.findings)
        device = ("Is there a medical device?", "Is anything implanted?", "Is there a foreign body?")
        weight = 0.7 * (1.0 if here else absent_share(kinds("chest", "x-ray")))
        yield Candidate("device", "OTHER", device, yes(here), weight, "pacemaker" if here else "")
