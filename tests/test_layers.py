"""The layers of the package: who may import whom."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ablate"
ALLOWED = {
    "api": {"errors", "judge", "records", "report", "run", "study"},
    "cli": {"commands", "errors", "records", "report", "run"},
    "commands": {"errors", "judge", "paper", "records", "report", "run", "simclr", "study"},
    "report": {"errors", "judge", "paper", "records", "simclr"},
    "judge": {"errors", "paper", "records", "study"},
    "run": {"errors", "records", "simclr", "study"},
    "records": {"errors"},
    "study": {"errors", "paper", "simclr"},
    "paper": {"errors"},
    "simclr": set(),
    "errors": set(),
    "__main__": {"cli"},
}


@cache
def imports(at_the_top: bool = False) -> dict[str, set[str]]:
    """Module -> modules of ablate that it imports, anywhere in its text or at the top only."""
    names = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}
    found = {}
    for name, path in names.items():
        wanted: set[str] = set()
        module = ast.parse(path.read_text(encoding="utf-8"))
        for node in module.body if at_the_top else ast.walk(module):
            if isinstance(node, ast.ImportFrom) and node.module:
                wanted |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
        found[name] = {other for other in wanted if other in names and other != name}
    return found


def layer(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_module_imports_only_from_the_layers_below_it() -> None:
    climbing = [
        f"{module} imports {other}"
        for module, others in imports().items()
        for other in others
        if layer(module) and layer(other) not in {layer(module), "", *ALLOWED[layer(module)]}
    ]
    assert climbing == []


def depth(module: str, at_the_top: bool, path: tuple[str, ...] = ()) -> int:
    assert module not in path, f"a circle: {' -> '.join((*path, module))}"
    below = [other for other in imports(at_the_top)[module] if layer(other)]
    return 1 + max((depth(other, at_the_top, (*path, module)) for other in below), default=0)


def test_no_chain_of_imports_at_the_top_of_modules_is_longer_than_ten() -> None:
    depths = {module: depth(module, at_the_top=True) for module in imports()}
    assert {module: found for module, found in depths.items() if found > 10} == {}


def test_no_imports_go_in_a_circle() -> None:
    for module in imports():
        depth(module, at_the_top=False)


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("ablate.cli", {"torch", "duckdb", "polars", "altair", "pydantic", "numpy"}),
        ("ablate.study.expand", {"torch", "duckdb", "numpy"}),
        ("ablate.run.plan", {"torch", "duckdb", "numpy"}),
        ("ablate.records.store", {"torch", "altair"}),
        ("ablate.simclr.trainer", {"duckdb", "altair", "rich", "typer", "scipy"}),
    ],
)
def test_a_module_is_imported_without_what_it_does_not_need(module: str, absent: set[str]) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert absent & set(loaded) == set()


def test_no_module_is_longer_than_300_lines() -> None:
    long = [path for path in PACKAGE.rglob("*.py") if len(path.read_text(encoding="utf-8").splitlines()) > 300]
    assert long == []
