"""Watching: pages are written again while their studies run, until nothing is left to run or Ctrl-C."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ablate.records.plain import unguarded
from ablate.workflow.pages import PageRequest, Target, write_pages

POLL_SECONDS = 2.0
RELOAD_SECONDS = 5
"""How often an open page reloads itself."""
QUIET_POLLS = 15
"""Polls without a running trial after which no run is assumed to be under way, although trials are left."""
UNCHANGED_SECONDS = 60.0
"""A trial may die without changing a file: while trials run, pages are written at least this often."""


@dataclass
class Watch:
    """The loop, with its clock passed in."""

    request: PageRequest
    targets: Sequence[Target]
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic
    _seen: Mapping[str, str] | None = None
    _quiet: int = 0
    _next: float = 0.0
    _latest: float = 0.0
    _printed: str = field(default="", repr=False)

    def run(self) -> list[Path]:
        """Write the pages whenever records change, until nothing runs and nothing is left, or Ctrl-C.

        Returns the files. The last pages do not reload themselves.
        """
        try:
            while self._poll():
                self.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            pass
        finally:
            if sys.stdout.isatty():
                print()
        return write_pages(self.request, self.targets)

    def _poll(self) -> bool:
        """Write the pages if they are due; returns whether to continue."""
        from ablate.records.signatures import signatures

        now, found = self.now(), signatures(self.request.results, self._seen)
        if now >= self._next and (found != self._seen or now >= self._latest):
            began, self._seen = self.now(), found
            write_pages(self.request, self.targets, RELOAD_SECONDS)
            took = self.now() - began
            self._next = self.now() + 3 * took  # at most a quarter of a core
            self._latest = self.now() + UNCHANGED_SECONDS
        counts = self._counts()
        self._print(counts)
        self._quiet = 0 if counts["running"] else self._quiet + 1
        return counts["running"] > 0 or (counts["left"] > 0 and self._quiet < QUIET_POLLS)

    def _counts(self) -> Counter[str]:
        """States of all watched trials; `left` are those that a run would still train."""
        from ablate.records.status import read_status
        from ablate.records.store import open_store

        watched = {(Path(study).stem, profile) for study, profile in self.targets}
        with open_store(self.request.results) as store:
            standings = read_status(store, self.request.results).standings
        counts: Counter[str] = Counter()
        for standing in standings:
            if (standing.study, standing.profile) in watched:
                counts.update(standing.counts)
                counts["trials"] += standing.trials
        counts["left"] = counts["new"] + counts["interrupted"]
        return counts

    def _print(self, counts: Counter[str]) -> None:
        """`12 of 50 done, 2 running`: on one line of a terminal, a line for each change elsewhere."""
        others = [f"{counts[state]} {state}" for state in ("running", "failed", "interrupted") if counts[state]]
        text = ", ".join([f"{counts['done']} of {counts['trials']} done", *others])
        if text == self._printed:
            return
        on_terminal = sys.stdout.isatty()
        padding = " " * max(0, len(self._printed) - len(text))
        shown, end = (f"\r{text}{padding}", "") if on_terminal else (text, "\n")
        print(shown, end=end, flush=True, file=unguarded(sys.stdout))
        self._printed = text
