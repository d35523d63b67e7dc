"""What is taken for what: the commonest true answers against the answers given. No torch."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from discern_vqa.data.normalisers import commonest, normaliser
from discern_vqa.data.sample import CLOSED, OPEN
from discern_vqa.report.read import RunFiles
from discern_vqa.scoring.page_tables import Cell, Table
from discern_vqa.scoring.predictions import Prediction

SHOWN = {CLOSED: 6, OPEN: 9, "": 9}
_TITLES = {CLOSED: "Closed questions", OPEN: "Open questions", "": "Questions of no given type"}
ANOTHER = "another"


@dataclass(frozen=True)
class Confusion:
    """counts[i][j]: how often the true answer `answers[i]` was answered by `answers[j]`, or, in the last column, by
    something else; kinds: different true answers there are, asked: questions; covered: questions in the rows."""

    title: str
    answers: list[str]
    counts: list[list[int]]
    kinds: int
    asked: int
    covered: int

    @property
    def shares(self) -> list[list[float]]:
        """Of each row, in [0, 1]."""
        return [[count / max(1, sum(row)) for count in row] for row in self.counts]

    def table(self) -> Table:
        """The counts, true answers down, answers given across."""
        rows: list[list[Cell]] = [[text, *row] for text, row in zip(self.answers, self.counts, strict=True)]
        name = f"confusion_{self.title.split()[0].lower()}"
        note = f"True answers down, answers given across; {self.covered:,} of {self.asked:,} questions."
        return Table(name, f"Commonest answers, {self.title.lower()}", ["true", *self.answers, ANOTHER], rows, note)


def confusions(run: RunFiles) -> list[Confusion]:
    """One for each answer type that there is."""
    how = run.scores.get("normaliser", "m3ae")
    by_type = {kind: [row for row in run.rows if row.answer_type == kind] for kind in (CLOSED, OPEN, "")}
    return [_confusion(rows, _TITLES[kind], SHOWN[kind], how) for kind, rows in by_type.items() if rows]


def _confusion(rows: Sequence[Prediction], title: str, most: int, how: str) -> Confusion:
    same = normaliser(how)
    pairs = []
    spellings: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        spellings[same(row.gold)][" ".join(row.gold.split())] += 1
    for row in rows:  # any accepted answer counts as the first of them
        given, true = same(row.prediction), [same(text) for text in row.truths]
        pairs.append((true[0], true[0] if given in true else given))
    golds = Counter(gold for gold, _ in pairs)
    answers = [text for text, _ in sorted(golds.items(), key=lambda item: (-item[1], item[0]))[:most]]
    met = Counter(pairs)
    counts = [[met[gold, given] for given in answers] for gold in answers]
    counts = [[*row, golds[gold] - sum(row)] for gold, row in zip(answers, counts, strict=True)]
    shown = [commonest(spellings[text]) for text in answers]
    return Confusion(title, shown, counts, len(golds), len(rows), sum(golds[text] for text in answers))
