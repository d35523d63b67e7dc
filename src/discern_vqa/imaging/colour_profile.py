"""ICC colour profiles: they are not applied (everything else reads the stored numbers too), but it is said where that
changes colours. Judged by what a profile does to colours, not by its name, which is free text."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image

_NOTICEABLE = 16
"""Of 255. Profiles of sRGB differ by 1 or 2 from each other, and a grey scale of gamma 2.2 from sRGB's by up to 8."""

_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
_PLAIN = {"RGBA": "RGB", "RGBX": "RGB", "P": "RGB", "PA": "RGB", "LA": "L"}
"""Modes whose colours are those of another one: with transparency, or by way of a palette."""


@lru_cache(maxsize=32)
def remark(profile: bytes, mode: str) -> str:
    """A sentence where the profile would change colours noticeably, and is not applied; "" where it would not.

    Args:
        profile: as the file holds it; b"" where it holds none.
        mode: Pillow's mode of the image as stored; nothing is said of others than RGB, greys of 8 bits and CMYK, with
            transparency or a palette or without.
    """
    mode = _PLAIN.get(mode, mode)
    if not profile or mode not in _SPACES:
        return ""
    from PIL import ImageCms

    try:
        theirs = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if theirs.profile.xcolor_space.strip() != _SPACES[mode]:
            return ""  # meant for other data; whoever shows the image passes it over as well
        colours = _test_colours(mode)
        applied = ImageCms.profileToProfile(
            colours,
            theirs,
            ImageCms.createProfile("sRGB"),
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            "RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return "its colour profile (ICC) cannot be read and is not applied"
    ours = np.asarray(colours.convert("RGB"), np.int16)
    off = int(np.abs(np.asarray(applied, np.int16) - ours).max()) if applied is not None else 0
    if off < _NOTICEABLE:
        return ""
    return f"its colour profile (ICC) is not applied: it would change colours by up to {off} of 255"


def _test_colours(mode: str) -> Image.Image:
    """All colours whose channels are one of six values (CMYK: of four), in one row."""
    channels = len(Image.new(mode, (1, 1)).getbands())
    levels = np.linspace(0, 255, 4 if channels == 4 else 6 if channels == 3 else 64).astype(np.uint8)
    grid = np.stack(np.meshgrid(*[levels] * channels, indexing="ij"), axis=-1).reshape(1, -1, channels)
    return Image.fromarray(grid[..., 0]) if channels == 1 else Image.frombytes(mode, grid.shape[1::-1], grid.tobytes())
