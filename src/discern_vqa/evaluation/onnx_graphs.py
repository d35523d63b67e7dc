"""The graphs of an export (`onnx_export`), opened by onnxruntime: images and questions in, probabilities out. Each
image and each text is encoded once. onnxruntime and numpy; no torch.

    image_encoder.onnx   pixels (U, 3, size, size)  -> features, vector, [prior_vector]
    text_encoder.onnx    ids, keep (B, M)           -> features, vector, [prior_vector]
    answer.onnx          these, [clues (B, K, C)]   -> probabilities (B, K), [openness (B,)]
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discern_vqa.data.answers import AnswerVocabulary
from discern_vqa.data.kept import STEP, Bounded
from discern_vqa.data.piece_file import PieceFile
from discern_vqa.data.prior.wording import Wording
from discern_vqa.data.sample import Sample
from discern_vqa.data.token_rows import PieceRows, WordRows, own_ids
from discern_vqa.errors import RunError
from discern_vqa.files import sha256_of
from discern_vqa.imaging.fingerprints import content_digest
from discern_vqa.imaging.images import load_image
from discern_vqa.run_folder import ONNX, VOCABULARY

IMAGE, TEXT, ANSWER = "image_encoder", "text_encoder", "answer"
TOKENIZER = "tokenizer.json"
IMAGE_BYTES, TEXT_BYTES = 2**28, 2**25
"""Of what is kept of images, and of texts."""
FEW_BYTES = 2**25
"""What is left of images after `forget`."""
BATCH = 64
EXPORT_ANEW = "export the run anew: discern export RUN DIR --to onnx"

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Encoded:
    """What an encoder's graph says of an image or of a text; kept as one entry."""

    outputs: tuple[Floats, ...]

    @property
    def nbytes(self) -> int:
        return sum(output.nbytes for output in self.outputs)


class FileTokenizer(PieceRows):
    """The tokenizer.json of an export."""

    def __init__(self, file: Path, pad: int, cut: Any) -> None:
        self.pieces, self.pad, self.cut = PieceFile.read(file, EXPORT_ANEW), pad, cut

    def uncut(self, texts: Sequence[str]) -> list[tuple[list[int], slice]]:
        """See PieceRows."""
        return [own_ids(*encoded) for encoded in self.pieces.encoded(texts)]

    def spelled(self, ids: Sequence[int]) -> str:
        """See PieceRows."""
        return self.pieces.decoded(ids)


