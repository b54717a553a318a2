"""`ablate gc`: removing records that nothing needs."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.commands.options import Json, ResultsFolder, results_in

if TYPE_CHECKING:
    from ablate.records.files import Results
    from ablate.records.garbage import Garbage

_LISTED = 20
_KINDS = {
    "trial": "trials that no study needs",
    "pretraining": "unused pretrainings",
    "checkpoints": "checkpoints of finished pretrainings",
    "jobs": "logs of finished cluster jobs",
    "code": "unused code snapshots",
    "picture": "cached pictures",
    "leftover": "temporary files",
}


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be removed.")] = False,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="Also remove checkpoints of finished pretrainings.")
    ] = False,
    now: Annotated[
        bool, typer.Option("--now", help="Also remove trials, pretrainings and pictures of the last day.")
    ] = False,
    abandoned: Annotated[
        bool,
        typer.Option("--abandoned", help="Also remove finished trials that only earlier versions of a study planned."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without asking.")] = False,
    json: Json = False,
    results: ResultsFolder = Path("results"),
) -> None:
    """Remove unneeded files: trials in no plan, unfinished trials of earlier versions of a study, unused code.

    Kept: running trials; all trials of each study's current version, at every profile; results of earlier versions
    (unless --abandoned); and trials that share the pretraining of a kept trial. After --checkpoints, a new evaluation
    must train again. No link is followed.
    """
    from ablate.records.garbage import find_garbage, remove

    records = _records(results)
    found = find_garbage(records, time.time(), checkpoints, now, abandoned)
    if not json:
        _print_found(records, found)
    removed = list["Garbage"]()
    asked = bool(found) and not dry_run and (yes or _confirmed(found, json))
    try:
        if asked:
            still = {item.path for item in find_garbage(records, time.time(), checkpoints, now, abandoned)}
            for item in remove(item for item in found if item.path in still):  # a run may have begun since
                removed.append(item)
    finally:  # also after Ctrl-C, or if an item cannot be removed
        if asked and not json:
            print(f"removed {_total(removed)}")
        if json:
            _print_json(records, found, removed)


def _records(folder: Path) -> "Results":
    """The records; names the parts of them that are links. Raises UserError if there are none."""
    from ablate.errors import UserError
    from ablate.records.garbage import left_alone

    results = results_in(folder)
    if not results.root.is_dir():
        raise UserError(f"there is no results folder {results.root}", help="give --results DIR")
    for path in left_alone(results):
        print(f"{path} is a link, so nothing in it is removed", file=sys.stderr)
    return results


def _print_found(results: "Results", found: "Sequence[Garbage]") -> None:
    """Print a line for each kind on a terminal, and a row for each item."""
    from ablate.commands.output import Column, print_table
    from ablate.records.plain import size

    if not found:
        print("nothing to remove")
        return
    on_terminal = sys.stdout.isatty()
    if on_terminal:
        for kind, text in _KINDS.items():
            if items := [item for item in found if item.kind == kind]:
                print(f"{len(items):>6,}  {text}, {size(sum(item.size for item in items))}")
        print()
    shown = found[:_LISTED] if on_terminal else found
    columns = (Column("kind"), Column("size", right=True), Column("path", least=40), Column("why", least=12, rank=1))
    rows = [
        (item.kind, size(item.size), _short(item, results), item.why)
        if on_terminal
        else (item.kind, item.size, item.path, item.why)
        for item in shown
    ]
    print_table(columns, rows)
    if len(shown) < len(found):
        print(f"... and {len(found) - len(shown):,} more (--json or a pipe lists all)")


def _short(item: "Garbage", results: "Results") -> str:
    """The path in the results folder, a key cut to its first digits."""
    name = item.path.name if item.kind == "leftover" else item.path.name[:12]
    return str(item.path.relative_to(results.root).with_name(name))


def _confirmed(found: "Sequence[Garbage]", json: bool) -> bool:
    """Ask on a terminal. Raises UserError elsewhere."""
    from ablate.errors import UserError

    if json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        message = "cannot ask for confirmation (not a terminal), so nothing was removed"
        raise UserError(message, help="--yes removes without asking, --dry-run lists")
    return typer.confirm(f"remove {_total(found)}?")


def _total(items: "Sequence[Garbage]") -> str:
    from ablate.records.plain import plural, size

    return f"{plural(len(items), 'item')}, {size(sum(item.size for item in items))}"


def _print_json(results: "Results", found: "Sequence[Garbage]", removed: "Sequence[Garbage]") -> None:
    from ablate.commands.output import print_json

    gone = {item.path for item in removed}
    items = [
        {
            "kind": item.kind,
            "path": str(item.path.relative_to(results.root)),
            "why": item.why,
            "bytes": item.size,
            "removed": item.path in gone,
        }
        for item in found
    ]
    print_json({"items": items, "bytes": sum(item.size for item in found), "removed": len(removed)})
