"""The parts of a run that come from elsewhere or follow from the training texts: weights, tokenizers, the writer."""

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from discern_vqa.config import Recipe
from discern_vqa.data.answer_tokens import BytePairs, FolderAnswers, Writer
from discern_vqa.data.text import FolderTokenizer, Tokenizer, WordTokenizer
from discern_vqa.paths import find_weights

PARTS = ("image", "text", "generator")
"""Parts of a model that may be somebody else's architecture with its weights; every model has the first two."""


def weights_folder(encoder: Any, side: str) -> Path | None:
    """The folder of an encoder's pre-trained weights; none for random ones (`tiny`, or `hf` without weights)."""
    from discern_vqa.nn.encoders import lite

    if encoder.kind == "lite":
        return find_weights(encoder.weights or (lite.IMAGE_WEIGHTS if side == "image" else lite.TEXT_WEIGHTS))
    return find_weights(encoder.weights) if encoder.weights else None


def parts_of(config: Any) -> list[str]:
    """Those of PARTS that this model has."""
    return [part for part in PARTS if hasattr(config, part)]


def make_writer(recipe: Recipe, answers: list[str]) -> Writer | None:
    """For a model with a generator: byte pairs of the training answers, or the tokenizer of its weights' folder."""
    config = recipe.model.resolved()
    generator = getattr(config, "generator", None)
    if generator is None or generator.kind == "none":
        return None
    folder = weights_folder(generator, "generator")
    writer = Writer(BytePairs([]), generator.length, generator.target, recipe.data.normaliser)
    said = [writer.spoken(answer) for answer in answers]
    tokenizer = FolderAnswers(folder) if folder is not None else BytePairs.from_texts(said, generator.symbols)
    candidates = tuple(answer for answer, _ in sorted(Counter(said).items(), key=lambda item: (-item[1], item[0])))
    return replace(writer, tokenizer=tokenizer, candidates=candidates)


def make_tokenizer(recipe: Recipe, texts: list[str]) -> Tokenizer:
    """Words of the training texts for `tiny`; the encoder's own tokenizer otherwise (CLIP's where none is named)."""
    encoder = recipe.model.text
    if encoder.kind == "tiny":
        return WordTokenizer.from_texts(texts)
    folder = weights_folder(encoder, "text") or find_weights("clip_tokenizer")
    tokenizer = FolderTokenizer(folder)
    if not getattr(recipe.model, "compact_text", False):
        return tokenizer
    ids = tokenizer.encode(sorted(set(texts)), recipe.data.text_length).ids
    return FolderTokenizer(folder, used=sorted(set(ids.flatten().tolist())))


def copy_encoder_files(folder: Path, recipe: Recipe, tokenizer: Tokenizer, writer: Writer | None) -> None:
    """Architecture and tokenizers of pre-trained parts travel with the run, so that it opens anywhere."""
    for side in parts_of(recipe.model):
        source = weights_folder(getattr(recipe.model, side), side)
        if source is not None:
            target = folder / "encoders" / side
            target.mkdir(parents=True, exist_ok=True)
            for name in ("config.json", "preprocessor_config.json"):
                if (source / name).is_file():
                    shutil.copyfile(source / name, target / name)
    if isinstance(tokenizer, FolderTokenizer):
        tokenizer.inner.save_pretrained(str(folder / "tokenizer"))
    if writer is not None and isinstance(writer.tokenizer, FolderAnswers):
        writer.tokenizer.inner.save_pretrained(str(folder / "writer"))