class OnnxGraphs:
    """folder: of the export. facts: its onnx.json. threads: of onnxruntime; 0: as OMP_NUM_THREADS says, else all cores.
    images_at_once: so many are encoded together; one by one an image gets the same features whichever others are asked
    about, and on a CPU that is no slower."""

    def __init__(
        self,
        folder: Path,
        facts: dict[str, Any],
        vocabulary: dict[str, Any],
        threads: int = 0,
        images_at_once: int = 1,
    ) -> None:
        self.images_at_once = images_at_once
        self.folder, self.facts = folder, facts
        digests = facts.get("files", {})
        _require_own(folder / VOCABULARY, digests.get(VOCABULARY))
        told = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
        self.threads = threads or (int(told) if told.isdecimal() else 0)
        self.vocabulary = AnswerVocabulary.from_json(vocabulary["answers"])
        text = vocabulary["text"]
        self.length, self.size = int(facts["text"]["length"]), int(facts["image"]["size"])
        if text["kind"] == "words":
            self.tokenizer: WordRows | PieceRows = WordRows(text["words"], text.get("cut", "end"))
        else:
            _require_own(folder / TOKENIZER, digests.get(TOKENIZER))
            self.tokenizer = FileTokenizer(folder / TOKENIZER, int(facts["text"]["pad"]), text.get("cut", "end"))
        self._wording = Wording(self.vocabulary.answers) if "clues" in facts["graphs"][ANSWER]["inputs"] else None
        self._crops = facts["graphs"][TEXT]["inputs"]["ids"]["shape"][1] == "tokens"
        self._images: Bounded[Encoded] = Bounded(IMAGE_BYTES)
        self._texts: Bounded[Encoded] = Bounded(TEXT_BYTES)

    def probabilities(self, samples: Sequence[Sample]) -> tuple[Floats, Floats | None]:
        """(B, K) and, where the model predicts it, (B,) logits of "the answer is open", in the samples' order."""
        order = sorted(range(len(samples)), key=lambda row: samples[row].image)
        parts = [
            self._answered([samples[row] for row in order[start : start + BATCH]])
            for start in range(0, len(order), BATCH)
        ]
        back = np.argsort(np.array(order))
        columns = [np.concatenate(column)[back] for column in zip(*parts, strict=True)]
        return columns[0], columns[1] if len(columns) > 1 else None

    def image_vectors(self, samples: Sequence[Sample]) -> Floats:
        """(B, c) as the detector compares them."""
        known = self._encoded_images(samples)
        return np.stack([known[sample.image].outputs[1] for sample in samples])

    def text_vectors(self, texts: Sequence[str]) -> Floats:
        """(B, c') as the detector compares them."""
        return np.stack([text.outputs[1] for text in self._encoded_texts(texts)])

    def forget(self) -> None:
        """Frees what is kept of images, but for a little."""
        self._images.trim(FEW_BYTES)

    def _answered(self, samples: Sequence[Sample]) -> list[Floats]:
        known = self._encoded_images(samples)
        images = list(known.values())
        rows = {name: row for row, name in enumerate(known)}
        texts = self._encoded_texts([sample.text for sample in samples])
        given: dict[str, Any] = {
            "image_features": np.stack([image.outputs[0] for image in images]),
            "which": np.array([rows[sample.image] for sample in samples], dtype=np.int64),
            "text_features": np.stack([text.outputs[0] for text in texts]),
            "keep": self._ids([sample.text for sample in samples])[1],
        }
        if self._wording is not None:
            given["clues"] = np.stack([self._wording.clues(sample.text) for sample in samples])
        if "image_prior_vector" in self.facts["graphs"][ANSWER]["inputs"]:
            given["image_prior_vector"] = np.stack([image.outputs[2] for image in images])
            given["text_prior_vector"] = np.stack([text.outputs[2] for text in texts])
        return self._run(ANSWER, self.answer, given)

    def _encoded_images(self, samples: Sequence[Sample]) -> dict[str, Encoded]:
        """Each distinct image by its name."""
        paths = {sample.image: sample.path for sample in samples}
        contents = {name: content_digest(path) for name, path in paths.items()}
        known = {name: self._images.get(content) if content else None for name, content in contents.items()}
        missing = [name for name, encoded in known.items() if encoded is None]
        for start in range(0, len(missing), self.images_at_once):
            chunk = missing[start : start + self.images_at_once]
            pixels = np.stack([load_image(paths[name], self.size, "rgb").transpose(2, 0, 1) for name in chunk])
            given = {"pixels": pixels.astype(np.float32) / np.float32(255)}
            outputs = self._run(IMAGE, self.image_encoder, given)
            for row, name in enumerate(chunk):
                known[name] = encoded = Encoded(tuple(output[row].copy() for output in outputs))
                if contents[name]:  # else the file could not be read a moment ago
                    self._images.put(contents[name], encoded)
        return {name: encoded for name, encoded in known.items() if encoded is not None}

    def _encoded_texts(self, texts: Sequence[str]) -> list[Encoded]:
        known = {text: self._texts.get(text) for text in texts}
        missing = [text for text, encoded in known.items() if encoded is None]
        missing.sort(key=len)  # texts that are about as long are cut to about the same
        for start in range(0, len(missing), BATCH):
            chunk = missing[start : start + BATCH]
            ids, keep = self._ids(chunk)
            if self._crops:
                ids, keep = (_cropped(rows, int(keep.sum(1).max())) for rows in (ids, keep))
            outputs = self._run(TEXT, self.text_encoder, {"ids": ids, "keep": keep})
            for row, text in enumerate(chunk):
                known[text] = made = Encoded(tuple(output[row].copy() for output in outputs))
                self._texts.put(text, made)
        return [encoded for text in texts if (encoded := known[text]) is not None]

    def _ids(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(B, M) ids, padded, and where real tokens are."""
        rows = self.tokenizer.rows(texts, self.length)
        ids = np.full((len(rows), self.length), self.tokenizer.pad, dtype=np.int64)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row
        return ids, np.arange(self.length) < np.array([len(row) for row in rows])[:, None]

    def _run(self, name: str, session: Any, given: dict[str, Any]) -> list[Floats]:
        try:
            outputs: list[Floats] = session.run(None, given)
        except Exception as error:  # onnxruntime has no common error
            raise RunError(
                f"{self.folder / f'{name}.onnx'} does not take what {ONNX} describes: {_first_line(error)}",
                hint=EXPORT_ANEW,
            ) from error
        return outputs

    @cached_property
    def image_encoder(self) -> Any:
        return self._opened(IMAGE)

    @cached_property
    def text_encoder(self) -> Any:
        return self._opened(TEXT)

    @cached_property
    def answer(self) -> Any:
        return self._opened(ANSWER)

    def _opened(self, name: str) -> Any:
        if find_spec("onnxruntime") is None:
            raise RunError(
                f"{self.folder} is answered by onnxruntime, which is not installed", hint="pip install onnxruntime"
            )
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = self.folder / f"{name}.onnx"
        _require_own(path, self.facts["graphs"][name].get("sha256"))
        try:
            return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has no common error
            raise RunError(f"{path} is missing or damaged: {_first_line(error)}", hint=EXPORT_ANEW) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _require_own(path: Path, expected: str | None) -> None:
    """Raises RunError: `path` is not the file that was compared with the run. Changed weights or exchanged answers
    would answer all the same. expected: its SHA-256; None: the export is still being made."""
    if expected is None:
        return
    try:
        actual = sha256_of(path)
    except OSError as error:
        told = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise RunError(f"{path} {told}", hint=EXPORT_ANEW) from error
    if actual != expected:
        raise RunError(
            f"{path} is not the file that was exported: its SHA-256 is {actual[:12]}..., and {ONNX} has"
            f" {expected[:12]}...",
            hint=f"fetch or copy the whole folder again, or {EXPORT_ANEW}",
        )


def _cropped(rows: np.ndarray, longest: int) -> np.ndarray:
    """The first `longest` positions of (B, M), rounded up as `data.bounded.padded` does, and the answer slot."""
    length = min(-(-longest // STEP) * STEP, rows.shape[1] - 1)
    return np.ascontiguousarray(np.concatenate([rows[:, :length], rows[:, -1:]], axis=1))
