"""Which images of a data set make a smaller one."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

_SEVERAL = -1


def balanced(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """About `count` indices, sorted, the same number of every class (one more of the first ones); all when fewer.

    The same arguments give the same images, and of each class those of a smaller count are among those of a
    larger one.
    """
    classes = int(labels.max()) + 1
    chosen = []
    for label in range(classes):
        of_class = np.flatnonzero(labels == label)
        quota = count // classes + (label < count % classes)
        chosen.append(np.random.default_rng([seed, label]).permutation(of_class)[:quota])
    return np.sort(np.concatenate(chosen))


def share_of_each(labels: NDArray[np.int64], share: float, seed: int) -> NDArray[np.int64]:
    """The indices, sorted, of `share` of every class, at least one image of each (class-balanced, App. B.5)."""
    chosen = []
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        quota = max(1, round(share * len(of_class)))
        chosen.append(np.random.default_rng([seed, int(label)]).permutation(of_class)[:quota])
    return np.sort(np.concatenate(chosen))


def named(names: Sequence[str], file: Path) -> NDArray[np.int64]:
    """The indices, sorted, of the images named in a file, one name a line (the authors' imagenet_subsets/*.txt).

    A line may say <class>/<name>. Raises ValueError when a name is not among the images, or of several of them.
    """
    at: dict[str, int] = {}
    for index, name in enumerate(names):
        path = PurePosixPath(name)
        for key in {path.name, "/".join(path.parts[-2:])}:  # alone, or with its class
            at[key] = _SEVERAL if key in at else index
    wanted = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    if missing := [name for name in wanted if name not in at]:
        told = f"{len(missing)} of {len(wanted)} images are not in the data set, first {missing[0]!r}"
        raise ValueError(f"{file}: {told}")
    if several := [name for name in wanted if at[name] == _SEVERAL]:
        raise ValueError(f"{file}: several images are called {several[0]!r}; write <class>/<name>")
    return np.sort(np.array([at[name] for name in wanted], np.int64))
