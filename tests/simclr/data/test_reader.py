"""Pixels against formulas written out here, for every way in which a file is not plain 8-bit RGB."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from ablate.simclr.data.formats import FORMATS
from ablate.simclr.data.pack import pack
from ablate.simclr.data.packed import Packed
from ablate.simclr.data.reader import DEEP, INVISIBLE, TRANSPARENT, TURNED, Conversion, Picture, open_image, read_image

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored[::-1].swapaxes(0, 1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: stored[:, ::-1].swapaxes(0, 1),
}
"""EXIF orientation -> the upright array, from the definition of which side of the scene row 0 and column 0 are."""


def picture(path: Path, **conversion: object) -> Picture:
    with open_image(path) as image:
        return read_image(image, Conversion(**conversion))  # type: ignore[arg-type]


def array(path: Path, **conversion: object) -> np.ndarray:
    return np.asarray(picture(path, **conversion).image)


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "avif"])
def test_an_image_is_turned_as_exif_says(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"quality": 100, "subsampling": "4:4:4"} if suffix == "avif" else {"lossless": True}
    Image.fromarray(PIXELS).save(path := tmp_path / f"a.{suffix}", exif=exif, **lossless)
    found, expected = picture(path), UPRIGHT[orientation](PIXELS)
    assert np.abs(np.asarray(found.image).astype(int) - expected).max() <= (8 if suffix == "avif" else 0)
    assert found.shape == expected.shape[:2]
    assert found.changes == (frozenset() if orientation == 1 else {TURNED})


@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_a_jpeg_decoded_at_a_fraction_is_turned_too_and_knows_its_whole_size(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    wide = Image.fromarray(PIXELS[:3, :3]).resize((241, 240))
    wide.save(path := tmp_path / "a.jpg", exif=exif, quality=95)
    with open_image(path) as image:
        found = read_image(image, Conversion(), least=30)
    assert max(found.image.size) == 31
    assert found.shape == UPRIGHT[orientation](np.asarray(wide)).shape[:2]
    expected = UPRIGHT[orientation](np.asarray(wide.resize((31, 30), Image.Resampling.BOX), float))
    assert np.abs(np.asarray(found.image) - expected).mean() < 5


def test_damaged_exif_does_not_make_an_image_unreadable(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(path := tmp_path / "a.png", exif=b"Exif\0\0MM\0*\0\0\xff\xff\0\x01")
    assert np.array_equal(array(path), PIXELS)


GRAY = np.arange(0, 65536, 171, dtype=np.uint16)[:384].reshape(16, 24)


def eight_bits(values: np.ndarray, white: float) -> np.ndarray:
    return np.floor(np.clip(values.astype(float) / white, 0, 1) * 255 + 0.5)


def pgm(path: Path, values: np.ndarray, most: int) -> None:
    path.write_bytes(b"P5 %d %d %d\n" % (*values.shape[::-1], most) + values.astype(">u2").tobytes())


def test_gray_of_16_bits_becomes_8_by_division(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.png")
    Image.fromarray(GRAY).save(tmp_path / "a.tif")
    Image.fromarray(GRAY.astype(">u2")).save(tmp_path / "b.tif")
    pgm(tmp_path / "a.pgm", GRAY, 65535)
    for path in sorted(tmp_path.iterdir()):
        found = picture(path)
        assert np.array_equal(np.asarray(found.image), np.stack([eight_bits(GRAY, 65535)] * 3, 2)), path
        assert found.changes == {DEEP}
    pgm(tmp_path / "b.pgm", GRAY // 16, 4095)
    assert np.abs(array(tmp_path / "b.pgm")[..., 0] - eight_bits(GRAY // 16, 4095)).max() <= 1


def test_gray_of_16_bits_in_jpeg_2000_becomes_8_too(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(path := tmp_path / "a.jp2", irreversible=False)
    with open_image(path) as image:
        stored = np.asarray(image)
    assert image.mode == "I;16"
    assert np.array_equal(array(path)[..., 0], eight_bits(stored, 65535))
    assert np.abs(array(path)[..., 0].astype(int) - eight_bits(GRAY, 65535)).max() <= 1


def test_a_tiff_says_what_white_is(tmp_path: Path) -> None:
    Image.fromarray(GRAY // 16).save(path := tmp_path / "a.tif", tiffinfo={281: 4095})
    assert np.array_equal(array(path)[..., 0], eight_bits(GRAY // 16, 4095))
    Image.fromarray(GRAY).save(path)
    black_is_zero, white_is_zero = (b"\x06\x01\x03\x00\x01\x00\x00\x00" + bytes([value]) for value in (1, 0))
    assert black_is_zero in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(black_is_zero, white_is_zero))
    assert np.array_equal(array(path)[..., 0], eight_bits(65535 - GRAY.astype(int), 65535))


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32"])
def test_gray_of_unknown_range_is_refused_until_white_is_given(tmp_path: Path, dtype: str) -> None:
    values = (GRAY // 16).astype(dtype) if dtype != "float32" else (GRAY / 65535).astype(dtype)
    Image.fromarray(values).save(path := tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"gray of .* set data\.white_level"):
        picture(path)
    white = 1.0 if dtype == "float32" else 4095.0
    assert np.abs(array(path, white_level=white)[..., 0] - eight_bits(values, white)).max() <= 1


def test_gray_with_values_that_are_not_finite_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(path := tmp_path / "a.tif")
    with pytest.raises(ValueError, match="not finite"):
        picture(path, white_level=1.0)


ALPHA = np.linspace(0, 255, 384).round().astype(np.uint8).reshape(16, 24)


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "tga"])
def test_transparent_pixels_show_the_background_and_never_their_hidden_color(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(np.dstack([PIXELS, ALPHA])).save(path := tmp_path / f"a.{suffix}", lossless=True, exact=True)
    for color, rgb in (("#ffffff", (255, 255, 255)), ("#102030", (16, 32, 48))):
        opacity = ALPHA[..., None] / 255
        expected = PIXELS * opacity + np.array(rgb) * (1 - opacity)
        found = picture(path, background=color)
        assert np.abs(np.asarray(found.image) - expected).max() <= 1
        assert found.changes == {TRANSPARENT}


def test_gray_with_alpha_palettes_and_color_keys_are_laid_on_the_background(tmp_path: Path) -> None:
    gray = PIXELS[..., 0]
    Image.fromarray(np.dstack([gray, ALPHA])).save(tmp_path / "la.png")
    expected = gray * (ALPHA / 255) + 255 * (1 - ALPHA / 255)
    assert np.abs(array(tmp_path / "la.png")[..., 1] - expected).max() <= 1
    palette = Image.fromarray(gray // 64).convert("P")
    palette.putpalette([0, 0, 0, 10, 20, 30, 200, 100, 0, 9, 9, 9])
    palette.save(tmp_path / "p.gif", transparency=2)
    palette.save(tmp_path / "p.png", transparency=bytes([255, 255, 0, 255]))
    for name in ("p.gif", "p.png"):
        assert (array(tmp_path / name)[gray // 64 == 2] == 255).all()
        assert (array(tmp_path / name)[gray // 64 == 1] == (10, 20, 30)).all()
    Image.fromarray(PIXELS).save(tmp_path / "key.png", transparency=tuple(PIXELS[3, 4].tolist()))
    assert (array(tmp_path / "key.png")[3, 4] == 255).all()
    Image.fromarray(GRAY).save(tmp_path / "deep.png", transparency=int(GRAY[5, 6]))
    deep = array(tmp_path / "deep.png", background="#ff0000")
    assert deep[5, 6].tolist() == [255, 0, 0]
    assert deep[5, 7].tolist() == [eight_bits(GRAY, 65535)[5, 7]] * 3


def test_an_image_that_is_wholly_transparent_is_told_apart(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([PIXELS, np.zeros_like(ALPHA)])).save(tmp_path / "a.tga")
    found = picture(tmp_path / "a.tga")
    assert found.changes == {TRANSPARENT, INVISIBLE}
    assert (np.asarray(found.image) == 255).all()


def test_an_opaque_image_with_an_alpha_channel_is_not_counted_as_transparent(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([PIXELS, np.full_like(ALPHA, 255)])).save(tmp_path / "a.png")
    assert picture(tmp_path / "a.png").changes == frozenset()
    assert np.array_equal(array(tmp_path / "a.png"), PIXELS)


def test_a_file_is_decoded_by_its_signature_but_never_by_a_program(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.webp", lossless=True)
    assert np.array_equal(array((tmp_path / "a.webp").rename(tmp_path / "b.jpg")), PIXELS)
    for name, kind in (("a.jpg", "EPS"), ("b.png", "EPS"), ("c.jpg", "TGA"), ("d.png", "PCX")):
        Image.fromarray(PIXELS).save(tmp_path / name, kind)
        with pytest.raises(OSError, match="cannot identify"):
            open_image(tmp_path / name)


def test_the_suffixes_are_those_that_pillow_decodes() -> None:
    drawn_by_others, not_decoded = {"EPS", "WMF"}, {"BUFR", "GRIB", "HDF5", "MPEG", "IPTC", "PDF", "PALM"}
    expected: dict[str, set[str]] = {}
    for suffix, name in Image.registered_extensions().items():
        expected.setdefault(name, set()).add(suffix)
    ours = {name: set(suffixes.split()) for name, suffixes in FORMATS.items()}
    assert ours == {name: found for name, found in expected.items() if name not in drawn_by_others | not_decoded}


def test_a_long_comment_in_a_png_is_no_reason_to_refuse_it(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "x" * (2 * 2**20), zip=True)
    Image.fromarray(PIXELS).save(tmp_path / "a.png", pnginfo=info)
    assert np.array_equal(array(tmp_path / "a.png"), PIXELS)


def test_a_pack_has_the_same_upright_images_and_their_upright_shapes(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            Image.fromarray(PIXELS).save(tmp_path / "data" / split / name / "a.png", exif=exif)
    pack(tmp_path / "data", tmp_path / "pack", 16)
    packed = Packed(tmp_path / "pack", "train")
    upright = Image.fromarray(UPRIGHT[6](PIXELS)).resize((16, 16), Image.Resampling.BICUBIC)
    assert packed.shapes.tolist() == [[24, 16]] * 2
    assert np.array_equal(packed.take(np.array([0]))[0].numpy(), np.asarray(upright).transpose(2, 0, 1))
