"""What the answers of VQA-Med 2019 say about their image: organ, modality, and a caption put together from them."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from discern_vqa.data.sample import Sample

_PLANES = {"axial", "sagittal", "coronal", "transverse", "longitudinal"}
# What the wording of questions and answers says about the modality, and the word for it; the first that fits.
_MODALITIES = {
    r"ct|cta": "ct",
    r"mri|mr|mra|t1|t2|flair": "mri",
    r"x-ray|xr": "x-ray",
    r"ultrasound": "ultrasound",
    r"mammograph": "mammography",
    r"pet": "pet",
    r"nuclear medicine": "nuclear medicine",
    r"gastrointestinal image|(bas|be|ugi|sbft)(?= - )": "fluoroscopy",
    r"angiogram|venogram": "angiography",
}
_WORDS = [(re.compile(rf"(?<![\w-])({words})(?![\w-])"), name) for words, name in _MODALITIES.items()]
_NAMED = {"ct": "ct scan", "pet": "pet scan"}
_SAY_THEMSELVES = {"ultrasound", "angiography", "mammography", "nuclear medicine"}
_WRITTEN_OUT = {
    r"^noncontrast$": "without contrast",
    r"^(iv|gi|gi and iv)$": r"with \1 contrast",
    r"^gi & iv contrast$": "with gi and iv contrast",
    r"^contrast$": "with contrast",
    r"w/contrast \(iv\)": "with iv contrast",
    r"\bw/ ?": "with ",
    r"t1w - noncontrast": "t1 weighted, without contrast",
    r"\b(t1|pd)w\b": r"\1 weighted",
    r"^(t1|t2)$": r"\1 weighted",
}
_SYSTEMS = {"musculoskeletal", "gastrointestinal", "genitourinary", "vascular and lymphatic"}


def with_image_facts(samples: Sequence[Sample]) -> list[Sample]:
    """Organ and modality belong to the image: each of its samples gets what all of them say."""
    organs = {row.image: row.answer.lower() for row in samples if row.kind == "ORGAN" and not _is_yes_or_no(row)}
    modalities: dict[str, str] = {}
    for row in samples:
        if row.image not in modalities and (found := _modality(row)):
            modalities[row.image] = found
    return [replace(row, organ=organs.get(row.image, ""), modality=modalities.get(row.image, "")) for row in samples]


def _is_yes_or_no(sample: Sample) -> bool:
    return sample.answer.lower() in ("yes", "no")


def _modality(sample: Sample) -> str:
    """What one question with its answer says about the modality; "" for "is this a ct scan?" answered no."""
    question, answer = sample.question.lower(), sample.answer.lower()
    if sample.kind == "MODALITY" and answer == "no" and re.match(r"is this an? (ct scan|mri image)", question):
        return ""
    texts = [question] if _is_yes_or_no(sample) or sample.kind != "MODALITY" else [answer, question]
    return next((name for text in texts for pattern, name in _WORDS if pattern.search(text)), "")


def pretraining(samples: Sequence[Sample]) -> list[Sample]:
    """The same questions as samples of "pretrain", then one caption for each image."""
    by_image: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_image[sample.image].append(sample)
    captions = [
        replace(
            rows[0],
            id=f"caption-{Path(image).stem}",
            split="pretrain",
            question="",
            answer="",
            answer_type="",
            question_type=(),
            caption=caption_of(rows),
            extra={"derived": ["caption", "organ", "modality"]},
        )
        for image, rows in by_image.items()
    ]
    return [replace(sample, id=f"pretrain-{sample.id}", split="pretrain") for sample in samples] + captions


def caption_of(rows: Sequence[Sample]) -> str:
    """A caption from what the questions of one image say: modality, plane, organ, abnormality; "image" for nothing."""
    answers = {row.kind: row.answer.lower() for row in rows if not _is_yes_or_no(row)}
    parts = [_modality_words(answers.get("MODALITY", ""), rows[0].modality)]
    if plane := answers.get("PLANE", "").removeprefix("mammo - "):
        parts.append(plane if plane.startswith("3d") else f"{plane} {'plane' if plane in _PLANES else 'view'}")
    if organ := answers.get("ORGAN"):
        parts.append(f"of the {organ} system" if organ in _SYSTEMS else f"of the {organ}")
    if abnormality := answers.get("ABN"):
        parts.append(f"showing {abnormality}")
    return ", ".join(parts)


def _modality_words(answer: str, modality: str) -> str:
    """The short answers written out: "mr - flair" -> "mri, flair"; "iv" about a CT -> "ct scan, with iv contrast"."""
    name = _NAMED.get(modality, modality) or "image"
    detail = re.sub(r"^(\S+ - )?((ct|mr) )?", "", answer)
    for short, words in _WRITTEN_OUT.items():
        detail = re.sub(short, words, detail)
    if not detail:
        return name
    return detail if modality in _SAY_THEMSELVES else f"{name}, {detail}"
