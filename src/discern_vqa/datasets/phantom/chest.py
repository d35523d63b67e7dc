"""A frontal chest radiograph, drawn as what it is: a sum of the things that the rays went through."""

import numpy as np

from discern_vqa.datasets.phantom.canvas import Canvas, Field, Mask, Random, polar, smooth_field, soft, within, wobble
from discern_vqa.datasets.phantom.findings import SIGN, Finding, spots

_ZONE_DOWN = {"upper": -0.36, "middle": 0.0, "lower": 0.33}
_ZONE_OUT = {"upper": 0.36, "middle": 0.47, "lower": 0.53}
_NODULE_RADIUS = {"small": 0.058, "large": 0.118}


class _Thorax:
    """One patient's measures (body units), drawn once from the anatomy's randomness."""

    def __init__(self, random: Random) -> None:
        draw = random.uniform
        self.cage = draw(0.73, 0.80)  # half-width of the rib cage
        self.apex = draw(-0.82, -0.76)
        self.widest = draw(0.28, 0.42)
        self.dome = {"right": draw(0.47, 0.54), "left": draw(0.53, 0.60)}
        self.heart = draw(0.94, 1.08)
        self.enlarged = draw(1.38, 1.48)
        self.rib_step = draw(0.128, 0.142)
        self.rib_phase = draw(0, 1)
        self.rib_light = draw(0.07, 0.11)
        self.clavicle = draw(-0.60, -0.54)
        self.air = draw(0.40, 0.46)
        self.body = draw(0.60, 0.66)
        self.width = draw(0.94, 1.04)
        self.knob = draw(0.055, 0.075)
        self.breast = draw(-0.08, 0.08)  # above 0: breast shadows of that strength
        self.bubble = draw(0.08, 0.15), draw(0.30, 0.42)
        self.lobe = draw(0.45, 0.6)


class _Field:
    """Trunk and lung fields as distances (body units, positive inside), also a lung shrunk towards its hilum."""

    def __init__(self, canvas: Canvas, thorax: _Thorax) -> None:
        self.thorax = thorax
        self.u, self.v = canvas.u, canvas.v
        self.out = np.abs(canvas.u)
        self.on_left = canvas.u > 0
        right, left = (self._diaphragm(self.out, thorax.dome[side]) - self.v for side in ("right", "left"))
        self.above = np.where(self.on_left, left, right)  # distance above the diaphragm
        slope = np.clip((self.v + 1.04) / 0.36, 0, 1)
        self.trunk = 0.17 + (thorax.width - 0.17) * slope * slope  # half-width of neck, shoulders and trunk
        self.inside = soft(self.trunk - self.out, 0.05)

    def half_width(self, v: Field) -> Field:
        """Half-width of the rib cage's inside at height v: a rounded cone, widest low down."""
        t = np.clip((self.thorax.widest - v) / (self.thorax.widest - self.thorax.apex), 0, 1)
        return np.float32(self.thorax.cage) * np.sqrt(1 - t * t * np.sqrt(t)) - np.float32(0.05) * np.clip(
            v - self.thorax.widest, 0, 1
        )

    def lung(self, shrink: float = 1.0) -> Field:
        out, v = self.out, self.v
        if shrink != 1:
            out, v = (out - 0.16) / shrink + 0.16, (v + 0.02) / shrink - 0.02
        wall = (self.half_width(v) - out) * 0.9
        middle = out - 0.115 - 0.05 * np.exp(-(((v + 0.02) / 0.14) ** 2)) * (shrink == 1)
        floor = self.above if shrink == 1 else np.float32(0.9) - v
        return np.minimum(np.minimum(wall, middle), floor) * np.float32(shrink)

    @staticmethod
    def _diaphragm(out: Field, dome: float) -> Field:
        return np.float32(dome) + 1.15 * (out - 0.33) ** 2 + 2.2 * np.clip(out - 0.52, 0, 1) ** 2


