"""The kinds of files that hold tables, by their endings, and which reader takes a file, by its ending or its keys."""

from collections.abc import Iterable

TEXTS, BOOKS, LISTS, LINES = (".csv", ".tsv", ".txt"), (".xlsx", ".xlsm"), (".json",), (".jsonl", ".ndjson")
TABLES = (*TEXTS, *BOOKS, *LISTS, *LINES)
"""Endings of text with columns, workbooks of Excel, lists in JSON, JSON Lines; of all that are read row by row."""

READERS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
"""The ending of a table -> the reader that is named after such files. Each of these readers opens them all."""

TURNS = ("conversations", "conversatons", "conversation", "messages")
"""Keys under which a record holds questions and answers in turn."""


def reader_of_keys(keys: Iterable[str]) -> str:
    """The reader whose records have such keys; "" where they are those of no other form than a table's."""
    names = {key.partition(".")[0] for key in keys}
    if names & set(TURNS):
        return "llava"
    if names & {"image_id", "question_id"} and names & {"multiple_choice_answer", "answers", "annotations"}:
        return "coco_vqa"
    if {"questions", "annotations"} & names and not names & {"question", "answer"}:
        return "coco_vqa"
    return ""


UNREAD_SPREADSHEETS = (".xls", ".xlsb", ".ods", ".numbers")
"""Endings of spreadsheets that have to be saved in another form first."""
