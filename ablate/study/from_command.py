"""The study that `ablate new --command` writes: the settings of a command line become placeholders and defaults."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablate.command.files import named_by
from ablate.command.words import PLACES, plain_value, split_line, word_value
from ablate.errors import InvalidValue, UserError, nearest, toml, value_text
from ablate.study.schema.study import COLUMNS, RESERVED_NAMES
from ablate.study.schema.values import LONGEST_NAME, identifier

_PLACES = {
    "seed": "seed", "random_seed": "seed", "out": "out", "output": "out", "output_dir": "out", "out_dir": "out",
    "save_dir": "out", "log_dir": "out", "logdir": "out", "outdir": "out", "device": "device",
    "checkpoints": "checkpoints", "checkpoint_dir": "checkpoints", "ckpt_dir": "checkpoints",
}  # fmt: skip
"""Names of options, as scripts have them -> the placeholder that stands for them."""
_NUMBER = re.compile(r"-?(\d|\.\d)")
_LOWER_IS_BETTER = re.compile(r"loss|error|perplexity|mse|mae|rmse|cost|ppl", re.IGNORECASE)
_METRICS = (
    "accuracy", "val_accuracy", "test_accuracy", "acc", "val_acc", "test_acc", "top1", "f1", "auc", "score", "reward",
    "test_error", "error", "mse", "rmse", "perplexity", "val_loss", "test_loss", "loss",
)  # fmt: skip
"""Names of metrics that a script may have, the likeliest first."""


@dataclass
class Parsed:
    """A command line with its settings replaced."""

    words: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    """Name -> the value on the command line."""
    options: dict[str, str] = field(default_factory=dict)
    """Name -> the option that it stands for."""
    repeated: frozenset[str] = frozenset()
    """Options that occur several times: their values stay as they are, since a setting has one value."""


def parsed(line: str, project: Path) -> Parsed:
    """The words and the settings of a command line. Raises UserError for one that cannot be read."""
    words = split_line(line)
    options = [word.partition("=")[0] for word in words if "=" in word or word.startswith("-")]
    found = Parsed(repeated=frozenset(option for option in options if options.count(option) > 1))
    rest = list(words)
    while rest:
        word = rest.pop(0)
        option, equals, value = word.partition("=")
        if equals and re.fullmatch(r"-{0,2}\+{0,2}[A-Za-z_][\w.-]*", option):
            found.words.append(f"{_literal(option)}={_placeholder(found, option, value, project)}")
        elif word.startswith("-") and len(word) > 1 and not _NUMBER.match(word) and found.words:
            if word in ("-m", "-c", "-u", "--") and len(found.words) == 1:  # of the interpreter
                found.words.append(word)
            elif rest and (not rest[0].startswith("-") or _NUMBER.match(rest[0])):
                found.words += [_literal(word), _placeholder(found, word, rest.pop(0), project)]
            else:
                name = _setting(found, word)
                found.settings[name] = True
                found.words.append(f"{{{name}:{word}}}")
        else:
            found.words.append(_literal(word))
    return found


def _literal(word: str) -> str:
    return word.replace("{", "{{").replace("}", "}}")


def _placeholder(found: Parsed, option: str, value: str, project: Path) -> str:
    """What stands for the value of an option: a place, a file or folder of the project as it is, or a setting."""
    plain = re.sub(r"\W", "_", option.strip("-+")).lower()
    if plain in _PLACES:
        return f"{{{_PLACES[plain]}}}"
    try:
        if named_by(value, project):
            return _literal(value)
    except InvalidValue:
        pass
    if value and (project / value).is_dir() and not Path(value).is_absolute():
        return f"{{project}}/{_literal(value)}"
    if option in found.repeated:
        return _literal(value)
    name = _setting(found, option)
    found.settings[name] = word_value(value)
    return f"{{{name}}}"


def _setting(found: Parsed, option: str) -> str:
    """A name for an option that no other option has: `--opt.lr` and `--opt-lr` are two settings."""
    names = (f"{_name(option)}{number}" for number in ("", *(f"_{each}" for each in range(2, 1000))))
    return next(name for name in names if found.options.setdefault(name, option) == option)


def _name(option: str) -> str:
    """The name of an option as an axis may have it."""
    name = re.sub(r"[^a-z0-9]+", "_", option.lower()).lstrip("_0123456789").rstrip("_")[: LONGEST_NAME - 4] or "setting"
    try:
        identifier(name)
    except InvalidValue:
        return f"{name}_"
    return f"{name}_" if name in COLUMNS or name in PLACES or name in ("command", "case") else name


def varied(settings: Mapping[str, Any], vary: Sequence[str]) -> dict[str, list[Any]]:
    """Axis -> values from `--vary lr=0.1,0.01`. Raises UserError for a name that is not a setting of the command."""
    found: dict[str, list[Any]] = {}
    for each in vary:
        option, equals, values = each.partition("=")
        name = _name(option)
        words = [value.strip() for value in values.split(",") if value.strip()]
        if name not in settings:
            known = f"settings of the command are: {', '.join(settings)}" if settings else "the command has no settings"
            message = f"--vary {each}: '{option}' is not a setting of the command{nearest(name, settings)}"
            raise UserError(message, help=known)
        # A flag is true or false, however it is spelled; elsewhere the program gets the word.
        exact = () if isinstance(settings[name], bool) else ("true", "false")
        listed = [word_value(word) if word.lower() in exact else plain_value(word) for word in words]
        check_listed(each, name, listed if equals else [], found)
        found[name] = listed
    return found


def check_listed(option: str, name: str, values: Sequence[Any], before: Collection[str]) -> None:
    """Raise UserError for fewer than two values, a repeated one, one of two readings, or an axis given before."""
    if name in before:
        raise UserError(f"--vary {option}: '{name}' is given twice", help=f"list all its values once: {name}=A,B,C")
    if len(values) < 2:
        raise UserError(f"--vary {option} needs at least two values", help=f"for example --vary {name}=A,B")
    texts = [str(value) for value in values]
    if twice := next((text for text in texts if texts.count(text) > 1), None):
        raise UserError(f"--vary {option} lists {twice} twice", help="list each value once; --seeds repeats it")
    words = [word.strip() for word in option.partition("=")[2].split(",")]
    decimals = {word: len(word.partition(".")[2]) for word in words if re.fullmatch(r"\d+\.\d+", word)}
    uneven = len(set(decimals.values())) > 1
    padded = (word for word in decimals if re.search(r"\.\d+0$", word))
    if odd := next((word for word in padded if uneven or not word.startswith("0.")), None):
        message = f"--vary {option}: is {odd} a version, or the number {float(odd):g}?"
        raise UserError(
            message, help=f'write {float(odd):g}; versions are texts, listed in the study file: {name} = ["{odd}", ...]'
        )


def new_path(name: str, folder: Path) -> Path:
    """The file of a new study. Raises UserError for a name that studies cannot have, or that one has."""
    try:
        identifier(name)
    except InvalidValue as error:
        raise UserError(f"NAME = {value_text(name)}: {error}", help=error.help) from error
    if name in RESERVED_NAMES:
        raise UserError(f"NAME = '{name}' is reserved for a table of the store", help="choose another name")
    path = folder / f"{name}.toml"
    if path.exists():
        raise UserError(f"{path} already exists", help="choose another name, or edit the file")
    return path


def new_command_study(
    name: str, line: str, vary: Sequence[str], metric: str | None, ask: Callable[[str], str] | None, folder: Path
) -> Path:
    """Write a study that runs a command line and return its file, without overwriting any. Raises UserError.

    vary: axes as `lr=0.1,0.01`. Without any, `ask` returns the answer to a question; it is None where nobody can
    answer. metric: by default the likeliest name of a metric in the script.
    """
    path, project = new_path(name, folder), Path.cwd()
    command = parsed(line, project)
    settings = ", ".join(f"{key} = {toml(value)}" for key, value in command.settings.items())
    if not vary and ask is None:
        message = f"which setting shall vary? The command has {settings or 'no settings'}"
        raise UserError(message, help="add --vary with a name and its values, for example --vary lr=0.1,0.01")
    if not vary and ask is not None:
        vary = ask(f"The command has {settings}.\nWhich ones to vary, as in lr=0.1,0.01 (several with spaces)?").split()
    axes = varied(command.settings, vary)
    if not axes:
        raise UserError("nothing is varied", help="for example --vary lr=0.1,0.01")
    found = metric or likely_metric(command, project) or "accuracy"
    text = study_text(name, command, axes, found, likely_place(command, project))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def study_text(name: str, command: Parsed, axes: Mapping[str, list[Any]], metric: str, metrics: str) -> str:
    """The study file: every axis with its values, the other settings as defaults, and a claim to edit."""
    defaults = {key: value for key, value in command.settings.items() if key not in axes}
    first = next(iter(axes))
    given = command.settings[first]
    same = [each for each in axes[first] if each in (given, plain_value(str(given)))]  # 1e-4 is 0.0001 in the axis
    value = (same or axes[first])[0]
    lines = [
        f"name = {toml(name)}",
        f"title = {toml(name.replace('_', ' ').capitalize())}",
        f"question = {toml(f'What does {first} change?')}",
        "",
        "# The words of the command, without a shell; docs/own-trainer.md lists all placeholders.",
        f"command = {toml(command.words)}",
        f"metrics = {toml(metrics)}  # or a JSON file: {toml('{out}/metrics.json')}",
        f"metric = {toml(metric)}",
        "",
        "[axes]",
        *(f"{key} = {toml(values)}" for key, values in axes.items()),
        "",
        *(["[defaults]", *(f"{key} = {toml(each)}" for key, each in defaults.items()), ""] if defaults else []),
        *first_claim(first, value, metric),
    ]
    return "\n".join(lines) + "\n"


def first_claim(axis: str, value: Any, metric: str) -> list[str]:
    """The lines of a claim to edit: that a value of an axis is the best."""
    lowest = bool(_LOWER_IS_BETTER.search(metric))
    extreme = "lowest" if lowest else "highest"
    return [
        "# What you expect; the page says whether the results support it.",
        "[[claims]]",
        'id = "A1"',
        f"text = {toml(f'{axis} = {value} gives the {extreme} {metric}.')}",
        'kind = "best"',
        f"is = {toml(f'{axis} == {_condition(value)}')}",
        *(["lowest = true"] if lowest else []),
    ]


def _condition(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def likely_metric(command: Parsed, project: Path) -> str | None:
    """The first name of a metric that stands in a script of the command; None if none does."""
    return metric_in(_scripts(command, project))


def metric_in(text: str) -> str | None:
    """The likeliest name of a metric that stands in code; None if none does."""
    return next((name for name in _METRICS if re.search(rf"(?<!\w){name}(?!\w)", text)), None)


def likely_place(command: Parsed, project: Path) -> str:
    """Where the command leaves its numbers, as far as its script tells."""
    to_file = any("{out}" in word for word in command.words) and "metrics.json" in _scripts(command, project)
    return "{out}/metrics.json" if to_file else "stdout"


def _scripts(command: Parsed, project: Path) -> str:
    texts = []
    for word in command.words:
        try:
            if name := named_by(word, project):
                texts.append((project / name).read_text(encoding="utf-8", errors="replace"))
        except InvalidValue:
            continue
    return "\n".join(texts)
