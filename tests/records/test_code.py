import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ablate.records.code import PACKAGE, snapshot
from ablate.records.files import Results
from ablate.records.git import GitState, git_diff, git_state


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    subprocess.run(("git", *who, *arguments), cwd=folder, check=True, capture_output=True)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Someone's own package, committed."""
    folder = tmp_path / "home" / "mine"
    (folder / "part").mkdir(parents=True)
    (folder / "data/images").mkdir(parents=True)
    (folder / "__pycache__").mkdir()
    for name in ("__init__.py", "part/model.py", "table.csv", "data/images/a.png", "__pycache__/x.pyc", ".env"):
        (folder / name).write_text(f"# {name}\n")
    git(folder.parent, "init")
    git(folder.parent, "add", "mine/__init__.py", "mine/part")
    git(folder.parent, "commit", "-m", "first")
    return folder


def test_a_snapshot_holds_the_code_of_ablate_and_of_the_package(package: Path, tmp_path: Path) -> None:
    folder = snapshot(Results(tmp_path / "results"), [package]).folder
    assert (folder / "ablate/records/code.py").read_bytes() == Path(PACKAGE / "records/code.py").read_bytes()
    assert (folder / "ablate/report/templates/page.html.j2").is_file()
    assert not list(folder.rglob("*.pyc"))
    copied = {str(path.relative_to(folder / "mine")) for path in (folder / "mine").rglob("*") if not path.is_symlink()}
    assert copied - {"data/images"} == {"__init__.py", "part", "part/model.py", "table.csv"}


def test_data_beside_the_code_is_found_from_the_snapshot_without_being_copied(package: Path, tmp_path: Path) -> None:
    folder = snapshot(Results(tmp_path / "results"), [package]).folder
    assert (folder / "mine/data").is_symlink()
    assert (folder / "mine/data/images/a.png").read_text() == "# data/images/a.png\n"


def test_a_module_of_one_file_is_copied_alone(package: Path, tmp_path: Path) -> None:
    module = package.parent / "single.py"
    module.write_text("x = 1\n")
    folder = snapshot(Results(tmp_path / "results"), [module]).folder
    assert (folder / "single.py").read_text() == "x = 1\n"
    assert not (folder / "mine").exists()


def test_the_same_code_is_copied_once_and_other_code_again(package: Path, tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    first = snapshot(results, [package])
    written = (first.folder / "mine/__init__.py").stat().st_ino
    assert snapshot(results, [package]) == first
    assert (first.folder / "mine/__init__.py").stat().st_ino == written
    (package / "part/model.py").write_text("# other\n")
    second = snapshot(results, [package])
    assert second.digest != first.digest
    assert (first.folder / "mine/part/model.py").read_text() == "# part/model.py\n"


def test_processes_that_copy_at_once_agree_and_leave_nothing_else(package: Path, tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    with ThreadPoolExecutor(4) as pool:
        digests = {found.digest for found in pool.map(lambda _: snapshot(results, [package]), range(8))}
    assert {path.name for path in results.code.iterdir()} == digests
    assert len(digests) == 1


def test_a_snapshot_says_its_commit_and_keeps_what_differs_from_it(package: Path, tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    (package / "part/model.py").write_text("# changed\n")
    (package / "new.py").write_text("# new\n")
    folder = snapshot(results, [package]).folder
    about = json.loads((folder / "code.json").read_text())
    mine = next(source for source in about["sources"] if source["name"] == "mine")
    assert (mine["commit"], mine["modified"]) == (git_state(package).commit, True)
    patch = (folder / "diff.patch").read_text()
    assert "-# part/model.py\n+# changed\n" in patch
    assert "+++ b/mine/new.py\n@@ -0,0 +1 @@\n+# new\n" in patch


def test_a_patch_that_is_very_long_is_cut(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ablate.records.code._LONGEST_PATCH", 100)
    (package / "new.py").write_text("# new\n" * 1000)
    patch = (snapshot(Results(tmp_path / "results"), [package]).folder / "diff.patch").read_text()
    assert len(patch) < 200
    assert patch.endswith("(cut here: the patch is longer than 1 MB)\n")


def test_a_change_that_is_committed_later_is_told_by_its_commit(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ablate.records.code.PACKAGE", package)  # the checkout of these tests may have changes
    results = Results(tmp_path / "results")
    for name in ("table.csv", "data", ".env", "__pycache__"):
        git(package.parent, "add", "--force", f"mine/{name}")
    (package / "part/model.py").write_text("# changed\n")
    folder = snapshot(results).folder
    assert (folder / "diff.patch").exists()
    git(package.parent, "commit", "-a", "-m", "second")
    assert snapshot(results).folder == folder
    assert not (folder / "diff.patch").exists()
    assert json.loads((folder / "code.json").read_text())["commit"] == git_state(package).commit


def test_the_results_folder_is_no_part_of_the_code_that_it_lies_in(package: Path) -> None:
    results = Results(package / "results")
    first = snapshot(results, [package])
    assert snapshot(results, [package]) == first
    assert not (first.folder / "mine/results").exists()


def test_git_knows_nothing_of_a_folder_outside_of_it_or_one_that_it_ignores(package: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    assert git_state(tmp_path / "outside") == GitState(None, None)
    assert git_diff(tmp_path / "outside") == ""
    (package.parent / ".gitignore").write_text("venv\n")
    (package.parent / "venv/installed").mkdir(parents=True)
    assert git_state(package.parent / "venv/installed") == GitState(None, None)
    assert git_state(package).commit is not None


def test_without_git_there_is_a_snapshot_without_a_commit(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    folder = snapshot(Results(tmp_path / "results"), [package]).folder
    assert json.loads((folder / "code.json").read_text())["commit"] is None
    assert not (folder / "diff.patch").exists()
