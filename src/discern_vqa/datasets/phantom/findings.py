"""What can be found in a phantom, and what one phantom shows: kinds, findings and cases. No drawing here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np

Random = np.random.Generator
REGIONS = ("chest", "head", "abdomen")
SIDES = ("left", "right")  # the patient's; the patient's left is on the image's right
SIGN = {"left": 1.0, "right": -1.0}  # of body coordinates that run to the image's right
SIZES = ("small", "medium", "large")
NUMBERS = (0.20, 0.33, 0.30, 0.17)  # share of images with 0, 1, 2, 3 kinds of findings


@dataclass(frozen=True)
class Kind:
    """A kind of finding and which of its properties vary.

    Args:
        name: as it appears in answers.
        phrase: with its article, for questions ("a nodule").
        plural: for counting; empty when it is not counted.
        organ: the organ it belongs to, as an answer.
        sided: has a side. zones: the zones it may lie in. sizes: its size classes. most: the largest number drawn.
        tone: "brighter" or "darker" than what surrounds it, by modality ("ct", "t1", ...); "" key for all.
        device: put there by somebody, hence no abnormality.
    """

    name: str
    phrase: str
    organ: str
    plural: str = ""
    sided: bool = False
    zones: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    most: int = 1
    tone: Mapping[str, str] = field(default_factory=dict, hash=False)
    device: bool = False


CHEST_ZONES = ("upper", "middle", "lower")
HEAD_ZONES = ("anterior", "posterior")
_ENDS = ("small", "large")

CHEST = (
    Kind("nodule", "a nodule", "lung", "nodules", True, CHEST_ZONES, _ENDS, 3, {"": "brighter"}),
    Kind("pleural effusion", "a pleural effusion", "pleura", "", True, (), _ENDS, 1, {"": "brighter"}),
    Kind("pneumothorax", "a pneumothorax", "pleura", "", True, (), _ENDS, 1, {"": "darker"}),
    Kind("cardiomegaly", "cardiomegaly", "heart"),
    Kind("consolidation", "a consolidation", "lung", "", True, CHEST_ZONES, (), 1, {"": "brighter"}),
    Kind("pacemaker", "a pacemaker", "", "", True, device=True),
)
_INFARCT_TONE = {"ct": "darker", "t1": "darker", "t2": "brighter", "flair": "brighter"}
_HEAD_ANY = (
    Kind("infarct", "an infarct", "brain", "", True, HEAD_ZONES, (), 1, _INFARCT_TONE),
    Kind("mass", "a mass", "brain", "masses", True, HEAD_ZONES, _ENDS, 3),
    Kind("midline shift", "a midline shift", "brain", "", True),
    Kind("hydrocephalus", "hydrocephalus", "ventricles"),
)
_HEAD_CT = (Kind("hemorrhage", "a hemorrhage", "brain", "", True, HEAD_ZONES, SIZES, 1, {"": "brighter"}),)
ABDOMEN = (
    Kind("liver cyst", "a liver cyst", "liver", "liver cysts", False, (), _ENDS, 3, {"": "darker"}),
    Kind("liver mass", "a liver mass", "liver", "", False, (), _ENDS),
    Kind("kidney stone", "a kidney stone", "kidney", "kidney stones", True, (), (), 3, {"": "brighter"}),
    Kind("kidney cyst", "a kidney cyst", "kidney", "", True, (), _ENDS, 1, {"": "darker"}),
    Kind("splenomegaly", "splenomegaly", "spleen"),
    Kind("ascites", "ascites", "peritoneum", "", False, (), _ENDS),
    Kind("aortic aneurysm", "an aortic aneurysm", "aorta"),
)


@dataclass(frozen=True)
class Finding:
    """One kind of finding in one phantom. Only what the kind varies is set.

    `seed` fixes everything else (exact place, outline, contrast), so that a finding with another side, size or number
    is otherwise the same.
    """

    kind: Kind
    side: str = ""
    zone: str = ""
    size: str = ""
    count: int = 1
    seed: int = 0

    def random(self) -> Random:
        return np.random.default_rng(self.seed)


@dataclass(frozen=True)
class Case:
    """What one image shows: everything that questions and captions may speak of."""

    region: str
    modality: str
    sequence: str  # "t1", "t2", "flair" for mri; "ct" or "x-ray" else
    contrast: bool
    marker: str
    findings: tuple[Finding, ...]

    @property
    def abnormalities(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if not finding.kind.device)

    def find(self, name: str) -> Finding | None:
        return next((finding for finding in self.findings if finding.kind.name == name), None)


def kinds(region: str, modality: str) -> tuple[Kind, ...]:
    """The kinds that a region shows in a modality, devices included."""
    head = _HEAD_CT + _HEAD_ANY if modality == "ct" else _HEAD_ANY
    return {"chest": CHEST, "abdomen": ABDOMEN, "head": head}[region]


def draw_finding(random: Random, kind: Kind) -> Finding:
    """A finding of this kind, its side, zone, size and number drawn evenly."""
    return Finding(
        kind,
        side=str(random.choice(SIDES)) if kind.sided else "",
        zone=str(random.choice(kind.zones)) if kind.zones else "",
        size=str(random.choice(kind.sizes)) if kind.sizes else "",
        count=int(random.integers(1, kind.most + 1)),
        seed=int(random.integers(1 << 31)),
    )


def cells(finding: Finding) -> set[tuple[str, str]]:
    """The (side, zone) places that a finding fills: two findings must not share one."""
    name, side = finding.kind.name, finding.side
    if name == "pleural effusion":
        return {(side, "lower")} | ({(side, "middle")} if finding.size == "large" else set())
    if name == "pneumothorax":
        return {(side, "upper"), (side, "middle")} | ({(side, "lower")} if finding.size == "large" else set())
    if name == "cardiomegaly":
        return {("left", "lower")}
    if name == "pacemaker":
        return {(side, "upper")}
    if finding.kind.organ in ("liver", "kidney"):
        return {(spot_side, finding.kind.organ) for spot_side in (SIDES if finding.count > 1 else (side,))}
    return set(spots(finding)) if finding.zone else set()


def spots(finding: Finding) -> list[tuple[str, str]]:
    """The (side, zone) of each of a counted finding's members: the first as stated, the others elsewhere."""
    first = (finding.side, finding.zone)
    others = [spot for spot in product(SIDES, finding.kind.zones) if spot != first]
    order = finding.random().permutation(len(others))
    return [first, *(others[k] for k in order[: finding.count - 1])]


