"""What the HTML pages of Discern share: how templates are filled, the style sheet, and images within a page."""

import base64
import io
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment
    from PIL import Image


def templates(package: str, *, autoescape: bool = True) -> "Environment":
    """What is in the package's `templates/`; a name that a template uses and nobody fills is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(package), autoescape=autoescape, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip


def style(package: str, name: str) -> str:
    """The style sheet of a page: what all pages have (`pages.css`), then that of the package's `templates/`."""
    shared, own = files("discern_vqa") / "pages.css", files(package) / "templates" / name
    return shared.read_text("utf-8") + own.read_text("utf-8")


def data_uri(image: "Image.Image", kind: str = "JPEG", **settings: Any) -> str:
    """An image as an address that holds the image itself; settings: of Pillow's writer of this kind."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
