"""Build the documentation site in build/site, offline: `python -m docs.site`, or `make docs`.

Its pages are the README, the documents of docs/, a page per study with the paper's numbers, the pages of the published
results, and the reference of the Python API, made from docstrings. A link or an anchor without a target fails the
build. The site loads nothing from the network, and its search also works when its pages are opened as files.
"""

import argparse
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

from ablate.records.published import published_files
from ablate.workflow.pages import pages_of_published
from docs.site.pages import ROOT, documents, write_documents
from docs.site.studies import study_pages

_HERE = Path(__file__).parent
_API = {
    "Studies and results": "ablate",
    "A run of any code": "ablate.workflow.recorded_trial",
    "Trainers": "ablate.trainer.contract",
    "Errors": "ablate.errors",
    "Losses": "ablate.simclr.loss",
    "Published numbers": "ablate.paper",
}
_DOCUMENTS = {
    "Start": ["tutorial", "own-trainer", "import", "installing"],
    "Guide": ["pages", "judging", "slurm", "gpu", "agents", "skill", "how-it-works", "reliability", "security"],
    "Reference": ["commands", "study-file", "settings", "trainer"],
    "About": ["why", "evidence", "embedded-data", "bench", "contributing", "changelog"],
}


def main(arguments: list[str] | None = None) -> int:
    """Build the site; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m docs.site", description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=ROOT / "build", metavar="DIR", help="default: build")
    parser.add_argument("--gallery", type=Path, metavar="DIR", help="pages of published results, instead of new ones")
    given = parser.parse_args(arguments)
    source, site = given.to.absolute() / "docs", given.to.absolute() / "site"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    nav = _write_pages(source, given.gallery)
    folders = {"docs_dir": str(source), "site_dir": str(site)}
    try:
        build(load_config(str(_HERE / "mkdocs.yml"), strict=True, nav=nav, **folders))
    except Abort as error:
        print(f"the site has broken links or pages, see above: {error}", file=sys.stderr)
        return 1
    print(f"open {site / 'index.html'}")
    return 0


def _write_pages(source: Path, gallery: Path | None) -> list[dict[str, Any]]:
    """Write the Markdown of all pages; returns their order."""
    write_documents(source)
    (source / "assets").mkdir()
    for asset in ("iframe-worker.js", "site.css"):
        shutil.copyfile(_HERE / asset, source / "assets" / asset)
    measured = _write_gallery(source / "gallery", gallery)
    (source / "studies").mkdir()
    studies = study_pages(measured)
    for name, (_, text) in studies.items():
        (source / "studies" / f"{name}.md").write_text(text, encoding="utf-8")
    (source / "studies" / "index.md").write_text(_overview(studies, measured), encoding="utf-8")
    (source / "api.md").write_text(_reference(), encoding="utf-8")
    nav: list[dict[str, Any]] = [{"ablate": "index.md"}]
    placed = {f"{page}.md" for pages in _DOCUMENTS.values() for page in pages}
    new = [page for page in documents().values() if page not in {*placed, "index.md"}]
    nav += [{tab: [f"{page}.md" for page in pages]} for tab, pages in _DOCUMENTS.items()]
    nav[2]["Guide"] += new  # a document without a place is shown all the same
    nav[-2]["Reference"].append({"Python": "api.md"})
    nav.insert(3, {"Studies": ["studies/index.md", *(f"studies/{name}.md" for name in studies)]})
    return nav


def _write_gallery(folder: Path, given: Path | None) -> dict[str, str]:
    """Write the pages of the published results, or copy given ones.

    Returns study -> its page, relative to the pages of studies.
    """
    if given:
        shutil.copytree(given, folder)
    else:
        pages_of_published(published_files([ROOT / "results" / "published"]), folder, [], None, ("html",))
    pages = [path.name for path in sorted(folder.glob("*.html")) if path.stem != "index"]
    return {re.split(r"[-.]", page)[0]: f"../gallery/{page}" for page in pages}


def _overview(studies: dict[str, tuple[str, str]], measured: dict[str, str]) -> str:
    rows = [
        f"| [{title}]({name}.md) | `{name}` | {f'[page]({measured[name]})' if name in measured else ''} |"
        for name, (title, _) in studies.items()
    ]
    head = (
        "# Studies\n\nEvery table and figure of the SimCLR paper is a study with its claims and published numbers. "
        "The repository also has [results](../evidence.md) of some studies; "
        "[their pages](../gallery/index.html) are here.\n\n"
    )
    return head + "\n".join(["| study | name | measured |", "|---|---|---|", *rows]) + "\n"


def _reference() -> str:
    head = "---\nhide: [navigation]\n---\n\n# Python reference\n\nThe [README](index.md) shows how these are used.\n"
    return head + "".join(f"\n## {title}\n\n::: {module}\n" for title, module in _API.items())


if __name__ == "__main__":
    sys.exit(main())
