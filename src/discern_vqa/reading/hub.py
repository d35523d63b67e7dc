"""Copies of question sets in the hub's usual Parquet layout: columns image, question, answer, and nothing else.

    data/train-00000-of-00003-<hash>.parquet      {"image": {"bytes": b"...", "path": None}, "question": "...",
                                                   "answer": "..."}

The images have no names there: equal images are one image, named after its content (see `unpacked`). There are no
ids: a question's id is its split and row. There are no answer types: they are derived, and `extra["derived"]` says so.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from discern_vqa.data.sample import Sample
from discern_vqa.reading import parquet as parquet_files
from discern_vqa.reading.image_files import tiny_bytes
from discern_vqa.reading.records import Record, collect, derived_answer_type, no_record
from discern_vqa.reading.unpacked import Unpacked

COLUMNS = ("image", "question", "answer")


def read(root: Path, split: str, names: Sequence[str], dataset: str, skipped: list[str] | None = None) -> list[Sample]:
    """The questions of one split, in the order of the files, which lie in `root` or its `data/` and begin with one of
    `names`. The images are unpacked below the cache, under the name of the `dataset`.

    Raises:
        DataError: a file is missing or damaged, or a row breaks the format.
        ConfigError: pyarrow is not installed.
    """
    unpacked, files = Unpacked(dataset), parquet_files.shards(root, split, names)

    def samples(row: Record) -> Iterator[Sample]:
        question, answer = row.text("question"), row.text("answer")
        image, path = unpacked.by_content(parquet_files.embedded(row.values["image"], row.source), row.source)
        yield Sample(
            id=f"{split}-{row.number}",
            split=split,
            image=image,
            path=path,
            question=question,
            answer=answer,
            answer_type=derived_answer_type(question, answer),
            source=row.source,
            extra={"derived": ["answer_type"]},
        )

    return collect(parquet_files.rows(files, COLUMNS), samples, split, skipped, no_record(files[0], split))


def write(root: Path, rows: Mapping[str, Sequence[tuple[int, str, str]]]) -> None:
    """Writes split -> (number of a tiny image, question, answer) in that layout, the first split in two files."""
    pyarrow, parquet = parquet_files.arrow()
    (root / "data").mkdir(parents=True, exist_ok=True)
    for number_of_split, (split, questions) in enumerate(rows.items()):
        half = len(questions) // 2 if number_of_split == 0 else 0
        shards = [questions[:half], questions[half:]] if half else [questions]
        for shard, shard_questions in enumerate(shards):
            records = [
                {"image": {"bytes": tiny_bytes(number, "JPEG"), "path": None}, "question": question, "answer": answer}
                for number, question, answer in shard_questions
            ]
            name = f"{split}-{shard:05}-of-{len(shards):05}-0a1b2c3d4e5f6071.parquet"
            parquet.write_table(pyarrow.Table.from_pylist(records), root / "data" / name)
