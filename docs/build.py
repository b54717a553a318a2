"""Generate the derived parts of the documents: command help, keys, settings and the output of commands.

    python docs/build.py            rewrite the documents
    python docs/build.py --check    print a diff and exit with 1 if a document is out of date

The function NAME below generates the text between `<!-- generated: NAME -->` and `<!-- end -->`. The commands
(`$ command`) of a `console` block are run in a fresh folder with the checkout's studies, one folder per document, and
their output replaces the block's. A line `...` in the output marks omitted lines. --check ignores values that differ
between runs: times, keys, hardware. In a document with `<!-- runs on: a cluster -->`, commands are run only if
SLURM_CONF is set, as it is by `python -m tests.slurm.cluster COMMAND`.
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
from collections.abc import Callable, Iterable, Iterator
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
    """The help of every command, at 80 columns."""
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
    """The keys of study, profile and suite files, from their schema."""
    from ablate.study.claims import Claim
    from ablate.study.schema.chart import Chart
    from ablate.study.schema.design import DesignTable
    from ablate.study.schema.profile import Assumed, Profile
    from ablate.study.schema.resources import Resources, ResourcesWhen
    from ablate.study.schema.study import Axis, ProfileOverrides, Reference, Study
    from ablate.study.schema.values import Case, Tune
    from ablate.study.suite import Suite

    tables = {
        "A study file": Study, "An axis: `[axes.NAME]`, or `[[zip]]` with `NAME = {...}`": Axis,
        "`[design]`": DesignTable, "`[tune]`": Tune, "A case: `[[cases]]`": Case, "`[resources]`": Resources,
        "`[[resources.when]]`": ResourcesWhen, "`[profile.NAME]`": ProfileOverrides,
        "`[reference]`, or several as `[[reference]]`": Reference, "`[chart]`": Chart, "A claim: `[[claims]]`": Claim,
        "A profile file: `studies/profiles/NAME.toml`": Profile, "`[assumed]` of a profile": Assumed,
        "A suite file: `studies/suites/NAME.toml`": Suite,
    }  # fmt: skip
    written = {title: f"### {title}\n\n{_key_table(model)}" for title, model in tables.items()}
    written["A claim: `[[claims]]`"] += f"\n{_kinds(Claim.kinds(), Claim)}"
    return "\n".join(written.values())


def _kinds(kinds: dict[str, Any], common: Any) -> str:
    """The kinds of claims, each with its additional keys."""
    rows = ["| `kind` | holds if | additional keys |", "|---|---|---|"]
    for kind, model in kinds.items():
        names = [name for name in model.model_fields if name not in common.model_fields]
        keys = "<br>".join(_own_key(model, name) for name in names)
        rows.append(f"| `{kind}` | {' '.join(model.__doc__.split())} | {keys} |")
    return "\n".join(rows) + "\n"


def _own_key(model: Any, name: str) -> str:
    from ablate.study.json_schema import descriptions

    field = model.model_fields[name]
    default = "" if field.is_required() else _toml(field.get_default(call_default_factory=True))
    about = " ".join(descriptions(model).get(name, "").split())
    key = f"`{field.alias or name}`"
    shown = f"{key} ({_takes(model, field.alias or name)}{f', {default}' if default else ''})"
    return f"{shown}: {about}" if about else shown


def cluster_keys() -> str:
    """The keys of a cluster in ablate.toml."""
    from ablate.run.cluster import ClusterTable, Container, FollowUp

    inner = {"follow_up": FollowUp, "container": Container}
    tables = [f"Keys of `{name}`:\n\n{_key_table(model)}" for name, model in inner.items()]
    return "\n".join([_key_table(ClusterTable), *tables])


def settings() -> str:
    """Every setting of the SimCLR trainer with its type, default and description."""
    from ablate.simclr.config import Config

    return _key_table(Config, deep=True)


def _key_table(model: Any, deep: bool = False, prefix: str = "") -> str:
    from ablate.study.json_schema import descriptions

    rows = ["| key | type | default | description |", "|---|---|---|---|"] if not prefix else []
    texts = descriptions(model)
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
        default = "required" if needed else _toml(field.get_default(call_default_factory=True))
        description = " ".join(texts.get(name, "").split()).replace("|", "\\|")
        name = field.alias or name
        rows.append(f"| `{prefix}{name}` | {_takes(model, name)} | {default} | {description} |")
    return "\n".join(rows) + ("" if prefix else "\n")


def _takes(model: Any, name: str) -> str:
    """The type of a key in words, from its JSON Schema."""
    whole = model.model_json_schema()
    schema = whole.get("$defs", {}).get(model.__name__, whole)["properties"][name]  # in $defs if the model is recursive
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


def json_output() -> str:
    """The objects that each command prints with --json, from their schema."""
    from ablate.commands.json_schema import OUTPUTS, output_schema

    return "\n".join(_output(command, output_schema(command)) for command in OUTPUTS)


def _output(command: str, schema: dict[str, Any]) -> str:
    shape = _shape(schema)
    parts = [f"## {command}\n\nPrints {'a ' if shape.startswith('list') else ''}{shape}.\n"]
    inner = schema["$defs"]
    for name in sorted(inner, key=lambda name: (name not in shape.split(), name)):  # what it prints comes first
        each = inner[name]
        parts.append(f"**{name}.** {' '.join(each.get('description', '').split())}\n\n{_fields(each)}")
    return "\n".join(parts)


def _fields(schema: dict[str, Any]) -> str:
    """The fields of an object; the keys of a claim, which are optional and may have any value, in one row."""
    rows, free = ["| field | value | description |", "|---|---|---|"], []
    for name, field in schema["properties"].items():
        if not field and name not in schema["required"]:
            free.append(f"`{name}`")
            continue
        about = " ".join(field.get("description", "").split()).replace("|", "\\|")
        left_out = "" if name in schema["required"] else ", not always there"
        rows.append(f"| `{name}` | {_shape(field)}{left_out} | {about} |")
    rows += [f"| {', '.join(free)} | as in the study file | those that the claim has |"] if free else []
    return "\n".join(rows) + "\n"


def _shape(schema: dict[str, Any]) -> str:
    """What a value may be, in words: `a list of Trial, or null`."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(map(_shape, schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    if "prefixItems" in schema:
        return f"list: {', '.join(map(_shape, schema['prefixItems']))}"
    if "items" in schema:
        return f"list of {_shape(schema['items'])}"
    inner = schema.get("additionalProperties")
    if isinstance(inner, dict):
        return f"object: name \u2192 {_shape(inner)}"
    names = {"string": "text", "integer": "whole number", "boolean": "true or false"}
    kind = str(schema.get("type", "any value"))
    return names.get(kind, kind)


