"""The same work on many files at once: their waits for the disk, which syncs take most of, overlap."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_AT_ONCE = 16
_Item = TypeVar("_Item")


def together(work: Callable[[_Item], object], items: Iterable[_Item]) -> None:
    """Do some work for each item, several at once. Raises what the first item that failed raised; no more are begun."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(work, items):
            pass
