"""What the codes of question types stand for: those of VQA-RAD (Lau et al. 2018, which OVQA took over) and SLAKE's
KG."""

from collections.abc import Iterable

MEANING = {
    "MODALITY": "how the image was made",
    "PLANE": "in which plane it was taken",
    "ORGAN": "which organ or organ system is shown",
    "ABN": "what is abnormal",
    "PRES": "whether something is present",
    "POS": "where something is",
    "SIZE": "how large something is",
    "COLOR": "which colour or shade something has",
    "ATTRIB": "what else something is like",
    "COUNT": "how many there are",
    "KG": "what knowledge answers and not the image alone",
}


def legend(codes: Iterable[str]) -> str:
    """What those of the codes mean that are known, for a note; "" where none is."""
    return "; ".join(f"{code}: {MEANING[code]}" for code in codes if code in MEANING)
