"""`ablate gc` and `doctor`: room on the disk, and whether everything that a study needs is here."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.commands.options import Json, ResultsFolder, results_in

if TYPE_CHECKING:
    from ablate.records.files import Results
    from ablate.records.garbage import Garbage
    from ablate.run.checks import Check

_LISTED = 20
_KINDS = {
    "trial": "trials that no study asks for",
    "pretraining": "pretrainings that no trial uses",
    "checkpoints": "checkpoints of ended pretrainings",
    "jobs": "logs of jobs of a cluster that have ended",
    "code": "copies of code that no attempt ran",
    "picture": "pictures that no page has used for a month",
    "leftover": "temporary leftovers",
}


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would go, and remove nothing.")] = False,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="Also those of ended pretrainings; a new evaluation trains again.")
    ] = False,
    now: Annotated[bool, typer.Option("--now", help="Also trials, pretrainings and pictures that are young.")] = False,
    abandoned: Annotated[
        bool, typer.Option("--abandoned", help="Also finished trials that only older designs of a study asked for.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before removing.")] = False,
    json: Json = False,
    results: ResultsFolder = Path("results"),
) -> None:
    """Remove what nothing needs: trials in no plan, unfinished ones of older designs, old code, what crashes left.

    What stays: running trials; all that any study's newest design asks for, at any profile; every result that any
    plan of a study asked for, unless --abandoned is given; and what shares the pretraining of a trial that stays.
    """
    import time

    from ablate.errors import UserError
    from ablate.records.garbage import find_garbage, remove

    folder = results_in(results)
    if not folder.root.is_dir():
        raise UserError(f"there is no results folder {folder.root}", help="give --results DIR")
    found = find_garbage(folder, time.time(), checkpoints, now, abandoned)
    if not json:
        _tell(found)
    if found and not dry_run and (yes or _agreed(found, json)):
        # Somebody may have begun a run while the question stood: what it needs is garbage no more.
        still = {item.path for item in find_garbage(folder, time.time(), checkpoints, now, abandoned)}
        gone = list(remove(item for item in found if item.path in still))
        if not json:
            print(f"removed {_sum(gone)}")
    else:
        gone = []
    if json:
        _print_json(folder, found, gone)


def doctor(
    on: Annotated[
        str | None, typer.Option(metavar="NAME", help="A cluster of ablate.toml; runs one tiny job on it.")
    ] = None,
    json: Json = False,
    results: ResultsFolder = Path("results"),
) -> None:
    """Look whether Python, torch, devices, Slurm, disk, data and studies are as they should be, or a cluster is."""
    from ablate.commands.health import examine
    from ablate.commands.output import print_facts, print_json
    from ablate.run.slurm.clusters import find_cluster
    from ablate.run.slurm.doctor import examine_cluster

    checks = list(examine_cluster(find_cluster(on, Path.cwd()), results) if on else examine(results))
    problems = sum(check.state == "problem" for check in checks)
    if json:
        print_json(checks)
    else:
        print_facts([(check.name, f"{check.state}: {check.told}{_what_to_do(check)}") for check in checks])
    if problems:
        raise typer.Exit(1)


def _what_to_do(check: "Check") -> str:
    if not check.help:
        return ""
    return f"{'' if check.told.endswith('?') else '.'} What to do: {check.help}"


def _tell(found: "Sequence[Garbage]") -> None:
    """A line for each kind, and the things themselves."""
    from ablate.commands.output import print_table
    from ablate.records.table import Column
    from ablate.run.show import size

    if not found:
        print("nothing to remove")
        return
    if sys.stdout.isatty():
        for kind, told in _KINDS.items():
            if of_kind := [item for item in found if item.kind == kind]:
                print(f"{len(of_kind):>6,}  {told}, {size(sum(item.size for item in of_kind))}")
        print()
    shown = found[:_LISTED] if sys.stdout.isatty() else found
    columns = (Column("kind"), Column("size", right=True), Column("path", least=40), Column("why", least=12, rank=1))
    sizes = [size(item.size) if sys.stdout.isatty() else item.size for item in shown]
    rows = [(item.kind, told, _shown(item), item.why) for item, told in zip(shown, sizes, strict=True)]
    print_table(columns, rows)
    if len(shown) < len(found):
        print(f"... and {len(found) - len(shown):,} more; in a pipe, or with --json, all are listed")


def _shown(item: "Garbage") -> str:
    """A path, on a terminal with a key cut to the digits that one types."""
    name = item.path.name[:12] if item.kind != "leftover" and sys.stdout.isatty() else item.path.name
    return str(item.path.with_name(name))


def _agreed(found: "Sequence[Garbage]", json: bool) -> bool:
    """Ask on a terminal; raises UserError where nobody can be asked."""
    from ablate.errors import UserError

    if json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        help = "--dry-run lists what would go; --yes removes it"
        raise UserError("nobody is here to be asked, and nothing was removed", help=help)
    return typer.confirm(f"remove {_sum(found)}?")


def _sum(items: "Sequence[Garbage]") -> str:
    from ablate.commands.output import plural
    from ablate.run.show import size

    return f"{plural(len(items), 'thing')}, {size(sum(item.size for item in items))}"


def _print_json(results: "Results", found: "Sequence[Garbage]", gone: "Sequence[Garbage]") -> None:
    from ablate.commands.output import print_json

    removed = {item.path for item in gone}
    items = [
        {
            "kind": item.kind,
            "path": str(item.path.relative_to(results.root)),
            "why": item.why,
            "bytes": item.size,
            "removed": item.path in removed,
        }
        for item in found
    ]
    print_json({"items": items, "bytes": sum(item.size for item in found), "removed": len(gone)})


COMMANDS = (gc, doctor)
