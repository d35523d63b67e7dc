"""An axial slice of the head at the level of the lateral ventricles: CT in a brain window, or MR (T1, T2, FLAIR)."""

import math

import numpy as np

from discern_vqa.datasets.phantom.canvas import (
    Canvas,
    Field,
    Mask,
    Random,
    Shape,
    polar,
    smooth_field,
    soft,
    within,
    wobble,
)
from discern_vqa.datasets.phantom.findings import SIGN, Finding, spots

# Grey value of each tissue by sequence. "rim" is the enhancing border of a mass, "edema" what surrounds it.
_GREY = {
    "ct": dict(
        fat=0.20, bone=0.97, marrow=0.86, csf=0.16, grey=0.49, white=0.41, infarct=0.27, core=0.34, rim=0.68, edema=0.31
    ),
    "t1": dict(
        fat=0.88, bone=0.06, marrow=0.55, csf=0.12, grey=0.42, white=0.58, infarct=0.29, core=0.24, rim=0.86, edema=0.40
    ),
    "t2": dict(
        fat=0.70, bone=0.05, marrow=0.40, csf=0.93, grey=0.50, white=0.36, infarct=0.74, core=0.66, rim=0.20, edema=0.70
    ),
    "flair": dict(
        fat=0.62, bone=0.05, marrow=0.40, csf=0.10, grey=0.56, white=0.44, infarct=0.80, core=0.28, rim=0.90, edema=0.72
    ),
}
_RADIUS = {
    "mass": {"small": 0.065, "large": 0.145},
    "hemorrhage": {"small": 0.060, "medium": 0.095, "large": 0.140},
}
_FOLDS = 56  # humps of the field that folds the cortex, once round the head
_DOWN = {"anterior": -0.34, "posterior": 0.34}


class _Head:
    """One patient's measures (body units)."""

    def __init__(self, random: Random) -> None:
        draw = random.uniform
        self.half = draw(0.66, 0.73), draw(0.83, 0.90)
        self.scalp, self.skull = draw(0.04, 0.06), draw(0.055, 0.08)
        self.egg = draw(0.02, 0.09)
        self.ventricles = draw(0.85, 1.10)
        self.dilated = draw(1.75, 2.0)
        self.sulci = draw(0.08, 0.13)
        self.atrophy = draw(0.45, 0.85)
        self.cortex = draw(0.040, 0.055)
        self.horn_turn = draw(0.22, 0.36)
        self.calcified = random.random() < 0.5


def draw(canvas: Canvas, random: Random, findings: tuple[Finding, ...], sequence: str) -> dict[str, Mask]:
    """Draws the slice; returns each finding's mask by its kind's name."""
    head, grey = _Head(random), _GREY[sequence]
    present = {finding.kind.name: finding for finding in findings}
    u, v = canvas.u, canvas.v
    rx, ry = head.half
    radius = np.sqrt((u / (rx * (1 + head.egg * v))) ** 2 + (v / ry) ** 2)
    depth = (1 - radius) * np.float32(rx)  # body units below the skin
    image = canvas.image
    inner = head.scalp + head.skull
    _coverings(image, depth, head, grey, sequence)
    brain = soft(depth - inner - 0.012, 0.02)
    bulk = _parenchyma(canvas, random, depth - inner - 0.012, head, grey)
    image += brain * (bulk - image)
    masks: dict[str, Mask] = {}

    shift, swollen = 0.0, present.get("midline shift")
    if swollen is not None:
        shift = SIGN[swollen.side] * float(swollen.random().uniform(0.11, 0.15))
    scale = head.ventricles * (head.dilated if "hydrocephalus" in present else 1)
    _sylvian(canvas, grey, head)
    nuclei, falx, ventricles = _deep(canvas, head, shift, scale, soft(depth - inner, 0.02))
    for nucleus in nuclei:
        canvas.fill(nucleus, grey["grey"], 0.9)
    for fissure, fold in falx:
        canvas.fill(fissure, grey["csf"], 0.6)
        canvas.fill(fold, 0.62 if sequence == "ct" else 0.30, 0.7)
    for ventricle in ventricles:
        canvas.fill(ventricle, grey["csf"])
    if head.calcified and sequence == "ct":
        for x, y in ((0.9 * shift - 0.175, 0.24), (0.9 * shift + 0.175, 0.24), (0.85 * shift, 0.16)):
            canvas.fill(canvas.ellipse(x, y, 0.016, 0.018), 0.9, 0.8)
    if "hydrocephalus" in present:
        masks["hydrocephalus"] = canvas.mask(*ventricles)
    if swollen is not None:  # what was displaced: where it is and where it should be
        rest = _deep(canvas, head, 0.0, scale, soft(depth - inner, 0.02))
        displaced = [*nuclei, *ventricles, *rest[0], *rest[2], *(line[0] for line in (*falx, *rest[1]))]
        masks["midline shift"] = canvas.mask(*displaced)
    for name, paint in (("infarct", _infarct), ("hemorrhage", _hemorrhage), ("mass", _masses)):
        if name in present:
            masks[name] = paint(canvas, present[name], grey, depth - inner)
    return masks


