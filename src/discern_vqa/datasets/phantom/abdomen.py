"""An axial CT slice of the upper abdomen, before or after intravenous contrast."""

import numpy as np

from discern_vqa.datasets.phantom.canvas import Canvas, Field, Mask, Random, Shape, smooth_field, soft, within, wobble
from discern_vqa.datasets.phantom.findings import SIGN, Finding

# Grey value of each tissue without and with contrast (soft-tissue window).
_PLAIN = dict(
    fat=0.17, muscle=0.47, liver=0.55, spleen=0.51, cortex=0.51, pelvis=0.47, vessel=0.46, gut=0.46, fluid=0.31
)
_CONTRAST = dict(
    fat=0.17, muscle=0.50, liver=0.66, spleen=0.69, cortex=0.76, pelvis=0.64, vessel=0.84, gut=0.52, fluid=0.31
)
_RADIUS = {
    "liver cyst": {"small": 0.060, "large": 0.108},
    "liver mass": {"small": 0.080, "large": 0.135},
}
_LIVER_PLACES = ((-0.54, -0.15), (-0.30, -0.25), (-0.56, 0.09), (-0.28, -0.01))


class _Belly:
    """One patient's measures (body units)."""

    def __init__(self, random: Random) -> None:
        draw = random.uniform
        self.half = draw(0.82, 0.90), draw(0.62, 0.70)
        self.fat = draw(0.035, 0.10)
        self.wall = draw(0.040, 0.055)
        self.kidney = {side: (draw(0.34, 0.38), draw(0.19, 0.24)) for side in ("left", "right")}
        self.kidney_size = draw(0.93, 1.07)
        self.spleen = draw(0.90, 1.04)
        self.big_spleen = draw(1.55, 1.75)
        self.aorta = draw(0.048, 0.056)
        self.aneurysm = draw(2.1, 2.5)
        self.liver = draw(0.94, 1.04)
        self.stomach = draw(0.15, 0.19), draw(0.10, 0.13)
        self.bowel = [(draw(0, 0.5), draw(-0.14, 0.02), draw(0.05, 0.075), random.random() < 0.5) for _ in range(4)]
        self.gallbladder = random.random() < 0.4


def draw(canvas: Canvas, random: Random, findings: tuple[Finding, ...], contrast: bool) -> dict[str, Mask]:
    """Draws the slice; returns each finding's mask by its kind's name."""
    belly, grey = _Belly(random), _CONTRAST if contrast else _PLAIN
    present = {finding.kind.name: finding for finding in findings}
    rx, ry = belly.half
    flat = canvas.v + 0.05 * np.clip(canvas.v, 0, 1) * (1 - np.abs(canvas.u))
    radius = np.sqrt((canvas.u / rx) ** 2 + (flat / ry) ** 2)
    depth = (1 - radius) * np.float32(0.5 * (rx + ry))
    cavity = depth - belly.fat - belly.wall
    image = canvas.image
    _table(canvas, ry)
    for outside, value in (
        (0.0, 0.42),
        (0.014, grey["fat"]),
        (belly.fat, grey["muscle"]),
        (belly.fat + belly.wall, grey["fat"]),
    ):
        image += soft(depth - np.float32(outside), 0.016) * (np.float32(value) - image)
    texture = smooth_field(random, canvas.size, 26)
    masks: dict[str, Mask] = {}
    _ribs(canvas, belly)
    _spine(canvas, grey)
    if "ascites" in present:
        masks["ascites"] = _ascites(canvas, present["ascites"], cavity, grey)
    _gut(canvas, belly, grey)
    liver = _liver(canvas, belly, grey, cavity)
    spleen = _spleen(canvas, belly, grey, cavity, "splenomegaly" in present)
    for kidney in _kidneys(canvas, belly, grey):
        liver[kidney.window] *= 1 - kidney.alpha  # lesions of the liver leave the kidney free
    wide = belly.aorta * (belly.aneurysm if "aortic aneurysm" in present else 1)
    aorta = canvas.ellipse(0.05, 0.22, wide, wide)
    canvas.fill(canvas.ellipse(-0.11, 0.22, 0.065, 0.048), grey["vessel"], 0.9 if contrast else 1)
    canvas.fill(aorta, grey["vessel"])
    inside = soft(cavity, 0.02)
    image += 0.010 * texture * inside

    if "splenomegaly" in present:
        masks["splenomegaly"] = canvas.mask(spleen)
    if "aortic aneurysm" in present:
        masks["aortic aneurysm"] = canvas.mask(aorta)
    for name in ("liver cyst", "liver mass"):
        if name in present:
            masks[name] = _liver_lesions(canvas, present[name], liver, contrast, grey)
    if "kidney cyst" in present:
        masks["kidney cyst"] = _kidney_cyst(canvas, present["kidney cyst"], belly, grey)
    if "kidney stone" in present:
        masks["kidney stone"] = _stones(canvas, present["kidney stone"], belly)
    return masks


def _table(canvas: Canvas, ry: float) -> None:
    """The scanner's table: a shallow arc beneath the patient."""
    arc = np.abs(canvas.v - np.float32(ry + 0.09) + 0.10 * canvas.u**2)
    canvas.image += soft(0.012 - arc, 0.015) * np.float32(0.35)


