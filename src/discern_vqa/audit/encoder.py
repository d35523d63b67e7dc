"""Images that an image encoder takes for alike where thumbnails do not: crops, flips, slices further away.

Only on request, since it alone needs torch and weights, and takes a CPU a tenth of a second for each image.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from discern_vqa.audit.inputs import AuditInputs
from discern_vqa.audit.near import Nearest, mask_of
from discern_vqa.errors import ImageError
from discern_vqa.imaging.images import load_image
from discern_vqa.imaging.near_pairs import Pairs, in_full, near_vectors
from discern_vqa.imaging.thumbnails import NEAR, SAME_GREY

TITLE = "Similar by an encoder"

ABOVE = 0.88
"""Cosine of the centred global features. Chosen with MobileNetV2 on SLAKE, where 98 % of the pairs above it are
neighbouring slices; another encoder's features may want another value."""

_BATCH = 16


def check(inputs: AuditInputs) -> dict[str, Any]:
    """{} unless an encoder was named; else, per "test in train", the images with a similar other image there.

    `pairs` are those that the check `near` does not have: the most similar image for each image of the evaluation
    split.
    """
    image_set = inputs.image_set
    if not inputs.encoder:
        return {}
    vectors, numbers = _vectors(inputs)
    members = {split: mask_of(image_set, rows) for split, rows in inputs.samples.items()}
    figures: dict[str, Any] = {"encoder": inputs.encoder, "above": ABOVE, "compared": len(numbers), "across": {}}
    thumbs = image_set.thumbs()
    for judged, known in inputs.leaks:
        there = members[known][numbers]
        here = members[judged][numbers] & ~there
        nearest = Nearest(len(image_set.first))
        for one, other, cosine in near_vectors(vectors[here], vectors[there], ABOVE):
            image, partner = numbers[here][one], numbers[there][other]
            alike = in_full(thumbs, thumbs, image, partner)
            new = (alike.likeness < NEAR) & (alike.grey < SAME_GREY)
            nearest.add(Pairs(image, partner, cosine, alike.grey), new)
        pairs = [
            {("cosine" if key == "likeness" else key): value for key, value in pair.items()}
            for pair in nearest.described(image_set, image_set)
        ]
        figures["across"][f"{judged} in {known}"] = {"of_images": int(members[judged].sum()), "pairs": pairs}
    return figures


def _vectors(inputs: AuditInputs) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(n, c) centred global features of unit length, and the content numbers of the images, of those that can be
    opened."""
    import torch

    from discern_vqa.nn.encoders import EncoderConfig, image_encoder
    from discern_vqa.paths import find_weights

    image_set = inputs.image_set
    encoder = image_encoder(EncoderConfig(kind="hf", frozen=True), 8, find_weights(inputs.encoder)).eval()
    compared = image_set.comparable
    rows: list[NDArray[np.float32]] = []
    opened: list[int] = []
    for start in range(0, len(compared), _BATCH):
        batch = []
        for number in compared[start : start + _BATCH].tolist():
            try:
                array = load_image(image_set.paths[image_set.first[number]], encoder.size, "rgb", "stretch")
            except ImageError:
                continue  # it could be opened a moment ago; `images` reads every file and names the broken ones
            batch.append(torch.from_numpy(array.copy()).permute(2, 0, 1).float() / 255)
            opened.append(number)
        if batch:
            with torch.inference_mode():
                rows.append(encoder.states(torch.stack(batch))[:, 0].float().numpy())
        inputs.progress(f"encoding images ({inputs.encoder})", min(start + _BATCH, len(compared)), len(compared))
    vectors = np.concatenate(rows) if rows else np.zeros((0, 1), np.float32)
    vectors = vectors - vectors.mean(axis=0, keepdims=True) if len(vectors) else vectors
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0), np.array(opened, np.int64)


def notes(found: dict[str, Any]) -> list[str]:
    """Images that a person should look at: an encoder finds many unrelated images of one kind similar."""
    return [
        f"{len(counts['pairs']):,} more {pair.replace(' in ', ' images are similar to one of ')} by the features of "
        f"{found['encoder']} (cosine >= {found['above']}), and not by their thumbnails: look at them."
        for pair, counts in found.get("across", {}).items()
        if counts["pairs"]
    ]


def lines(found: dict[str, Any]) -> list[str]:
    if not found:
        return ["no encoder was named (--encoder NAME)"]
    return [
        f"{pair}: {len(counts['pairs']):,} of {counts['of_images']:,} images, by {found['encoder']} alone (centred "
        f"cosine >= {found['above']})"
        for pair, counts in found.get("across", {}).items()
    ]
