"""What the columns of a table of one's own are called, in six languages and in the files of other programs.

A name is compared without case, accents, spaces and signs: "Patienten-ID" is "patientenid".
"""

import re
import unicodedata

NAMES: dict[str, tuple[str, ...]] = {
    "image": (
        "image", "images", "img", "imgs", "imagename", "imagefile", "imagefilename", "imagepath", "imageid",
        "imgid", "imgname", "imgpath", "picture", "pic", "photo", "figure", "figurepath", "scan", "slice", "file",
        "files", "filename", "filepath", "path", "filelocation", "jpg", "png", "dicom", "dicomfile", "bild",
        "bilder", "bilddatei", "bildname", "bildpfad", "datei", "dateiname", "pfad", "aufnahme", "foto",
        "abbildung", "roentgenbild", "imagen", "imagenes", "archivo", "nombrearchivo", "fichero", "ruta",
        "radiografia", "immagine", "immagini", "nomefile", "percorso", "fichier", "nomfichier", "chemin",
        "cheminimage", "cliche", "afbeelding", "beeld", "bestand", "imagem", "arquivo", "imgfile", "dateipfad",
    ),
    "question": (
        "question", "questions", "questiontext", "q", "query", "prompt", "instruction", "input", "problem", "frage",
        "fragen", "fragetext", "fragestellung", "pregunta", "preguntas", "domanda", "domande", "quesito",
        "pergunta", "vraag", "sent",
    ),
    "answer": (
        "answer", "answers", "answertext", "a", "gt", "gtanswer", "groundtruth", "gold", "goldanswer", "label",
        "target", "correctanswer", "response", "output", "solution", "antwort", "antworten", "antworttext",
        "loesung", "befundantwort", "respuesta", "respuestas", "risposta", "risposte", "reponse", "reponses",
        "resposta", "antwoord", "groundtruthanswer", "reference",
    ),
    "answer_type": (
        "answertype", "answerform", "qform", "type", "questionform", "kind", "typ", "art", "antworttyp",
        "antwortart", "frageform", "antwortform", "tipo", "tiporespuesta", "tipopregunta", "tiporisposta",
        "tipodomanda", "typereponse", "typequestion", "genre", "formato", "formulierung", "fragetyp", "questiontype",
    ),
    "question_type": (
        "questiontype", "questioncategory", "category", "topic", "contenttype", "task", "tasktype", "qtype",
        "fragetyp", "frageart", "fragekategorie", "kategorie", "thema", "categoria", "categorie", "tema",
    ),
    "caption": (
        "caption", "captions", "description", "bildunterschrift", "beschreibung", "legende", "didascalia",
        "descripcion", "leyenda", "befundtext", "pied",
    ),
    "patient": (
        "patient", "patientid", "patientno", "patientnumber", "patientname", "patientpseudonym", "pat", "patid",
        "pid", "pseudonym", "subject", "subjectid", "case", "caseid", "casenumber", "patienten", "patientenid",
        "patientennummer", "patientenname", "patnr", "fall", "fallnummer", "fallnr", "fallid", "proband",
        "probandid", "paciente", "pacienteid", "idpaciente", "caso", "paziente", "pazienteid", "idpaziente",
        "sujet", "idpatient", "cas", "patientin", "name", "nachname",
    ),
    "study": (
        "study", "studyid", "studyuid", "studyinstanceuid", "exam", "examid", "examination", "accession",
        "accessionnumber", "studie", "studienid", "untersuchung", "untersuchungsnummer", "untersuchungsid",
        "estudio", "examen", "esame", "studio", "etude",
    ),
    "split": (
        "split", "set", "subset", "partition", "fold", "phase", "dataset", "usage", "teil", "teilmenge",
        "aufteilung", "datensatz", "particion", "ensemble", "menge",
    ),
    "modality": (
        "modality", "modalitaet", "modalidad", "modalite", "modalita", "imagingmodality", "verfahren",
        "modalitytype", "imagemodality", "modalitat",
    ),
    "organ": (
        "organ", "organs", "bodypart", "bodyregion", "region", "anatomy", "imageorgan", "location", "organo",
        "organe", "koerperregion", "koerperteil",
    ),
    "language": (
        "language", "lang", "qlang", "sprache", "idioma", "langue", "lingua",
    ),
    "choices": (
        "choices", "options", "candidates", "antwortmoeglichkeiten", "auswahl", "opciones", "opzioni", "choix",
    ),
    "id": (
        "id", "qid", "questionid", "frageid", "fragenid", "nr", "nummer", "index", "uid", "key", "number", "idx",
        "lfdnr", "laufnummer", "numero",
    ),
}  # fmt: skip
"""Field -> the names of its column, the most telling first."""

PERSONS = ("name", "nachname", "patientname", "patientenname", "nombre", "apellido", "cognome", "nom")
"""Names of columns that hold the names of persons."""

_TITLES = re.compile(r"\b(?:herr|frau|mr|mrs|ms|dr|prof|señor|señora|sig|mme|monsieur)\b\.?", re.IGNORECASE)
_NAME = re.compile(r"[^\W\d_][^\W\d_'’-]+,?\s+(?:[^\W\d_]\.?\s+)?[^\W\d_][^\W\d_'’-]+")


def plain(text: str) -> str:
    """The letters and digits of a name, in lower case and without accents; umlauts as "ae", "oe", "ue"."""
    text = text.casefold().replace("ä", "ae").replace("ö", "oe").replace("ü", "ue")
    letters = unicodedata.normalize("NFKD", text)
    return re.sub(r"[\W_]+", "", "".join(sign for sign in letters if not unicodedata.combining(sign)))


def rank(field: str, column: str) -> int | None:
    """How telling a column's name is for a field, 0 the most; None where it is no name of that field. Of a dotted name
    (a key within a key) the last part counts."""
    known, name = NAMES[field], plain(column.rpartition(".")[2] or column)
    if name == plain(field):
        return -1
    return known.index(name) if name in known else None


def is_person(text: str) -> bool:
    """Whether a cell looks like the name of a person ("Weber, Hans", "Dr. Anna Weber"), no pseudonym."""
    return bool(_TITLES.search(text) or _NAME.fullmatch(text.strip()))
