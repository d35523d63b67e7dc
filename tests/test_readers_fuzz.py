"""Damaged inputs to every reader: whatever is in the files, only this package's own errors come out, in two lines."""

import json
import os
import re
from pathlib import Path

import pytest
from _readers import LAYOUTS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discern_vqa import registry
from discern_vqa.datasets import jsonl
from discern_vqa.errors import DiscernError
from discern_vqa.reading.records import present_splits

PICTURES = (".jpg", ".png")
ODD = [
    "null",
    "NaN",
    "-1e999",
    "9" * 5000,
    "[" * 3000,
    '"\\ud800"',
    '"\\u0000"',
    '"../../etc/passwd"',
    '"/etc/passwd"',
    '"' + "long" * 2000 + '"',
    '"a\\nb"',
    "[]",
    "{}",
    '{"a": {"b": [1, null]}}',
    "true",
    '""',
    '"\u2028"',
]
damage = st.one_of(
    st.tuples(st.just("flip"), st.floats(0, 1), st.binary(min_size=1, max_size=1)),
    st.tuples(st.just("cut"), st.floats(0, 1), st.just(b"")),
    st.tuples(st.just("insert"), st.floats(0, 1), st.binary(min_size=1, max_size=40)),
    st.tuples(st.just("drop"), st.floats(0, 1), st.binary(min_size=1, max_size=40)),
    st.tuples(st.just("value"), st.floats(0, 1), st.sampled_from(ODD).map(str.encode)),
    st.tuples(st.just("line"), st.floats(0, 1), st.just(b"")),
)


def damaged(content: bytes, kind: str, where: float, what: bytes) -> bytes:
    """`content` with one thing wrong, at that share of its length."""
    at = int(where * len(content))
    if kind == "flip":
        return content[:at] + what + content[at + 1 :]
    if kind == "cut":
        return content[:at]
    if kind == "insert":
        return content[:at] + what + content[at:]
    if kind == "drop":
        return content[:at] + content[at + len(what) :]
    if kind == "line":
        lines = content.splitlines(keepends=True)
        return content + (lines[int(where * (len(lines) - 1))] if lines else b"x")
    tokens = list(re.finditer(rb'"[^"\n]*"|(?<=[,|\t;])[^,|\t;\n"]+', content))
    if not tokens:
        return content
    token = tokens[int(where * (len(tokens) - 1))]
    value = what if token[0].startswith(b'"') else what.strip(b'"')
    return content[: token.start()] + value + content[token.end() :]


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """The tiny set of each layout, written once, and folders of the user's own."""
    root = tmp_path_factory.mktemp("sets")
    before = {name: os.environ.get(name) for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
    os.environ |= {"XDG_CACHE_HOME": str(root / "cache"), "XDG_CONFIG_HOME": str(root / "config")}
    made: dict[str, Path] = {}

    def of(name: str, layout: dict[str, str]) -> Path:
        key = "-".join([name, *layout.values()])
        if key not in made:
            made[key] = root / key
            registry.load("datasets", name).write_tiny(made[key], **layout)
        return made[key]

    yield of
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def two_lines(error: DiscernError) -> None:
    assert str(error)
    assert "\n" not in str(error)
    assert "\n" not in error.hint


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: "-".join([layout[0], *layout[1].values()]))
@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_damaged_set_raises_only_errors_of_our_own(sets, layout, data):
    name, kind = layout
    reader, root = registry.load("datasets", name), sets(name, kind)
    files = sorted(file for file in root.rglob("*") if file.is_file() and file.suffix not in PICTURES)
    file = data.draw(st.sampled_from(files))
    whole = file.read_bytes()
    content = whole
    for one in data.draw(st.lists(damage, min_size=1, max_size=3)):
        content = damaged(content, *one)
    file.write_bytes(content)
    try:
        for skipped in (None, []):
            try:
                splits = present_splits(reader, root)
                samples = [sample for split in splits for sample in reader.read(root, split, skipped=skipped)]
                jsonl.write(samples, root.parent / "out.jsonl")
            except DiscernError as error:
                two_lines(error)
            for line in skipped or ():
                assert "\n" not in line
        if hasattr(reader, "regions"):
            try:
                reader.regions(root, next(iter(reader.read(root, "train"))).image)
            except DiscernError as error:
                two_lines(error)
    finally:
        file.write_bytes(whole)


@settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))
@given(
    record=st.dictionaries(
        st.sampled_from([*"id split image path question answer caption answer_type question_type choices mask".split()])
        | st.text(max_size=5),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=20)
        | st.lists(st.text(max_size=3) | st.none(), max_size=3)
        | st.sampled_from(["train", "test", "a.png", "yes", "closed"]),
    )
)
def test_any_json_object_is_a_sample_or_an_error_of_our_own(tmp_path_factory, record):
    root = tmp_path_factory.getbasetemp() / "objects"
    root.mkdir(exist_ok=True)
    (root / "a.png").write_bytes(b"")
    (root / "samples.jsonl").write_text(json.dumps(record) + "\n")
    for split in jsonl.SPLITS:
        try:
            for sample in jsonl.read(root, split):
                assert sample.image
        except DiscernError as error:
            two_lines(error)
