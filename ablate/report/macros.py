"""Numbers for papers: every number and verdict of a study as a LaTeX macro, and checking a paper that uses them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.errors import UserError, visible
from ablate.judge import wording
from ablate.report.render.text import latex, latex_name

if TYPE_CHECKING:
    from ablate.judge.verdict import Verdict
    from ablate.report.reading import Reading

HEAD = "% ablate:"
_DEFINITIONS = r"""
\providecommand{\ablate}[1]{\ifcsname ablate@#1\endcsname\csname ablate@#1\endcsname\else
  \errmessage{ablate: number #1 is not defined}\fi}
\providecommand{\ablatenumber}[3]{\ifcsname ablate@#1:#2\endcsname\else
  \ifcsname ablate@#2\endcsname
    \expandafter\def\csname ablate@#2\endcsname{\errmessage{ablate: several studies have #2; write #1:#2}}%
  \else\expandafter\def\csname ablate@#2\endcsname{#3}\fi
  \expandafter\def\csname ablate@#1:#2\endcsname{#3}\fi}
"""
"""The first file defines them. A name without its study works as long as only one study has it."""
_NUMBER = re.compile(r"^\\ablatenumber\{([^{}]*)\}\{([^{}]*)\}\{(.*)\}(?: %.*)?$", re.MULTILINE)
_USED = re.compile(r"\\ablate\{([^{}]*)\}")
_INCLUDED = re.compile(r"\\(?:input|include|subfile)\s*\{([^{}]+)\}")
_COMMENT = re.compile(r"(?<!\\)(?:\\\\)*%.*")
_SHORT = 12
_LONGEST_NAME = 200
"""Characters of a cell's name; of two cells that then have the same name, the second gets a number."""


def head(reading: Reading, records: str) -> str:
    """The first line of a file for a paper, by which `ablate verify` finds its records."""
    study, profile = reading.study_profile
    return visible(f"{HEAD} study {study}, profile {profile}, results {records}") + "\n"  # no line end leaves it


def as_macros(reading: Reading, records: str) -> str:
    r"""The file `numbers.tex`, which lets a paper write `\ablate{A1.effect}`.

    records: path of the results folder, or of a file of published records.
    """
    study, _ = reading.study_profile
    lines = [head(reading, records) + _DEFINITIONS.strip()]
    for name, value, note in _numbers(reading):
        given = "".join(f"{{{each}}}" for each in (latex_name(study), latex_name(name), latex(value)))
        lines.append(f"\\ablatenumber{given}{f' % {visible(note)}' if note else ''}")
    return "\n".join(lines) + "\n"


def _numbers(reading: Reading) -> Iterator[tuple[str, str, str]]:
    """(name, value, keys of the trials behind it) of everything that a paper may cite."""
    measured = reading.measured
    yield "study.profile", measured.plan.profile, ""
    yield "study.trials", str(len(measured.trials)), ""
    for verdict in reading.judged.verdicts:
        for part, value in _of_claim(verdict):
            yield f"{verdict.claim.id}.{part}", value, ""
    taken: set[str] = set()
    for number, cell in enumerate(measured.cells):
        name = cell.case or ",".join(f"{axis}={value}" for axis, value in cell.axes.items()) or "cell"
        name = re.sub(r"[^A-Za-z0-9_.=,+/-]", "-", name)[:_LONGEST_NAME]
        name = name if name not in taken else f"{name}+{number + 1}"
        taken.add(name)
        keys = [trial.key[:_SHORT] for trial in measured.trials if trial.cell == number and trial.value is not None]
        note = f"trials {' '.join(keys)}" if keys else ""
        yield f"{name}.mean", measured.shown(cell.mean), note
        yield f"{name}.seeds", str(len(cell.measured)), note
        if cell.interval is not None:
            low, high = cell.interval
            yield f"{name}.low", measured.shown(low), note
            yield f"{name}.high", measured.shown(high), note
            yield f"{name}.half", measured.shown((high - low) / 2), note
        if cell.paper is not None:
            yield f"{name}.paper", measured.shown(cell.paper.value), ""


def _of_claim(verdict: Verdict) -> Iterator[tuple[str, str]]:
    yield "verdict", verdict.label
    if (decision := verdict.decision) is None:
        return
    yield "effect", f"{decision.effect:+.3g}".replace("-", "\u2212")
    yield "seeds", str(decision.seeds)
    if decision.interval is not None:
        low, high = (f"{value:.3g}".replace("-", "\u2212") for value in decision.interval)
        yield "low", low
        yield "high", high
        yield "interval", f"[{low}, {high}]"
    if decision.adjusted_p is not None:
        yield "p", wording.p_value(decision.adjusted_p)


def check_paper(paper: Path, folder: Path | None) -> list[str]:
    r"""What no longer agrees in a LaTeX file and the files that it includes: a sentence for each.

    Compared with the records are the tables and numbers that `ablate report --format latex` wrote; a name in
    `\ablate{...}` must be defined by one of them. folder: the results folder, or a file of published records; by
    default what a file names.
    """
    texts = _with_included(paper)
    found: list[str] = []
    defined: dict[str, set[str]] = {}
    ours = {path: text for path, text in texts.items() if text.startswith(HEAD)}
    if not ours:
        help = "write them with `ablate report STUDY --format latex`, and \\input numbers.tex or tables.tex"
        raise UserError(f"{paper} includes no numbers and no tables of ablate", help=help)
    for path, text in ours.items():
        found += [f"{path}: {each}" for each in _outdated(path, text, folder)]
        for study, name, _ in _NUMBER.findall(text):
            defined.setdefault(name, set()).add(study)
            defined.setdefault(f"{study}:{name}", set()).add(study)
    for path, text in texts.items():
        if path in ours:
            continue
        for line, words in enumerate(text.splitlines(), 1):
            for name in _USED.findall(_COMMENT.sub("", words)):
                if len(studies := defined.get(name, set())) != 1:
                    why = f"is in several studies ({', '.join(sorted(studies))})" if studies else "is not defined"
                    found.append(f"{path}:{line}: \\ablate{{{name}}} {why}")
    return found


def _with_included(path: Path) -> dict[Path, str]:
    """A LaTeX file and those that it includes, by paths relative to the first one's folder, as LaTeX takes them."""
    texts: dict[Path, str] = {}
    pending = [path]
    while pending:
        file = pending.pop(0)
        if file in texts:
            continue
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{file} is not UTF-8", help="save it in UTF-8") from error
        except OSError as error:
            raise UserError(f"{file} cannot be read: {error.strerror or error}") from error
        texts[file] = text
        if not text.startswith(HEAD):
            for name in _INCLUDED.findall("\n".join(_COMMENT.sub("", line) for line in text.splitlines())):
                other = path.parent / name.strip()
                other = other if other.suffix == ".tex" else other.with_name(f"{other.name}.tex")
                pending += [other] if other.is_file() else []
    return texts


def _outdated(path: Path, text: str, folder: Path | None) -> Iterator[str]:
    """How a file of tables or numbers differs from the one that its records give now."""
    from ablate.report.reading import read_study
    from ablate.report.tables import as_latex, tables
    from ablate.report.verify import records_at

    first = text.partition("\n")[0]
    if not (said := re.fullmatch(rf"{HEAD} study (\S+), profile (.+?), results (.+)", first)):
        raise UserError(f"{path}: its first line does not name a study", help="write it again with ablate report")
    study, profile, records = said.groups()
    with records_at(folder or path.parent / records) as results:
        reading = read_study(results, study, profile)
    if "\\ablatenumber" not in text:
        made = f"{first}\n{as_latex(tables(reading))}"
        pairs = list(zip(text.splitlines(), made.splitlines(), strict=False))
        yield from (f"the file has {one}, the records give {two}" for one, two in pairs if one != two)
        if len(text.splitlines()) != len(made.splitlines()):
            yield "the rows of the tables differ from those of the records"
        return
    was = {name: value for _, name, value in _NUMBER.findall(text)}
    now = {name: value for _, name, value in _NUMBER.findall(as_macros(reading, records))}
    for name in dict.fromkeys((*was, *now)):
        if was.get(name) != now.get(name):
            yield f"{name}: the file has {was.get(name, 'nothing')}, the records give {now.get(name, 'nothing')}"