def _coverings(image: Field, depth: Field, head: _Head, grey: dict[str, float], sequence: str) -> None:
    """Skin and fat, skull with its marrow, and the fluid below it, from outside in."""
    skin = 0.55 if sequence == "ct" else 0.45
    for outside, value in (
        (0.0, skin),
        (0.014, grey["fat"]),
        (head.scalp, grey["bone"]),
        (head.scalp + 0.33 * head.skull, grey["marrow"]),
        (head.scalp + 0.67 * head.skull, grey["bone"]),
        (head.scalp + head.skull, grey["csf"]),
    ):
        image += soft(depth - np.float32(outside), 0.016) * (np.float32(value) - image)


def _parenchyma(canvas: Canvas, random: Random, depth: Field, head: _Head, grey: dict[str, float]) -> Field:
    """White matter under a folded cortex. Sulci are the valleys of a random field in polar coordinates."""
    size = canvas.size
    turn = np.arctan2(canvas.v, canvas.u) * np.float32(1 / np.pi) + 1
    table = random.standard_normal((4, _FOLDS), dtype=np.float32)
    bent = 0.35 * smooth_field(random, size, 9)
    folds = np.abs(polar(table, turn * np.float32(_FOLDS / 2) + bent, np.clip(depth, 0, 1) * np.float32(14)))
    reach = np.float32(head.sulci) * (1 + 0.20 * smooth_field(random, size, 6))
    ribbon = soft(np.float32(head.cortex) + 0.015 * smooth_field(random, size, 16) - depth, 0.03)
    along = np.exp(-((folds / np.float32(0.55)) ** 2)) * soft(reach + 0.035 - depth, 0.05)
    valley = np.exp(-((folds / np.float32(0.20)) ** 2)) * soft(reach - depth, 0.06)
    bulk = grey["white"] + (grey["grey"] - grey["white"]) * np.maximum(ribbon, along)
    bulk += 0.007 * smooth_field(random, size, 24)
    return bulk + np.float32(head.atrophy) * valley * (grey["csf"] - bulk)


def _sylvian(canvas: Canvas, grey: dict[str, float], head: _Head) -> None:
    """The cleft between temporal lobe and the rest, with the insula at its end."""
    rx = head.half[0] - head.scalp - head.skull
    for sign in (-1, 1):
        cleft = [(sign * (rx - 0.03), -0.13), (sign * 0.41, -0.06), (sign * 0.375, 0.03), (sign * 0.41, 0.12)]
        canvas.fill(canvas.stroke(cleft, 0.010, soften=0.022), grey["csf"], head.atrophy)


