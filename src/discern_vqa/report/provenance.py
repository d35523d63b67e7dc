"""Where a run comes from, for the report: its settings, machine and time, and what others printed. No torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from discern_vqa.report.read import BEFORE, RunFiles
from discern_vqa.report.words import data_in_words, split_in_words
from discern_vqa.scoring.literature import CAVEAT, literature
from discern_vqa.scoring.page_tables import Cell, Figure, Table, percent


def facts(run: RunFiles) -> list[tuple[str, str]]:
    """What one must know to repeat it, a line each: program, machine class, seed, time."""
    config = run.config
    environment, data, steps = config.get("environment") or {}, config.get("data") or {}, config.get("run") or {}
    if str((config.get("model") or {}).get("name", "")).startswith("outside."):  # it was not trained here
        steps = {key: value for key, value in steps.items() if key == "seed"}
    versions = environment.get("versions") or {}
    machine = [str(environment[key]) for key in ("system", "machine") if environment.get(key)]
    if environment.get("threads"):
        machine.append(f"{environment['threads']} thread{'s' if environment['threads'] != 1 else ''}")
    ran = [(BEFORE, "the stage before"), ("", "this training" if run.learning.get(BEFORE) else "training")]
    times = [f"{label} {_spent(run.learning[stage])}" for stage, label in ran if _spent(run.learning.get(stage, []))]
    told = (data_in_words(config), split_in_words(str(run.scores.get("protocol") or "")))
    lines = [
        ("data", ", ".join(filter(None, told)) if data.get("dataset") else ""),
        ("seed", "" if steps.get("seed") is None else str(steps["seed"])),
        ("epochs", str(steps.get("epochs", ""))),
        ("precision", str(steps.get("precision", ""))),
        ("time", ", ".join(times)),
        ("machine", ", ".join(machine)),
        ("python", str(environment.get("python", ""))),
        ("packages", ", ".join(f"{name} {number}" for name, number in versions.items())),
    ]
    return [(name, text) for name, text in lines if text]


def _spent(lines: Sequence[Mapping[str, Any]]) -> str:
    """About how long the steps took: the mean of the logged ones, for all."""
    train = [line for line in lines if line.get("split") == "train" and isinstance(line.get("seconds"), int | float)]
    if not train:
        return ""
    seconds = sum(line["seconds"] for line in train) / len(train) * max(int(line.get("step", 0)) for line in train)
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


def beside_literature(run: RunFiles) -> Table | None:
    """What was printed for this data set, below this run and what needs no pixels; None where nothing is known."""
    printed = literature((run.config.get("data") or {}).get("dataset", ""))
    if not printed or run.split != "test" or str(run.scores.get("protocol", "usual")) not in ("", "usual"):
        return None
    parts = ("open", "closed", "overall")
    own = [percent(run.scores.get(part)) for part in parts]
    rows: list[list[Cell]] = [[f"this run ({run.name})", *own, "", "measured here"]]
    for seen in (False, True):
        for row in printed:
            if row.sees_image == seen:
                values = (row.open, row.closed, row.overall)
                figures: list[Cell] = [None if value is None else Figure(value) for value in values]
                name = row.model if seen else f"no pixels: {row.model}"
                rows.append([name, *figures, row.pretraining, row.caveat])
    columns = ["model", *parts, "image-text pairs", "caveat"]
    return Table("literature", "Beside what others printed", columns, rows, CAVEAT, marked=[0])


def settings(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The resolved config as tables of name and value; nested names are joined with dots, folders left out."""
    tables = {title: _flat(content) for title, content in config.items() if isinstance(content, dict)}
    return [{"title": title, "rows": rows} for title, rows in tables.items() if rows]


def _flat(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in content.items():
        if key == "root":  # a page is passed on: no folder of this machine
            continue
        if isinstance(value, dict) and value:
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", _plain(value)))
    return rows


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value in ("", [], {}):
        return "–"
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if isinstance(value, str) and value.startswith("/"):
        return f".../{value.rstrip('/').rpartition('/')[2]}"
    return str(value)
