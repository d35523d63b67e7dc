"""What the tests of readers share: every layout of every reader, folders of their own, and what is compared."""

import dataclasses
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import strategies as st

from discern_vqa import registry
from discern_vqa.data.sample import Sample
from discern_vqa.reading.spellings import is_missing, is_yes_or_no

NAMES = registry.names("datasets")
LAYOUTS = [
    *((name, {}) for name in NAMES),
    ("vqa_rad", {"edition": "owner"}),
    ("vqa_rad", {"edition": "hub"}),
    ("pathvqa", {"edition": "owner"}),
    ("pmc_vqa", {"version": "v1"}),
    ("roco", {"version": "v1"}),
]
every_layout = pytest.mark.parametrize(
    "tiny", LAYOUTS, ids=lambda layout: "-".join([layout[0], *layout[1].values()]), indirect=True
)

# Without what readers of one's own data understand: "nan" is a missing value, "yes" makes a type known.
WORDS = (
    st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=20)
    .map(lambda text: " ".join(text.split()))
    .filter(lambda text: not is_missing(text) and not is_yes_or_no(text))
)
VERBATIM = st.text(alphabet=st.characters(codec="utf-8"), max_size=9).filter(
    lambda text: text == "" or not is_missing(text)
)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | WORDS, lambda inner: st.lists(inner, max_size=3))


@pytest.fixture(autouse=True)
def own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What readers keep for the user (unpacked images, the key for pseudonyms) goes below the test's folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def tiny(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ModuleType, Path]:
    """A reader and the folder of its tiny set, in the layout that `every_layout` asks for."""
    name, layout = request.param
    reader = registry.load("datasets", name)
    reader.write_tiny(tmp_path / "tiny", **layout)
    return reader, tmp_path / "tiny"


def readable(reader: ModuleType, root: Path) -> dict[str, list[Sample]]:
    """Every split."""
    return {split: reader.read(root, split) for split in reader.SPLITS}


def without_source(sample: Sample) -> Sample:
    """What a neutral file with places keeps."""
    return dataclasses.replace(sample, source="", path=sample.path.resolve())


def without_place(sample: Sample) -> Sample:
    """What a neutral file with images keeps."""
    return dataclasses.replace(sample, source="", path=Path())
