"""The order in which trials run, so that an early look is worth having: every cell before any cell's second seed."""

from collections.abc import Collection, Sequence

from ablate.study.cells.cell import Cell
from ablate.study.expansion.trial import Trial

IN_WORDS = "the first seed of every cell, then the other seeds, starting with the cells that undecided claims compare"


def in_order(trials: Sequence[Trial], seeds: Sequence[int], needed: Collection[Cell] = ()) -> list[Trial]:
    """The trials with the first seed, then those of the needed cells, then the rest; each part seed by seed.

    seeds: all seeds of the study, in its order. needed: the cells that undecided claims compare.
    """
    rounds = {seed: number for number, seed in enumerate(seeds)}

    def place(trial: Trial) -> tuple[bool, bool, int]:
        number = rounds.get(trial.seed, len(rounds))
        return number > 0, number > 0 and trial.cell not in needed, number

    return sorted(trials, key=place)


def seeds_of(trials: Sequence[Trial]) -> list[int]:
    """The seeds of trials, in the order in which they appear."""
    return list(dict.fromkeys(trial.seed for trial in trials))
