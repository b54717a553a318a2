"""The numbers that the documents state are those of the records in results/published."""

import importlib.util
import re
from pathlib import Path

import duckdb
import pytest

from ablate.records.published import published_files
from ablate.workflow.pages import pages_of_published

ROOT = Path(__file__).parents[2]
FILES = published_files([ROOT / "results" / "published"])
EVIDENCE = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")


def test_the_tables_of_the_document_are_those_of_the_published_rows_to_the_digit() -> None:
    spec = importlib.util.spec_from_file_location("build", ROOT / "docs" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    (stated,) = re.findall(r"<!-- generated: published -->\n(.*?)\n<!-- end -->", EVIDENCE, re.DOTALL)
    assert stated.strip() == build.published().strip(), "run python docs/build.py docs/evidence.md"


def test_pages_built_from_the_published_rows_have_the_numbers_that_the_document_states(tmp_path: Path) -> None:
    """One page whole; of each study the cells, claims and verdicts as tables, which need no drawing."""
    made = pages_of_published(FILES, tmp_path, [], None, ("md",))
    tables = {path.parent.name: path.read_text(encoding="utf-8") for path in made}
    assert len(tables) == len(FILES)
    for file in FILES:
        claims = re.findall(r"^\| [A-Z]\w*(?:\\_\w+)*: .*$", tables[file.stem], re.MULTILINE)
        assert claims
        assert all(line in EVIDENCE for line in claims)
        (best,) = re.findall(rf"\]\(\.\./results/published/{re.escape(file.name)}\).*: ([\d.]+) \|$", EVIDENCE, re.M)
        assert f"**{best}" in tables[file.stem]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_published_records_are_small_and_name_no_folder_of_a_machine(file: Path) -> None:
    assert file.stat().st_size < 1_000_000
    with duckdb.connect() as connection:
        plans = connection.execute(f"SELECT value FROM parquet_kv_metadata('{file}') WHERE key = 'ablate'").fetchall()
        rows = connection.execute(f"SELECT unnest(map_values(\"record.files\")) FROM '{file}'").fetchall()
    assert len(plans) == 1
    for (text,) in [*rows, (plans[0][0].decode(),)]:
        assert not re.search(r"/(?:home|tmp|work|root|Users|mnt)/", text)
