"""Textures: synthetic images generated from a seed in seconds, so that a study needs no download.

They have the shortcuts of section 3 of the SimCLR paper. A class is a family of luminance patterns (stripes, checks,
rings, ...). An image shows its pattern on one ellipse in front of black, under one of a few tints that all images
share. What is easier to see than the pattern, and gives the image away without telling its class:

- the ellipse's size and shape, wherever both views show the whole image: only crops change them;
- the tint, together with the crop: color distortion removes it.

docs/embedded-data.md says what was tried, and what the images can and cannot show.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

_Array = NDArray[np.float32]
_PATTERNS: dict[str, Callable[[_Array, _Array, Callable[[_Array], _Array], _Array], _Array]] = {
    "stripes_upright": lambda x, y, wave, cells: wave(x),
    "stripes_level": lambda x, y, wave, cells: wave(y),
    "stripes_diagonal": lambda x, y, wave, cells: wave((x + y) / np.float32(np.sqrt(2))),
    "checks": lambda x, y, wave, cells: wave(x) * wave(y),
    "grid": lambda x, y, wave, cells: np.maximum(wave(x), wave(y)),
    "dots": lambda x, y, wave, cells: np.where(wave(x) + wave(y) > 1, np.float32(1), np.float32(-1)),
    "rings": lambda x, y, wave, cells: wave(np.hypot(x, y)),
    "waves": lambda x, y, wave, cells: wave(x + 0.08 * np.sin(2 * np.pi * 2 * y)),
    "blocks_coarse": lambda x, y, wave, cells: _blocks(cells, side=6),
    "blocks_fine": lambda x, y, wave, cells: _blocks(cells, side=2),
}
"""Family -> its luminance pattern in [-1, 1], (count, size, size), of coordinates, a wave and a sign per pixel."""
FAMILIES = tuple(_PATTERNS)

_TINTS = np.array([[0.65, 0.70, 0.66], [0.98, 0.73, 0.70], [0.50, 0.69, 0.63]], np.float32)
"""RGB gains of the illuminations that all images share."""
_CHUNK = 500
_SIGNS = np.array([-1, 1], np.float32)


def draw(
    count: int, size: int, seed: int, split: str, first: int | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw `count` images of one split, or only the `first` of them; the same arguments give the same images.

    Returns images, uint8 (count, 3, size, size), and labels, int64 (count,), indices of `FAMILIES`. The classes are
    balanced: image i belongs to family i modulo ten.
    """
    return _drawn(count, size, [seed, {"train": 0, "test": 1}[split]], first=first)


def draw_mixed(count: int, size: int, seed: int, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw images of other classes than `draw`, for transfer: each is the product of two families' patterns.

    Class c multiplies family c by family c + 3. Shapes and balance as in `draw`.
    """
    return _drawn(count, size, [seed, {"train": 2, "test": 3}[split]], partner=3)


def _drawn(
    count: int, size: int, key: list[int], partner: int = 0, first: int | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    wanted = count if first is None else min(first, count)
    images = np.empty((wanted, 3, size, size), np.uint8)
    labels = np.arange(count, dtype=np.int64) % len(FAMILIES)
    for start in range(0, wanted, _CHUNK):
        chunk = slice(start, min(start + _CHUNK, count))
        drawn = _draw_chunk(labels[chunk], size, np.random.default_rng([*key, start]), partner)
        images[chunk] = drawn[: wanted - start]
    return images, labels[:wanted]


def _draw_chunk(
    labels: NDArray[np.int64], size: int, generator: np.random.Generator, partner: int = 0
) -> NDArray[np.uint8]:
    count = len(labels)

    def uniform(low: float, high: float, *shape: int) -> _Array:
        return generator.uniform(low, high, (count, *(shape or (1, 1)))).astype(np.float32)

    x, y = _placed_coordinates(count, size, generator)
    frequency = uniform(3, 6)  # periods per image side
    cells = generator.choice(_SIGNS, (count, size, size))
    pattern = _patterns(labels, x, y, frequency, cells)
    if partner:
        pattern *= _patterns((labels + partner) % len(FAMILIES), x, y, frequency, cells)

    contrast = uniform(0.2, 0.5) * generator.choice(_SIGNS, (count, 1, 1))
    luminance = 0.5 + contrast * pattern + uniform(-0.1, 0.1)
    luminance += 0.18 * generator.standard_normal((count, size, size), np.float32)  # grain, tinted like the rest
    tint = _TINTS[generator.integers(len(_TINTS), size=count)] * uniform(0.92, 1.08, 3)  # (count, 3)
    image = 1.2 * tint[:, :, None, None] * luminance[:, None]
    background = uniform(0, 0.1) + 0.02 * generator.standard_normal((count, size, size), np.float32)
    image = np.where(_ellipse(count, size, generator)[:, None], image, background[:, None])
    pixels: NDArray[np.uint8] = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    return pixels


def _placed_coordinates(count: int, size: int, generator: np.random.Generator) -> tuple[_Array, _Array]:
    """Coordinates x and y in image sides, each (count, size, size), slightly rotated and randomly shifted."""
    grid = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    angle = generator.normal(0, 0.1, (count, 1, 1)).astype(np.float32)  # radians
    shift = generator.uniform(-0.5, 0.5, (2, count, 1, 1)).astype(np.float32)
    x = np.cos(angle) * grid[None, None, :] - np.sin(angle) * grid[None, :, None] + shift[0]
    y = np.sin(angle) * grid[None, None, :] + np.cos(angle) * grid[None, :, None] + shift[1]
    return x, y


def _ellipse(count: int, size: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Which pixels show the pattern, (count, size, size): an upright ellipse near the centre, cut off by the edges.

    Its area is log-uniform between 0.3 of the image's and all of it, the ratio of its axes between 1 / 1.2 and
    1.2; its centre lies up to 0.15 image sides from the image's.
    """
    grid = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    area = np.exp(generator.uniform(np.log(0.3), 0, (count, 1, 1)))
    ratio = np.exp(generator.uniform(-np.log(1.2), np.log(1.2), (count, 1, 1)))
    across, down = np.sqrt(area * ratio / np.pi), np.sqrt(area / ratio / np.pi)  # semi-axes
    x, y = generator.uniform(-0.15, 0.15, (2, count, 1, 1))
    inside: NDArray[np.bool_] = ((grid[None, None, :] - x) / across) ** 2 + ((grid[None, :, None] - y) / down) ** 2 < 1
    return inside


def _patterns(labels: NDArray[np.int64], x: _Array, y: _Array, frequency: _Array, cells: _Array) -> _Array:
    """Each image's luminance pattern in [-1, 1], (count, size, size)."""
    pattern = np.empty_like(x)
    for family, draw in enumerate(_PATTERNS.values()):
        of = labels == family
        pattern[of] = draw(x[of], y[of], partial(_wave, frequency[of]), cells[of])
    return pattern


def _wave(frequency: _Array, along: _Array) -> _Array:
    waves: _Array = np.sin(2 * np.pi * frequency * along)
    return waves


def _blocks(cells: _Array, side: int) -> _Array:
    """Random black and white squares of `side` pixels, from one random sign per pixel."""
    size = cells.shape[-1]
    index = np.arange(size) // side
    return cells[:, index[:, None], index[None, :]]
