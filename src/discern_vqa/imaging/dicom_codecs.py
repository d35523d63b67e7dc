"""DICOM: imagecodecs as a decoding plugin of pydicom, for the JPEG processes that pydicom and Pillow do not read.

JPEG Lossless (ISO 10918-1, process 14) and JPEG Extended of 12 bits (process 4) go to libjpeg-turbo, JPEG-LS (ISO
14495-1) to CharLS. Both come in imagecodecs' wheel (BSD-3). pydicom does what comes after a decoder: the sign, bits
above those that are stored, YBR to RGB. Its own decoders stay as they are: `decoder` makes a new one.

The caller checks the sizes in a frame's own header first (`dicom_frames`). Here a frame must have exactly the size that
was promised, and a stream that ends before its image is refused: libjpeg-turbo alone would fill the rest with grey.
CharLS does not come back from some damaged streams (an endless loop, repaired in CharLS by its pull request 334, which
imagecodecs 2026.3.6 does not have): it runs in a process of its own, which is ended after `_SECONDS`.
"""

import importlib.util
import io
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import Decoder, DecodeRunner

JPEG_LOSSLESS = {"1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"}
JPEG_LS = {"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"}
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"

PLUGIN = "imagecodecs"
DECODER_DEPENDENCIES = {uid: ("numpy", "imagecodecs") for uid in (*JPEG_LOSSLESS, *JPEG_LS, JPEG_EXTENDED)}
"""pydicom asks a plugin for this: transfer syntaxes and the packages that reading them takes."""

_SECONDS = 60
"""A frame of 100 million pixels takes CharLS a few seconds; the rest is for a busy machine to start the process."""
_CHARLS = """
import io, sys
import imagecodecs, numpy
if sys.platform != "win32":
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
try:
    made = io.BytesIO()
    numpy.save(made, imagecodecs.jpegls_decode(sys.stdin.buffer.read()), allow_pickle=False)
except Exception as error:
    sys.exit(str(error) or type(error).__name__)
sys.stdout.buffer.write(made.getvalue())
"""
_END = b"\xff\xd9"
_FILLER = bytes(range(0x55, 0xD5))
"""For `_libjpeg`: bytes without a marker, whose first bits are not the zeros that libjpeg-turbo puts after a scan."""


def is_available(uid: str) -> bool:
    """True where imagecodecs is installed (pydicom asks a plugin for this)."""
    return uid in DECODER_DEPENDENCIES and importlib.util.find_spec("imagecodecs") is not None


def decoder(uid: str) -> "Decoder":
    """pydicom's decoder of a transfer syntax, with imagecodecs as its only plugin (where it is installed)."""
    from pydicom.pixels.decoders.base import Decoder
    from pydicom.uid import UID

    made = Decoder(UID(uid))
    made.add_plugin(PLUGIN, (__name__, "decode_frame"))
    return made


def decode_frame(encoded: bytes, runner: "DecodeRunner") -> bytearray:
    """One frame's pixels, colours pixel by pixel, as the stream stores them; pydicom calls this.

    Raises ValueError: the stream is damaged, cut off, or of another size than `runner` says.
    """
    shape: tuple[int, ...] = (runner.rows, runner.columns)
    if runner.samples_per_pixel > 1:
        shape += (runner.samples_per_pixel,)
        runner.set_option("planar_configuration", 0)
    whole = encoded.rstrip(b"\0\xff")  # fragments have an even length: one of these may follow the end
    if not whole.endswith(_END):
        raise ValueError("the JPEG stream is cut off")
    pixels = _charls(whole) if runner.transfer_syntax in JPEG_LS else _libjpeg(whole, runner.samples_per_pixel)
    if pixels.shape != shape:
        raise ValueError(f"a frame of shape {pixels.shape} in place of {shape}")
    runner.set_option("bits_allocated", 8 * pixels.dtype.itemsize)
    return bytearray(pixels.tobytes())


def _libjpeg(encoded: bytes, samples: int) -> NDArray[np.unsignedinteger]:
    """(rows, columns) or (rows, columns, 3) of a JPEG stream, its colours as stored.

    Decoded twice, with other bytes behind the scan: libjpeg-turbo only warns when a scan ends early, and imagecodecs
    does not pass the warning on. Pixels that change with what stands behind the scan were never in it.
    """
    import imagecodecs

    def decode(stream: bytes) -> NDArray[np.unsignedinteger]:
        # The same colours in and out: none is converted, whatever markers in the stream suggest.
        colours = "RGB" if samples > 1 else None
        return imagecodecs.jpeg8_decode(stream, colorspace=colours, outcolorspace=colours)

    pixels = decode(encoded)
    if not np.array_equal(pixels, decode(encoded[: -len(_END)] + _FILLER + _END)):
        raise ValueError("the JPEG stream ends before its image")
    return pixels


def _charls(encoded: bytes) -> NDArray[np.unsignedinteger]:
    """The same of a JPEG-LS stream, decoded in a process of its own."""
    command = [sys.executable, "-I", "-c", _CHARLS]
    try:
        done = subprocess.run(command, input=encoded, capture_output=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"the JPEG-LS stream is not decoded within {_SECONDS} seconds") from error
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip()[-300:]
        raise ValueError(reason or f"the decoder of JPEG-LS ended with {done.returncode}")
    pixels: NDArray[np.unsignedinteger] = np.load(io.BytesIO(done.stdout), allow_pickle=False)
    return pixels
