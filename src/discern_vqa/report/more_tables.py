"""The report's further tables: reliance on the image, the mirror, protocols, the heat maps' own scores. No torch.

Each is shown where `evaluate` (or another command) left it; of a shape that is not known here, whatever can be read.
"""

from collections.abc import Mapping
from typing import Any

from discern_vqa.report.read import RunFiles
from discern_vqa.report.tables import Cell, Figure, Table, percent, table_of

_PARTS = ("overall", "open", "closed", "unknown")


def further(run: RunFiles) -> list[Table]:
    """The tables that there is something to say in."""
    scores = run.scores
    controls = scores.get("controls") or {}
    odd = {name: one for name, one in controls.items() if not (isinstance(one, Mapping) and "overall" in one)}
    mirror, left_out = (_object(scores.get(key), key) for key in ("mirror", "controls_left_out"))
    about_mirror = (
        "The image is mirrored, and left and right must change places. Accuracies in %; both: right before and after;"
        " followed: of the answers given, right or wrong, those that did what the image did"
    )
    made = [
        _reliance(_object(scores.get("reliance"), "reliance")),
        table_of("mirror", "The mirror test", mirror, about_mirror),
        table_of("controls", "Further controls", odd),
        table_of("controls_left_out", "Controls that were left out", left_out),
        _protocols(scores.get("protocols") or {}),
        _explained(run.explained),
    ]
    return [table for table in made if table is not None]


def _object(content: Any, name: str) -> Mapping[str, Any]:
    return content if isinstance(content, Mapping) else {} if content is None else {name: content}


def _reliance(found: Mapping[str, Any]) -> Table | None:
    """What the right image adds over the best that the model does with a wrong one, by part, organ and type."""
    parts = [(part, found[part]) for part in _PARTS if isinstance(found.get(part), Mapping)]
    for grouping, groups in (found.get("by") or {}).items():
        parts += [(f"{grouping.replace('_', ' ')}: {name}", one) for name, one in groups.items()]
    if not parts or any("points" not in one for _, one in parts):
        return table_of("reliance", "Reliance on the image", found)
    rows: list[list[Cell]] = [
        [
            name,
            one["n"],
            _percent(one["accuracy"]),
            _percent(one["without"]),
            one["against"],
            _percent(one["points"], one.get("ci95"), signed=True),
            _percent(one.get("share"), one.get("share_ci95")),
        ]
        for name, one in parts
        if one.get("n")
    ]
    columns = ["", "n", "right image", "best without", "which is", "points", "share that needs it"]
    note = (
        "Accuracy in % with the right image, and with the wrong one that serves the model best; on the same questions"
    )
    return Table("reliance", "Reliance on the image", columns, rows, note) if rows else None


def _percent(value: float | None, ends: Any = None, signed: bool = False) -> Cell:
    low, high = ends or (None, None)
    if value is None:
        return None
    low, high = (None if end is None else 100 * end for end in (low, high))
    return Figure(100 * value, low, high, signed=signed)


def _protocols(protocols: Mapping[str, Any]) -> Table | None:
    rows: list[list[Cell]] = [
        [name, one.get("n"), *(percent(one.get(part)) for part in ("overall", "open", "closed"))]
        for name, one in protocols.items()
        if isinstance(one, Mapping) and one.get("overall")
    ]
    note = "The same answers as published programs would count them (docs/metrics.md); in %"
    columns = ["protocol", "n", "overall", "open", "closed"]
    return Table("protocols", "The same answers under published protocols", columns, rows, note) if rows else None


def _explained(content: Mapping[str, Any]) -> Table | None:
    """The heat maps' own scores, whatever methods and measures the file has."""
    methods = content.get("methods") if isinstance(content.get("methods"), Mapping) else content
    note = "Do the heat maps point at the finding? Compare each method with the random and centre baselines among them"
    return table_of("explanations", "The heat maps' own scores", methods, note) if methods else None