def draw(canvas: Canvas, random: Random, findings: tuple[Finding, ...]) -> dict[str, Mask]:
    """Draws the radiograph; returns each finding's mask by its kind's name."""
    thorax = _Thorax(random)
    field = _Field(canvas, thorax)
    lungs = field.lung()
    aerated = soft(lungs, 0.03)
    vessels = _vessels(field, random, canvas.size)
    image = canvas.image
    image += _trunk(field)
    depth = np.sqrt(np.clip(lungs / 0.3, 0, 1))
    air = aerated * np.float32(thorax.air) * (0.62 + 0.38 * depth)
    image -= air
    _bones(canvas, field)
    _mediastinum(canvas, field, random)

    masks: dict[str, Mask] = {}
    present = {finding.kind.name: finding for finding in findings}
    heart = thorax.heart * (thorax.enlarged if "cardiomegaly" in present else 1)
    heart_alpha = _heart(canvas, field, heart)
    if "cardiomegaly" in present:
        masks["cardiomegaly"] = heart_alpha > 0.5
    markings = aerated * vessels
    if "pneumothorax" in present:
        free = _pneumothorax(canvas, field, present["pneumothorax"], lungs)
        markings = markings * (1 - free)
        masks["pneumothorax"] = free > 0.25
    image += markings
    if "pleural effusion" in present:
        masks["pleural effusion"] = _effusion(canvas, field, present["pleural effusion"], aerated, air)
    if "consolidation" in present:
        masks["consolidation"] = _consolidation(canvas, thorax, present["consolidation"], aerated)
    if "nodule" in present:
        masks["nodule"] = _nodules(canvas, present["nodule"])
    if "pacemaker" in present:
        masks["pacemaker"] = _pacemaker(canvas, present["pacemaker"])
    image[:] = 1.22 * (1 - np.exp(np.float32(-1.15) * image))  # film: bright parts are compressed
    return masks


def _trunk(field: _Field) -> Field:
    """Soft tissue: neck, shoulders, trunk, thicker towards the middle and below the diaphragm."""
    thorax, v, out = field.thorax, field.v, field.out
    thickness = np.sqrt(np.clip(1.02 - (out / (field.trunk + 0.15)) ** 2, 0, 1))
    trunk = field.inside * (np.float32(thorax.body) * (0.55 + 0.45 * thickness))
    trunk += field.inside * soft(-field.above, 0.04) * np.float32(0.10)
    if thorax.breast > 0.02:
        breast = soft(0.26 - np.hypot((out - 0.42) * 0.9, v - 0.34), 0.06) * soft(v - 0.15, 0.4)
        trunk += np.float32(thorax.breast) * breast
    return trunk


def _bones(canvas: Canvas, field: _Field) -> None:
    """Ribs as two families of curves (those behind fall outwards, those in front inwards), shoulders, spine."""
    thorax, out, v = field.thorax, field.out, field.v
    cage = soft(field.half_width(v) + 0.035 - out, 0.03)
    behind = _rib_family(v - 0.50 * out**2 + 0.10 * out - 0.02 * thorax.rib_phase, thorax.rib_step, 0.20)
    image = canvas.image
    image += cage * soft(out - 0.09, 0.05) * soft(0.72 - v, 0.3) * behind * np.float32(thorax.rib_light)
    front = _rib_family(v + 0.50 * out - 0.25 * out**2 + 0.05 * thorax.rib_phase, thorax.rib_step * 1.12, 0.23)
    image += cage * soft(out - 0.30, 0.15) * soft(0.42 - v, 0.3) * front * np.float32(0.45 * thorax.rib_light)
    curve = thorax.clavicle - 0.20 * (out - 0.07) - 0.035 * np.sin((out - 0.07) * 7.5)
    bar = soft(0.030 - np.abs(v - curve), 0.02) * soft(out - 0.06, 0.03) * soft(0.80 - out, 0.05)
    image += bar * np.float32(0.15)
    for sign in (-1, 1):
        canvas.add(within(canvas.ellipse(sign * 0.90, -0.60, 0.12, 0.13, edge=0.04), field.inside), 0.13)
        canvas.add(within(canvas.ellipse(sign * 0.80, -0.34, 0.09, 0.30, sign * 0.22, 0.05), field.inside), 0.06)
    column = soft(0.085 - out, 0.03)
    disc = np.cos((v + 0.3 * thorax.rib_phase) * np.float32(2 * np.pi / 0.135))
    image += column * (np.float32(0.075) + np.float32(0.035) * disc)


