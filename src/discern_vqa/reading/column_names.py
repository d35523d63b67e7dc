"""Which columns of a table are likely to hold an image, a question and so on: suggestions, for people to confirm.

No reader uses them by itself. They make the command that an error message suggests.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from discern_vqa.reading import spellings
from discern_vqa.reading.columns import reach
from discern_vqa.reading.own_images import IMAGE_ENDINGS

NAMES: dict[str, tuple[str, ...]] = {
    "image": (
        *("image", "imagename", "imagepath", "imagefile", "imagefilename", "images", "img", "imgname", "imgpath"),
        *("imgfile", "filename", "filepath", "file", "path", "picture", "figure", "figurepath", "imageid", "imgid"),
        *("bild", "bilddatei", "bildname", "bildpfad", "datei", "dateiname", "dateipfad", "pfad", "foto", "aufnahme"),
        *("fichier", "nomfichier", "imagen", "archivo", "fichero", "immagine", "nomefile", "dicom", "dicomfile"),
    ),
    "question": (
        *("question", "questiontext", "query", "prompt", "sent", "instruction", "input", "q"),
        *("frage", "fragetext", "fragestellung", "pregunta", "domanda"),
    ),
    "answer": (
        *("answer", "answertext", "answers", "gtanswer", "groundtruth", "groundtruthanswer", "correctanswer", "gt"),
        *("response", "label", "target", "output", "reference", "a", "antwort", "antworten", "reponse", "respuesta"),
        *("risposta",),
    ),
    "caption": ("caption", "captions", "bildunterschrift", "legende", "befundtext", "pied", "didascalia"),
    "answer_type": ("answertype", "typ", "type", "antworttyp", "fragetyp", "questiontype", "art", "tipo", "kind"),
    "split": ("split", "set", "subset", "partition", "phase", "teil", "aufteilung", "menge"),
    "patient": ("patient", "patientid", "pid", "patientenid", "patientennummer", "patientnumber", "patnr", "paciente"),
    "organ": ("organ", "imageorgan", "bodypart", "region", "organe", "organo", "koerperteil"),
    "modality": ("modality", "modalitytype", "imagemodality", "modalitaet", "modalitat", "modalite", "modalidad"),
}
"""Field -> names that people and published sets give its column, as `_plain` writes them, the likeliest first."""

NEEDED = ("image", "question", "answer")
_LOOKED_AT = 50
_MOST_TYPES = 3


def likely_columns(names: Sequence[str], rows: Iterable[Mapping[str, Any]], given: Mapping[str, str]) -> dict[str, str]:
    """Field -> the column that is likely to hold it, for the fields that are not `given`; a column is used once.

    Known names come first. Where image or question has none, the column whose values look like names of image files, or
    end in question marks, is taken. `names` may be ways into JSON ("meta.answer").
    """
    looked_at = [row for row, _ in zip(rows, range(_LOOKED_AT), strict=False)]
    free = [name for name in names if name and name not in given.values()]
    likely: dict[str, str] = {}
    for field, known in NAMES.items():
        if field in given:
            continue
        whole = {_plain(name): name for name in reversed(free)}
        last = {_plain(name.rpartition(".")[2]): name for name in reversed(free)}
        column = next((named[name] for named in (whole, last) for name in known if name in named), "")
        if column and _fits(field, _texts(looked_at, column)):
            likely[field] = column
            free.remove(column)
    for field, looks_like in (("image", _is_image), ("question", _is_question)):
        if field not in likely and field not in given:
            shares = {name: _share(looks_like, _texts(looked_at, name)) for name in free}
            best = max(shares, key=lambda name: shares[name], default="")
            if best and shares[best] >= 0.5:
                likely[field] = best
                free.remove(best)
    return likely


def _fits(field: str, texts: Sequence[str]) -> bool:
    """Whether a column of that name can hold the field: splits are known by their names, types have two or three."""
    stated = [text for text in texts if not spellings.is_missing(text)]
    if field == "split":
        return bool(stated) and all(map(spellings.split_name, stated))
    return field != "answer_type" or 0 < len(set(stated)) <= _MOST_TYPES


def _plain(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name.casefold().replace("ä", "ae").replace("ö", "oe").replace("ü", "ue"))
    return re.sub(r"[\W_]+", "", "".join(sign for sign in letters if not unicodedata.combining(sign)))


def _texts(rows: Sequence[Mapping[str, Any]], column: str) -> list[str]:
    texts = []
    for row in rows:
        try:
            value = reach(row, column)
        except KeyError:
            continue
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, str) and value.strip():
            texts.append(value.strip())
    return texts


def _share(looks_like: Callable[[str], bool], texts: Sequence[str]) -> float:
    return sum(map(looks_like, texts)) / len(texts) if texts else 0.0


def _is_image(text: str) -> bool:
    ending = PurePosixPath(text.replace("\\", "/")).suffix.lower()
    return bool(ending) and ending in IMAGE_ENDINGS


def _is_question(text: str) -> bool:
    return text.rstrip().endswith(("?", "？", "؟"))
