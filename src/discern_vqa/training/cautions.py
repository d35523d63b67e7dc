"""What a person should know before a training starts: what is lost of answers, questions and captions. A sentence
each."""

from collections import Counter
from collections.abc import Sequence

from discern_vqa.config import Recipe
from discern_vqa.data import pieces
from discern_vqa.data.answer_tokens import Writer
from discern_vqa.data.languages import OTHER
from discern_vqa.data.laterality import COVERED
from discern_vqa.data.merged import merged, warning
from discern_vqa.data.normalisers import SAFE
from discern_vqa.data.sample import Sample
from discern_vqa.data.text import FolderTokenizer, Tokenizer


def cautions(
    settings: Recipe, samples: Sequence[Sample], tokenizer: Tokenizer | None = None, writer: Writer | None = None
) -> list[str]:
    """All that is to be said of what these samples lose.

    Args:
        samples: that are learned from.
        tokenizer: of the run; None for a baseline, which reads every word.
        writer: of a model that writes its answers.
    """
    return [
        *answers_made_one(settings, samples),
        *(texts_cut(settings.data.text_length, samples, tokenizer) if tokenizer is not None else []),
        *(hardly_read(samples, tokenizer) if isinstance(tokenizer, FolderTokenizer) else []),
        *(not_mirrored(samples) if settings.data.mirror else []),
        *(answers_cut(writer) if writer is not None else []),
    ]


def answers_made_one(settings: Recipe, samples: Sequence[Sample]) -> list[str]:
    """Where the normaliser takes different answers for one, and a sign, a comparison or a number is lost."""
    name = settings.data.normaliser
    told = warning(merged((sample.answer for sample in samples if not sample.is_caption), name), name)
    return [f"{told}. They are learned as one answer; to keep them apart: --set data.normaliser={SAFE}"] if told else []


def texts_cut(length: int, samples: Sequence[Sample], tokenizer: Tokenizer) -> list[str]:
    """Where questions or captions are longer than the text positions, so that their middle is not read."""
    told = []
    for kind, is_caption in (("questions", False), ("captions", True)):
        texts = [sample.text for sample in samples if sample.is_caption is is_caption]
        if cut := tokenizer.count_cut(texts, length):
            told.append(
                f"{cut:,} of {len(texts):,} {kind} are longer than the model reads ({length} text positions): "
                "their middle "
                "is left out; to read more: --set data.text_length=N"
            )
    return told


def hardly_read(samples: Sequence[Sample], tokenizer: FolderTokenizer) -> list[str]:
    """Where the text encoder's tokenizer can read little of the texts, by language."""
    return [] if tokenizer.pieces is None else pieces.hardly_read(tokenizer.pieces.library, samples)


def not_mirrored(samples: Sequence[Sample]) -> list[str]:
    """How many samples are never mirrored, since left and right are not known in their language."""
    left = Counter(sample.language for sample in samples if sample.language not in COVERED)
    if not left:
        return []
    why = {"": "their language is not known", OTHER: "they are in another language"}
    reasons = ", ".join(f"{count:,}: {why.get(code, f'they are in {code!r}')}" for code, count in left.most_common())
    return [
        f"{left.total():,} of {len(samples):,} samples are not mirrored, since left and right are known in "
        f"{', '.join(COVERED)} alone ({reasons}); the data set may name the language of each question (`language`)"
    ]


def answers_cut(writer: Writer) -> list[str]:
    """Where answers are longer than what is learned and written."""
    cut = writer.count_cut()
    if not cut:
        return []
    return [
        f"{cut:,} of {len(writer.candidates):,} different answers are longer than {writer.length} tokens and are "
        "learned "
        "without their end; to keep it: --set model.generator.length=N"
    ]
