"""How much of a text a tokenizer of words and pieces can read. No torch here.

Such a tokenizer was learned from texts of some languages, mostly English. What it has not met falls apart into single
characters or bytes, and a text encoder that was trained with it makes little of those. So what cannot be read is
measured as the share of pieces that are unknown or a single character of a longer word, beside that of English
questions.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from discern_vqa.data.languages import OTHER, with_languages
from discern_vqa.data.sample import Sample

ENGLISH = (
    "Is there evidence of a pneumothorax?", "Where is the lesion located?", "What imaging modality was used?",
    "Is the heart enlarged?", "Which side of the brain shows hypodensity?", "How many kidneys are visible?",
    "Does the patient have cardiomegaly?", "What is the largest organ in the image?", "Are the lungs hyperinflated?",
    "Is there a fracture of the left clavicle?", "What abnormality is seen in the liver?", "Is this an axial plane?",
)  # fmt: skip
"""Questions of our own that any tokenizer of English reads: what other texts are held against."""
FAR = 0.1
"""So much more of a text than of `ENGLISH` may be unread before it is told. CLIP's tokenizer: questions of VQA-RAD
0.01, Spanish 0.14, French 0.18, German 0.22, Polish 0.28, Russian 0.91, Chinese 1.00."""
FALLS_APART = 1.6
"""Or so many times as many pieces to a word. CLIP's: English 1.2, French 1.8, German 2.4, Chinese 25."""


@dataclass(frozen=True)
class Pieces:
    """Of some texts: words (as the tokenizer divides them), the pieces that they fall into, and those that say
    nothing."""

    words: int
    pieces: int
    unread: int

    @property
    def share(self) -> float:
        """The share of the pieces that are unknown or a single character of a longer word; 0 of nothing."""
        return self.unread / self.pieces if self.pieces else 0.0

    @property
    def per_word(self) -> float:
        """Pieces to a word; 1 of nothing."""
        return self.pieces / self.words if self.words else 1.0


def pieces_of(tokenizer: Tokenizer, texts: Sequence[str]) -> Pieces:
    """What the tokenizer makes of the texts; punctuation is left out."""
    unknown = getattr(tokenizer.model, "unk_token", None)
    words = pieces = unread = 0
    for text, encoding in zip(texts, tokenizer.encode_batch(list(texts), add_special_tokens=False), strict=True):
        by_word: dict[int | None, list[int]] = {}
        for place, word in enumerate(encoding.word_ids):
            start, end = encoding.offsets[place]
            if any(letter.isalnum() for letter in text[start:end]):
                by_word.setdefault(word, []).append(place)
        for places in by_word.values():
            words, pieces = words + 1, pieces + len(places)
            spans = [encoding.offsets[place] for place in places]
            single = len(places) > 1
            unread += sum(
                (single and end - start <= 1) or (unknown is not None and encoding.tokens[place] == unknown)
                for place, (start, end) in zip(places, spans, strict=True)
            )
    return Pieces(words, pieces, unread)


def warning(tokenizer: Tokenizer, texts: Sequence[str], what: str) -> str:
    """A sentence where the tokenizer reads these texts much worse than English; "" where it does not. what: whose
    texts they are, as "the questions in zh"."""
    here, english = pieces_of(tokenizer, texts), pieces_of(tokenizer, ENGLISH)
    falls_apart = here.per_word > FALLS_APART * english.per_word
    if here.share <= english.share + FAR and not falls_apart:
        return ""
    return (
        f"the text encoder can hardly read {what}: {100 * here.share:.0f} % of the pieces are single characters "
        "or unknown "
        f"(of English questions {100 * english.share:.0f} %), and a word falls into {here.per_word:.1f} pieces "
        f"({english.per_word:.1f}). Nothing is translated; take a text encoder of that language (model.text.weights)"
    )


def hardly_read(tokenizer: Tokenizer, samples: Sequence[Sample]) -> list[str]:
    """`warning` of the samples' texts in each language, as `with_languages` tells it; texts of no known language count
    only where there are no others, since a few short words prove nothing."""
    texts: defaultdict[str, set[str]] = defaultdict(set)
    for sample in with_languages(samples):
        texts[sample.language].add(sample.text)
    if len(texts) > 1:
        texts.pop("", None)
    names = {"": "the texts of this data set", OTHER: "the texts in a language that is not told"}
    told = [warning(tokenizer, sorted(texts[code]), names.get(code, f"the texts in {code!r}")) for code in texts]
    return [sentence for sentence in told if sentence]


def read_tokenizer(folder: Path) -> Tokenizer | None:
    """The tokenizer of a folder of `transformers`, read without it: its tokenizer.json, or CLIP's pair of vocab.json
    and merges.txt. None where the folder has neither."""
    folder = Path(folder)
    if (folder / "tokenizer.json").is_file():
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer
    pair = folder / "vocab.json", folder / "merges.txt"
    if not all(file.is_file() for file in pair):
        return None
    vocabulary, merges = models.BPE.read_file(*map(str, pair))
    return _clip(models.BPE(vocabulary, merges, end_of_word_suffix="</w>", unk_token="<|endoftext|>"))


def _clip(model: models.BPE) -> Tokenizer:
    """CLIP's way to the byte pairs (Radford et al. 2021, its `simple_tokenizer`): small letters, words of letters,
    single digits, runs of other marks, each as UTF-8 bytes."""
    tokenizer = Tokenizer(model)
    blanks = normalizers.Replace(Regex(r"\s+"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), blanks, normalizers.Lowercase()])
    words = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+")
    split = pre_tokenizers.Split(words, "removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return tokenizer