def _ribs(canvas: Canvas, belly: _Belly) -> None:
    rx, ry = belly.half
    middle = 1 - (belly.fat + 0.5 * belly.wall) / (0.5 * (rx + ry))
    for sign in (-1, 1):
        for angle in (-0.55, -0.08, 0.36, 0.78):
            x, y = sign * middle * rx * np.cos(angle), middle * ry * np.sin(angle)
            lean = np.arctan2(y / ry**2, x / rx**2) + np.pi / 2
            canvas.fill(canvas.ellipse(float(x), float(y), 0.05, 0.017, float(lean)), 0.93)


def _spine(canvas: Canvas, grey: dict[str, float]) -> None:
    for sign in (-1, 1):
        canvas.fill(canvas.ellipse(sign * 0.15, 0.52, 0.12, 0.085, -0.2 * sign, 0.03), grey["muscle"])
        canvas.fill(canvas.ellipse(sign * 0.185, 0.36, 0.060, 0.075, 0.3 * sign), grey["muscle"])
        canvas.fill(canvas.stroke([(sign * 0.07, 0.46), (sign * 0.19, 0.49)], 0.022), 0.86)
    canvas.fill(canvas.stroke([(0.0, 0.50), (0.0, 0.60)], 0.022), 0.88)
    canvas.fill(canvas.ellipse(0.0, 0.355, 0.115, 0.088), 0.95)
    canvas.fill(canvas.ellipse(0.0, 0.350, 0.095, 0.070, edge=0.03), 0.74)
    canvas.fill(canvas.ellipse(0.0, 0.468, 0.062, 0.045), 0.92)
    canvas.fill(canvas.ellipse(0.0, 0.468, 0.040, 0.030), 0.42)


def _gut(canvas: Canvas, belly: _Belly, grey: dict[str, float]) -> None:
    """Stomach with a level of air over fluid, loops of bowel with gas or contents, pancreas."""
    rx, ry = belly.stomach
    wall = canvas.ellipse(0.30, -0.28, rx + 0.02, ry + 0.02, 0.35)
    lumen = canvas.ellipse(0.30, -0.28, rx, ry, 0.35)
    canvas.fill(wall, grey["gut"])
    canvas.fill(lumen, 0.40)
    air = Shape(lumen.window, lumen.alpha * soft(np.float32(-0.29) - canvas.v[lumen.window], 0.02))
    canvas.fill(air, 0.02)
    for x, y, radius, gas in belly.bowel:
        loop = canvas.ellipse(x, y, radius * 1.15, radius)
        canvas.fill(loop, grey["gut"])
        canvas.fill(canvas.ellipse(x, y - 0.1 * radius, radius * 0.75, radius * 0.62), 0.03 if gas else 0.38, 0.95)
    canvas.fill(canvas.stroke([(-0.06, 0.10), (0.10, 0.06), (0.30, 0.09)], 0.038, soften=0.03), grey["gut"])


def _liver(canvas: Canvas, belly: _Belly, grey: dict[str, float], cavity: Field) -> Field:
    """Right and left lobe, cut by the abdominal wall and by a fissure. Returns the coverage of the whole image."""
    k = belly.liver
    right = canvas.inside(-0.46, -0.02, 0.36 * k, 0.40 * k, 0.25)
    left = canvas.inside(-0.14, -0.28, 0.34 * k, 0.17 * k, -0.25)
    inside = np.minimum(np.maximum(right, left), cavity - 0.022)
    alpha = soft(inside, 0.02)
    canvas.image += alpha * (np.float32(grey["liver"]) - canvas.image)
    fissure = canvas.stroke([(-0.12, -0.44), (-0.17, -0.26)], 0.011)
    canvas.fill(within(fissure, alpha), grey["fat"], 0.7)
    brighter = grey["vessel"] > 0.6
    for points in (
        [(-0.14, 0.08), (-0.30, 0.06), (-0.40, -0.04)],
        [(-0.36, 0.02), (-0.44, 0.10)],
        [(-0.40, -0.26), (-0.36, -0.10)],
    ):
        vein = canvas.stroke(points, 0.014, soften=0.02)
        canvas.fill(within(vein, alpha), grey["liver"] + (0.09 if brighter else -0.05), 0.8)
    if belly.gallbladder:
        canvas.fill(canvas.ellipse(-0.13, -0.10, 0.075, 0.05, 0.6), grey["fluid"])
    return alpha


def _spleen(canvas: Canvas, belly: _Belly, grey: dict[str, float], cavity: Field, enlarged: bool) -> Shape:
    k = belly.spleen * (belly.big_spleen if enlarged else 1)
    grown = k - 1
    window = canvas.window(0.66 - 0.10 * grown, 0.10, 0.30 * k)
    distance = canvas.inside(0.66 - 0.10 * grown, 0.10 - 0.08 * grown, 0.115 * k, 0.20 * k, 0.30, window)
    hollow = canvas.inside(0.50 - 0.20 * grown, 0.03, 0.12, 0.14, 0.30, window)
    distance = np.minimum(np.minimum(distance, -hollow), cavity[window] - 0.022)
    spleen = Shape(window, soft(distance, 0.02))
    canvas.fill(spleen, grey["spleen"])
    return spleen


