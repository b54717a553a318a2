"""Textures: the embedded images, drawn from a seed in seconds, so that a study runs with no download.

They are synthetic, and built to carry the mechanism of section 3 of the SimCLR paper: the colours of an
image give it away, without telling its class. A class is a family of luminance patterns (stripes, checks,
rings, ...); an illumination, drawn per image, tints the whole of it. Two crops of one image share the
tint, so crops alone can be matched by colour; colour distortion takes that shortcut away.
"""

import numpy as np
from numpy.typing import NDArray

FAMILIES = (
    "stripes_upright",
    "stripes_level",
    "stripes_diagonal",
    "checks",
    "grid",
    "dots",
    "rings",
    "waves",
    "blocks_coarse",
    "blocks_fine",
)

_CHUNK = 500
_SIGNS = np.array([-1, 1], np.float32)
_Array = NDArray[np.float32]


def draw(
    count: int, size: int, seed: int, split: str, first: int | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw `count` images of one split, or the `first` of them only; the same arguments give the same images.

    Returns images as uint8 (count, 3, size, size) and labels as int64 (count,), an index into `FAMILIES`.
    The classes are balanced: image i belongs to family i modulo ten.
    """
    return _drawn(count, size, [seed, {"train": 0, "test": 1}[split]], first=first)


def draw_mixed(count: int, size: int, seed: int, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw images of other classes than `draw`, to transfer to: each is the product of two families' patterns.

    Class c multiplies family c by the family three places on. Shapes and balance as in `draw`.
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
    luminance = (0.5 + contrast * pattern + uniform(-0.15, 0.15)) * _gradient(count, size, generator)
    luminance += 0.18 * generator.standard_normal((count, size, size), np.float32)  # grain, tinted like the rest
    gains = uniform(0.3, 1.0, 3, 1, 1)
    image = 1.2 * gains * luminance[:, None]
    pixels: NDArray[np.uint8] = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    return pixels


def _placed_coordinates(count: int, size: int, generator: np.random.Generator) -> tuple[_Array, _Array]:
    """Coordinates x and y, each (count, size, size) in image sides, turned a little and shifted freely."""
    grid = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    angle = generator.normal(0, 0.1, (count, 1, 1)).astype(np.float32)  # radians
    shift = generator.uniform(-0.5, 0.5, (2, count, 1, 1)).astype(np.float32)
    x = np.cos(angle) * grid[None, None, :] - np.sin(angle) * grid[None, :, None] + shift[0]
    y = np.sin(angle) * grid[None, None, :] + np.cos(angle) * grid[None, :, None] + shift[1]
    return x, y


def _gradient(count: int, size: int, generator: np.random.Generator) -> _Array:
    """A light that falls off along one direction: factors (count, size, size) between 0.6 and 1.4."""
    grid = np.linspace(-1, 1, size, dtype=np.float32)
    angle = generator.uniform(0, 2 * np.pi, (count, 1, 1)).astype(np.float32)
    slope = generator.uniform(0, 0.4, (count, 1, 1)).astype(np.float32)
    along = np.cos(angle) * grid[None, None, :] + np.sin(angle) * grid[None, :, None]
    factors: _Array = 1 + slope * along / np.abs(along).max(axis=(1, 2), keepdims=True)
    return factors


def _patterns(labels: NDArray[np.int64], x: _Array, y: _Array, frequency: _Array, cells: _Array) -> _Array:
    """Each image's luminance pattern in [-1, 1], (count, size, size)."""
    pattern = np.empty_like(x)
    for family, name in enumerate(FAMILIES):
        of = labels == family
        pattern[of] = _pattern(name, x[of], y[of], frequency[of], cells[of])
    return pattern


def _pattern(name: str, x: _Array, y: _Array, frequency: _Array, cells: _Array) -> _Array:
    """One family's luminance pattern in [-1, 1], (count, size, size)."""

    def wave(along: _Array) -> _Array:
        waves: _Array = np.sin(2 * np.pi * frequency * along)
        return waves

    if name == "stripes_upright":
        return wave(x)
    if name == "stripes_level":
        return wave(y)
    if name == "stripes_diagonal":
        return wave((x + y) / np.float32(np.sqrt(2)))
    if name == "checks":
        return wave(x) * wave(y)
    if name == "grid":
        return np.maximum(wave(x), wave(y))
    if name == "dots":
        return np.where(wave(x) + wave(y) > 1, np.float32(1), np.float32(-1))
    if name == "rings":
        return wave(np.hypot(x, y))
    if name == "waves":
        return wave(x + 0.08 * np.sin(2 * np.pi * 2 * y))
    return _blocks(cells, side=6 if name == "blocks_coarse" else 2)


def _blocks(cells: _Array, side: int) -> _Array:
    """Random black and white squares of `side` pixels, from one random sign per pixel."""
    size = cells.shape[-1]
    index = np.arange(size) // side
    return cells[:, index[:, None], index[None, :]]
