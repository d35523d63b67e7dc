"""Out-of-distribution (OOD) detection: is this anything like what the run was trained on? Numpy, no torch.

The distance of an image (or question) is one minus its mean cosine with the five most alike of those learned from, in
the space of the run's own encoder (nearest neighbours: Sun et al. 2022; cosine of the vectors as they are, since the
large common part of all medical images is just what a photograph lacks). Of images like those learned from, 95 %
are nearer than the threshold, as measured on images that were held out.

`ood.safetensors` in the run's folder holds the vectors, the held-out distances and, in its header, all else; it
belongs to the weights it was made for. `ood.json` holds figures alone, for people and reports:

    {"version": 1, "accepted": 0.95, "neighbours": 5,
     "image": {"n": 314, "held_out": 314, "how": "...", "threshold": 0.2}, "question": {...},
     "outside": {"photos": {"what": "image", "n": 25, "inside": 314, "auroc": 1.0, "ci95": [...], "caught": {...}}}}
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from scipy import stats

from discern_vqa.data.answers import Within
from discern_vqa.errors import RunError
from discern_vqa.files import atomic_path, atomic_write_text, from_json
from discern_vqa.scoring.intervals import wilson
from discern_vqa.scoring.metrics import figure
from discern_vqa.scoring.tables import cell
from discern_vqa.trust.calibration import digest

FILE, FIGURES = "ood.safetensors", "ood.json"
BEFORE = {FILE: "scope.safetensors", FIGURES: "scope.json"}
"""What version 0.1.0 called these files; they are still read."""
VERSION = 1
ACCEPTED, NEIGHBOURS, FOLDS = 0.95, 5, 5
FEWEST = 20
"""Held-out vectors below which there is no threshold: 95 % of fewer is all of them."""
MOST = 1000
"""Vectors kept of each kind; more add size, and little to the distance from the nearest."""
HELD_OUT, LEFT_OUT = "held out", "learned from, each fifth left out in turn"
KINDS = ("image", "question")
_HINT = "make it anew with discern calibrate, or remove it"


@dataclass(frozen=True)
class Known:
    """What is like what was learned from: of images, or of questions."""

    vectors: np.ndarray  # (n, c) float16 of unit length
    inside: np.ndarray  # (m,) distances of what was held out, ascending
    how: str  # where these come from

    @classmethod
    def fit(cls, learned: np.ndarray, groups: Sequence[str], held: np.ndarray | None = None) -> "Known | None":
        """None where too few were held out.

        Args:
            learned: (n, c) vectors of what was learned from.
            groups: (n,) what hangs together (patients, say): all of a group is left out at once.
            held: (m, c) vectors of what was not learned from; without enough of them a fifth of `learned` is left out
                in turn and compared with the rest.
        """
        vectors = _unit(learned).astype(np.float16)
        if held is not None and len(held) >= FEWEST and len(vectors):
            return cls(vectors, np.sort(_distance(_unit(held), vectors)), HELD_OUT)
        if len(set(groups)) < max(FEWEST, FOLDS):
            return None
        names = np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1]
        fold = (np.random.default_rng(0).permutation(names.max() + 1) % FOLDS)[names]
        inside = [_distance(vectors[fold == one], vectors[fold != one]) for one in range(FOLDS)]
        return cls(vectors, np.sort(np.concatenate(inside)), LEFT_OUT)

    @property
    def threshold(self) -> float:
        """The least distance that holds 95 % of others like the held-out ones (split conformal: of m + 1)."""
        place = math.ceil(ACCEPTED * (len(self.inside) + 1))
        return float(self.inside[min(place, len(self.inside)) - 1])

    def distance(self, vectors: np.ndarray) -> np.ndarray:
        """(q, c) -> (q,)"""
        return _distance(_unit(vectors), self.vectors)

    def typical(self, distance: np.ndarray) -> np.ndarray:
        """(q,) the share of what was held out that is at least as far off: 0.5 is usual, 0.01 is not."""
        above = len(self.inside) - np.searchsorted(self.inside, distance - 1e-9, side="left")
        return np.asarray((1 + above) / (1 + len(self.inside)))

    def figures(self) -> dict[str, Any]:
        """For `ood.json`."""
        return {
            "n": len(self.vectors),
            "held_out": len(self.inside),
            "how": self.how,
            "threshold": self.threshold,
        }


@dataclass(frozen=True)
class Detector:
    """Images and questions; None where too few were there to tell."""

    image: Known | None
    question: Known | None
    weights: str

    def judge(self, image: np.ndarray | None, question: np.ndarray) -> list[Within]:
        """One for each row of the vectors (q, c) of images and (q, c') of questions."""
        found: dict[str, list[tuple[float | None, bool]]] = {}
        for kind, vectors in (("image", image), ("question", question)):
            known = self.known(kind)
            if known is None or vectors is None:
                found[kind] = [(None, False)] * len(question)
                continue
            distance = known.distance(vectors)
            far = (distance > known.threshold + 1e-9).tolist()
            found[kind] = list(zip(known.typical(distance).tolist(), far, strict=True))
        return [
            Within(one[0], other[0], tuple(kind for kind, far in zip(KINDS, (one[1], other[1]), strict=True) if far))
            for one, other in zip(found["image"], found["question"], strict=True)
        ]

    def known(self, kind: str) -> Known | None:
        """`image` or `question`."""
        return self.image if kind == "image" else self.question

    def write(self, folder: Path) -> None:
        """Both files. What was measured before on things from outside is kept where nothing else has changed."""
        before = _measured_before(Path(folder), self)
        tensors: dict[str, np.ndarray] = {}
        header = {}
        for kind in KINDS:
            known = self.known(kind)
            if known is not None:
                tensors |= {f"{kind}.vectors": known.vectors, f"{kind}.inside": known.inside.astype(np.float64)}
                header[kind] = known.how
        content = {"version": VERSION, "weights": self.weights, "how": header}
        with atomic_path(Path(folder) / FILE) as partial:
            save_file(tensors, partial, metadata={"scope": json.dumps(content)})
        write_figures(folder, self, before)
        for name in BEFORE.values():
            (Path(folder) / name).unlink(missing_ok=True)

    @classmethod
    def read(cls, path: Path) -> "Detector":
        """Raises RunError when the file is broken or of another version."""
        try:
            with safe_open(path, framework="numpy") as file:
                content = from_json(file.metadata()["scope"])
                if content["version"] != VERSION:
                    raise RunError(
                        f"{path} is of version {content['version']}; this program reads {VERSION}", hint=_HINT
                    )
                known = {
                    kind: Known(file.get_tensor(f"{kind}.vectors"), file.get_tensor(f"{kind}.inside"), str(how))
                    for kind, how in content["how"].items()
                }
            return cls(known.get("image"), known.get("question"), str(content["weights"]))
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise RunError(f"{path} is no file of out-of-distribution detection: {error!r}", hint=_HINT) from error


def there(folder: Path, name: str) -> Path:
    """Where a run folder has `FILE` or `FIGURES`: under the name of version 0.1.0 if there only."""
    path, before = Path(folder) / name, Path(folder) / BEFORE[name]
    return before if before.is_file() and not path.is_file() else path


def read_if_there(folder: Path, weights: Path) -> Detector | None:
    """The run's own, None where there is none. Raises RunError when it is broken, or made for other weights."""
    path = there(folder, FILE)
    if not path.is_file():
        return None
    made = Detector.read(path)
    if made.weights != digest(weights):
        raise RunError(
            f"{path} was made for other weights than {weights.name} holds now",
            hint=f"make it anew with discern calibrate {folder}, or remove it",
        )
    return made


def measure(known: Known, vectors: np.ndarray, names: Sequence[str], what: str) -> dict[str, Any]:
    """How well things from outside are told from those held out.

    Args:
        vectors: (n, c) of things from outside.
        names: (n,) which file each is from; the interval of `caught` is clustered by it.

    Returns:
        {"what", "n", "inside", "auroc", "ci95", "caught": figure}: the share caught at the threshold.
    """
    distance = known.distance(vectors)
    area, ends = auroc(known.inside, distance)
    caught = figure(distance > known.threshold + 1e-9, list(names))
    return {"what": what, "n": len(distance), "inside": len(known.inside), "auroc": area, "ci95": ends} | {
        "caught": caught
    }


def auroc(inside: np.ndarray, outside: np.ndarray) -> tuple[float, list[float]]:
    """How often something from outside is farther off than something inside (a tie counts half), and its 95 % interval.

    DeLong's standard error (1988) on the scale of the log odds; where the two do not overlap at all it would be 0, and
    it is Wilson's interval over as many trials as the smaller side has.
    """
    n, m = len(inside), len(outside)
    ranks = stats.rankdata(np.concatenate([inside, outside]))
    over = (ranks[n:] - stats.rankdata(outside)) / n  # of each outside: the share of insides below it
    under = 1 - (ranks[:n] - stats.rankdata(inside)) / m
    area = float(over.mean())
    few = min(n, m)
    if area in (0.0, 1.0) or few < 2:
        return area, list(wilson(area * few, few))
    error = math.sqrt(float(np.var(over, ddof=1)) / m + float(np.var(under, ddof=1)) / n)
    odds, half = math.log(area / (1 - area)), 1.96 * error / (area * (1 - area))
    return area, [1 / (1 + math.exp(-(odds + sign * half))) for sign in (-1, 1)]


def write_figures(folder: Path, made: Detector, outside: Mapping[str, Any]) -> dict[str, Any]:
    """Writes `ood.json` and returns what it holds."""
    sides = {kind: known.figures() for kind in KINDS if (known := made.known(kind)) is not None}
    content = {"version": VERSION, "accepted": ACCEPTED, "neighbours": NEIGHBOURS} | sides | {"outside": dict(outside)}
    atomic_write_text(Path(folder) / FIGURES, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return content


def read_figures(folder: Path) -> dict[str, Any]:
    """What `ood.json` of a run's folder holds. Raises RunError when it is broken or not there."""
    path = there(folder, FIGURES)
    try:
        content = from_json(path.read_bytes())
        if not isinstance(content["outside"], dict):
            raise TypeError("outside is no object")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} cannot be read: {error!r}", hint=_HINT) from error
    found: dict[str, Any] = content
    return found


def in_words(within: Within | None) -> str:
    """What a person is to be told; "" where nothing is out of the ordinary."""
    if within is None or not within.outside:
        return ""
    names = {"image": "image", "question": "question"}
    shares = {"image": within.image, "question": within.question}
    said = " and ".join(f"the {names[kind]}" for kind in within.outside)
    least = min(share for kind in within.outside if (share := shares[kind]) is not None)
    rare = "less than 1 %" if least < 0.01 else f"only {100 * least:.0f} %"
    unlike = "is" if len(within.outside) == 1 else "are"
    return f"{said} {unlike} unlike what I was trained on ({rare} of that is so far from the rest)"


def lines(found: Mapping[str, Any] | None) -> list[str]:
    """What `ood.json` (and `split` of `scores.json`) says, a sentence each."""
    if not found:
        return []
    if "missing" in found:
        return [f"what is outside the training data cannot be told: {found['missing']}"]
    said = []
    for kind, name in (("image", "images"), ("question", "questions")):
        one = (found.get("split") or {}).get(kind)
        if one and one["n"]:
            said.append(
                f"taken for something else than it was trained on: {one['correct']:,} of {one['n']:,} new {name} of "
                f"this split ({cell(one)} %; {100 * (1 - found['accepted']):.0f} % by design)"
            )
    for name, one in (found.get("outside") or {}).items():
        ends = f"[{one['ci95'][0]:.3f}, {one['ci95'][1]:.3f}]"
        what = "images" if one["what"] == "image" else "questions"
        said.append(
            f"told from what it was trained on: {name} ({one['n']:,} {what} against {one['inside']:,}): "
            f"AUROC {one['auroc']:.3f} {ends}, {cell(one['caught'])} % caught"
        )
    return said


def as_text(content: Mapping[str, Any]) -> str:
    """What was fitted and measured, for the terminal."""
    fitted = [
        f"{name}: {one['n']:,} learned from; threshold {one['threshold']:.3f}, which {100 * content['accepted']:.0f} % "
        f"of {one['held_out']:,} are within ({one['how']})"
        for kind, name in (("image", "images"), ("question", "questions"))
        if (one := content.get(kind))
    ]
    return "\n".join([*fitted, *lines(content)])


def _measured_before(folder: Path, made: Detector) -> dict[str, Any]:
    """What `ood.json` has measured with just this detector; {} where it was another, or cannot be read: it is to be
    written anew."""
    try:
        old, content = Detector.read(there(folder, FILE)), read_figures(folder)
    except RunError:
        return {}
    pairs = [(old.known(kind), made.known(kind)) for kind in KINDS]
    same = all(
        (one is None and other is None)
        or (one is not None and other is not None and np.array_equal(one.vectors, other.vectors))
        for one, other in pairs
    )
    return dict(content["outside"]) if same and old.weights == made.weights else {}


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, dtype=np.float64)
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def _distance(vectors: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(q, c), (n, c) of unit length -> (q,) one minus the mean cosine with the nearest five, not below 0."""
    cosines = np.asarray(vectors, np.float64) @ np.asarray(known, np.float64).T
    nearest = min(NEIGHBOURS, cosines.shape[1])
    best = np.partition(cosines, cosines.shape[1] - nearest, axis=1)[:, -nearest:]
    return np.asarray(np.maximum(1 - best.mean(axis=1), 0.0))
