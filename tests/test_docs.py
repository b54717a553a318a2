"""What the documents name exists: files, tests, folders of the package, and the README's words."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.structure import LAYERS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ablate"
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "tests").rglob("README.md")]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RETIRED = {
    "told": "message, text or label",
    "Measured": "MeasuredCell, Evidence or Timing",
    "Place": "Location, StudyProfile, or key of a cell",
    "How": "RunOptions",
    "Asked": "PageRequest or Requirement",
    "Mistake": "InvalidValue",
}
"""Names that meant several things -> the words that took their place."""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_and_file_that_a_document_names_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    text = text.replace("NAME.py", "*")  # of a recipe
    for path, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text):
        assert (ROOT / path).is_file(), path
        assert not name or f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), name
    for path in re.findall(r"`(ablate/[\w/]+(?:\.py|/))`", text):
        assert (ROOT / path).exists(), path
    for target, heading in re.findall(r"\]\(((?!https?:)[^)#]*)(?:#([\w-]+))?\)", text):
        linked = document.parent / target if target else document
        assert linked.exists(), target
        assert not heading or heading in _headings(linked), f"{target}#{heading}"


def _headings(document: Path) -> set[str]:
    """Anchors of a document's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def _map() -> list[str]:
    """Folders and modules of the README's map in its order, as paths relative to the package."""
    block = README.partition("\nablate/ ")[2].partition("\n")[2].partition("```")[0]
    found: list[str] = []
    room = ""
    for indent, name in re.findall(r"^( +)([\w.]+/?) ", block, re.MULTILINE):
        room = name if len(indent) == 2 else room
        found.append((name if len(indent) == 2 else f"{room}{name}").rstrip("/"))
    return found


def test_the_map_of_the_readme_shows_every_folder_of_the_package_and_no_other() -> None:
    folders = {str(path.parent.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE}
    modules = {path.name for path in PACKAGE.glob("*.py") if not path.name.startswith("__")}
    assert sorted(_map()) == sorted(folders | modules)


def test_the_map_of_the_readme_lists_the_layers_from_top_to_bottom() -> None:
    drawn = [name.removesuffix(".py") for name in _map() if "/" not in name]
    assert drawn == [name for name in LAYERS if name != "__main__"]


def _words() -> list[str]:
    """The words of the README's table."""
    table = README.partition("| word | meaning |")[2].partition("\n\n")[0]
    return re.findall(r"^\| ([a-z]+) \|", table, re.MULTILINE)


@cache
def _trees() -> dict[str, ast.Module]:
    return {str(path): ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}


def _classes() -> list[str]:
    return [node.name for tree in _trees().values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


@cache
def _names() -> frozenset[str]:
    """Names of classes, functions, arguments and variables, split into their words in small letters."""
    found: set[str] = set()
    for tree in _trees().values():
        for node in ast.walk(tree):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                found.add(node.name)
            elif isinstance(node, ast.arg):
                found.add(node.arg)
            elif isinstance(node, ast.Name):
                found.add(node.id)
    return frozenset(part.lower() for name in found for part in re.findall(r"[A-Z]?[a-z]+", name))


@cache
def _help() -> str:
    """What `--help` and `ablate schema` print, from the generated documents, which tests/docs keeps up to date."""
    documents = (ROOT / "docs" / f"{name}.md" for name in ("commands", "study-file"))
    parts = [
        re.findall(r"<!-- generated: .*?<!-- end -->", path.read_text(encoding="utf-8"), re.DOTALL)
        for path in documents
    ]
    return " ".join(part for found in parts for part in found).lower()


@cache
def _printed() -> str:
    """The templates of pages, and every text in the modules that write pages, verdicts and records."""
    templates = [path.read_text(encoding="utf-8") for path in (PACKAGE / "report").rglob("*.j2")]
    texts = [
        node.value
        for path, tree in _trees().items()
        if {"report", "judge", "records", "workflow", "commands"} & set(Path(path).relative_to(PACKAGE).parts)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.count(" ") > 1
    ]
    return " ".join([*templates, *texts]).lower()


@pytest.mark.parametrize("word", _words())
def test_a_word_of_the_readme_is_used_in_code_in_help_and_in_what_is_printed(word: str) -> None:
    plural = {"axis": "axes", "study": "studies"}.get(word, f"{word}s")
    assert {word, plural} & _names()
    assert re.search(rf"\b({word}|{plural})\b", _help())
    assert re.search(rf"\b({word}|{plural})\b", _printed())


@pytest.mark.parametrize("word", _words())
def test_a_word_of_the_readme_names_at_most_one_class(word: str) -> None:
    assert _classes().count(word.capitalize()) <= 1


@pytest.mark.parametrize("name", RETIRED)
def test_a_name_that_meant_several_things_is_gone(name: str) -> None:
    used = {
        f"{path}:{node.lineno}"
        for path, tree in _trees().items()
        for node in ast.walk(tree)
        if name in (getattr(node, field, None) for field in ("id", "attr", "arg", "name"))
    }
    assert used == set(), f"say {RETIRED[name]}"
