"""How the answers of a file are compared where nobody says: as the run that it lies in compares them. No torch."""

from pathlib import Path

from discern_vqa.data.normalisers import NORMALISERS, PUBLISHED
from discern_vqa.scoring.stored import read_object


def is_of_run(path: Path) -> bool:
    """Whether a predictions file lies in a run folder, whose models choose from a list of answers."""
    return (Path(path).parent / "config.json").is_file()


def own_normaliser(path: Path) -> str:
    """The normaliser of a run folder, or of the run folder that a predictions file lies in; else that of published
    sets."""
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    config = folder / "config.json"
    if not config.is_file():
        return PUBLISHED
    data = read_object(config, "restore it, or name a normaliser with --normalise").get("data")
    name = str(data.get("normaliser", PUBLISHED)) if isinstance(data, dict) else PUBLISHED
    return name if name in NORMALISERS else PUBLISHED
