"""The words of a command: the placeholders in them, and what stands there for one trial.

{lr}                       a setting: a number, text, true or false
--layers {layers}          a list becomes a word for each item; within a longer word, the items with commas between
{augment:--use-aug}        the word --use-aug if the setting is true; no word if it is false
{augment:--aug|--no-aug}   the first word if it is true, the second if it is false
{{ and }}                  braces

A setting that is nothing (None) removes its word, and the option before it: `--clip {clip}` and `--clip={clip}` both
vanish.
"""

import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ablate.errors import InvalidValue, UserError

PLACES = {
    "seed": "the trial's seed",
    "out": "this attempt's folder, in which the command starts",
    "checkpoints": "a folder that all attempts of a trial share",
    "device": "cpu or cuda",
    "key": "the trial's key",
    "project": "the folder in which ablate runs",
}
"""Placeholders that are not settings -> what stands there."""
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_FORM = re.compile(r"([A-Za-z_]\w*)(?::(-[^{}|]*)(?:\|(-[^{}|]*))?)?")
_WORD = re.compile(r"""(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^\s'"\\])+""", re.DOTALL)
_QUOTED = re.compile(r"""\\.|'[^']*'|"((?:\\.|[^"\\])*)\"""", re.DOTALL)
"""What a shell takes as it is; in double quotes (the group), it still replaces variables."""
_PLAIN_NUMBER = re.compile(r"-?(0|[1-9][0-9]*|(?=\.[0-9]))(\.[0-9]*)?([eE][-+]?[0-9]+)?")
_MOST_WHOLE = 2.0**63
_OPERATOR = re.compile(r"[|&;<>]")
_REPLACED = re.compile(r"\$[A-Za-z_{(]|`")


@dataclass(frozen=True)
class Placeholder:
    """A placeholder in a word."""

    name: str
    yes: str | None = None
    """The word that stands there if the setting is true; None for a placeholder of the setting itself."""
    no: str | None = None
    """The word if it is false; None for no word."""


def placeholders(word: str) -> Iterator[Placeholder]:
    """The placeholders of a word. Raises InvalidValue for a brace that belongs to none, or a form that is unknown."""
    for found in _PLACEHOLDER.finditer(word):
        if found[0] in ("{{", "}}"):
            continue
        if found[1] is None:
            raise InvalidValue(f"has a single {found[0]}", "write {{ and }} for braces")
        form = _FORM.fullmatch(found[1])
        if form is None:
            help = "a placeholder is {name}, or {name:--flag} for the word --flag if the setting is true"
            raise InvalidValue(f"has {found[0]}, which is not a placeholder", f"{help}; write {{{{ and }}}} for braces")
        if form[2] is not None and found[0] != word:
            raise InvalidValue(f"contains {found[0]} and other text", "a flag must be a word of its own")
        yield Placeholder(form[1], form[2], form[3])


def filled(words: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """The words with the values of one trial in place of the placeholders; KeyError for a name without a value."""
    found: list[str] = []
    option = False  # whether the word before is one as it stands: a number is not, nor is the value of another setting
    for word in words:
        inside = list(placeholders(word))
        if any(each.yes is None and values[each.name] is None for each in inside):
            if option and word == f"{{{inside[0].name}}}":
                found.pop()
            option = False
            continue
        option = not inside and re.match(r"-(?!\.?[0-9]).", word) is not None
        found += _words(word, inside, values)
    return found


def text(template: str, values: Mapping[str, Any]) -> str:
    """One text with the values of a trial, such as the path of a file or the value of a variable."""
    return _PLACEHOLDER.sub(lambda each: each[0][0] if each[1] is None else written(values[each[1]]), template)


def _words(word: str, inside: Sequence[Placeholder], values: Mapping[str, Any]) -> list[str]:
    first = inside[0] if inside else None
    if first and first.yes is not None:
        chosen = first.yes if values[first.name] else first.no
        return [] if chosen is None else [chosen]
    if first and word == f"{{{first.name}}}" and isinstance(values[first.name], (list, tuple)):
        return [written(item) for item in values[first.name]]
    return [text(word, values)]


def written(value: Any) -> str:
    """A value as a word: floats as Python writes them, which every language reads."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(map(written, value))
    return "" if value is None else str(value)


def split_line(line: str) -> list[str]:
    """The words of a command line. Raises UserError for one that cannot be read, or that needs a shell."""
    try:
        words = shlex.split(_QUOTED.sub(_as_in_shell, line))
    except ValueError as error:
        raise UserError(f"--command: {error}", help="quote the whole command line once") from error
    if not words:
        raise UserError("--command is empty", help='for example --command "python train.py --lr 0.1 --seed 0"')
    _without_shell(line)
    return words


def _as_in_shell(quoted: re.Match[str]) -> str:
    r"""What stands in double quotes, without the backslash of `\$`, which shlex keeps and a shell removes."""
    return re.sub(r"\\(.)", lambda each: each[1] if each[1] in "$`" and quoted[1] else each[0], quoted[0])


def _without_shell(line: str) -> None:
    """Raise UserError for what only a shell understands: a command is started without one."""
    words = _WORD.findall(line)
    for number, word in enumerate(words):
        bare = _QUOTED.sub("_", word)
        quoted = [] if words[0].endswith("sh") else _QUOTED.findall(word)  # sh -c "..." has a shell
        replaced = [each for each in (bare, *quoted) if _REPLACED.search(re.sub(r"\\.", "", each))]
        if replaced or _OPERATOR.search(bare) or (number == 0 and re.match(r"[A-Za-z_]\w*=", word)):
            message = f"--command: '{word}' is for a shell, and a command is started without one"
            help = "put the line into a script, as run.sh; variables belong in [environment], other signs in quotes"
            raise UserError(message, help=help)


def plain_value(text: str) -> Any:
    """A number, true, false, or the text itself, as `007`, `1_000` and `nan`, which a study would spell otherwise."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    is_whole = text.removeprefix("-").isdecimal()
    if not _PLAIN_NUMBER.fullmatch(text) or abs(float(text)) >= (_MOST_WHOLE if is_whole else math.inf):
        return text
    return int(text) if is_whole else float(text)


def word_value(text: str) -> Any:
    """The value of an option: text, unless the program gets the same word from a number, or from true or false."""
    value = plain_value(text)
    return value if written(value) == text else text
