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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from discern_vqa.data.answers import Answer, Within
from discern_vqa.errors import RunError
from discern_vqa.files import atomic_path, atomic_write_text, from_json
from discern_vqa.scoring.intervals import wilson
from discern_vqa.scoring.metrics import figure
from discern_vqa.scoring.stored import own_file, read_lines, read_object
from discern_vqa.scoring.tables import cell
from discern_vqa.trust.calibration import refuse_other_weights

FILE, FIGURES = "ood.safetensors", "ood.json"
BEFORE = {FILE: "scope.safetensors", FIGURES: "scope.json"}
"""What version 0.1.0 called these files; they are still read."""
WITHIN = "within"
"""`within.<split>.jsonl`: what the detector says of each question of a split that was evaluated."""
VERSION = 1
ACCEPTED, NEIGHBOURS, FOLDS = 0.95, 5, 5
FEWEST = 20
"""Held-out vectors below which there is no threshold: 95 % of fewer is all of them."""
MOST = 1000
"""Vectors kept of each kind; more add size, and little to the distance from the nearest."""
HELD_OUT, LEFT_OUT = "held out", "learned from, each fifth left out in turn"
OUT_OF_FOLD = "each left out of a training of its own (discern calibrate RUN --folds 5)"
KINDS = {"image": "images", "question": "questions"}
"""What is judged, and many of it."""
_HINT = "make it anew: discern calibrate RUN, or remove it"


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
        inside = [_distance(vectors[fold == number], vectors[fold != number]) for number in range(FOLDS)]
        return cls(vectors, np.sort(np.concatenate(inside)), LEFT_OUT)

    @classmethod
    def out_of_fold(cls, learned: np.ndarray, folds: Sequence[tuple[np.ndarray, np.ndarray]]) -> "Known | None":
        """None where too few were left out.

        Args:
            learned: (n, c) vectors of what was learned from.
            folds: of each training without a fold: the vectors of what it learned from, and of what was left out, in
                the space of its own encoder.
        """
        pairs = [(_unit(left_out), _unit(kept).astype(np.float16)) for kept, left_out in folds if len(left_out)]
        inside = [_distance(left_out, kept) for left_out, kept in pairs]
        if sum(map(len, inside)) < FEWEST:
            return None
        return cls(_unit(learned).astype(np.float16), np.sort(np.concatenate(inside)), OUT_OF_FOLD)

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

    def is_outside(self, distance: np.ndarray) -> np.ndarray:
        """(q,) bool: which of them are farther off than the threshold."""
        return np.asarray(distance > self.threshold + 1e-9)

    def figures(self) -> dict[str, Any]:
        """For `ood.json`."""
        n, held_out = len(self.vectors), len(self.inside)
        return {"n": n, "held_out": held_out, "how": self.how, "threshold": self.threshold}


