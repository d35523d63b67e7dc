"""Calibrating predictions files alone, without a run: what is printed, written and warned of."""

import json
from dataclasses import replace

from test_calibrate import rows

from discern_vqa import cli
from discern_vqa.report.terminal import as_table
from discern_vqa.scoring import metrics, predictions
from discern_vqa.trust.calibration import FILE, Calibration


def test_a_temperature_that_stops_at_its_bound_is_warned_of(tmp_path, capsys):
    hopeless = [replace(row, gold="elsewhere", score=0.999, alternatives=()) for row in rows()]
    predictions.write(tmp_path / "held.jsonl", hopeless)
    assert cli.main(["calibrate", str(tmp_path / "held.jsonl"), "--out", str(tmp_path / FILE)]) == 0
    assert "WARNING: the temperature stopped at its bound, 10" in capsys.readouterr().out
    assert json.loads((tmp_path / FILE).read_text())["at_bound"] is True
    assert "at its bound" in Calibration.read(tmp_path / FILE).warning
    made = Calibration.fit(rows(), "lower")
    made.write(tmp_path / FILE)
    assert made.warning == ""
    assert "at_bound" not in (tmp_path / FILE).read_text()
    scores = metrics.score(hopeless) | {"calibration": Calibration.fit(hopeless).measure(hopeless)}
    assert "WARNING: the temperature stopped" in as_table(scores)


def test_files_alone_are_calibrated_and_measured(tmp_path, capsys):
    held, judged = tmp_path / "held.jsonl", tmp_path / "judged.jsonl"
    predictions.write(held, rows(300))
    predictions.write(judged, rows(300, seed=1, start=1000))
    line = ["calibrate", str(held), "--test", str(judged), "--out", str(tmp_path / FILE)]
    line += ["--figure", str(tmp_path / "drawn.png"), "--json", str(tmp_path / "measured.json")]
    assert cli.main(line) == 0
    said = capsys.readouterr().out
    measured = json.loads((tmp_path / "measured.json").read_text())
    assert f"{100 * measured['confidence']['ece']:.1f}" in said
    assert Calibration.read(tmp_path / FILE).fitted_on["n"] == 300
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG")
    assert cli.main(["calibrate", str(held), "--test", str(held)]) == 2
    assert "would promise nothing" in capsys.readouterr().err
    for wrong in (["calibrate", str(held), "--on", str(held)], ["calibrate", str(tmp_path / "gone.jsonl")]):
        assert cli.main(wrong) == 2
        assert len(capsys.readouterr().err.splitlines()) == 2