def _rib_family(height: Field, step: float, half: float) -> Field:
    """Bars that repeat every `step` of height, brighter along their borders; `half` is half a bar's share of a step."""
    phase = height * np.float32(1 / step)
    off = np.abs(phase - np.floor(phase) - np.float32(0.5))
    return soft(half - off, 0.10) * (0.7 + 0.6 * (off / half) ** 2)


def _mediastinum(canvas: Canvas, field: _Field, random: Random) -> None:
    thorax, out, v = field.thorax, field.out, field.v
    band = soft(0.125 + 0.05 * np.clip(v, -0.6, 0.4) - out, 0.06) * soft(v + 0.72, 0.25) * soft(0.52 - v, 0.2)
    canvas.image += band * np.float32(0.11)
    canvas.add(canvas.ellipse(0.125, -0.28, thorax.knob, thorax.knob * 1.15, edge=0.03), 0.14)
    canvas.add(canvas.stroke([(0.13, -0.22), (0.12, 0.1), (0.09, 0.55)], 0.045, soften=0.04), 0.05)
    canvas.add(canvas.stroke([(0.0, -0.95), (0.005, -0.45), (-0.012, -0.20)], 0.032, soften=0.03), -0.13)
    for sign, drop in ((-1, 0.17), (1, 0.15)):
        canvas.add(canvas.stroke([(-0.012, -0.20), (sign * 0.13, -0.20 + drop)], 0.022, soften=0.03), -0.07)
        hilum = canvas.ellipse(sign * 0.17, -0.02 - 0.03 * sign, 0.055, 0.11, turn=-0.3 * sign, edge=0.06)
        canvas.add(hilum, float(random.uniform(0.10, 0.14)))
    if random.random() < 0.8:
        size, place = thorax.bubble
        canvas.add(canvas.ellipse(place, thorax.dome["left"] + 0.12, size, size * 0.6, edge=0.03), -0.20)


def _heart(canvas: Canvas, field: _Field, scale: float) -> Field:
    """Adds the heart; returns its coverage of the whole image."""
    grown = scale - 1
    main = canvas.inside(0.12 + 0.08 * grown, 0.30, 0.315 * scale, 0.25 * (1 + 0.5 * grown), turn=0.48)
    right = canvas.inside(-0.07 - 0.06 * grown, 0.27, 0.18 * scale, 0.25 * (1 + 0.4 * grown))
    trunk = canvas.inside(0.07, 0.02, 0.13 * (1 + 0.5 * grown), 0.20, turn=-0.25)
    inside = np.maximum(np.maximum(main, right), trunk)
    alpha = soft(inside, 0.035) * soft(field.above + 0.02, 0.05)
    canvas.image += alpha * (np.float32(0.20) + np.float32(0.13) * np.clip(inside / 0.2, 0, 1))
    return alpha


def _vessels(field: _Field, random: Random, size: int) -> Field:
    """Lung markings: streaks that leave the hila, branch and fade outwards."""
    du, dv = field.out - 0.13, field.v + 0.0
    reach = np.sqrt(du * du + dv * dv)
    angle = np.arctan2(dv, du) * np.float32(1 / np.pi) + np.where(field.on_left, np.float32(2.0), np.float32(0.0))
    table = np.maximum(random.standard_normal((5, 60), dtype=np.float32), -0.5)
    branches = np.minimum(polar(table, angle * 15 + 15, reach * 5), np.float32(1.3))
    streaks = np.float32(0.15) * branches * branches * np.exp(-reach / np.float32(0.36))
    return streaks * 0.85 + 0.010 * smooth_field(random, size, 30)


def _on(field: _Field, side: str) -> Field:
    return field.on_left == (side == "left")


def _pneumothorax(canvas: Canvas, field: _Field, finding: Finding, lungs: Field) -> Field:
    """Free air round a shrunken lung: darker, without markings, bounded by the thin line of the pleura."""
    random = finding.random()
    shrink = random.uniform(0.80, 0.84) if finding.size == "small" else random.uniform(0.55, 0.62)
    collapsed = field.lung(shrink)
    cavity = soft(lungs, 0.03) * _on(field, finding.side) * soft(field.out - 0.16, 0.08)
    floor = soft((0.26 if finding.size == "small" else 0.5) - field.v, 0.2)
    free = cavity * soft(-collapsed, 0.02) * floor
    canvas.image -= free * np.float32(random.uniform(0.085, 0.12))
    line = cavity * soft(0.008 - np.abs(collapsed), 1.5 * canvas.pixel) * floor
    canvas.image += line * np.float32(0.13)
    return free


