"""Encoders of three kinds behind one record: `hf` (a `transformers` folder), `lite` (MobileNetV2 + MiniLM), `tiny`."""

import json
from pathlib import Path

from discern_vqa.nn.encoders.base import Encoded, EncoderConfig, ImageEncoder, TextEncoder

__all__ = ["Encoded", "EncoderConfig", "ImageEncoder", "TextEncoder", "image_encoder", "text_encoder"]


def image_encoder(config: EncoderConfig, d: int, folder: Path | None) -> ImageEncoder:
    """Builds the image encoder; `folder` holds the pre-trained weights, none for random ones."""
    if config.kind == "tiny":
        from discern_vqa.nn.encoders.tiny import TinyImage

        return TinyImage(config, d)
    if config.kind == "lite" or not _is_clip(folder):
        from discern_vqa.nn.encoders.lite import LiteImage

        return LiteImage(config, d, folder)
    from discern_vqa.nn.encoders.clip import ClipImage

    return ClipImage(config, d, folder)


def text_encoder(config: EncoderConfig, d: int, vocabulary: int, length: int, folder: Path | None) -> TextEncoder:
    """Builds the text encoder for `vocabulary` ids and M = `length` positions."""
    if config.kind == "tiny":
        from discern_vqa.nn.encoders.tiny import TinyText

        return TinyText(config, d, vocabulary, length)
    is_roberta = folder is None and config.architecture == "roberta-base"
    if config.kind == "lite" or is_roberta or not _is_clip(folder):
        from discern_vqa.nn.encoders.lite import LiteText

        return LiteText(config, d, folder)
    from discern_vqa.nn.encoders.clip import ClipText

    return ClipText(config, d, length, folder)


def _is_clip(folder: Path | None) -> bool:
    """CLIP's towers have classes of their own; without a folder `hf` means CLIP's architecture."""
    if folder is None:
        return True
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return str(content.get("model_type", "")).startswith("clip")