def draw_findings(
    random: Random, available: Sequence[Kind], number: int, given: Sequence[Finding] = ()
) -> tuple[Finding, ...]:
    """`number` findings of different kinds that do not lie on one another nor on the `given` ones (returned too)."""
    chosen = list(given)
    order = [available[k] for k in random.permutation(len(available))]
    for kind in order:
        if len(chosen) - len(given) == number:
            break
        if any(kind.name == other.kind.name for other in chosen):
            continue
        for _ in range(8):
            finding = draw_finding(random, kind)
            if all(cells(finding).isdisjoint(cells(other)) for other in chosen):
                chosen.append(finding)
                break
    return tuple(chosen)


def _other(random: Random, options: Sequence[str], than: str) -> str:
    return str(random.choice([option for option in options if option != than]))


def pair_differences(finding: Finding) -> list[str]:
    """The properties in which the other image of a pair may differ in this finding."""
    kind, single = finding.kind, finding.count == 1
    ways = ["presence", "presence"]
    ways += ["side"] if kind.sided and single else []
    ways += ["zone"] if kind.zones and single else []
    ways += ["size"] if kind.sizes else []
    ways += ["count"] if kind.most > 1 else []
    return ways + ([] if kind.device else ["kind"])


def changed(random: Random, finding: Finding, way: str, available: Sequence[Kind]) -> Finding | None:
    """The finding of the other image of a pair: it differs in one property; None where it is absent there."""
    kind = finding.kind
    if way == "presence":
        return None
    if way == "side":
        return replace(finding, side=_other(random, SIDES, finding.side))
    if way == "zone":
        return replace(finding, zone=_other(random, kind.zones, finding.zone))
    if way == "size":
        ends = {"small": "large", "large": "small"}
        return replace(finding, size=ends.get(finding.size) or _other(random, kind.sizes, finding.size))
    if way == "count":
        return replace(finding, count=int(random.choice([n for n in range(1, kind.most + 1) if n != finding.count])))
    others = [other for other in available if other.name != kind.name and not other.device]
    return replace(draw_finding(random, others[random.integers(len(others))]), seed=finding.seed)
