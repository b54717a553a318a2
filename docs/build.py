"""Writes into the documents what can be derived: help of the commands, keys, settings, output of what they show.

    python docs/build.py            rewrite
    python docs/build.py --check    exit code 1, with a diff, where a document is not what it would be

Between `<!-- generated: NAME -->` and `<!-- end -->` stands what the function of that name gives. A block of the
language `console` is run line by line (`$ command`) in a fresh folder with the checkout's studies, document by
document; its output replaces what stands there. A line `...` in it stands for lines that are left out, and numbers
that differ from run to run (times, keys, hardware) are not compared by --check. A document that says
`<!-- runs on: a cluster -->` has its consoles run only where SLURM_CONF names one, as it does for a command after
`python -m tests.slurm.cluster`.
"""

import argparse
import difflib
import fcntl
import os
import platform
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ablate.records.provenance import provenance

ROOT = Path(__file__).parents[1]
_GENERATED = re.compile(r"(<!-- generated: ([\w-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_CONSOLE = re.compile(r"```console\n")
_ON_A_CLUSTER = "<!-- runs on: a cluster -->"
_STEP = re.compile(
    r"<!-- file: (?P<name>[\w/.-]+) -->\n```\w+\n(?P<content>.*?)```|```console\n(?P<console>.*?)```", re.DOTALL
)


def commands() -> str:
    """Each command's own help, at 80 columns."""
    from typer.main import get_command

    from ablate.cli import app

    return "\n".join(_help(name, command) for name, command in _all_commands(get_command(app), "ablate"))


def _all_commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    for child, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from _all_commands(command, f"{name} {child}")
        else:
            yield f"{name} {child}", command


def _help(name: str, command: Any) -> str:
    shown = _run([*name.split(), "--help"], ROOT)[1].strip()
    return f"## {name}\n\n```text\n{shown}\n```\n"


def study_keys() -> str:
    """The keys of a study file, table by table, from the schema."""
    from ablate.study.chart import Chart
    from ablate.study.claims import KINDS, Claim
    from ablate.study.schema import Assumed, Axis, Case, Profile, ProfileOverrides, Reference, Resources, Study
    from ablate.study.suite import Suite

    tables = {
        "A study file": Study, "An axis: `[axes.NAME]`, or `[[zip]]` with `NAME = {...}`": Axis,
        "A case: `[[cases]]`": Case, "`[resources]`": Resources, "`[profile.NAME]`": ProfileOverrides,
        "`[reference]`, or several as `[[reference]]`": Reference, "`[chart]`": Chart, "A claim: `[[claims]]`": Claim,
        "A profile file: `studies/profiles/NAME.toml`": Profile, "`[assumed]` of a profile": Assumed,
        "A suite file: `studies/suites/NAME.toml`": Suite,
    }  # fmt: skip
    written = {title: f"### {title}\n\n{_key_table(model)}" for title, model in tables.items()}
    written["A claim: `[[claims]]`"] += f"\n{_kinds(KINDS, Claim)}"
    return "\n".join(written.values())


def _kinds(kinds: dict[str, Any], common: Any) -> str:
    """The kinds of claims, each with the keys that it has beside those of all."""
    rows = ["| `kind` | it holds where | keys of its own |", "|---|---|---|"]
    for kind, model in kinds.items():
        names = [name for name in model.model_fields if name not in common.model_fields]
        keys = "<br>".join(_own_key(model, name) for name in names)
        rows.append(f"| `{kind}` | {' '.join(model.__doc__.split())} | {keys} |")
    return "\n".join(rows) + "\n"


def _own_key(model: Any, name: str) -> str:
    field = model.model_fields[name]
    default = "" if field.is_required() else _toml(field.get_default(call_default_factory=True))
    about = " ".join((field.description or "").split())
    key = f"`{field.alias or name}`"
    shown = f"{key} ({_takes(model, field.alias or name)}{f', {default}' if default else ''})"
    return f"{shown}: {about}" if about else shown


def cluster_keys() -> str:
    """The keys of a cluster in the cluster file."""
    from ablate.run.slurm.clusters import ClusterTable, FollowUp

    return f"{_key_table(ClusterTable)}\nOf `follow_up`:\n\n{_key_table(FollowUp)}"


def settings() -> str:
    """Every setting of the SimCLR trainer, with what it takes, its default and what it is."""
    from ablate.simclr.config import Config

    return _key_table(Config, deep=True)


def _key_table(model: Any, deep: bool = False, prefix: str = "") -> str:
    rows = ["| key | takes | default | |", "|---|---|---|---|"] if not prefix else []
    for name, field in model.model_fields.items():
        inner = (
            field.annotation
            if isinstance(field.annotation, type) and hasattr(field.annotation, "model_fields")
            else None
        )
        if deep and inner:
            rows.append(_key_table(inner, deep, f"{prefix}{name}."))
            continue
        needed = field.is_required() or name in getattr(model, "needed", ())
        default = "needed" if needed else _toml(field.get_default(call_default_factory=True))
        description = " ".join((field.description or "").split()).replace("|", "\\|")
        name = field.alias or name
        rows.append(f"| `{prefix}{name}` | {_takes(model, name)} | {default} | {description} |")
    return "\n".join(rows) + ("" if prefix else "\n")


def _takes(model: Any, name: str) -> str:
    """What a key takes, in words, from its JSON Schema."""
    whole = model.model_json_schema()
    schema = whole.get("$defs", {}).get(model.__name__, whole)["properties"][name]  # apart where it holds itself
    kinds = [_kind(part) for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
    return " or ".join(dict.fromkeys(kinds)).replace("|", "\\|")


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{choice}`" for choice in schema.get("enum", [schema.get("const")]))
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = " and ".join(f"{sign} {schema[key]:g}" for key, sign in limits.items() if key in schema)
    names = {
        "string": "text",
        "integer": "whole number",
        "number": "number",
        "boolean": "true or false",
        "array": "list",
    }
    kind = names.get(schema.get("type", ""), "table")
    if kind == "list" and "enum" in schema.get("items", {}):
        return f"list of {_kind(schema['items'])}"
    return f"{kind} {bounds}".strip()


def _toml(value: Any) -> str:
    if value is None or hasattr(type(value), "model_fields"):
        return ""
    if value in ([], {}, ()):
        return ""
    shown = str(list(value) if isinstance(value, tuple) else value).replace("'", '"')
    text = f'"{value}"' if isinstance(value, str) else shown.lower() if isinstance(value, bool) else shown
    return f"`{text}`"


_OF_THIS_MACHINE = {
    f" {platform.node()}, ": " laptop, ",
    str(provenance()["processor"]): "a processor",
    f", {sys.executable}": ", /home/you/ablate/.venv/bin/python",
    str(ROOT): "/home/you/ablate",
}
GENERATED: dict[str, Callable[[], str]] = {
    "commands": commands,
    "study-keys": study_keys,
    "cluster-keys": cluster_keys,
    "settings": settings,
}


def built(document: Path) -> str:
    """The document with everything in it as it is now."""
    text = document.read_text(encoding="utf-8")
    text = _GENERATED.sub(lambda found: f"{found[1]}\n{GENERATED[found[2]]()}\n{found[4]}", text)
    if not _CONSOLE.search(text) or (_ON_A_CLUSTER in text and "SLURM_CONF" not in os.environ):
        return text
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "studies", Path(folder) / "studies")
        return _STEP.sub(lambda found: _step(found, Path(folder)), text)


