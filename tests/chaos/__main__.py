"""`python -m tests.chaos`: faults, one after another, and the table of what they did; `peers`: other tools beside."""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from tests.chaos import preload


def main(arguments: list[str]) -> int:
    """Run a campaign; 1 if anything came out wrong."""
    if arguments[:1] == ["peers"]:
        from tests.chaos.peers import main as peers

        return peers(arguments[1:])
    preload.with_preload(["-m", "tests.chaos", *arguments])
    from tests.chaos.campaign import Campaign, planned, summary, table
    from tests.chaos.document import save, write_document
    from tests.chaos.faults import KINDS

    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS), default=[], metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, help="a folder for the projects that went wrong")
    parser.add_argument("--save", action="store_true", help="write results/chaos.json and docs/reliability.md")
    options = parser.parse_args(arguments)
    plan, outcomes, began = planned(options.faults, options.seed, options.kinds), [], time.monotonic()
    with Campaign(options.keep) as campaign:
        for outcome in campaign.run(plan, options.jobs):
            outcomes.append(outcome)
            wrong = "" if outcome.clean else f"  WRONG: {json.dumps(vars(outcome) | {'output': ''})}\n{outcome.output}"
            state = "" if outcome.struck else " (too late)"
            line = f"{len(outcomes)}/{len(plan)} {outcome.kind}: {outcome.detail} {outcome.seconds:.1f} s{state}{wrong}"
            print(line, flush=True)
        operations = campaign.reference.operations
    rows = summary(outcomes)
    print(f"\n{table(rows)}\n{time.monotonic() - began:.0f} s")
    if options.save:
        save(options.faults, options.seed, operations, time.monotonic() - began, rows)
        write_document()
    return int(not all(outcome.clean for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
