"""What is taken for what: the commonest true answers against the answers given. No torch.

Multiple choice has two tables: the answers' texts, as of other questions, and their letters. A model that cannot choose
often prefers a letter, which the texts do not show.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from discern_vqa.data.normalisers import commonest, normaliser
from discern_vqa.data.sample import CHOICE, CLOSED, OPEN
from discern_vqa.reading.offered import letter
from discern_vqa.report.read import RunFiles
from discern_vqa.scoring.page_tables import Cell, Table
from discern_vqa.scoring.predictions import Prediction

SHOWN = {CLOSED: 6, OPEN: 9, CHOICE: 9, "": 9}
_TITLES = {
    CLOSED: "Closed questions",
    OPEN: "Open questions",
    CHOICE: "Multiple-choice questions",
    "": "Questions of no given type",
}
_LETTERS = "Multiple-choice questions, by letter"
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
        name = "confusion_letters" if self.title == _LETTERS else f"confusion_{self.title.split()[0].lower()}"
        note = f"True answers down, answers given across; {self.covered:,} of {self.asked:,} questions."
        return Table(name, f"Commonest answers, {self.title.lower()}", ["true", *self.answers, ANOTHER], rows, note)


def confusions(run: RunFiles) -> list[Confusion]:
    """One for each answer type that there is, and one of the letters of multiple choice."""
    how = run.scores.get("normaliser", "m3ae")
    by_type = {kind: [row for row in run.rows if row.answer_type == kind] for kind in _TITLES}
    tables = [_confusion(rows, _TITLES[kind], SHOWN[kind], how) for kind, rows in by_type.items() if rows]
    return [*tables, *_letters(by_type[CHOICE], how)]


def _letters(rows: Sequence[Prediction], how: str) -> list[Confusion]:
    """The letter of the true option against that of the option given; of the questions whose true answer is one of
    their options, if there are any."""
    same = normaliser(how)
    met: Counter[tuple[int, int]] = Counter()
    for row in rows:
        offered = [same(option) for option in row.options]
        if same(row.gold) in offered:
            given = same(row.prediction)
            met[offered.index(same(row.gold)), offered.index(given) if given in offered else -1] += 1
    if not met:
        return []
    most = max(max(pair) for pair in met) + 1
    counts = [[met[true, given] for given in (*range(most), -1)] for true in range(most)]
    letters = [letter(place) for place in range(most)]
    return [Confusion(_LETTERS, letters, counts, most, len(rows), sum(met.values()))]


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
