"""Texts that are made to break a page, and pages of large studies."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ablate.report.formats import write_report
from ablate.report.render.html import page_name
from ablate.report.render.text import cut, isolated
from ablate.report.verify import verify
from tests.report.hostile import EVIL, LONG, TURNS, hostile, sized

MEGABYTE = 1_000_000


class Elements(HTMLParser):
    """What a browser would make elements of, and what it would run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        self.text += "" if self.inside in ("script", "style") else data


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    return write_report(hostile(folder), "hostile", None, folder / "reports")


def test_hostile_texts_make_no_element_and_no_handler(page: Path) -> None:
    found = Elements()
    found.feed(page.read_text(encoding="utf-8"))
    assert "img" not in found.tags
    assert not [name for name in found.attributes if name.startswith("on")]
    assert found.text.count("window.hacked = 1") > 10
    assert LONG in found.text


def test_a_page_of_hostile_texts_agrees_with_its_records(page: Path) -> None:
    assert verify(page, None).same


def test_no_file_of_a_page_has_a_name_from_outside(page: Path) -> None:
    files = [path.name for path in page.parent.rglob("*")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.+=-]{1,200}", name) for name in files)


def test_profiles_that_differ_in_special_characters_have_separate_pages() -> None:
    assert page_name("s", "small+a=é") != page_name("s", "small+a=ü")
    assert page_name("s", "small+loss.temperature=0.3") == "s-small+loss.temperature=0.3"


def test_a_text_cannot_turn_the_words_after_it() -> None:
    assert isolated("crop, color") == "crop, color"
    for text in (TURNS, EVIL, "\u202e", "\u2069\u2069", "\u2067\u2067x"):
        depth, kept = 0, isolated(text)
        for number, character in enumerate(kept):
            depth += character in "\u202a\u202b\u202d\u202e\u2066\u2067\u2068"
            depth -= character in "\u202c\u2069"
            assert depth > 0 or number == len(kept) - 1
        assert depth == 0


def test_a_long_text_is_cut_with_dots() -> None:
    assert cut("short") == "short"
    assert cut(LONG, 50) == "x" * 47 + "..."


def test_two_processes_with_other_hash_seeds_and_folders_write_the_same_bytes(tmp_path: Path) -> None:
    code = "import sys; from tests.report.hostile import hostile; from pathlib import Path; hostile(Path(sys.argv[1]))"
    root = str(Path(__file__).parents[2])
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=root)
    pages = []
    for seed, working in (("1", tmp_path), ("2", tmp_path / "results")):
        reports = tmp_path / f"reports-{seed}"
        command = [sys.executable, "-m", "ablate", "report", "hostile", "--results", str(tmp_path / "results")]
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": root}
        subprocess.run([*command, "--reports", str(reports)], check=True, cwd=working, env=environment)
        pages.append({path.name: path.read_bytes() for path in reports.rglob("*") if path.is_file()})
    assert pages[0].keys() == pages[1].keys()
    assert [name for name in pages[0] if pages[0][name] != pages[1][name]] == []


@pytest.mark.parametrize(("cells", "seeds", "megabytes"), [(49, 5, 1.5), (200, 5, 3.0)])
def test_a_page_is_no_larger_than_promised(tmp_path: Path, cells: int, seeds: int, megabytes: float) -> None:
    results = sized(tmp_path, cells, seeds, epochs=100 if cells > 49 else 20)
    size = write_report(results, "sized", None, tmp_path / "reports").stat().st_size
    assert size > 0.4 * MEGABYTE  # it has its library in it
    assert size <= megabytes * MEGABYTE