def _kidneys(canvas: Canvas, belly: _Belly, grey: dict[str, float]) -> list[Shape]:
    """Both kidneys in their fat; returns the fat's coverage."""
    beds = []
    for side, (x, y) in belly.kidney.items():
        sign, k = SIGN[side], belly.kidney_size
        beds.append(canvas.ellipse(sign * x, y, 0.130 * k, 0.160 * k, 0.25 * sign, edge=0.03))
        canvas.fill(beds[-1], grey["fat"])
        canvas.fill(canvas.ellipse(sign * x, y, 0.115 * k, 0.145 * k, 0.25 * sign), grey["cortex"])
        canvas.fill(canvas.ellipse(sign * (x - 0.01), y, 0.06 * k, 0.085 * k, 0.25 * sign, edge=0.03), grey["pelvis"])
        canvas.fill(
            canvas.ellipse(sign * (x - 0.085), y - 0.01, 0.055, 0.035, -0.3 * sign, edge=0.02), grey["fat"] + 0.05
        )
    return beds


def _ascites(canvas: Canvas, finding: Finding, cavity: Field, grey: dict[str, float]) -> Mask:
    """Fluid between the wall and the organs, deepest in the flanks."""
    random = finding.random()
    thick = random.uniform(0.10, 0.12) if finding.size == "small" else random.uniform(0.20, 0.24)
    flank = np.clip(np.abs(canvas.u) * 1.5, 0.25, 1.0)
    front = soft(0.42 - canvas.v, 0.1)
    fluid = soft(cavity, 0.016) * soft(np.float32(thick) * flank - cavity, 0.02) * front
    canvas.image += fluid * (np.float32(grey["fluid"]) - canvas.image)
    return fluid > 0.25


def _liver_lesions(canvas: Canvas, finding: Finding, liver: Field, contrast: bool, grey: dict[str, float]) -> Mask:
    """Cysts: sharp, dark, even. A mass: irregular, its rim lighter and its centre darker than the liver."""
    order = finding.random().permutation(len(_LIVER_PLACES))
    shapes = []
    for k in range(finding.count):
        random = np.random.default_rng(finding.seed + k + 1)
        x, y = _LIVER_PLACES[order[k]]
        x, y = x + random.uniform(-0.02, 0.02), y + random.uniform(-0.02, 0.02)
        radius = _RADIUS[finding.kind.name][finding.size] * random.uniform(0.95, 1.06)
        if finding.kind.name == "liver cyst":
            lesion = canvas.ellipse(x, y, radius, radius * random.uniform(0.9, 1), random.uniform(0, 3))
            lesion = within(lesion, liver)
            canvas.fill(lesion, grey["fluid"] - 0.01, 0.97)
        else:
            bumps = wobble(random, 0.14, 4)
            lesion = canvas.ellipse(x, y, radius, radius * 0.95, 0, 0.03, bumps)
            lesion = within(lesion, liver)
            core = canvas.ellipse(x, y, radius * 0.58, radius * 0.54, 0, 0.03, bumps)
            canvas.fill(lesion, grey["liver"] + (0.24 if contrast else 0.26), 0.9)
            canvas.fill(core, grey["liver"] - 0.26, 0.9)
        shapes.append(lesion)
    return canvas.mask(*shapes)


def _kidney_cyst(canvas: Canvas, finding: Finding, belly: _Belly, grey: dict[str, float]) -> Mask:
    """A round bulge of fluid on the outer side of a kidney."""
    random = finding.random()
    sign, (x, y) = SIGN[finding.side], belly.kidney[finding.side]
    radius = random.uniform(0.070, 0.080) if finding.size == "small" else random.uniform(0.120, 0.135)
    angle = random.uniform(-0.5, 0.6)
    out = 0.060 + 0.35 * radius
    cyst = canvas.ellipse(sign * (x + out * float(np.cos(angle))), y + out * float(np.sin(angle)), radius, radius)
    canvas.fill(cyst, grey["fluid"], 0.97)
    return canvas.mask(cyst)


def _stones(canvas: Canvas, finding: Finding, belly: _Belly) -> Mask:
    """Small and very bright, in the middle of the kidney; further ones lie at its other end or in the other kidney."""
    random = finding.random()
    side, other = finding.side, "left" if finding.side == "right" else "right"
    end = 1 if random.random() < 0.5 else -1
    places = [(side, end), (side, -end), (other, end)]
    if random.random() < 0.5:
        places[1], places[2] = places[2], places[1]
    shapes = []
    for where, up in places[: finding.count]:
        x, y = belly.kidney[where]
        radius = random.uniform(0.040, 0.050)
        stone = canvas.ellipse(
            SIGN[where] * (x + random.uniform(-0.015, 0.01)), y + up * random.uniform(0.055, 0.07), radius, radius
        )
        canvas.fill(stone, 1.0)
        shapes.append(stone)
    return canvas.mask(*shapes)
