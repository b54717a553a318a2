"""The cluster file: its keys, where it is looked for, and the messages for its errors."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ablate.errors import UserError
from ablate.run.cluster import Cluster
from ablate.run.cluster_file import cluster_schema, find_cluster, new_cluster, read_clusters

GOOD = """
[cluster.big]
partition = "gpu"
time = "24h"
most_jobs = 16
setup = ["module load cuda"]
follow_up.time = "10min"

[cluster.big.options]
mail_type = "FAIL"
exclusive = true
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of settings, empty."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "config" / "ablate").mkdir(parents=True)
    return tmp_path / "config" / "ablate"


def found(folder: Path, text: str, name: str = "slurm") -> Cluster:
    (folder / "ablate.toml").write_text(text)
    return find_cluster(name, folder)


def message_for(folder: Path, text: str, name: str = "slurm") -> str:
    with pytest.raises(UserError) as error:
        found(folder, text, name)
    return str(error.value)


def test_a_cluster_is_what_its_table_says_and_its_options_are_spelled_as_sbatch_spells_them(tmp_path: Path) -> None:
    cluster = found(tmp_path, GOOD, "big")
    assert (cluster.name, cluster.partition, cluster.follow_up.time) == ("big", "gpu", "10min")
    assert cluster.options == {"mail-type": "FAIL", "exclusive": True}
    assert Cluster.model_validate_json(cluster.model_dump_json()) == cluster


def test_slurm_is_the_only_cluster_and_without_a_file_slurms_own_defaults(tmp_path: Path) -> None:
    assert find_cluster("slurm", tmp_path) == Cluster()
    assert found(tmp_path, GOOD).name == "big"
    text = message_for(tmp_path, GOOD + "[cluster.small]\n")
    assert "--on slurm means the only cluster of ablate.toml, but there are 2" in text
    assert "clusters are: big, small" in text


def test_the_projects_file_takes_precedence_and_the_users_adds_clusters(tmp_path: Path, home: Path) -> None:
    (home / "ablate.toml").write_text('[cluster.big]\npartition = "old"\n[cluster.home]\npartition = "mine"\n')
    assert found(tmp_path, GOOD, "big").partition == "gpu"
    assert find_cluster("home", tmp_path).partition == "mine"


def test_an_unknown_cluster_is_reported_with_the_nearest_name_or_how_to_create_it(tmp_path: Path) -> None:
    assert "there is no cluster 'bigg'; did you mean 'big'?" in message_for(tmp_path, GOOD, "bigg")
    (tmp_path / "ablate.toml").unlink()
    with pytest.raises(UserError, match="ablate new bigg --cluster"):
        find_cluster("bigg", tmp_path)


def test_an_unknown_key_is_reported_with_file_line_column_caret_and_nearest_name(tmp_path: Path) -> None:
    assert message_for(tmp_path, '[cluster.big]\npartitin = "gpu"\n').startswith(
        "error: unknown key 'partitin' in cluster.big; did you mean 'partition'?\n"
        f"  --> {tmp_path}/ablate.toml:2:1\n"
        "  |\n"
        '2 | partitin = "gpu"\n'
        "  | ^^^^^^^^\n"
        "  help: keys are: partition, account,"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('time = "soon"', "time = 'soon' must be a duration"),
        ('memory_cap = "much"', "memory_cap = 'much' must be an amount of memory"),
        ('memory_cap = "much"', 'for example memory_cap = "256GB"'),
        ('setup = "module load"', "setup = 'module load' must be a list"),
        ('setup = ["""a\nb"""]', "must be one line"),
        ("most_jobs = 0", "most_jobs = 0 must be greater than or equal to 1"),
        ('on_finish = "http://me.example"', "must be a command, or an address that begins with https://"),
        ('on_finish = "echo done | mail me"', 'write on_finish = ["bash", "-c", "echo done | mail me"]'),
        ('on_finish = "echo \'done"', "cannot be split into words: No closing quotation"),
        ('options.gres = "gpu:{gpu}"', "has an unknown placeholder {gpu}"),
        ('options.clusters = "second"', "write clusters = ... in the cluster's table"),
        ('clusters = "a,b"', "must name one cluster"),
        ('clusters = "all"', "must name one cluster"),
        ('gpu_type = "gpu:a100"', "gpu_type = 'gpu:a100'"),
        ('memory = "per_job"', "memory = 'per_job'"),
        ("whole_nodes = true", "needs the number of GPUs of a node"),
        ('paths = { "~/here" = "/home" }', "paths has '~/here', which is not an absolute path"),
        ('prefix = "ssh login"', "prefix = 'ssh login' must be a list"),
        ("container = {}", "must have exactly one image"),
        ('container = { apptainer = "a", pyxis = "b" }', "must have exactly one image"),
        ('container.image = "a"', "unknown key 'image' in cluster.big.container"),
        ('follow_up.options.array = "0-9"', "is set by ablate itself"),
        ('options.array = "0-9"', "options.array is set by ablate itself"),
        ("options.nodes = 2", "write nodes into [resources]"),
        ('options.partition = "gpu"', "write partition = ... in the cluster's table"),
        ("options.exclusive = false", "must be text, a whole number, or true"),
        ('options."--mail-type" = "FAIL"', "must be a long option of sbatch, without its dashes"),
        ('follow_up.tim = "1h"', "unknown key 'tim' in cluster.big.follow_up; did you mean 'time'?"),
    ],
)
def test_an_invalid_value_is_reported_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    text = message_for(tmp_path, f"[cluster.big]\n{line}\n")
    assert message in text
    assert f"{tmp_path}/ablate.toml:2:" in text


@pytest.mark.parametrize("text", ['partition = "gpu"\n', '[big]\npartition = "gpu"\n'])
def test_a_key_outside_of_the_clusters_is_reported(tmp_path: Path, text: str) -> None:
    assert "must be inside a cluster's table" in message_for(tmp_path, text)


def test_all_errors_are_reported_at_once(tmp_path: Path) -> None:
    assert message_for(tmp_path, '[cluster.a]\ntime = "x"\n[cluster.b]\nqos = 3\n').count("error: ") == 2


def test_a_new_cluster_is_appended_to_the_file(tmp_path: Path) -> None:
    new_cluster("first", tmp_path)
    path = new_cluster("second", tmp_path)
    assert list(read_clusters(path)) == ["first", "second"]
    with pytest.raises(UserError, match="already has a cluster 'first'"):
        new_cluster("first", tmp_path)


def test_every_commented_line_of_the_template_is_valid(tmp_path: Path) -> None:
    path = new_cluster("big", tmp_path)
    text = path.read_text().replace("# ", "").replace("Options of", "# Options").replace("Further sbatch", "# Further")
    lines = [line for line in text.splitlines() if " = " in line or line.startswith("[")]
    path.write_text("\n".join(line.partition("    ")[0] for line in lines))
    assert read_clusters(path)["big"].memory_cap == "256GB"


def test_the_schema_accepts_valid_files_and_rejects_unknown_keys() -> None:
    validator = jsonschema.Draft202012Validator(cluster_schema())
    validator.validate(tomllib.loads(GOOD))
    wrong: dict[str, Any] = {"cluster": {"big": {"partitin": "gpu"}}}
    assert list(validator.iter_errors(wrong)) != []


def test_the_command_writes_a_cluster_and_prints_the_schema(tmp_path: Path) -> None:
    def ablate(*arguments: str) -> str:
        command = [sys.executable, "-m", "ablate", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert "ablate doctor --on big" in ablate("new", "big", "--cluster")
    assert json.loads(ablate("schema", "--cluster-file"))["title"] == "ablate clusters"
