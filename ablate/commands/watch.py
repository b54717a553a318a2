"""`ablate report --watch`: pages are written again as their studies run, until nothing is left or Ctrl-C."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ablate.commands.pages import Asked, Target, write_pages

if TYPE_CHECKING:
    from ablate.records.status import Standing

POLL_SECONDS = 2.0
RELOAD_SECONDS = 5
"""After which an open page loads itself again."""
QUIET_POLLS = 15
"""Looks at which nothing runs, though trials are left, after which no run is taken to be under way."""
LOOK_ANYWAY_SECONDS = 60.0
"""A trial may die without changing a file: while some run, pages are written after so long in any case."""


@dataclass
class Watch:
    """The loop, with its clock passed in."""

    asked: Asked
    targets: Sequence[Target]
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic
    _seen: object = None
    _quiet: int = 0
    _next: float = 0.0
    _anyway: float = 0.0
    _told: str = field(default="", repr=False)

    def run(self) -> None:
        """Write the pages whenever records changed; ends when nothing runs and nothing is left, or on Ctrl-C.

        The last pages do not load themselves again.
        """
        try:
            while self._look():
                self.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            pass
        finally:
            if sys.stdout.isatty():
                print()
        written = write_pages(self.asked, self.targets)
        print("\n".join(map(str, written)), flush=True)

    def _look(self) -> bool:
        """Write the pages where it is time to; whether to go on."""
        from ablate.records.store import signatures

        now, found = self.now(), signatures(self.asked.results)
        if now >= self._next and (found != self._seen or now >= self._anyway):
            began, self._seen = self.now(), found
            write_pages(self.asked, self.targets, RELOAD_SECONDS)
            took = self.now() - began
            self._next = self.now() + 3 * took  # at most a quarter of a core
            self._anyway = self.now() + LOOK_ANYWAY_SECONDS
        counts = self._counts()
        self._tell(counts)
        self._quiet = 0 if counts["running"] else self._quiet + 1
        return counts["running"] > 0 or (counts["left"] > 0 and self._quiet < QUIET_POLLS)

    def _counts(self) -> Counter[str]:
        """States of the trials of all that is watched; `left` are those that a run would still take up."""
        counts: Counter[str] = Counter()
        for standing in self._standings():
            counts.update(standing.counts)
            counts["trials"] += standing.trials
        counts["left"] = counts["new"] + counts["interrupted"]
        return counts

    def _standings(self) -> "list[Standing]":
        from pathlib import Path

        from ablate.records.status import read_status
        from ablate.records.store import open_store

        places = {(Path(study).stem, profile) for study, profile in self.targets}
        with open_store(self.asked.results) as store:
            standings = read_status(store, self.asked.results).standings
        return [each for each in standings if (each.study, each.profile) in places]

    def _tell(self, counts: Counter[str]) -> None:
        """`12 of 50 done, 2 running`: in one line on a terminal, a line for each change elsewhere."""
        others = [f"{counts[state]} {state}" for state in ("running", "failed", "interrupted") if counts[state]]
        told = ", ".join([f"{counts['done']} of {counts['trials']} done", *others])
        if told == self._told:
            return
        on_terminal = sys.stdout.isatty()
        padding = " " * max(0, len(self._told) - len(told))
        print(f"\r{told}{padding}" if on_terminal else told, end="" if on_terminal else "\n", flush=True)
        self._told = told
