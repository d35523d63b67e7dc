"""Questions about findings, with exact answers: presence, abnormality, place, size, number, look."""

from collections.abc import Sequence

from discern_vqa.datasets.phantom.candidate import Candidate, Wordings, absent_share, yes
from discern_vqa.datasets.phantom.findings import REGIONS, SIDES, Case, Finding, kinds
from discern_vqa.datasets.phantom.technique import about_image

_NORMAL_SHARE = 0.19  # of images that show no abnormality (measured)

_PRESENCE = (
    "Is there {a}?",
    "Is {a} present?",
    "Does the image show {a}?",
    "Can {a} be seen?",
    "Is there evidence of {a}?",
)
_ENLARGED: dict[str, tuple[str, Wordings]] = {
    "cardiomegaly": (
        "heart",
        ("Is the heart enlarged?", "Is the heart larger than normal?", "Is the cardiac silhouette enlarged?"),
    ),
    "splenomegaly": (
        "spleen",
        ("Is the spleen enlarged?", "Is the spleen larger than normal?", "Is the size of the spleen increased?"),
    ),
    "hydrocephalus": (
        "ventricles",
        ("Are the ventricles enlarged?", "Are the ventricles larger than normal?", "Are the ventricles dilated?"),
    ),
    "aortic aneurysm": (
        "aorta",
        ("Is the aorta enlarged?", "Is the aorta wider than normal?", "Is the aorta dilated?"),
    ),
}


def candidates(case: Case, regions: Sequence[str] = REGIONS) -> list[Candidate]:
    """All questions that fit the case, in a set that shows these regions."""
    found = [*_presence(case), *_abnormality(case)]
    for finding in case.findings:
        found += [*_side(finding), *_zone(finding), *_size(finding), *_count(finding)]
    return [*found, *_tone(case), *about_image(case, regions)]


def _presence(case: Case) -> list[Candidate]:
    found = []
    available = kinds(case.region, case.modality)
    for kind in available:
        here = case.find(kind.name) is not None
        weight = 1.0 if here else absent_share(available)
        about = kind.name if here else ""
        wordings = tuple(text.format(a=kind.phrase) for text in _PRESENCE)
        share = 0.6 if kind.name in _ENLARGED else 0.9
        found.append(Candidate(f"present:{kind.name}", "PRES", wordings, yes(here), share * weight, about))
        if kind.name in _ENLARGED:
            organ, larger = _ENLARGED[kind.name]
            found.append(Candidate(f"enlarged:{organ}", "SIZE", larger, yes(here), 0.7 * weight, about))
    return found


def _abnormality(case: Case) -> list[Candidate]:
    ill = case.abnormalities
    weight = 0.5 * (_NORMAL_SHARE / (1 - _NORMAL_SHARE) if ill else 1.0)
    about = ill[0].kind.name if len(ill) == 1 else ""
    normal = ("Is this image normal?", "Does this look normal?", "Is this a normal study?")
    abnormal = ("Is there any abnormality?", "Is this image abnormal?", "Is there any pathology in this image?")
    found = [
        Candidate("normal", "ABN", normal, yes(not ill), weight, about),
        Candidate("abnormal", "ABN", abnormal, yes(bool(ill)), weight, about),
    ]
    if len(ill) <= 1:
        which = (
            "What abnormality is seen?",
            "What is the finding?",
            "What is wrong in this image?",
            "What is the diagnosis?",
        )
        found.append(Candidate("which", "ABN", which, about or "no abnormality", 0.9 if ill else 0.2, about))
    if about:
        organ = ("Which organ is affected?", "Where is the abnormality?", "Which structure is abnormal?")
        found.append(Candidate("organ affected", "ORGAN", organ, ill[0].kind.organ, 0.6, about))
    return found


def _side(finding: Finding) -> list[Candidate]:
    name, side = finding.kind.name, finding.side
    if not finding.kind.sided or finding.count > 1:
        return []
    if name == "midline shift":
        towards = (
            "To which side is the midline shifted?",
            "In which direction does the midline deviate?",
            "Is the midline shifted to the left or right?",
        )
        return [Candidate(f"side:{name}", "POS", towards, side, 0.9, name)]
    which = (
        f"On which side is the {name}?",
        f"Which side shows the {name}?",
        f"Is the {name} on the left or right?",
        f"Where is the {name}, left or right?",
    )
    found = [Candidate(f"side:{name}", "POS", which, side, 0.9, name)]
    for asked in SIDES:
        closed = (
            f"Is the {name} on the {asked}?",
            f"Is the {name} on the {asked} side?",
            f"Does the {name} lie on the patient's {asked}?",
        )
        found.append(Candidate(f"side {asked}:{name}", "POS", closed, yes(side == asked), 0.15, name))
    return found


def _zone(finding: Finding) -> list[Candidate]:
    name = finding.kind.name
    if not finding.kind.zones or finding.count > 1:
        return []
    if "upper" in finding.kind.zones:
        wordings: Wordings = (
            f"In which lung zone is the {name}?",
            f"Which zone holds the {name}?",
            f"Is the {name} in the upper, middle or lower zone?",
            f"At what height is the {name}?",
        )
    else:
        wordings = (
            f"Is the {name} anterior or posterior?",
            f"Does the {name} lie in the anterior or posterior part of the brain?",
            f"Which part of the hemisphere holds the {name}?",
        )
    return [Candidate(f"zone:{name}", "POS", wordings, finding.zone, 0.9, name)]


def _size(finding: Finding) -> list[Candidate]:
    kind = finding.kind
    if not kind.sizes:
        return []
    several = finding.count > 1
    name, verb = (kind.plural, "are") if several else (kind.name, "is")
    wordings: Wordings = (
        f"How large {verb} the {name}?",
        f"What size {verb} the {name}?",
        f"How big {verb} the {name}?",
    )
    found = [Candidate(f"size:{kind.name}", "SIZE", wordings, finding.size, 0.9, kind.name)]
    if finding.size != "medium":
        closed = (f"{verb.capitalize()} the {name} small or large?", f"{verb.capitalize()} the {name} large or small?")
        found.append(Candidate(f"small or large:{kind.name}", "SIZE", closed, finding.size, 0.25, kind.name))
    return found


def _count(finding: Finding) -> list[Candidate]:
    kind, many = finding.kind, finding.kind.plural
    if kind.most == 1:
        return []
    number = (
        f"How many {many} are there?",
        f"How many {many} can be seen?",
        f"What is the number of {many}?",
        f"Count the {many}.",
    )
    several = (f"Is there more than one {kind.name}?", f"Are there several {many}?", f"Are there multiple {many}?")
    single = finding.count == 1  # a third of the cases: asked twice as often
    return [
        Candidate(f"count:{kind.name}", "COUNT", number, str(finding.count), 0.95, kind.name),
        Candidate(f"several:{kind.name}", "COUNT", several, yes(not single), 0.6 if single else 0.3, kind.name),
    ]


def _tone(case: Case) -> list[Candidate]:
    if len(case.abnormalities) != 1:
        return []
    (ill,) = case.abnormalities
    tone = ill.kind.tone.get(case.sequence) or ill.kind.tone.get("")
    if not tone:
        return []
    wordings = (
        "Is the abnormality brighter or darker than its surroundings?",
        "Is the lesion brighter or darker than the tissue around it?",
        "Compared with the tissue around it, is the finding brighter or darker?",
    )
    return [Candidate("tone", "ATTRIB", wordings, tone, 0.55 if tone == "brighter" else 0.8, ill.kind.name)]
