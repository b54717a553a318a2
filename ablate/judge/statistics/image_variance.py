"""How much of a comparison's variance is due to the seeds, and how much to the test images.

A claim is tested over seeds with one fixed test set, so its interval does not say what other test images would give.
The difference of seed s on image i is modelled as a mean plus an effect of the seed, one of the image, and a rest, as
in a two-way analysis of variance with random effects. Images are shared by all cells and seeds (as in McNemar's test:
an image that both cells classify alike adds nothing).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class VarianceParts:
    """The variance of a comparison's mean, in squared displayed units, by its source.

    The interval over seeds contains `seeds` and `both`; with other test images of the same kind, `images` is added.
    """

    seeds: float
    """Of the training runs: more seeds reduce it."""
    images: float
    """Of the choice of test images, the same for all seeds: only a larger test set reduces it."""
    both: float
    """Of which images each run gets right by chance: more seeds and more test images both reduce it."""
    count: int
    """The number of test images."""

    @property
    def share(self) -> float | None:
        """The fraction of the variance that is due to the test images, from 0 to 1; None without variance."""
        whole = self.seeds + self.images + self.both
        return (self.images + self.both) / whole if whole else None

    @property
    def wider(self) -> float | None:
        """How much wider the interval over seeds would be if it also covered other test images; None without spread."""
        inside = self.seeds + self.both
        return math.sqrt(1 + self.images / inside) if inside else None


def variance_parts(differences: Floats) -> VarianceParts | None:
    """The parts from the differences [seed, image], whose mean is the effect; None below 2 seeds or 2 images.

    Moment estimates, each at least 0. They are what a two-way bootstrap over seeds and images estimates by resampling
    (Owen 2007, "The pigeonhole bootstrap", which counts `both` up to three times); no random numbers are needed.
    """
    seeds, images = differences.shape
    if seeds < 2 or images < 2:
        return None
    of_seeds, of_images = differences.mean(axis=1), differences.mean(axis=0)
    rest = differences - of_seeds[:, None] - of_images + differences.mean()
    # Each is the variance of the mean that its source alone would cause, plus `both` in the first two.
    both = float((rest**2).sum() / ((seeds - 1) * (images - 1)) / (seeds * images))
    along_seeds, along_images = float(of_seeds.var(ddof=1)) / seeds, float(of_images.var(ddof=1)) / images
    both = min(both, along_seeds)
    return VarianceParts(along_seeds - both, max(0.0, along_images - both), both, images)
