"""Thumbnails: a study's results as a small picture for the index, without numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ablate.study.cells.cell import axis_text

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence

_VIRIDIS = (
    "#440154",
    "#482878",
    "#3e4989",
    "#31688e",
    "#26828e",
    "#1f9e89",
    "#35b779",
    "#6ece58",
    "#b5de2b",
    "#fde725",
)
_MOST = 100
_SIZE = 120
"""Width and height of the picture."""


@dataclass(frozen=True)
class Tile:
    """A rectangle of the picture."""

    x: float
    y: float
    width: float
    height: float
    color: str


def thumbnail(evidence: Evidence) -> tuple[Tile, ...]:
    """A heatmap for two axes, else a bar per cell from the lowest to the highest; empty below 2 values."""
    done = [cell for cell in evidence.grid if cell.mean is not None]
    means = [cell.mean for cell in done if cell.mean is not None]
    if len(means) < 2 or max(means) == min(means):
        return ()
    low, high = min(means), max(means)
    shares = [(mean - low) / (high - low) for mean in means]
    if len(evidence.axes) == 2 and len(means) <= _MOST and all(len(cell.axes) == 2 for cell in done):
        across, down = ([axis_text(value) for value in axis.values] for axis in reversed(evidence.plan.axes))
        wide, tall = _SIZE / len(across), _SIZE / len(down)
        names = [axis.name for axis in evidence.plan.axes]
        places = [
            (across.index(axis_text(cell.axes[names[1]])), down.index(axis_text(cell.axes[names[0]]))) for cell in done
        ]
        return tuple(_tile(x * wide, y * tall, wide, tall, share) for (x, y), share in zip(places, shares, strict=True))
    ranked = sorted(shares)[:: max(1, len(shares) // _MOST)]
    wide = _SIZE / len(ranked)
    heights = [6 + share * (_SIZE - 6) for share in ranked]
    return tuple(
        _tile(number * wide, _SIZE - height, wide, height, share)
        for number, (share, height) in enumerate(zip(ranked, heights, strict=True))
    )


def _tile(x: float, y: float, width: float, height: float, share: float) -> Tile:
    color = _VIRIDIS[round(share * (len(_VIRIDIS) - 1))]
    return Tile(round(x, 1), round(y, 1), round(max(width - 1, 0.5), 1), round(max(height - 1, 0.5), 1), color)
