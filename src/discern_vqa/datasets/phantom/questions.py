"""Questions about findings, with exact answers: presence, abnormality, place, size, number, look."""

from collections.abc import Iterator, Sequence

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
    about = (_side, _zone, _size, _count)
    of_findings = [question for finding in case.findings for ask in about for question in ask(finding)]
    return [*_presence(case), *_abnormality(case), *of_findings, *_tone(case), *about_image(case, regions)]


def _presence(case: Case) -> Iterator[Candidate]:
    available = kinds(case.region, case.modality)
    for kind in available:
        here = case.find(kind.name) is not None
        weight = 1.0 if here else absent_share(available)
        about = kind.name if here else ""
        wordings = tuple(text.format(a=kind.phrase) for text in _PRESENCE)
        share = 0.6 if kind.name in _ENLARGED else 0.9
        yield Candidate(f"present:{kind.name}", "PRES", wordings, yes(here), share * weight, about)
        if kind.name in _ENLARGED:
            organ, larger = _ENLARGED[kind.name]
            yield Candidate(f"enlarged:{organ}", "SIZE", larger, yes(here), 0.7 * weight, about)


def _abnormality(case: Case) -> Iterator[Candidate]:
    ill = case.abnormalities
    weight = 0.5 * (_NORMAL_SHARE / (1 - _NORMAL_SHARE) if ill else 1.0)
    about = ill[0].kind.name if len(ill) == 1 else ""
    normal = ("Is this image normal?", "Does this look normal?", "Is this a normal study?")
    yield Candidate("normal", "ABN", normal, yes(not ill), weight, about)
    abnormal = ("Is there any abnormality?", "Is this image abnormal?", "Is there any pathology in this image?")
    yield Candidate("abnormal", "ABN", abnormal, yes(bool(ill)), weight, about)
    if len(ill) <= 1:
        which = (
            "What abnormality is seen?",
            "What is the finding?",
            "What is wrong in this image?",
            "What is the diagnosis?",
        )
        yield Candidate("which", "ABN", which, about or "no abnormality", 0.9 if ill else 0.2, about)
    if about:
        organ = ("Which organ is affected?", "Where is the abnormality?", "Which structure is abnormal?")
        yield Candidate("organ affected", "ORGAN", organ, ill[0].kind.organ, 0.6, about)


def _side(finding: Finding) -> Iterator[Candidate]:
    name, side = finding.kind.name, finding.side
    if not finding.kind.sided or finding.count > 1:
        return
    if name == "midline shift":
        towards = (
            "To which side is the midline shifted?",
            "In which direction does the midline deviate?",
            "Is the midline shifted to the left or right?",
        )
        yield Candidate(f"side:{name}", "POS", towards, side, 0.9, name)
        return
    which = (
        f"On which side is the {name}?",
        f"Which side shows the {name}?",
        f"Is the {name} on the left or right?",
        f"Where is the {name}, left or right?",
    )
    yield Candidate(f"side:{name}", "POS", which, side, 0.9, name)
    for stated in SIDES:
        closed = (
            f"Is the {name} on the {stated}?",
            f"Is the {name} on the {stated} side?",
            f"Does the {name} lie on the patient's {stated}?",
        )
        yield Candidate(f"side {stated}:{name}", "POS", closed, yes(side == stated), 0.15, name)


def _zone(finding: Finding) -> Iterator[Candidate]:
    name = finding.kind.name
    if not finding.kind.zones or finding.count > 1:
        return
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
    yield Candidate(f"zone:{name}", "POS", wordings, finding.zone, 0.9, name)


def _size(finding: Finding) -> Iterator[Candidate]:
    kind = finding.kind
    if not kind.sizes:
        return
    name, verb = (kind.plural, "are") if finding.count > 1 else (kind.name, "is")
    wordings = (f"How large {verb} the {name}?", f"What size {verb} the {name}?", f"How big {verb} the {name}?")
    yield Candidate(f"size:{kind.name}", "SIZE", wordings, finding.size, 0.9, kind.name)
    if finding.size != "medium":
        closed = (f"{verb.capitalize()} the {name} small or large?", f"{verb.capitalize()} the {name} large or small?")
        yield Candidate(f"small or large:{kind.name}", "SIZE", closed, finding.size, 0.25, kind.name)


def _count(finding: Finding) -> Iterator[Candidate]:
    kind, many = finding.kind, finding.kind.plural
    if kind.most == 1:
        return
    number = (
        f"How many {many} are there?",
        f"How many {many} can be seen?",
        f"What is the number of {many}?",
        f"Count the {many}.",
    )
    yield Candidate(f"count:{kind.name}", "COUNT", number, str(finding.count), 0.95, kind.name)
    several = (f"Is there more than one {kind.name}?", f"Are there several {many}?", f"Are there multiple {many}?")
    single = finding.count == 1  # a third of the cases: asked twice as often
    yield Candidate(f"several:{kind.name}", "COUNT", several, yes(not single), 0.6 if single else 0.3, kind.name)


def _tone(case: Case) -> Iterator[Candidate]:
    if len(case.abnormalities) != 1:
        return
    (ill,) = case.abnormalities
    tone = ill.kind.tone.get(case.sequence) or ill.kind.tone.get("")
    if tone:
        wordings = (
            "Is the abnormality brighter or darker than its surroundings?",
            "Is the lesion brighter or darker than the tissue around it?",
            "Compared with the tissue around it, is the finding brighter or darker?",
        )
        yield Candidate("tone", "ATTRIB", wordings, tone, 0.55 if tone == "brighter" else 0.8, ill.kind.name)
