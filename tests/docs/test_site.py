"""The documentation site builds, and all its links lead somewhere."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("material", reason="needs the extra [docs]")
pytest.importorskip("mkdocstrings", reason="needs the extra [docs]")


class Page(HTMLParser):
    """What a page links to or loads, and the ids that links can lead to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.ids: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        loaded = given.get("src") or (given.get("href") if tag == "link" and given.get("rel") != "canonical" else None)
        if loaded:
            self.loads.append(loaded)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from docs.site.__main__ import main

    gallery = tmp_path_factory.mktemp("gallery")
    for name in ("index", "augment_pairs"):
        (gallery / f"{name}.html").write_text("<p>drawn by the tests of pages</p>")
    folder = tmp_path_factory.mktemp("site")
    assert main(["--to", str(folder), "--gallery", str(gallery)]) == 0
    return folder / "site"


def test_every_link_of_the_site_leads_to_a_page_and_to_a_place_on_it(site: Path) -> None:
    pages = {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 40
    broken, checked = [], 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or link in ("", "#", "javascript:void(0)"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            checked += 1
            lost = target in pages and parts.fragment and unquote(parts.fragment) not in pages[target].ids
            if lost or not target.is_file():
                broken.append(f"{path.name}: {link}")
    assert checked > 1000
    assert broken == []


def test_the_site_loads_nothing_from_the_network_and_its_search_works_from_files(site: Path) -> None:
    for path in site.rglob("*.html"):
        if path.name != "404.html":
            loads = [each for each in Page(path).loads if not each.startswith("data:")]
            assert [each for each in loads if not (path.parent / urlsplit(each).path).exists()] == [], path
    index = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    assert index.startswith("var __index = ")
    for words in ("Shapley values", "Pairs of augmentations", "NT-Xent"):
        assert words in index


def test_the_page_of_a_study_has_the_numbers_of_the_paper_and_the_reference_has_signatures(site: Path) -> None:
    page = (site / "studies" / "augment_pairs.html").read_text(encoding="utf-8")
    rows = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)]
    assert ["color", "55.8", "35.5", "18.8", "21.0", "11.4", "16.5", "20.8"] in rows  # Fig. 5, as printed
    assert "../gallery/augment_pairs.html" in page
    head = (site / "studies" / "projection_head.html").read_text(encoding="utf-8")
    assert "about 50.0" in head  # Fig. 8: without a head, for which no length of z exists
    reference = Page(site / "api.html")
    assert {"ablate.load", "ablate.PlannedStudy.run", "ablate.errors.UserError"} <= reference.ids


def test_a_link_of_a_document_to_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    from docs.site.pages import for_site

    assert for_site("[a](commands.md#suites)", "docs/why.md", tmp_path) == "[a](commands.md#suites)"
    assert for_site("see\n- one", "docs/why.md", tmp_path) == "see\n\n- one"
    with pytest.raises(ValueError, match=r"docs/why\.md: \[a\]\(gone\.md\) links to docs/gone\.md"):
        for_site("[a](gone.md)", "docs/why.md", tmp_path)
