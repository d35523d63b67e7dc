"""Names of image files: by which endings they are known. What a file really is, its content says (`images`)."""

from pathlib import PurePath

IMAGE_ENDINGS = frozenset(
    ".png .jpg .jpeg .jpe .jfif .tif .tiff .bmp .gif .webp .jp2 .dcm .dicom .ima .nii .nii.gz .hdr".split()
)
"""In lower case. Of a pair of files (.hdr and .img) the header stands for both."""


def ending_of(name: str) -> str:
    """A file's ending in lower case, ".nii.gz" as a whole; "" for none."""
    path = PurePath(name.lower())
    return f"{PurePath(path.stem).suffix}.gz" if path.suffix == ".gz" else path.suffix


def is_image_name(name: str) -> bool:
    """Whether a file of that name is an image by its ending."""
    return ending_of(name) in IMAGE_ENDINGS


def may_be_image(name: str) -> bool:
    """Whether it may be one: DICOM files often have no ending, or an identifier's last number."""
    ending = ending_of(name)
    return ending in IMAGE_ENDINGS or not ending or ending[1:].isdigit()
