"""What may be asked about a case, with exact answers, and how often each is asked so that guessing does not pay.

Every question is a `Candidate` with a `weight`: the chance of its being asked. Weights are chosen so that, over many
images, each answer of a question is about as frequent as any other: an absent finding is asked about as often as a
present one, modalities and planes evenly, and so on. The question alone then says little about the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from discern_vqa.datasets.phantom.findings import SIDES, Case, Finding, Kind, kinds

Random = np.random.Generator

_NORMAL_SHARE = 0.20  # of images that show no abnormality, measured over many
_KINDS_SHOWN = 1.24  # kinds of findings in an image, on average


@dataclass(frozen=True)
class Candidate:
    """A question that fits a case.

    Args:
        key: what is asked, independent of the wording; the same for both members of a twin pair.
        type: VQA-RAD's question type.
        wordings: paraphrases of one and the same question.
        answer: lower-case.
        weight: chance of its being asked.
        about: the kind of finding that the answer rests on, when it is present ("" else): its mask is the evidence.
    """

    key: str
    type: str
    wordings: tuple[str, ...]
    answer: str
    weight: float
    about: str = ""


def is_closed(question: str, answer: str) -> bool:
    """Closed: yes or no, or a choice between alternatives that the question names."""
    return answer in ("yes", "no") or f" {answer} or " in question or f" or {answer}?" in question


def candidates(case: Case) -> list[Candidate]:
    """All questions that fit the case."""
    found = [*_presence(case), *_abnormality(case)]
    for finding in case.findings:
        found += [*_position(finding), *_size(finding), *_count(finding)]
    return [*found, *_look(case), *_technique(case), *_region(case), *_other(case)]


def choose(
    random: Random, found: Sequence[Candidate], without: frozenset[str] = frozenset()
) -> list[tuple[Candidate, str]]:
    """The questions that are asked, each with its wording; none whose key is in `without`."""
    chances = random.random(len(found))
    wording = random.random(len(found))
    return [
        (one, one.wordings[int(pick * len(one.wordings))])
        for one, chance, pick in zip(found, chances, wording, strict=True)
        if chance < one.weight and one.key not in without
    ]


def _yes(true: bool) -> str:
    return "yes" if true else "no"


_PRESENCE = (
    "Is there {a}?",
    "Is {a} present?",
    "Does the image show {a}?",
    "Can {a} be seen?",
    "Is there evidence of {a}?",
)
_ENLARGED = {
    "cardiomegaly": ("heart", "Is the cardiac silhouette enlarged?"),
    "splenomegaly": ("spleen", "Is the size of the spleen increased?"),
    "hydrocephalus": ("ventricles", "Are the ventricles dilated?"),
    "aortic aneurysm": ("aorta", "Is the aorta dilated?"),
}


def _presence(case: Case) -> list[Candidate]:
    found = []
    available = kinds(case.region, case.modality)
    absent_share = _absent_share(available)
    for kind in available:
        here = case.find(kind.name) is not None
        weight = 1.0 if here else absent_share
        about = kind.name if here else ""
        wordings = tuple(text.format(a=kind.phrase) for text in _PRESENCE)
        enlarged = _ENLARGED.get(kind.name)
        found.append(
            Candidate(f"present:{kind.name}", "PRES", wordings, _yes(here), weight * (0.6 if enlarged else 0.9), about)
        )
        if enlarged:
            organ, other = enlarged
            verb = "Are" if organ == "ventricles" else "Is"
            sizes = (f"{verb} the {organ} enlarged?", f"{verb} the {organ} larger than normal?", other)
            found.append(Candidate(f"enlarged:{organ}", "SIZE", sizes, _yes(here), 0.7 * weight, about))
    return found


def _absent_share(available: Sequence[Kind]) -> float:
    """How often to ask about an absent kind so that "no" is as frequent as "yes": p / (1 - p), p its prevalence."""
    prevalence = _KINDS_SHOWN / len(available)
    return prevalence / (1 - prevalence)


def _abnormality(case: Case) -> list[Candidate]:
    ill = case.abnormalities
    even = _NORMAL_SHARE / (1 - _NORMAL_SHARE)
    weight = 0.5 * (even if ill else 1.0)
    about = ill[0].kind.name if len(ill) == 1 else ""
    found = [
        Candidate(
            "normal",
            "ABN",
            ("Is this image normal?", "Does this look normal?", "Is this a normal study?"),
            _yes(not ill),
            weight,
            about,
        ),
        Candidate(
            "abnormal",
            "ABN",
            ("Is there any abnormality?", "Is this image abnormal?", "Is there any pathology in this image?"),
            _yes(bool(ill)),
            weight,
            about,
        ),
    ]
    if len(ill) <= 1:
        wordings = (
            "What abnormality is seen?",
            "What is the finding?",
            "What is wrong in this image?",
            "What is the diagnosis?",
        )
        answer = about or "no abnormality"
        found.append(Candidate("which", "ABN", wordings, answer, 0.9 if ill else 0.2, about))
    if about:
        organs = ("Which organ is affected?", "Where is the abnormality?", "Which structure is abnormal?")
        found.append(Candidate("organ affected", "ORGAN", organs, ill[0].kind.organ, 0.6, about))
    return found


def _position(finding: Finding) -> list[Candidate]:
    kind, found = finding.kind, []
    name, side = kind.name, finding.side
    if kind.sided and finding.count == 1:
        if name == "midline shift":
            wordings = (
                "To which side is the midline shifted?",
                "In which direction does the midline deviate?",
                "Is the midline shifted to the left or right?",
            )
        else:
            wordings = (
                f"On which side is the {name}?",
                f"Which side shows the {name}?",
                f"Is the {name} on the left or right?",
                f"Where is the {name}, left or right?",
            )
        found.append(Candidate(f"side:{name}", "POS", wordings, side, 0.9, name))
        if name != "midline shift":
            for asked in SIDES:
                closed = (
                    f"Is the {name} on the {asked}?",
                    f"Is the {name} on the {asked} side?",
                    f"Does the {name} lie on the patient's {asked}?",
                )
                found.append(Candidate(f"side {asked}:{name}", "POS", closed, _yes(side == asked), 0.15, name))
    if kind.zones and finding.count == 1:
        if "upper" in kind.zones:
            wordings = (
                f"In which lung zone is the {name}?",
                f"Which zone holds the {name}?",
                f"Is the {name} in the upper, middle or lower zone?",
                f"At what height is the {name}?",
            )
        else:
            wordings = (
                f"Is the {name} anterior or posterior?",
                f"Does the {name} lie in the front or in the back of the brain, anterior or posterior?",
                f"Which part of the hemisphere holds the {name}?",
            )
        found.append(Candidate(f"zone:{name}", "POS", wordings, finding.zone, 0.9, name))
    return found


def _size(finding: Finding) -> list[Candidate]:
    kind = finding.kind
    if not kind.sizes:
        return []
    several = finding.count > 1
    name = kind.plural if several else kind.name
    verb = "are" if several else "is"
    wordings = (f"How large {verb} the {name}?", f"What size {verb} the {name}?", f"How big {verb} the {name}?")
    if not several:
        wordings += (f"What is the size of the {name}?",)
    found = [Candidate(f"size:{kind.name}", "SIZE", wordings, finding.size, 0.9, kind.name)]
    if finding.size != "medium":
        closed = (f"{verb.capitalize()} the {name} small or large?", f"{verb.capitalize()} the {name} large or small?")
        found.append(Candidate(f"small or large:{kind.name}", "SIZE", closed, finding.size, 0.25, kind.name))
    return found


def _count(finding: Finding) -> list[Candidate]:
    kind = finding.kind
    if kind.most == 1:
        return []
    many = kind.plural
    wordings = (
        f"How many {many} are there?",
        f"How many {many} can be seen?",
        f"What is the number of {many}?",
        f"Count the {many}.",
    )
    several = (f"Is there more than one {kind.name}?", f"Are there several {many}?", f"Are there multiple {many}?")
    return [
        Candidate(f"count:{kind.name}", "COUNT", wordings, str(finding.count), 0.95, kind.name),
        Candidate(
            f"several:{kind.name}",
            "COUNT",
            several,
            _yes(finding.count > 1),
            0.6 if finding.count == 1 else 0.3,
            kind.name,
        ),
    ]


def _look(case: Case) -> list[Candidate]:
    found = []
    if len(case.abnormalities) == 1:
        (ill,) = case.abnormalities
        tone = ill.kind.tone.get(case.sequence) or ill.kind.tone.get("")
        if tone:
            wordings = (
                "Is the abnormality brighter or darker than its surroundings?",
                "Is the lesion brighter or darker than the tissue around it?",
                "Compared with the tissue around it, is the finding brighter or darker?",
            )
            found.append(
                Candidate("tone", "ATTRIB", wordings, tone, 0.45 if tone == "brighter" else 0.8, ill.kind.name)
            )
    if case.region == "abdomen":
        wordings = ("Was contrast given?", "Is this a contrast-enhanced scan?", "Has intravenous contrast been given?")
        found.append(Candidate("contrast", "ATTRIB", wordings, _yes(case.contrast), 0.6))
        colour = (
            "What color is the aorta, white or gray?",
            "What color is the aorta?",
            "Which color does the aorta have?",
        )
        found.append(Candidate("color aorta", "COLOR", colour, "white" if case.contrast else "gray", 0.35))
    if case.region == "head":
        bone = ("What color is the skull?", "Is the skull black or white?", "What color does the bone have?")
        found.append(Candidate("color bone", "COLOR", bone, "white" if case.modality == "ct" else "black", 0.5))
        fluid = (
            "What color is the cerebrospinal fluid?",
            "Is the fluid in the ventricles black or white?",
            "What color are the ventricles?",
        )
        white = case.sequence == "t2"
        found.append(Candidate("color fluid", "COLOR", fluid, "white" if white else "black", 0.9 if white else 0.18))
    return found


def _technique(case: Case) -> list[Candidate]:
    open_ = (
        "What modality is this?",
        "How was this image taken?",
        "What type of imaging is this?",
        "Which imaging method was used?",
    )
    weight = {"x-ray": 0.6, "ct": 0.4, "mri": 1.0}[case.modality]
    found = [Candidate("modality", "MODALITY", open_, case.modality, weight)]
    is_ct = ("Is this a ct scan?", "Is this a ct image?", "Was this taken by ct?")
    found.append(Candidate("is ct", "MODALITY", is_ct, _yes(case.modality == "ct"), 0.2))
    if case.modality == "mri":
        sequence = ("Which mr sequence is this?", "What weighting does this image have?", "Is this t1, t2 or flair?")
        found.append(Candidate("sequence", "MODALITY", sequence, case.sequence, 0.8))
    plane = "frontal" if case.region == "chest" else "axial"
    even = 1.0 if plane == "frontal" else 0.5
    planes = (
        "In what plane is this image?",
        "What is the plane of this image?",
        "Is this an axial or a frontal image?",
        "Which plane is shown?",
    )
    found.append(Candidate("plane", "PLANE", planes, plane, 0.65 * even))
    axial = ("Is this an axial image?", "Is this an axial slice?", "Is the image in the axial plane?")
    found.append(Candidate("is axial", "PLANE", axial, _yes(plane == "axial"), 0.3 * even))
    return found


def _region(case: Case) -> list[Candidate]:
    parts = (
        "Which part of the body is shown?",
        "What body region is this?",
        "What part of the body was imaged?",
        "What is imaged here?",
    )
    found = [Candidate("region", "ORGAN", parts, case.region, 0.6)]
    for region in ("chest", "head", "abdomen"):
        wordings = (
            f"Is this an image of the {region}?",
            f"Is the {region} shown?",
            f"Does this image show the {region}?",
        )
        found.append(
            Candidate(
                f"is {region}", "ORGAN", wordings, _yes(case.region == region), 0.2 if case.region == region else 0.1
            )
        )
    return found


def _other(case: Case) -> list[Candidate]:
    wordings = ("Which side marker is on the image?", "What letter is on the image?", "Which letter marks the side?")
    found = [Candidate("marker", "OTHER", wordings, case.marker.lower() or "none", 0.4)]
    closed = ("Is there a side marker?", "Is a letter written on the image?", "Does the image carry a side marker?")
    found.append(Candidate("is marker", "OTHER", closed, _yes(bool(case.marker)), 0.2 if case.marker else 0.4))
    if case.region == "chest":
        here = any(finding.kind.device for finding in case.findings)
        device = ("Is there a medical device?", "Is anything implanted?", "Is there a foreign body?")
        share = _absent_share(kinds("chest", "x-ray"))
        found.append(
            Candidate(
                "device", "OTHER", device, _yes(here), 0.7 * (1.0 if here else share), "pacemaker" if here else ""
            )
        )
    return found