@dataclass(frozen=True)
class Detector:
    """known: by what of KINDS is judged, without that of which too few were there; weights: those it belongs to."""

    known: Mapping[str, Known]
    weights: str

    def judge(self, image: np.ndarray | None, question: np.ndarray) -> list[Within]:
        """One for each row of the vectors (q, c) of images and (q, c') of questions."""
        rows = range(len(question))
        typical: dict[str, list[float | None]] = {kind: [None for _ in rows] for kind in KINDS}
        outside = {kind: [False for _ in rows] for kind in KINDS}
        for kind, vectors in (("image", image), ("question", question)):
            if kind in self.known and vectors is not None:
                distance = self.known[kind].distance(vectors)
                typical[kind] = self.known[kind].typical(distance).tolist()
                outside[kind] = self.known[kind].is_outside(distance).tolist()
        return [
            Within(typical["image"][row], typical["question"][row], tuple(kind for kind in KINDS if outside[kind][row]))
            for row in rows
        ]

    def write(self, folder: Path, outside: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Writes both files and returns what `ood.json` holds. outside: what `measure` gave, by name."""
        tensors: dict[str, np.ndarray] = {}
        for kind, known in self.known.items():
            tensors |= {f"{kind}.vectors": known.vectors, f"{kind}.inside": known.inside}
        how = {kind: known.how for kind, known in self.known.items()}
        header = {"version": VERSION, "weights": self.weights, "how": how}
        with atomic_path(Path(folder) / FILE) as partial:
            save_file(tensors, partial, metadata={"scope": json.dumps(header)})
        content = {"version": VERSION, "accepted": ACCEPTED, "neighbours": NEIGHBOURS}
        content |= self.figures() | {"outside": dict(outside or {})}
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        atomic_write_text(Path(folder) / FIGURES, text)
        for name in BEFORE.values():
            (Path(folder) / name).unlink(missing_ok=True)
        return content

    def figures(self) -> dict[str, Any]:
        """What was fitted, for `ood.json`."""
        return {kind: known.figures() for kind, known in self.known.items()}

    def measured_before(self, folder: Path) -> dict[str, Any]:
        """What a run's `ood.json` has measured outside with just this detector; {} where it was another."""
        try:
            content = read_figures(folder)
        except RunError:  # none, or one that is to be written anew
            return {}
        same = self.figures() == {kind: content[kind] for kind in KINDS if kind in content}
        return dict(content.get("outside") or {}) if same else {}

    @classmethod
    def read(cls, path: Path) -> "Detector":
        """Raises RunError when the file is broken or of another version."""
        with own_file(path, _HINT), safe_open(path, framework="numpy") as file:
            content = from_json(file.metadata()["scope"])
            if content["version"] != VERSION:
                raise ValueError(f"it is of version {content['version']}; this program reads {VERSION}")
            known = {
                kind: Known(file.get_tensor(f"{kind}.vectors"), file.get_tensor(f"{kind}.inside"), how)
                for kind, how in content["how"].items()
            }
            return cls(known, content["weights"])


def there(folder: Path, name: str) -> Path:
    """Where a run folder has `FILE` or `FIGURES`: under the name of version 0.1.0 if there only."""
    path, before = Path(folder) / name, Path(folder) / BEFORE[name]
    return before if before.is_file() and not path.is_file() else path


def read_if_there(folder: Path, weights: Path | str) -> Detector | None:
    """The run's own, None where there is none. weights: the file, or its SHA-256. Raises RunError when it is broken, or
    made for other weights."""
    path = there(folder, FILE)
    if not path.is_file():
        return None
    made = Detector.read(path)
    refuse_other_weights(path, made.weights, weights)
    return made


def write_within(path: Path, ids: Sequence[str], answers: Sequence[Answer]) -> None:
    """Keeps what the detector says of a split's questions, a line each, for the report; none where it says nothing."""
    told = [(key, answer.within) for key, answer in zip(ids, answers, strict=True) if answer.within is not None]
    lines = [json.dumps({"id": key, **asdict(within)}) for key, within in told]
    atomic_write_text(Path(path), "".join(f"{line}\n" for line in lines))


def read_within(path: Path, hint: str) -> dict[str, Within]:
    """The inverse of `write_within`: question id -> what the detector says; {} where there is no file."""
    if not Path(path).is_file():
        return {}
    with own_file(path, hint):
        return {
            line["id"]: Within(line["image"], line["question"], tuple(line["outside"]))
            for line in read_lines(path, hint)
        }


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
    caught = figure(known.is_outside(distance), list(names))
    return {"what": what, "n": len(distance), "inside": len(known.inside), "auroc": area, "ci95": ends} | {
        "caught": caught
    }


def auroc(inside: np.ndarray, outside: np.ndarray) -> tuple[float, list[float]]:
    """How often something from outside is farther off than something inside (a tie counts half), and its 95 % interval.

    DeLong's standard error (1988) on the scale of the log odds; where the two do not overlap at all it would be 0, and
    it is Wilson's interval over as many trials as the smaller side has.
    """
    from scipy.stats import rankdata  # takes a second to import, and whoever asks a question measures nothing

    n, m = len(inside), len(outside)
    ranks = rankdata(np.concatenate([inside, outside]))
    over = (ranks[n:] - rankdata(outside)) / n  # of each outside: the share of insides below it
    under = 1 - (ranks[:n] - rankdata(inside)) / m
    area = float(over.mean())
    few = min(n, m)
    if area in (0.0, 1.0) or few < 2:
        return area, list(wilson(area * few, few))
    error = math.sqrt(float(np.var(over, ddof=1)) / m + float(np.var(under, ddof=1)) / n)
    odds, half = math.log(area / (1 - area)), 1.96 * error / (area * (1 - area))
    return area, [1 / (1 + math.exp(-(odds + sign * half))) for sign in (-1, 1)]


def read_figures(folder: Path) -> dict[str, Any]:
    """What `ood.json` of a run's folder holds. Raises RunError when it is broken or not there."""
    return read_object(there(folder, FIGURES), _HINT)


def lines(found: Mapping[str, Any] | None) -> list[str]:
    """What `ood.json` (and `split` of `scores.json`) says, a sentence each."""
    if not found:
        return []
    if "missing" in found:
        return [f"what is outside the training data cannot be told: {found['missing']}"]
    sentences = []
    for kind, name in KINDS.items():
        figures = (found.get("split") or {}).get(kind)
        if figures and figures["n"]:
            sentences.append(
                f"taken for something else than it was trained on: {figures['correct']:,} of {figures['n']:,} new "
                f"{name} of this split ({cell(figures)} %; {100 * (1 - found['accepted']):.0f} % by design)"
            )
    for name, figures in (found.get("outside") or {}).items():
        ends = f"[{figures['ci95'][0]:.3f}, {figures['ci95'][1]:.3f}]"
        sentences.append(
            f"told from what it was trained on: {name} ({figures['n']:,} {KINDS[figures['what']]} against "
            f"{figures['inside']:,}): {cell(figures['caught'])} % are noticed; a foreign one ranks as stranger than a "
            f"familiar one in a share of {figures['auroc']:.3f} {ends} of their pairs (AUROC)"
        )
    return sentences


def as_text(content: Mapping[str, Any]) -> str:
    """What was fitted and measured, for the terminal."""
    fitted = [
        f"{name}: {one['n']:,} learned from; threshold {one['threshold']:.3f}, which {100 * content['accepted']:.0f} % "
        f"of {one['held_out']:,} are within ({one['how']})"
        for kind, name in KINDS.items()
        if (one := content.get(kind))
    ]
    return "\n".join([*fitted, *lines(content)])


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, dtype=np.float64)
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def _distance(vectors: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(q, c), (n, c) of unit length -> (q,) one minus the mean cosine with the nearest five, not below 0."""
    cosines = np.asarray(vectors, np.float64) @ np.asarray(known, np.float64).T
    nearest = min(NEIGHBOURS, cosines.shape[1])
    best = np.partition(cosines, cosines.shape[1] - nearest, axis=1)[:, -nearest:]
    return np.asarray(np.maximum(1 - best.mean(axis=1), 0.0))
