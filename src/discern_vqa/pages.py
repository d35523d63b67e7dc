"""What the HTML pages of Discern share: the style sheet."""

from importlib.resources import files
from importlib.resources.abc import Traversable


def style(own: Traversable) -> str:
    """The style sheet of a page: what all pages have (`pages.css`), then the page's own."""
    return files("discern_vqa").joinpath("pages.css").read_text("utf-8") + own.read_text("utf-8")
