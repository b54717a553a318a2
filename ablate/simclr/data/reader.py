"""Reading one image file: the only place where a file becomes pixels, for folders, packs and `ablate data look`.

An image is decoded by a known decoder, turned as its EXIF orientation says, laid on a background if it is transparent,
and converted to 8-bit RGB. Of an animation, the first frame is read.
"""

import errno
import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from ablate.simclr.data.formats import SUFFIXES
from ablate.trainer.contract import DataError

PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY  # a long comment does not make an image unreadable

Image.init()
_BY_CONTENT = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000", "QOI", "PSD")
"""Formats with a signature, recognized whatever the suffix; others only in files with their suffix."""

_BAD = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""Exceptions that Pillow raises because of a file's content."""
_OF_CONTENT = (None, errno.EINVAL)
"""Error numbers of an OSError that the content causes: Pillow's own has none, a seek by a wrong header EINVAL."""

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the image upright."""
_SIDEWAYS = (5, 6, 7, 8)
_BITS_PER_SAMPLE, _PHOTOMETRIC, _MAX_SAMPLE = 258, 262, 281  # tags of TIFF
_DARK = 4096
TURNED, TRANSPARENT, DEEP = "turned by EXIF", "transparent", "gray deeper than 8 bits"
INVISIBLE = "wholly transparent"


@dataclass(frozen=True)
class Conversion:
    """How images become 8-bit RGB."""

    background: str = "#ffffff"
    """The color under transparent pixels."""
    white_level: float | None = None
    """The value of white in gray images deeper than 8 bits that do not state it."""


AS_USUAL = Conversion()


@dataclass(frozen=True)
class Picture:
    """An image in RGB."""

    image: Image.Image
    shape: tuple[int, int]
    """Height and width of the whole image, upright; a JPEG may have been decoded at a fraction of it."""
    changes: frozenset[str]
    """Which of TURNED, TRANSPARENT, INVISIBLE and DEEP it was."""


def open_image(path: Path) -> Image.Image:
    """Open a file with the decoders that its suffix and its signature allow. Raises DataError for a dead link."""
    if path.is_symlink() and not path.exists():
        raise DataError("a link to nothing")
    return Image.open(path, formats=_decoders(SUFFIXES.get(path.suffix.lower(), "")))


def open_bytes(content: bytes | None) -> Image.Image:
    """Open a file in memory with the decoders that its signature allows. Raises DataError if there is none."""
    if content is None:
        raise DataError("the image is missing")
    return Image.open(io.BytesIO(content), formats=_decoders(""))


def _decoders(by_suffix: str) -> list[str]:
    return [name for name in dict.fromkeys((by_suffix, *_BY_CONTENT)) if name in Image.OPEN]  # MPO opens as JPEG


def read_image(image: Image.Image, conversion: Conversion, least: int | None = None) -> Picture:
    """An opened image, upright and in RGB. Raises what `unreadable` explains.

    least: a JPEG may be decoded at a fraction of its size, as long as both sides stay at least so long.
    """
    whole = image.size
    if least is not None:
        image.draft("RGB", (least, least))
    at_a_fraction = image.size != whole
    changes = {TURNED} if _tag(image, _ORIENTATION) in _TURNS else set()
    image.load()  # Pillow turns a TIFF here
    orientation = _orientation(image)
    changes |= {TURNED} if orientation in _TURNS else set()
    if image.mode.startswith(("I", "F")):
        changes.add(DEEP)
        rgb = _of_deep_gray(image, conversion)
    elif image.has_transparency_data:
        rgb, (least_opaque, most_opaque) = _laid_on(image, conversion.background)
        changes |= {TRANSPARENT} if least_opaque < 255 else set()
        changes |= {INVISIBLE} if most_opaque == 0 else set()
    else:
        rgb = image.convert("RGB")
    if orientation in _TURNS:
        rgb = rgb.transpose(_TURNS[orientation])
    width, height = rgb.size
    if at_a_fraction:
        width, height = whole[::-1] if orientation in _SIDEWAYS else whole
    return Picture(rgb, (height, width), frozenset(changes))


def unreadable(error: Exception) -> str | None:
    """Why a file is not a readable image; None if its content is not the cause, such as a missing permission."""
    if not isinstance(error, _BAD) or (isinstance(error, OSError) and error.errno not in _OF_CONTENT):
        return None
    return "not an image" if isinstance(error, UnidentifiedImageError) else str(error) or type(error).__name__


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF raises whatever its bytes lead to, and says nothing about the pixels
        return 1
    return found if isinstance(found, int) else 1


def _laid_on(image: Image.Image, background: str) -> tuple[Image.Image, tuple[int, int]]:
    """The image over a color, and its lowest and highest opacity, 0 to 255."""
    straight = {"La": "LA", "PA": "RGBA", "RGBa": "RGBA"}.get(image.mode)
    layers = (image.convert(straight) if straight else image).convert("RGBA")
    under = Image.new("RGBA", layers.size, background)
    return Image.alpha_composite(under, layers).convert("RGB"), _ends(layers.getchannel("A"))


def _ends(channel: Image.Image) -> tuple[int, int]:
    low, high = channel.getextrema()
    return int(low), int(high)  # type: ignore[arg-type]


def _of_deep_gray(image: Image.Image, conversion: Conversion) -> Image.Image:
    """Gray of 16 or 32 bits in 8: 0 is black, and white is the value that the file or the setting states.

    Without either, white is 65535 for 16 bits. Raises DataError if that makes the image nearly black, as for 12 bits in
    16, and for 32 bits, which have no usual range.
    """
    values = np.asarray(image).astype(np.float64)
    white = _stated_white(image) or conversion.white_level
    advice = "set data.white_level (--white-level) to the value of white"
    if white is None and not image.mode.startswith("I;16"):
        raise DataError(f"gray of 32 bits ({image.mode}) has no usual range; {advice}")
    if white is None and 0 < values.max() < _DARK:
        raise DataError(f"gray of 16 bits whose largest value is {values.max():g} would be nearly black; {advice}")
    white = white or 65535
    if not np.isfinite(values).all():
        raise DataError("some pixels are not finite")
    if _tag(image, _PHOTOMETRIC) == 0:  # white is zero
        values = white - values
    eight = Image.fromarray(np.rint(np.clip(values * (255 / white), 0, 255)).astype(np.uint8))
    if isinstance(key := image.info.get("transparency"), int):  # the one transparent value of a PNG
        mask = Image.fromarray(np.where(np.asarray(image) == key, 0, 255).astype(np.uint8))
        under = Image.new("RGB", image.size, conversion.background)
        return Image.composite(eight.convert("RGB"), under, mask)
    return eight.convert("RGB")


def _stated_white(image: Image.Image) -> float | None:
    """The value of white that a file states: PGM by its maximum, which Pillow scales to 16 bits; TIFF by tags."""
    if image.format == "PPM" and image.mode == "I":
        return 65535
    if most := _tag(image, _MAX_SAMPLE):
        return most
    bits = _tag(image, _BITS_PER_SAMPLE)
    return 2**bits - 1 if bits is not None and 8 < bits < 16 else None


def _tag(image: Image.Image, number: int) -> int | None:
    """A number of a TIFF's header."""
    value = getattr(image, "tag_v2", {}).get(number)
    value = value[0] if isinstance(value, tuple) and value else value
    return value if isinstance(value, int) else None


def fitted(picture: Picture, size: int) -> NDArray[np.uint8]:
    """The centre square as uint8 (3, size, size), by the shorter side: bicubic, antialiased."""
    width, height = picture.image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    resized = picture.image.resize((size, size), Image.Resampling.BICUBIC, box)
    return np.asarray(resized).transpose(2, 0, 1)


def squashed(picture: Picture, size: int) -> NDArray[np.uint8]:
    """The whole image as uint8 (3, size, size), each side scaled independently: bicubic, antialiased."""
    return np.asarray(picture.image.resize((size, size), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
