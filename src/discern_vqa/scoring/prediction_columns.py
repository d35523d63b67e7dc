"""Which columns of a table hold the predictions, the true answers and so on, by the usual names. No torch here.

What the columns hold is looked at only where a command has to be suggested. A column "answer" is the true answer where
another one is called after predictions, and the prediction where another one is called after true answers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from discern_vqa.data.normalisers import NORMALISERS
from discern_vqa.reading.columns import reach
from discern_vqa.reading.field_names import NAMES, plain
from discern_vqa.reading.records import number_text

PREDICTION = (
    "prediction", "predictedanswer", "predicted", "pred", "predanswer", "answerpred", "modelanswer", "modeloutput",
    "modelresponse", "modelprediction", "response", "output", "outputs", "predictions", "generatedanswer",
    "generatedtext", "generated", "generation", "completion", "hypothesis", "hyp", "rawoutput", "rawresponse",
    "rawprediction", "llmanswer", "llmresponse", "vlmanswer", "vorhersage", "modellantwort", "antwortmodell",
    "prediccion", "predizione",
)  # fmt: skip
GOLD = (
    "gold", "goldanswer", "goldlabel", "groundtruth", "groundtruthanswer", "gt", "gtanswer", "gtans", "answergt",
    "trueanswer", "correctanswer", "target", "reference", "referenceanswer", "expected", "expectedanswer", "truth",
    "ytrue", "label", "solution", "musterloesung", "richtigeantwort",
)  # fmt: skip
SCORE = (
    "score",
    "confidence",
    "conf",
    "probability",
    "prob",
    "confidencescore",
    "certainty",
    "konfidenz",
    "sicherheit",
)
ANSWER = tuple(name for name in NAMES["answer"] if name not in (*PREDICTION, *GOLD))

_NAMES: Mapping[str, tuple[str, ...]] = {
    "prediction": PREDICTION,
    "gold": GOLD,
    "id": NAMES["id"],
    "image": NAMES["image"],
    "question": NAMES["question"],
    "answer_type": NAMES["answer_type"],
    "question_type": NAMES["question_type"],
    "organ": NAMES["organ"],
    "phrase_type": ("phrasetype", "qphrasetype"),
    "score": SCORE,
    "options": NAMES["choices"],
    "alternatives": ("alternatives",),
    "accepted": ("accepted", "acceptedanswers"),
    "others": ("others",),
    "twin": ("twin",),
    "mask": ("mask",),
    "mode": ("mode",),
}

FIELDS = tuple(_NAMES)
"""What `--columns` can map, the most needed first."""


def by_name(names: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """Field -> column, for the fields that are not `given`. A name counts whole, and of a dotted one (a key within a
    key) the last part."""
    free = [name for name in names if name and name not in given.values()]
    columns: dict[str, str] = {}

    def take(field: str, usual: Sequence[str]) -> None:
        if field in given or field in columns:
            return
        whole = {plain(name): name for name in reversed(free)}
        last = {plain(name.rpartition(".")[2]): name for name in reversed(free)}
        for plainly in (whole, last):
            column = next((plainly[name] for name in (plain(field), *usual) if name in plainly), "")
            if column:
                columns[field] = column
                free.remove(column)
                return

    take("prediction", PREDICTION)
    take("gold", GOLD)
    is_there = {*given, *columns}
    if "prediction" in is_there:
        take("gold", ANSWER)
    elif "gold" in is_there:
        take("prediction", ANSWER)
    for field, usual in _NAMES.items():
        if field not in ("prediction", "gold"):
            take(field, usual)
    return columns


def suggestion(names: Sequence[str], rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> dict[str, str]:
    """Field -> column, for the prediction and the true answer where they are not among `columns`: what a person may
    mean. Taken is the pair of columns of which one most often holds the text of the other: that one is the prediction.
    """
    texts = {name: [_text(row, name) for row in rows] for name in names if name}
    free = [name for name in texts if name not in columns.values() and any(texts[name])]
    golds = [columns["gold"]] if "gold" in columns else free
    predictions = [columns["prediction"]] if "prediction" in columns else free
    held = {
        (gold, prediction): _held(texts[gold], texts[prediction])
        for gold in golds
        for prediction in predictions
        if gold != prediction
    }
    best = max(held, key=lambda pair: (held[pair], -free.index(pair[0]) if pair[0] in free else 0), default=None)
    if best is not None and held[best] > 0:
        pair = {"gold": best[0], "prediction": best[1]}
    else:  # nothing is alike: the column that is called after answers, and the last one
        pair = {"gold": next((name for name in free if plain(name.rpartition(".")[2]) in ANSWER), "")}
        pair["prediction"] = next((name for name in reversed(free) if name != pair["gold"]), "")
    return {field: name for field, name in pair.items() if field not in columns and name}


def _held(golds: Sequence[str], predictions: Sequence[str]) -> float:
    """The share of the rows whose prediction holds the true answer, where both columns have more than one value."""
    if min(len(set(golds)), len(set(predictions))) < 2:
        return 0.0
    held = [bool(gold) and gold in prediction for gold, prediction in zip(golds, predictions, strict=True)]
    return sum(held) / len(held)


def _text(row: Mapping[str, Any], column: str) -> str:
    try:
        value = reach(row, column)
    except KeyError:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = number_text(value)
    return NORMALISERS["m3ae"](value) if isinstance(value, str) and value.strip() else ""
