"""Tables as files: CSV that a program reads back, LaTeX in which nothing can break out, anything of JSON as a table."""

import csv
import io
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from discern_vqa.report.table_files import as_csv, as_latex, as_markdown, escaped, write_tables
from discern_vqa.scoring.page_tables import Figure, Table, said, table_of

NASTY = r"\input{x} 100 % of $5 & #1 _a_ ~ ^2 {b} <i> |p| `q` \\ [1] " + '"é" – × ∑ \u202e'
ODD = Table(
    "odd",
    f"A title {NASTY}",
    ["name", f"acc {NASTY}", "n"],
    [["[first", Figure(71.61862, 66.4, 76.0, 451), 1234], ["=cmd()", None, NASTY], ["*x", Figure(-2.0), 0.12345]],
    NASTY,
    marked=[0],
)


def test_a_figure_is_four_columns_of_csv_and_a_formula_is_disarmed() -> None:
    head, first, second, third = csv.reader(io.StringIO(as_csv(ODD)))
    assert head == ["name", f"acc {NASTY}", f"acc {NASTY}_low", f"acc {NASTY}_high", f"acc {NASTY}_n", "n"]
    assert first == ["[first", "71.61862", "66.4", "76.0", "451", "1234"]
    assert second == ["'=cmd()", "", "", "", "", NASTY]
    assert third[1:3] == ["-2.0", ""]


def test_latex_holds_no_unescaped_special_letter_and_every_row_has_its_cells() -> None:
    text = as_latex(ODD)
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 1 + len(ODD.rows)
    for row in rows:
        assert len(re.findall(r"(?<!\\)&", row)) == 2
    names = "backslash|asciitilde|asciicircum|less|greater|bar|quotedbl|asciigrave"
    ours = rf"\\text(?:{names})\{{\}}"
    for text in (escaped(NASTY), escaped(ODD.title)):
        left = re.sub(ours, "", text)
        left = re.sub(r"\\ensuremath\{\\(?:times|pm)\}|\\ensuremath\{-\}", "", left)
        left = re.sub(r"\\[{}&%$#_]", "", left)
        assert not re.search(r"[\\{}&%$#_~^<>|\"`]", left), left
        assert "é" in left
        assert "∑" not in left
    assert not any(row.startswith(("[", "*")) for row in rows), "a bracket would be an argument of the break before"
    assert r"\textbf{71.6 [66.4, 76.0]}" in body


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no LaTeX here")
def test_latex_compiles(tmp_path: Path) -> None:
    write_tables([ODD], tmp_path)
    head = r"\documentclass{article}\usepackage{booktabs}\usepackage[T1]{fontenc}\begin{document}"
    (tmp_path / "all.tex").write_text(head + r"\input{odd.tex}\end{document}", encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "all.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]


def test_markdown_keeps_its_columns_whatever_the_cells_hold() -> None:
    lines = as_markdown(ODD).splitlines()
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in lines] == [4] * 5
    assert lines[2].startswith("| **[first** | 71.6 [66.4, 76.0] | 1,234 |")


def test_anything_of_json_becomes_a_table() -> None:
    content = {
        "gradcam": {
            "pointing_game": {"accuracy": 0.5, "ci95": [0.4, 0.6], "n": 40},
            "energy": {"value": 0.2, "ci95": [0.1, 0.3]},
        },
        "random": {"pointing_game": {"accuracy": 0.1, "ci95": [0.0, 0.2], "n": 40}, "deep": {"insertion": 0.25}},
        "seed": 3,
        "ids": ["a", "b"],
    }
    table = table_of("explanations", "Scores", content)
    assert table is not None
    assert list(table.columns) == ["", "value", "pointing game", "energy", "deep, insertion"]
    assert table.rows[0] == ["seed", 3, None, None, None]
    assert table.rows[1] == ["gradcam", None, Figure(50.0, 40.0, 60.0, 40), Figure(0.2, 0.1, 0.3, None, 3), None]
    assert [said(cell) for cell in table.rows[2]] == ["random", "–", "10.0 [0.0, 20.0]", "–", "0.25"]
    assert table_of("nothing", "Nothing", {"ids": []}) is None


def test_a_table_with_a_row_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="3 columns"):
        Table("t", "T", ["a", "b", "c"], [["x", 1]])
