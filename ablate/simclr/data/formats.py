"""The formats of image files that are read, by suffix. Imports no Pillow, so that planning needs none."""

from collections.abc import Mapping
from typing import Final

FORMATS: Final[Mapping[str, str]] = {
    "AVIF": ".avif .avifs",
    "BLP": ".blp",
    "BMP": ".bmp",
    "CUR": ".cur",
    "DCX": ".dcx",
    "DDS": ".dds",
    "DIB": ".dib",
    "FITS": ".fit .fits",
    "FLI": ".fli .flc",
    "FTEX": ".ftc .ftu",
    "GBR": ".gbr",
    "GIF": ".gif",
    "ICNS": ".icns",
    "ICO": ".ico",
    "IM": ".im",
    "JPEG": ".jpg .jpeg .jpe .jfif",
    "JPEG2000": ".jp2 .j2k .jpc .jpf .jpx .j2c",
    "MPO": ".mpo",
    "MSP": ".msp",
    "PCD": ".pcd",
    "PCX": ".pcx",
    "PIXAR": ".pxr",
    "PNG": ".png .apng",
    "PPM": ".ppm .pgm .pbm .pnm .pfm",
    "PSD": ".psd",
    "QOI": ".qoi",
    "SGI": ".sgi .bw .rgb .rgba",
    "SUN": ".ras",
    "TGA": ".tga .icb .vda .vst",
    "TIFF": ".tif .tiff",
    "WEBP": ".webp",
    "XBM": ".xbm",
    "XPM": ".xpm",
}
"""Pillow's format -> suffixes: all that Pillow decodes itself. EPS and WMF are left out because other programs draw
them; BUFR, GRIB, HDF5, MPEG, IPTC and PDF because Pillow does not decode them."""
SUFFIXES: Final = {suffix: name for name, suffixes in FORMATS.items() for suffix in suffixes.split()}
"""Suffix -> Pillow's format."""
