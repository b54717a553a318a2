"""`ablate verify`: whether a page says what the records give."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.commands.options import Json

if TYPE_CHECKING:
    from ablate.report.verify import Verified

DIFFERS = 1
"""Exit code where something differs."""
_LISTED = 50
_LONGEST = 160
"""Characters of a text that a line shows."""

Page = Annotated[Path, typer.Argument(metavar="PAGE", help="A page that `ablate report` wrote: reports/x.html.")]
Folder = Annotated[
    Path | None,
    typer.Option("--results", metavar="DIR", help="Folder of all records; by default where the page's links lead."),
]


def verify(page: Page, json: Json = False, results: Folder = None) -> None:
    """Compute a page again from the records, and name whatever differs; exits with 1 then."""
    from ablate.report.verify import verify as compare

    verified = compare(page, results)
    if json:
        from ablate.commands.output import print_json

        print_json({"page": str(page), "same": verified.same, **vars(verified)})
    else:
        _print(page, verified)
    if not verified.same:
        raise typer.Exit(DIFFERS)


def _print(page: Path, verified: "Verified") -> None:
    from ablate.commands.output import plural

    made_of = f"{page} ({verified.study} at {verified.profile}, {plural(verified.results, 'result')})"
    if verified.same:
        print(f"{made_of}: everything on it is what the records give")
        return
    for told in verified.news:
        print(f"since: {told}")
    for each in verified.differences[:_LISTED]:
        print(f"differs: {each.where}: the page says {_cut(each.page)}, the records give {_cut(each.records)}")
    if (more := len(verified.differences) - _LISTED) > 0:
        print(f"and {more:,} more: --json lists all")
    print(f"{made_of}: {plural(len(verified.differences), 'difference')}")


def _cut(text: str) -> str:
    """A text of a page on one line."""
    shown = " ".join(text.split())
    return (shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}...") or "nothing"