def _effusion(canvas: Canvas, field: _Field, finding: Finding, aerated: Field, air: Field) -> Mask:
    """Fluid in the pleural space, its upper border rising towards the chest wall."""
    random = finding.random()
    above = random.uniform(-0.06, 0.0) if finding.size == "small" else random.uniform(0.28, 0.40)
    level = field.thorax.dome[finding.side] - above
    border = level - random.uniform(0.11, 0.16) * np.clip((field.out - 0.12) / 0.58, 0, 1.2) ** 2
    fluid = aerated * soft(field.v - border, 0.05) * _on(field, finding.side)
    if finding.size == "small":
        fluid = fluid * soft(field.out - 0.30, 0.1)
    canvas.image += fluid * (air * np.float32(0.85) + np.float32(0.05))
    return fluid > 0.25


def _consolidation(canvas: Canvas, thorax: _Thorax, finding: Finding, aerated: Field) -> Mask:
    """A cloudy, patchy opacity without a sharp border."""
    random = finding.random()
    x = SIGN[finding.side] * (_ZONE_OUT[finding.zone] - 0.05 + random.uniform(-0.03, 0.03))
    y = _ZONE_DOWN[finding.zone] + random.uniform(-0.03, 0.03)
    rx, ry = random.uniform(0.15, 0.20), random.uniform(0.12, 0.15)
    cloud = canvas.ellipse(x, y, rx, ry, random.uniform(-0.5, 0.5), edge=0.10, wobble=wobble(random, 0.12))
    patches = smooth_field(random, canvas.size, 14)[cloud.window]
    light = np.float32(random.uniform(0.26, 0.36)) * np.clip(1 + 0.30 * patches, 0.3, 1.5)
    seen = within(cloud, aerated)
    canvas.add(seen, light)
    return canvas.mask(seen, level=0.25)


def _nodules(canvas: Canvas, finding: Finding) -> Mask:
    random = finding.random()
    light = random.uniform(0.22, 0.36)
    shapes = []
    for k, (side, zone) in enumerate(spots(finding)):
        jitter = np.random.default_rng(finding.seed + k + 1)
        x = SIGN[side] * (_ZONE_OUT[zone] + jitter.uniform(-0.07, 0.06))
        y = _ZONE_DOWN[zone] + jitter.uniform(-0.06, 0.06)
        radius = _NODULE_RADIUS[finding.size] * jitter.uniform(0.94, 1.08)
        shape = canvas.ellipse(
            x, y, radius, radius * jitter.uniform(0.88, 1.0), jitter.uniform(0, 3), 0.03, wobble(jitter, 0.05)
        )
        canvas.add(shape, light)
        shapes.append(shape)
    return canvas.mask(*shapes)


def _pacemaker(canvas: Canvas, finding: Finding) -> Mask:
    random = finding.random()
    sign = SIGN[finding.side]
    x, y = sign * random.uniform(0.46, 0.54), random.uniform(-0.50, -0.44)
    case = canvas.ellipse(x, y, 0.095, 0.075, sign * 0.4, edge=0.02)
    bends = np.array([(x, y), (x - sign * 0.16, y - 0.16), (-0.05, -0.40), (-0.10, -0.10), (-0.08, 0.22), (0.20, 0.42)])
    way = [tuple(_spline(bends, t)) for t in np.linspace(0, 1, 12)]
    lead = canvas.stroke(way, 0.009)
    for shape in (lead, case):
        canvas.fill(shape, 1.5, 0.85)
    return canvas.mask(case, lead)


def _spline(points: Field, t: float) -> Field:
    """The point at t in [0, 1] of the Bezier curve of these control points."""
    while len(points) > 1:
        points = (1 - t) * points[:-1] + t * points[1:]
    return points[0]
