"""The Markdown of the site, from the documents of the repository."""

import os
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
_OTHERS = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "docs/skill/SKILL.md": "skill.md",
    "tests/bench/README.md": "bench.md",
}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"^( *)(```+).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
_LIST_AFTER_TEXT = re.compile(r"^(?!#|\s*(?:[-*]|\d+\.) )(.*\S.*)\n(?=(?:[-*]|\d+\.) )", re.MULTILINE)


def documents() -> dict[str, str]:
    """Path in the repository -> path in the site, of every document."""
    ours = {path.relative_to(ROOT).as_posix(): path.name for path in sorted((ROOT / "docs").glob("*.md"))}
    return ours | _OTHERS


def write_documents(site: Path) -> None:
    """Write the documents to the folder `site`, with what they link to. Raises ValueError for a broken link."""
    for source, page in documents().items():
        text = (ROOT / source).read_text(encoding="utf-8")
        written = _outside_code(text, partial(for_site, source=source, site=site))
        head = "---\nhide: [navigation]\n---\n\n" if page == "index.md" else ""
        (site / page).write_text(head + written, encoding="utf-8")


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    """The text with everything outside fenced code changed."""
    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [change(text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, change(text[end:])])


def for_site(text: str, source: str, site: Path) -> str:
    """A part of a document as the site needs it: links lead to the site's pages, and lists follow a blank line.

    source: the path of the document in the repository. Files that are linked to are copied to the folder `site`.
    """
    pages = documents()
    text = _LINK.sub(lambda link: _linked(link, source, pages, site), text)
    return _LIST_AFTER_TEXT.sub(r"\1\n\n", text)


def _linked(link: re.Match[str], source: str, pages: dict[str, str], site: Path) -> str:
    """The link to a page of the site or to a copy of a file; for a folder, only its text."""
    picture, text, target, anchor = link[1], link[2], link[3], link[4] or ""
    path = os.path.normpath(PurePosixPath(source).parent / target)
    if path in pages:
        return f"[{text}]({pages[path]}{anchor})"
    file = ROOT / path
    if file.is_dir():
        return text
    if not file.is_file():
        raise ValueError(f"{source}: {link[0]} links to {path}, which does not exist")
    copy = site / "files" / path
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, copy)
    return f"{picture}[{text}](files/{path})"