def _deep(
    canvas: Canvas, head: _Head, shift: float, scale: float, inside: Field
) -> tuple[list[Shape], list[tuple[Shape, Shape]], list[Shape]]:
    """Deep grey nuclei; falx (fissure, fold) in front and behind; third and lateral ventricles.

    A shift bows all of them to one side, most in the middle of the head.
    """
    nuclei = [
        canvas.ellipse(sign * x + 0.6 * shift, y, rx, ry, -sign * turn, edge=0.03)
        for sign in (-1, 1)
        for x, y, rx, ry, turn in (
            (0.125, -0.20, 0.040, 0.085, 0.35),  # caudate
            (0.245, -0.06, 0.060, 0.125, 0.25),  # lentiform
            (0.110, 0.08, 0.070, 0.110, -0.30),  # thalamus
        )
    ]
    falx = []
    for y0, y1 in ((-0.82 * head.half[1], -0.24), (0.36, 0.82 * head.half[1])):
        bow = [
            (shift * max(0.0, math.cos(math.pi / 2 * y / head.half[1])) ** 1.5, y)
            for y in np.linspace(y0, y1, 5).tolist()
        ]
        wide, thin = canvas.strokes(bow, (0.020, 0.008), soften=0.016)
        falx.append((within(wide, inside), within(thin, inside)))
    ventricles = [canvas.ellipse(0.85 * shift, 0.06, 0.014 * scale, 0.075 * (0.7 + 0.3 * scale))]
    out, long = 1 + 0.55 * (scale - 1), 0.75 + 0.25 * scale
    for sign in (-1, 1):
        x = 0.9 * shift
        ventricles += [
            canvas.ellipse(x + sign * 0.082 * out, -0.235, 0.036 * scale, 0.115 * long, sign * head.horn_turn),
            canvas.ellipse(x + sign * 0.165 * out, 0.225, 0.042 * scale, 0.120 * long, -sign * 0.45),
        ]
    return nuclei, falx, ventricles


def _infarct(canvas: Canvas, finding: Finding, grey: dict[str, float], depth: Field) -> Mask:
    """A wedge with its base on the cortex: the territory of one vessel."""
    random = finding.random()
    sign = SIGN[finding.side]
    angle = random.uniform(0.42, 0.62) * (-1 if finding.zone == "anterior" else 1)  # from the side, in radians
    spread = random.uniform(0.30, 0.42)
    x, y = canvas.u * sign - 0.10, canvas.v
    away = np.abs(np.arctan2(y, x) - np.float32(angle))
    reach = np.hypot(x, y)
    rough = 0.02 * smooth_field(random, canvas.size, 9)
    wedge = soft((np.float32(spread) - away) * reach + rough, 0.05) * soft(reach - 0.19 + rough, 0.05)
    wedge = wedge * soft(depth - 0.01, 0.02) * (x > 0)
    canvas.image += np.float32(0.85) * wedge * (np.float32(grey["infarct"]) - canvas.image)
    return wedge > 0.5


def _place(random: Random, side: str, zone: str) -> tuple[float, float]:
    return SIGN[side] * random.uniform(0.27, 0.36), _DOWN[zone] + random.uniform(-0.07, 0.07)


def _hemorrhage(canvas: Canvas, finding: Finding, grey: dict[str, float], depth: Field) -> Mask:
    random = finding.random()
    x, y = _place(random, finding.side, finding.zone)
    radius = _RADIUS["hemorrhage"][finding.size] * random.uniform(0.95, 1.06)
    bumps, stretch, turn = wobble(random, 0.10), random.uniform(0.8, 1.0), random.uniform(0, 3)
    light = random.uniform(0.72, 0.84)
    brain = soft(depth - 0.01, 0.02)
    around = within(canvas.ellipse(x, y, radius + 0.035, radius * stretch + 0.035, turn, 0.04, bumps), brain)
    blood = within(canvas.ellipse(x, y, radius, radius * stretch, turn, 0.02, bumps), brain)
    canvas.fill(around, grey["edema"], 0.7)
    canvas.fill(blood, light, 0.95)
    return canvas.mask(blood)


def _masses(canvas: Canvas, finding: Finding, grey: dict[str, float], depth: Field) -> Mask:
    """Round, with a rim that takes up contrast and swelling around it."""
    shapes, brain = [], soft(depth - 0.01, 0.02)
    for k, (side, zone) in enumerate(spots(finding)):
        random = np.random.default_rng(finding.seed + k + 1)
        x, y = _place(random, side, zone)
        radius = _RADIUS["mass"][finding.size] * random.uniform(0.95, 1.06)
        bumps = wobble(random, 0.07)
        swelling = within(canvas.ellipse(x, y, radius + 0.055, radius + 0.065, 0, 0.05, wobble(random, 0.07)), brain)
        tumour = within(canvas.ellipse(x, y, radius, radius, 0, 0.02, bumps), brain)
        centre = within(canvas.ellipse(x, y, radius * 0.56, radius * 0.56, 0, 0.02, bumps), brain)
        canvas.fill(swelling, grey["edema"], 0.8)
        canvas.fill(tumour, grey["rim"], 0.9)
        canvas.fill(centre, grey["core"], 0.9)
        shapes.append(tumour)
    return canvas.mask(*shapes)
