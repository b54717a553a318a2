"""The structure of the package stays within its bars; what these are: tests/structure.py."""

import subprocess
import sys

import pytest

from tests import structure


@pytest.mark.parametrize("name", structure.BARS)
def test_the_package_keeps_within_a_bar_of_its_structure(name: str) -> None:
    number, where = structure.measured()[name]
    assert number <= structure.BARS[name], where


def test_no_modules_import_each_other_in_a_cycle() -> None:
    assert structure.cycles(structure.imports(at_the_top=False)) == []


def test_every_layer_imports_only_from_layers_below_it() -> None:
    order = list(structure.LAYERS)
    climbing = [
        f"{layer} > {other}"
        for layer, others in structure.LAYERS.items()
        for other in others
        if order.index(other) < order.index(layer)
    ]
    assert climbing == []


def test_cycles_are_found_where_folders_import_each_other() -> None:
    graph = {"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset({"a"}), "d": frozenset({"a"})}
    assert structure.cycles(graph) == [["a", "b", "c"]]


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("ablate.cli", {"torch", "duckdb", "polars", "altair", "pydantic", "numpy"}),
        ("ablate.study.expansion.expand", {"torch", "duckdb", "numpy"}),
        ("ablate.run.plan", {"torch", "duckdb", "numpy"}),
        ("ablate.trainer.contract", {"torch", "numpy", "pydantic"}),
        ("ablate.records.store", {"torch", "altair", "rich", "pydantic"}),
        ("ablate.simclr.trainer", {"duckdb", "altair", "rich", "typer", "scipy"}),
    ],
)
def test_a_module_is_imported_without_what_it_does_not_need(module: str, absent: set[str]) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert absent & set(loaded) == set()
