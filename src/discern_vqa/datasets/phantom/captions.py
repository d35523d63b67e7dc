"""Sentences that describe a case: captions for pre-training. Order, wording and normal remarks vary."""

from discern_vqa.datasets.phantom.findings import Case, Finding, Random, kinds

_OPENINGS = {
    "chest": (
        "Frontal chest radiograph",
        "Chest x-ray, frontal view",
        "X-ray of the chest in the frontal plane",
        "Plain film of the chest",
    ),
    "head ct": (
        "Axial CT of the head",
        "Head CT, axial slice",
        "CT scan of the head in the axial plane",
        "Axial head CT in a brain window",
    ),
    "head mri": (
        "Axial {seq} MRI of the head",
        "Head MRI, axial {seq} image",
        "{seq} weighted MR image of the head, axial plane",
    ),
    "abdomen": (
        "Axial CT of the abdomen {con}",
        "Abdominal CT, axial slice, {con}",
        "CT scan of the upper abdomen {con}",
    ),
}
_NORMAL = {
    "cardiomegaly": ("Heart size is normal.", "The heart is not enlarged."),
    "pleural effusion": ("No pleural effusion.", "The costophrenic angles are clear."),
    "pneumothorax": ("No pneumothorax.", "Both lungs are expanded."),
    "nodule": ("No nodule.", "No pulmonary nodule is seen."),
    "consolidation": ("No consolidation.", "The lungs are clear of consolidation."),
    "hemorrhage": ("No hemorrhage.", "No intracranial hemorrhage."),
    "infarct": ("No infarct.", "No sign of an infarct."),
    "mass": ("No mass.", "No mass is seen."),
    "midline shift": ("The midline is central.", "No midline shift."),
    "hydrocephalus": ("The ventricles are of normal size.", "No hydrocephalus."),
    "liver cyst": ("No liver cyst.", "No cyst in the liver."),
    "liver mass": ("No liver mass.", "No mass in the liver."),
    "kidney stone": ("No kidney stone.", "No calculus in the kidneys."),
    "kidney cyst": ("No kidney cyst.", "No cyst of the kidneys."),
    "splenomegaly": ("The spleen is of normal size.", "Normal spleen."),
    "ascites": ("No ascites.", "No free fluid."),
    "aortic aneurysm": ("The aorta is of normal width.", "No aortic aneurysm."),
}
_NUMBERS = {2: "two", 3: "three"}


def caption(random: Random, case: Case) -> str:
    """One caption: what was imaged, each finding with side, place, size and number, and what is normal."""
    key = case.region if case.region != "head" else f"head {case.modality}"
    opening = _pick(random, _OPENINGS[key])
    sentences = [_sentence(random, finding) for finding in case.findings]
    if not case.abnormalities:
        sentences.append(_pick(random, ("No abnormality.", "Normal study.", "Unremarkable.")))
    names = [kind.name for kind in kinds(case.region, case.modality)]
    absent = [name for name in names if case.find(name) is None and name in _NORMAL]
    for k in random.permutation(len(absent))[: int(random.integers(0, 3))]:
        sentences.append(_pick(random, _NORMAL[absent[k]]))
    if case.marker and random.random() < 0.3:
        sentences.append(f"{case.marker} marker on the image.")
    order = random.permutation(len(sentences))
    contrast = "with contrast" if case.contrast else "without contrast"
    return " ".join([opening.format(seq=case.sequence.upper(), con=contrast) + ".", *(sentences[k] for k in order)])


def _pick(random: Random, options: tuple[str, ...]) -> str:
    return options[int(random.integers(len(options)))]


def _sentence(random: Random, finding: Finding) -> str:
    kind, several = finding.kind, finding.count > 1
    if kind.name == "midline shift":
        shifted = (f"Midline shift to the {finding.side}.", f"The midline is shifted to the {finding.side}.")
        return _pick(random, shifted)
    words = (_NUMBERS[finding.count] if several else "", finding.size, kind.plural if several else kind.name)
    phrase = " ".join(filter(None, words))
    place = _place(random, finding) if not several else ""
    if random.random() < 0.3 and place:
        return f"In the {place} there is {_article(phrase)}{phrase}."
    end = f" in the {place}" if place else ""
    there_is = "There are " if several else f"There is {_article(phrase)}"
    return _pick(random, (f"{phrase.capitalize()}{end}.", f"{there_is}{phrase}{end}."))


def _article(phrase: str) -> str:
    if phrase in ("ascites", "cardiomegaly", "splenomegaly", "hydrocephalus") or phrase.endswith(" ascites"):
        return ""
    return "an " if phrase[0] in "aeiou" else "a "


def _place(random: Random, finding: Finding) -> str:
    kind, side, zone = finding.kind, finding.side, finding.zone
    if kind.organ == "lung":
        return _pick(random, (f"{side} {zone} zone", f"{zone} zone of the {side} lung", f"{side} {zone} lung"))
    if kind.organ == "brain":
        return _pick(random, (f"{zone} part of the {side} hemisphere", f"{side} {zone} brain"))
    if not side:
        return ""
    noun = {"pleura": "pleural space", "kidney": "kidney", "": "chest wall"}[kind.organ]
    return f"{side} {noun}"
