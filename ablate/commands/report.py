"""`ablate report`, `compare`, `verify` and `cite`: writing pages, and checking them and papers against the records."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.commands.options import Json, RecordedProfile, ReportsFolder, ResultsFolder, reports_in, results_in
from ablate.errors import UserError, as_path, visible

if TYPE_CHECKING:
    from ablate.report.verify import Verified

DIFFERS = 1
"""Exit code of `verify` if something differs."""
_LISTED = 50
_LONGEST = 160
"""Characters of a text that a line shows."""

Studies = Annotated[
    list[str] | None,
    typer.Argument(metavar="[STUDY]...", help="Studies or suites, by path or name. Default: all with records."),
]
Formats = Annotated[
    list[str],
    typer.Option(metavar="FORMATS", help="One or more of html, md, latex, csv, svg, png, pdf, separated by commas."),
]
PageFile = Annotated[
    Path,
    typer.Argument(
        metavar="PAGE", parser=as_path, help="A page that ablate report wrote, or a paper: reports/x.html, paper.tex."
    ),
]
PageRecords = Annotated[
    Path | None,
    typer.Option(
        "--results",
        metavar="DIR",
        parser=as_path,
        help="Folder with the records, or a file of published ones. Default: what the page links to.",
    ),
]


def report(
    studies: Studies = None,
    profile: RecordedProfile = None,
    format: Formats = ["html"],
    watch: Annotated[bool, typer.Option("--watch", help="Update the pages while the studies run.")] = False,
    results: ResultsFolder = Path("results"),
    reports: ReportsFolder = None,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Show images, augmented views and nearest neighbours.")
    ] = True,
    published: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            metavar="FILE",
            parser=as_path,
            help="Make pages, without pictures, from a file of ablate export --records, or from all in a folder.",
        ),
    ] = None,
) -> None:
    """Write study pages and their index, or tables and charts for a paper (--format)."""
    from ablate.report.formats import read_formats
    from ablate.workflow.pages import PageRequest, check_can_write, pages_of_published, write_pages
    from ablate.workflow.watch import Watch

    folder, formats = reports_in(reports, results), read_formats(format)
    check_can_write(folder)
    if published:
        if watch:
            raise UserError("--watch cannot be used with --from", help="published records do not change")
        written = pages_of_published(published, folder, studies or [], profile, formats)
    else:
        request = PageRequest(results_in(results), folder, studies or [], profile, formats, pictures)
        targets = request.targets()
        written = Watch(request, targets).run() if watch else write_pages(request, targets)
    print("\n".join(visible(str(path)) for path in written), flush=True)


def compare(
    before: Annotated[
        Path, typer.Argument(metavar="BEFORE", parser=as_path, help="Results folder from before the change.")
    ],
    after: Annotated[
        Path, typer.Argument(metavar="AFTER", parser=as_path, help="Results folder from after the change.")
    ],
    studies: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STUDY]...", help="Studies to compare. Default: all that are in both folders."),
    ] = None,
    reports: Annotated[
        Path | None,
        typer.Option(metavar="DIR", parser=as_path, help="Folder for the page. Default: reports, next to AFTER."),
    ] = None,
    format: Annotated[
        str, typer.Option(metavar="FORMAT", help="html: write a page. md: print Markdown, as for a pull request.")
    ] = "html",
) -> None:
    """Write a page that compares two results folders: cells, settings and verdicts before and after a change."""
    from ablate.report.compare import read_pair, write_comparison
    from ablate.report.compare_text import as_markdown
    from ablate.workflow.pages import check_can_write

    if format not in ("html", "md"):
        raise UserError(f"--format {format}: a comparison has no such format", help="formats are: html, md")
    if format == "md":
        print(as_markdown(read_pair(results_in(before), results_in(after), studies or [])), end="")
        return
    check_can_write(folder := reports_in(reports, after))
    page = write_comparison(results_in(before), results_in(after), studies or [], folder)
    print(visible(str(page)))


def verify(page: PageFile, json: Json = False, results: PageRecords = None) -> None:
    """Compare a page, or the numbers of a LaTeX paper, with the records. Exit code 1 if something differs."""
    from ablate.commands.output import print_json

    if page.suffix == ".tex":
        _verify_paper(page, json, results)
        return
    from ablate.report.verify import verify as compare_with_records

    verified = compare_with_records(page, results)
    if json:
        print_json({"page": str(page), "same": verified.same, **vars(verified)})
    else:
        _print_verified(page, verified)
    if not verified.same:
        raise typer.Exit(DIFFERS)


def _verify_paper(paper: Path, as_json: bool, results: Path | None) -> None:
    from ablate.commands.output import print_json
    from ablate.records.plain import plural
    from ablate.report.macros import check_paper

    found = check_paper(paper, results)
    if as_json:
        print_json({"page": str(paper), "same": not found, "differences": found})
    else:
        print("\n".join(visible(each) for each in found[:_LISTED]), end="\n" if found else "")
        outcome = plural(len(found), "difference") if found else "agrees with the records"
        print(f"{visible(str(paper))}: {outcome}")
    if found:
        raise typer.Exit(DIFFERS)


def cite() -> None:
    """Print BibTeX entries of ablate and of the SimCLR paper."""
    from importlib.metadata import PackageNotFoundError, version

    from ablate.paper import bibtex

    try:
        number = version("ablate-study")
    except PackageNotFoundError:
        number = "development"
    print(bibtex(number), end="")


def _print_verified(page: Path, verified: "Verified") -> None:
    from ablate.records.plain import plural

    title = f"{visible(str(page))} ({verified.study} at {verified.profile}, {plural(verified.results, 'result')})"
    if verified.same:
        print(f"{title}: agrees with the records")
        return
    for change in verified.news:
        print(f"changed since: {change}")
    for each in verified.differences[:_LISTED]:
        print(f"{each.where}: the page has {_cut(each.page)}, the records give {_cut(each.records)}")
    if (more := len(verified.differences) - _LISTED) > 0:
        print(f"and {more:,} more (--json lists all)")
    print(f"{title}: {plural(len(verified.differences), 'difference')}")


def _cut(text: str) -> str:
    """A text of a page on one line."""
    shown = " ".join(text.split())
    return (shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}...") or "nothing"
