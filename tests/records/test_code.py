import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.records.code import checked, damage, snapshot
from ablate.records.files import Results
from ablate.records.provenance import PACKAGE, GitState, _project, git_diff, git_state, provenance


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


def test_a_very_long_patch_is_truncated(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ablate.records.code._LONGEST_PATCH", 100)
    (package / "new.py").write_text("# new\n" * 1000)
    patch = (snapshot(Results(tmp_path / "results"), [package]).folder / "diff.patch").read_text()
    assert len(patch) < 200
    assert patch.endswith("(truncated: the patch is longer than 1 MB)\n")


def test_a_change_that_is_committed_later_is_recorded_by_its_commit(
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
    later = snapshot(results).folder
    assert later.name == f"{folder.name}-2"
    assert not (later / "diff.patch").exists()
    assert json.loads((later / "code.json").read_text())["commit"] == git_state(package).commit
    assert (folder / "diff.patch").exists()
    assert snapshot(results).folder == later


def test_a_results_folder_inside_the_code_is_not_copied(package: Path) -> None:
    results = Results(package / "results")
    first = snapshot(results, [package])
    assert snapshot(results, [package]) == first
    assert not (first.folder / "mine/results").exists()


def test_a_folder_outside_a_checkout_or_ignored_by_git_has_no_git_state(package: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    assert git_state(tmp_path / "outside") == GitState(None, None)
    assert git_diff(tmp_path / "outside", lambda path: True) == ""
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


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


SECRETS = (
    "credentials.json", "aws_credentials.ini", "secrets.yaml", "secrets.py", "My-Secrets.toml", ".env", ".env.local",
    "prod.env", "server.pem",
    "server.key", "id_rsa", "id_ed25519.pub", ".netrc", "token.txt", "hf_token", "tokens.json", "api_key.txt",
    "client_secret_7.json", "kaggle.json", ".ssh/config", "secrets/deploy.py", ".git-credentials",
)  # fmt: skip


def test_secrets_are_neither_copied_nor_linked_nor_in_the_patch_and_are_named(package: Path, tmp_path: Path) -> None:
    git(package.parent, "add", "--all", "--force")
    (package / "credentials.json").write_text("old hush")
    git(package.parent, "add", "--all", "--force")
    git(package.parent, "commit", "-m", "with a secret")
    for name in SECRETS:
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text("hush")
    (package / "deploy.txt").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nhush\n")
    (package / "alias.txt").symlink_to("server.key")
    (package / "tokens.py").write_text("# code\n")
    made = snapshot(Results(tmp_path / "results"), [package])
    copied = names(made.folder / "mine")
    assert copied == {"__init__.py", "part", "part/model.py", "table.csv", "data", "tokens.py"}
    assert not any(b"hush" in path.read_bytes() for path in made.folder.rglob("*") if path.is_file())
    left_out = json.loads((made.folder / "code.json").read_text())["left_out"]
    assert {f"mine/{name.partition('/')[0]}" for name in (*SECRETS, "deploy.txt", "alias.txt")} <= left_out.keys()
    (note,) = made.notes
    assert "mine/.env (its name is that of a secret)" in note
    assert note.endswith("more (listed in code.json)")


@pytest.mark.parametrize("checkout", [True, False])
def test_what_gitignore_names_is_left_out_whether_or_not_the_project_is_a_checkout(
    package: Path, tmp_path: Path, checkout: bool
) -> None:
    (package.parent / ".gitignore").write_text("local_*.py\n/mine/logs/\n*.txt\n!keep.txt\n")
    (package / "part/.gitignore").write_text("scratch\n")
    for name in ("local_settings.py", "logs/a.py", "part/scratch/b.py", "notes.txt", "keep.txt", "new.py"):
        (package / name).parent.mkdir(exist_ok=True, parents=True)
        (package / name).write_text("mine")
    (package / "again.py").symlink_to("local_settings.py")
    if not checkout:
        (package.parent / ".git").rename(tmp_path / "elsewhere")
    made = snapshot(Results(tmp_path / "results"), [package])
    assert names(made.folder / "mine") == {
        *("__init__.py", "part", "part/model.py", "table.csv", "data", "keep.txt", "new.py"),
    }
    left_out = json.loads((made.folder / "code.json").read_text())["left_out"]
    assert left_out["mine/local_settings.py"] == left_out["mine/part/scratch/b.py"] == "git ignores it"
    if checkout:
        assert "local_settings" not in (made.folder / "diff.patch").read_text()


def test_without_git_no_file_that_gitignore_names_is_copied(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    (package.parent / ".gitignore").write_text("# local\nlocal_*.py\n/mine/logs/\n*.txt\n\n")
    for name in ("local_settings.py", "logs/a.py", "notes.txt", "new.py"):
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text("mine")
    made = snapshot(Results(tmp_path / "results"), [package])
    assert names(made.folder / "mine") == {"__init__.py", "part", "part/model.py", "table.csv", "data", "new.py"}


def test_modules_beside_the_trainer_are_left_out_alike_and_what_a_build_wrote_is_copied(
    package: Path, tmp_path: Path
) -> None:
    (package.parent / ".gitignore").write_text("local.py\n*.so\n_version.py\nbuild\n")
    for name in ("local.py", "secrets.py", "helper.py", "mine/_fast.so", "mine/_version.py", "mine/build/lib/x.so"):
        (package.parent / name).parent.mkdir(exist_ok=True, parents=True)
        (package.parent / name).write_text("mine")
    beside = [package.parent / name for name in ("local.py", "secrets.py", "helper.py")]
    made = snapshot(Results(tmp_path / "results"), [package, *beside])
    assert (made.folder / "helper.py").is_file()
    assert {"_fast.so", "_version.py"} <= names(made.folder / "mine")
    left_out = json.loads((made.folder / "code.json").read_text())["left_out"]
    assert left_out["local.py"] == left_out["mine/build/lib/x.so"] == "git ignores it"
    assert left_out["secrets.py"] == "its name is that of a secret"
    assert not {"local.py", "secrets.py"} & names(made.folder)
    scratch = snapshot(Results(tmp_path / "results"), [beside[0], beside[2]])
    assert (scratch.folder / "local.py").is_file()


def test_tracked_files_and_installed_packages_are_copied_though_a_pattern_names_them(
    package: Path, tmp_path: Path
) -> None:
    (package.parent / ".gitignore").write_text("model.py\nvenv\n")
    installed = package.parent / "venv/lib/installed"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    results = Results(tmp_path / "results")
    assert (snapshot(results, [package]).folder / "mine/part/model.py").is_file()
    assert (snapshot(results, [installed]).folder / "installed/__init__.py").is_file()


def test_a_link_stays_a_link_and_one_that_leaves_the_project_is_left_out(package: Path, tmp_path: Path) -> None:
    (package.parent / "shared").mkdir()
    (package.parent / "shared/big.txt").write_text("shared")
    targets = {
        "passwd.py": "/etc/passwd", "hosts": "/etc/hosts", "up": "../../..", "nowhere.py": "gone.py", "loop": "loop",
        "same.py": "part/model.py", "again": "part", "shared": "../shared", "absolute.py": f"{package}/part/model.py",
    }  # fmt: skip
    for name, target in targets.items():
        (package / name).symlink_to(target)
    folder = snapshot(Results(tmp_path / "results"), [package]).folder
    links = {path.name: os.readlink(path) for path in (folder / "mine").iterdir() if path.is_symlink()}  # noqa: PTH115
    assert links == {
        "same.py": "part/model.py", "again": "part", "absolute.py": "part/model.py",
        "shared": f"{package.parent}/shared", "data": f"{package}/data",
    }  # fmt: skip
    left_out = json.loads((folder / "code.json").read_text())["left_out"]
    assert left_out["mine/hosts"] == left_out["mine/up"] == "a link out of the project"
    assert left_out["mine/nowhere.py"] == left_out["mine/loop"] == "a link that leads nowhere"
    assert damage(folder) is None


def test_large_and_binary_files_are_links_and_folders_of_settings_are_copied(package: Path, tmp_path: Path) -> None:
    for name, text in {"big.csv": "x" * 1_000_001, "weights.bin": "w", "settings/a/b.yaml": "a: 1"}.items():
        (package / name).parent.mkdir(exist_ok=True, parents=True)
        (package / name).write_text(text)
    (package / "many").mkdir()
    for number in range(250):
        (package / f"many/{number}.json").touch()
    os.mkfifo(package / "pipe.py")
    made = snapshot(Results(tmp_path / "results"), [package])
    links = {path.name for path in (made.folder / "mine").iterdir() if path.is_symlink()}
    assert links == {"big.csv", "weights.bin", "many", "data"}
    assert (made.folder / "mine/settings/a/b.yaml").read_text() == "a: 1"
    assert made.notes[0].startswith("the snapshot of the code leaves out mine/.env (its name is that of a secret), ")
    assert "mine/pipe.py (it is neither a file nor a folder)" in made.notes[0]


def test_only_its_owner_can_read_a_snapshot(package: Path, tmp_path: Path) -> None:
    (package / "new.py").write_text("# new\n")
    folder = snapshot(Results(tmp_path / "results"), [package]).folder
    modes = {path.lstat().st_mode & 0o7777 for path in (folder, *folder.rglob("*")) if not path.is_symlink()}
    assert modes == {0o700, 0o600}


def changed(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"#")


DAMAGE = {
    "mine/part/model.py has changed": lambda folder: changed(folder / "mine/part/model.py"),
    "mine/__init__.py has changed": lambda folder: (folder / "mine/__init__.py").write_text(""),
    "mine/part/model.py is missing": lambda folder: (folder / "mine/part/model.py").unlink(),
    "torch.py was added": lambda folder: (folder / "torch.py").touch(),
    "mine/data has changed": lambda folder: (
        (folder / "mine/data").unlink(),
        (folder / "mine/data").symlink_to("/etc"),
    ),
    "files.sha256 has changed": lambda folder: changed(folder / "files.sha256"),
    "files.sha256 cannot be read": lambda folder: (folder / "files.sha256").unlink(),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_snapshot_is_told_and_another_copy_is_used_and_it_is_not_touched(
    package: Path, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ablate.records.code.PACKAGE", package)
    results = Results(tmp_path / "results")
    first = snapshot(results).folder
    assert damage(first) is None
    DAMAGE[what](first)
    before = {path: path.lstat().st_mtime_ns for path in first.rglob("*")}
    assert what in str(damage(first))
    second = checked(first)
    assert (second.digest, damage(second.folder)) == (f"{first.name}-2", None)
    assert any(what in note and str(first) in note for note in second.notes)
    assert snapshot(results).folder == second.folder
    assert {path: path.lstat().st_mtime_ns for path in first.rglob("*")} == before


@pytest.mark.parametrize("gone", ["changed", "removed", "unknown"])
def test_a_damaged_snapshot_of_code_that_has_changed_since_is_refused(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    monkeypatch.setattr("ablate.records.code.PACKAGE", package / "part")
    folder = snapshot(Results(tmp_path / "results"), [package]).folder
    (folder / "mine/__init__.py").write_text("")
    if gone == "changed":
        (package / "__init__.py").write_text("# later\n")
    elif gone == "removed":
        shutil.rmtree(package)
    else:
        (folder / "code.json").write_text('{"sources": [3]}')
    with pytest.raises(UserError, match=r"cannot be used: mine/__init__.py has changed\n.*the code has changed since"):
        checked(folder)


def test_caches_that_python_wrote_into_a_snapshot_are_removed_and_are_no_damage(package: Path, tmp_path: Path) -> None:
    folder = snapshot(Results(tmp_path / "results"), [package]).folder
    (folder / "mine/part/__pycache__").mkdir()
    (folder / "mine/part/__pycache__/model.cpython-311.pyc").write_bytes(b"other code")
    assert checked(folder).folder == folder
    assert not (folder / "mine/part/__pycache__").exists()


def test_sha256sum_can_check_a_snapshot(package: Path, tmp_path: Path) -> None:
    folder = snapshot(Results(tmp_path / "results"), [package]).folder
    command = ("sha256sum", "--quiet", "--check", "files.sha256")
    assert subprocess.run(command, cwd=folder, check=True, capture_output=True).stderr == b""
    (folder / "ablate/cli.py").write_text("")
    assert subprocess.run(command, cwd=folder, check=False, capture_output=True).returncode == 1


def test_every_file_and_folder_is_synced_before_the_snapshot_has_its_name(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ablate.records.code.PACKAGE", package)
    synced: set[tuple[int, int]] = set()
    at_rename: list[set[tuple[int, int]]] = []
    fsync, rename = os.fsync, Path.rename

    def identity(status: os.stat_result) -> tuple[int, int]:
        return status.st_dev, status.st_ino

    def noted(descriptor: int) -> None:
        synced.add(identity(os.fstat(descriptor)))
        fsync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        at_rename.append(set(synced))
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Path, "rename", renamed)
    folder = snapshot(Results(tmp_path / "results")).folder
    written = {identity(path.lstat()) for path in (folder, *folder.rglob("*")) if not path.is_symlink()}
    assert written <= at_rename[0]
    assert identity(folder.parent.stat()) in synced - at_rename[0]


def test_the_trainer_s_commit_is_recorded_beside_that_of_ablate(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(package.parent)
    _project.cache_clear()
    (package / "part/model.py").write_text("# changed\n")
    known = provenance(trainer="mine.part.model:train")
    assert known["project"] == {"name": "mine", "commit": git_state(package).commit, "modified": True}
    assert known["project"]["commit"] != known["commit"]
    assert provenance(trainer="ablate.simclr.trainer:train")["project"] is None
    folder = snapshot(Results(tmp_path / "results"), [package]).folder
    git(package.parent, "commit", "-a", "-m", "second")
    monkeypatch.syspath_prepend(folder)
    _project.cache_clear()
    assert provenance(trainer="mine:train")["project"] == known["project"]


def test_a_password_in_a_url_on_the_command_line_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["ablate", "run", "--set", "url=https://me:hush@example.org/x?a=b@c"])
    assert provenance()["command"][3] == "url=https://***@example.org/x?a=b@c"