def published() -> str:
    """The studies of results/published with their claims and verdicts."""
    from ablate.records.published import published_files, restored
    from ablate.report.reading import read_study
    from ablate.report.tables import as_markdown, tables

    names = ("study", "profile", "images", "trials", "seeds", "hours", "correlation with the paper", "best cell")
    rows, claims = [_row(names), _row(["---"] * len(names))], []
    with restored(published_files([ROOT / "results" / "published"])) as found:
        for (study, profile), results in sorted(found.items()):
            reading = read_study(results, str(ROOT / "studies" / f"{study}.toml"), profile)
            file = (results.published or results.root).relative_to(ROOT).as_posix()
            rows.append(_row(_published_row(reading, file)))
            if reading.judged.verdicts:
                claims.append(f"### {reading.judged.plan.title}, at `{profile}`\n\n{as_markdown(tables(reading)[-1:])}")
    return "\n".join([*rows, "", *claims])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _published_row(reading: Any, file: str) -> list[str]:
    """The row of a study in the table of what is published."""
    from ablate.report.provenance import cost
    from ablate.report.render.names import Names

    measured, data = reading.measured, reading.measured.config["data"]
    images = "synthetic textures" if measured.synthetic else f"`{data['root'] or data['name']}`"
    done = [cell for cell in measured.cells if cell.mean is not None]
    seeds = sorted({len(cell.measured) for cell in done})
    best = max(done, key=lambda cell: cell.mean)
    agreement = measured.rank_correlation
    return [
        f"[{measured.plan.title}](../{file})",
        f"`{measured.plan.profile}`",
        images,
        f"{measured.done} of {measured.asked}",
        " to ".join(map(str, dict.fromkeys((seeds[0], seeds[-1])))),
        f"{cost(reading).hours:.1f}",
        "\u2013" if agreement is None else f"{agreement:.2f}",
        f"{Names(measured).cells[measured.cells.index(best)]}: {measured.shown(best.mean)}",
    ]


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
    "json-output": json_output,
    "published": published,
}


def built(document: Path) -> str:
    """The document with its derived parts regenerated."""
    text = document.read_text(encoding="utf-8")
    text = _GENERATED.sub(lambda found: f"{found[1]}\n{GENERATED[found[2]]()}\n{found[4]}", text)
    if not _CONSOLE.search(text) or (_ON_A_CLUSTER in text and "SLURM_CONF" not in os.environ):
        return text
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "studies", Path(folder) / "studies")
        return _STEP.sub(lambda found: _step(found, Path(folder)), text)


def _step(found: re.Match[str], folder: Path) -> str:
    """Write a file that the document shows, or run a console block; returns the text that replaces it."""
    if found["name"]:
        path = folder / found["name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found["content"], encoding="utf-8")
        return found[0]
    return f"```console\n{_console(found['console'], folder)}```"


def _console(block: str, folder: Path) -> str:
    """The block with new output; output abbreviated with `...` keeps only as many first and last lines as before."""
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
    """The commands of a block, each with its output lines."""
    found: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found and not line.startswith("(exit code"):
            found[-1][1].append(line)
    return found


def _run(command: list[str], folder: Path) -> tuple[int, str]:
    """Exit code and output of a command in an 80-column terminal."""
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
            except OSError:  # closed: the command and all its children have ended
                break
            if not part:
                break
            output += part
    os.close(ours)
    lines = output.decode().replace("\r\n", "\n").splitlines()
    return process.returncode, "\n".join(line.rstrip() for line in lines)


def comparable(text: str) -> str:
    """The document without values that differ between runs and machines: numbers, keys, times, precision."""
    text = text.replace("bfloat16", "float32")
    text = re.sub(r"\b(?=[a-f]*\d)[0-9a-f]{7,64}\b", "0", text)
    text = re.sub(r"[-+]?\d[\d.,]*(?:e[-+]?\d+)?", "0", text)
    text = re.sub(r"(?:\b0 (?:days|h|min|s|bytes|kB|MB|GB)\b ?)+", "AMOUNT ", text)
    text = re.sub(r"[\w.]+\u2026", "CUT", text)
    text = re.sub(r"\b0 running(?:, 0 queued)?", "0 queued", text)  # whether a job has started depends on the cluster
    return (
        re.sub(r"[ \t]*\n[ \t]*|[ \t]+", " ", text).replace(" # ", "\n# ").replace(" $ ", "\n$ ").replace(" | ", "\n| ")
    )


def main() -> int:
    """Rewrite or check all documents; returns the exit code."""
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
            print("\n".join(difflib.unified_diff(*lines, name, f"{name}, regenerated", lineterm="")))
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