def _step(found: re.Match[str], folder: Path) -> str:
    """A file that the document shows is written; a console is run."""
    if found["name"]:
        path = folder / found["name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found["content"], encoding="utf-8")
        return found[0]
    return f"```console\n{_console(found['console'], folder)}```"


def _console(block: str, folder: Path) -> str:
    """A block's commands with their output; where `...` stood among a command's lines, only its first and last ones."""
    shown = []
    for command, before in _commands_in(block):
        code, output = _run(["bash", "-c", command], folder)
        for here, shown_as in _OF_THIS_MACHINE.items():
            output = output.replace(here, shown_as) if here else output
        output = output.replace(str(folder.resolve()), "/home/you/study")
        lines = output.rstrip("\n").splitlines()
        if "..." in before:
            head = before.index("...")
            tail = len(before) - head - 1
            lines = [*lines[:head], "...", *(lines[-tail:] if tail else [])]
        shown += [f"$ {command}", *lines, *([f"(exit code {code})"] if code else [])]
    return "\n".join(shown) + "\n"


def _commands_in(block: str) -> list[tuple[str, list[str]]]:
    """The commands of a block, each with the lines that stand below it."""
    found: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found and not line.startswith("(exit code"):
            found[-1][1].append(line)
    return found


def _run(command: list[str], folder: Path) -> tuple[int, str]:
    """Exit code and output of a command in a terminal of 80 columns."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ABLATE_", "PYTEST_"))}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment |= {"COLUMNS": "80", "LINES": "50", "NO_COLOR": "1", "TERM": "dumb"}
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 80, 0, 0))
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        output = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed: the command and all that it started are gone
                break
            if not part:
                break
            output += part
    os.close(ours)
    lines = output.decode().replace("\r\n", "\n").splitlines()
    return process.returncode, "\n".join(line.rstrip() for line in lines)


def comparable(text: str) -> str:
    """A document without what differs between runs and machines: numbers, keys, times, precision, a job's start."""
    text = text.replace("bfloat16", "float32")
    text = re.sub(r"\b(?=[a-f]*\d)[0-9a-f]{7,64}\b", "0", text)
    text = re.sub(r"[-+]?\d[\d.,]*(?:e[-+]?\d+)?", "0", text)
    text = re.sub(r"(?:\b0 (?:days|h|min|s|bytes|kB|MB|GB)\b ?)+", "AMOUNT ", text)
    text = re.sub(r"[\w.]+\u2026", "CUT", text)
    text = re.sub(r"\b0 running(?:, 0 queued)?", "0 queued", text)  # whether a job has begun is the cluster's affair
    return (
        re.sub(r"[ \t]*\n[ \t]*|[ \t]+", " ", text).replace(" # ", "\n# ").replace(" $ ", "\n$ ").replace(" | ", "\n| ")
    )


def main() -> int:
    """Rewrite or check all documents; the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("documents", nargs="*", type=Path)
    arguments = parser.parse_args()
    wrong = 0
    for document in arguments.documents or sorted((ROOT / "docs").glob("*.md")):
        before, after = document.read_text(encoding="utf-8"), built(document)
        if not arguments.check:
            document.write_text(after, encoding="utf-8")
        elif comparable(before) != comparable(after):
            wrong += 1
            name = str(document)
            lines = (comparable(before).splitlines(), comparable(after).splitlines())
            print("\n".join(difflib.unified_diff(*lines, name, f"{name} as it would be", lineterm="")))
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
