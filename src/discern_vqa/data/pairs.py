"""The pairs of CMDPI's fine-tuning (3.3). An image is paired with a similar one: the cosine of their global features,
computed once before training, exceeds 0.75. A question is paired with a partner of the same organ and question type."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from discern_vqa.data import laterality
from discern_vqa.data.sample import Sample
from discern_vqa.data.sources import Key
from discern_vqa.imaging.image_ref import with_choice

SimilarChoice = Literal["uniform", "batch_first", "batch_only"]
"""Which of several similar images is taken: any of them (the paper), preferably one of the same batch, which is encoded
already, or only one of the same batch."""

MOST_PAIRS = 2**24
"""Of images that are compared at a time, and of similar ones that are kept in all."""


@dataclass(frozen=True)
class Pairing:
    """How samples are paired."""

    # image -> its similar images, both of the training split (Eq. 8); empty: there are no pairs
    similar: Mapping[str, Sequence[str]] = field(default_factory=dict)
    paths: Mapping[str, Path] = field(default_factory=dict)  # image -> its file
    choice: SimilarChoice = "batch_first"
    same_answer_type: bool = False  # partners (Eq. 11) are both open or both closed (A29)

    def similar_image(self, sample: Sample, batch_images: set[str], rng: torch.Generator) -> Key | None:
        """An image that is similar to the sample's, or None.

        A mirrored image gets a mirrored one, so that equal places show the same side. `batch_images`: the names of the
        images in the batch.
        """
        candidates = self.similar.get(laterality.plain_name(sample.image), ())
        if laterality.is_mirrored(sample):
            candidates = [laterality.mirrored_name(key) for key in candidates]
        if self.choice != "uniform":
            in_batch = [key for key in candidates if key in batch_images]
            candidates = in_batch if in_batch or self.choice == "batch_only" else candidates
        if not candidates:
            return None
        key = candidates[int(torch.randint(len(candidates), (1,), generator=rng))]
        if laterality.is_mirrored(sample):
            return key, with_choice(self.paths[laterality.plain_name(key)], mirror=True)
        return key, self.paths[key]


def partner_criteria(sample: Sample, same_answer_type: bool = False) -> tuple[str, ...] | None:
    """What two partners must have in common (Eq. 11): organ and primary question type, and on request the answer type.

    None for a caption, and where neither organ nor question type is known."""
    if sample.is_caption or not (sample.organ or sample.kind):
        return None
    return (sample.organ, sample.kind, *((sample.answer_type,) if same_answer_type else ()))


def choose_partners(samples: Sequence[Sample], rng: torch.Generator, same_answer_type: bool = False) -> Tensor:
    """Eq. 11's other sample: for each row another row of the batch that has equal `partner_criteria`.

    (B,) rows; -1 where there is none. A partner is never the sample itself.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, sample in enumerate(samples):
        criteria = partner_criteria(sample, same_answer_type)
        if criteria is not None:
            groups.setdefault(criteria, []).append(row)
    partner = torch.full((len(samples),), -1, dtype=torch.int64)
    for rows in groups.values():
        if len(rows) < 2:
            continue
        step = torch.randint(1, len(rows), (len(rows),), generator=rng).tolist()
        for place, row in enumerate(rows):
            partner[row] = rows[(place + step[place]) % len(rows)]
    return partner


def similar_images(
    keys: Sequence[str],
    h_img: Tensor,
    similar_above: float = 0.75,
    organs: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    percentile: float | None = None,
    nearest: int = 0,
    fallback: bool = False,
) -> dict[str, list[str]]:
    """For each image of the training split the images whose cosine exceeds `similar_above`, itself excluded.

    Args:
        keys: (U) image names.
        h_img: (U, d) their global features by the pre-trained model.
        similar_above: the paper's threshold, 0.75 (Fig. 14).
        organs: (U) when given, only images of the same organ are candidates.
        groups: (U) when given, images of the same non-empty group (patient, anatomy) are no candidates: the other
            image of a pair differs in the very finding asked about and would teach the model to ignore it.
        percentile: in [0, 1]; when given, the threshold is this quantile of all pairs' cosines instead (a feature
            space can be so narrow that every pair passes 0.75).
        nearest: k > 0 keeps only the k most similar of the candidates. Of more than 4,096 images each keeps at most
            2^24 / U of its most similar ones, so that memory grows with U and not with its square.
        fallback: an image that nothing is similar to gets the most similar one all the same (A25), of its organ and
            outside its group where these count.
    """
    unit = F.normalize(h_img.float(), dim=-1)
    threshold = similar_above
    if percentile is not None and len(keys) > 1:
        threshold = float(torch.quantile(_sampled_cosines(unit), percentile))
    organ, group = _numbers(organs), _numbers(groups)
    is_grouped = torch.tensor([bool(name) for name in groups]) if groups is not None else None
    together = max(1, MOST_PAIRS // max(1, len(keys)))  # images that are compared with all, and kept of each
    most = min(nearest or len(keys), together)
    index = {}
    for rows in torch.split(torch.arange(len(keys)), together):
        cosine = unit[rows] @ unit.T  # (rows, U)
        allowed = rows[:, None] != torch.arange(len(keys))
        if organ is not None:
            allowed &= organ[rows, None] == organ
        if group is not None and is_grouped is not None:
            allowed &= ~((group[rows, None] == group) & is_grouped[rows, None])
        similar = (cosine > threshold) & allowed
        for place, row in enumerate(rows.tolist()):
            columns = similar[place].nonzero().flatten()
            if fallback and not len(columns) and bool(allowed[place].any()):
                columns = cosine[place].masked_fill(~allowed[place], -torch.inf).argmax()[None]
            if len(columns) > most:
                columns = columns[cosine[place, columns].topk(most).indices]
            index[keys[row]] = [keys[column] for column in columns.tolist()]
    return index


def _sampled_cosines(unit: Tensor) -> Tensor:
    """The cosines of an even sample of the pairs of different rows of `unit` (U, d), or of all: torch.quantile refuses
    more than 16 M values, and a million is enough for a threshold."""
    others = len(unit) - 1
    pairs = torch.arange(0, len(unit) * others, max(1, len(unit) * others // 1_000_000))
    left, right = pairs // others, pairs % others
    right += right >= left  # the row itself is left out
    chunks = zip(torch.split(left, 2**16), torch.split(right, 2**16), strict=True)
    return torch.cat([(unit[one] * unit[other]).sum(-1) for one, other in chunks])


def _numbers(names: Sequence[str] | None) -> Tensor | None:
    """(U,) equal numbers for equal names."""
    if names is None:
        return None
    return torch.from_numpy(np.unique(np.array(names), return_inverse=True)[1])
