"""Fonts that show a text, whatever its letters: for figures and pages drawn by matplotlib. No torch here."""

_PLACEHOLDER = "Last Resort"  # matplotlib's font that has every letter and shows none


def fonts_for(text: str) -> tuple[list[str], set[str]]:
    """Font families that show a text together, matplotlib's own first, and the letters that no installed one has.

    Other fonts are opened only where they are needed: there may be hundreds.
    """
    from matplotlib import font_manager

    default = font_manager.FontProperties()
    families, left = [default.get_name()], {letter for letter in text if letter != "\n"}
    left -= _letters(font_manager.findfont(default))
    names = sorted({font.name for font in font_manager.fontManager.ttflist}) if left else []
    known = {
        name: _letters(font_manager.findfont(font_manager.FontProperties(family=name)))
        for name in names
        if not name.startswith(_PLACEHOLDER)
    }
    while left and known:
        best = max(known, key=lambda name: len(known[name] & left))
        if not known[best] & left:
            break
        families.append(best)
        left -= known[best]
    return families, left


def _letters(path: str) -> set[str]:
    """What a font file can show; nothing where it cannot be read."""
    from matplotlib.font_manager import get_font

    try:
        return set(map(chr, get_font(path).get_charmap()))
    except (OSError, RuntimeError, ValueError):
        return set()
