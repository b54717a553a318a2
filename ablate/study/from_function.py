"""The study that `ablate new --function` writes: settings of a Python function, of which some are varied."""

import inspect
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ablate.command.words import plain_value
from ablate.errors import UserError, nearest, toml
from ablate.study.expansion.expand import expand
from ablate.study.from_command import check_listed, first_claim, metric_in, new_path
from ablate.study.load import load_profile, load_study
from ablate.study.schema.study import COLUMNS, DEFAULT_PROFILE
from ablate.study.toml.problems import setting_paths
from ablate.trainer.find import find_trainer, without_files
from ablate.trainer.hooks import Trainer


def new_function_study(
    name: str,
    function: str,
    vary: Sequence[str],
    metric: str | None,
    ask: Callable[[str], str] | None,
    folder: Path = Path("studies"),
) -> Path:
    """Write a study of a trainer `package.module:function` and return its file, without overwriting any.

    vary: settings as `lr=0.1,0.01` or `optimizer.lr=0.1,0.01`; without any, `ask` returns the answer to a question, and
    is None where nobody can answer. metric: by default the likeliest name in the function's module. Raises UserError
    for a function that cannot be a trainer, and for what the study could not be run with.
    """
    path, trainer = new_path(name, folder), _trainer(function)
    known = [each for each in setting_paths(trainer.config) if each != "seed"]
    if not vary and ask is not None:
        vary = ask(f"The settings are {', '.join(known)}.\nWhich ones to vary, as in lr=0.1,0.01?").split()
    if not vary:
        message = f"which setting shall vary? The settings of {function} are {', '.join(known) or 'none but the seed'}"
        raise UserError(message, help="add --vary with a name and its values, for example --vary lr=0.1,0.01")
    axes: dict[str, list[Any]] = {}
    for each in vary:
        setting, values = _axis(each, known, function)
        check_listed(each, setting, values, axes)
        axes[setting] = values
    _check_required(trainer, axes)
    text = _text(name, function, axes, metric or _likely_metric(function) or "accuracy")
    _check(text, path, trainer)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _trainer(function: str) -> Trainer:
    """The trainer. Raises UserError; for a function of plain arguments, with the model that would hold them."""
    try:
        return find_trainer(function)
    except UserError as error:
        module_name, _, name = function.partition(":")
        found = getattr(sys.modules.get(module_name), name, None)
        if not inspect.isfunction(found) or "annotated with a pydantic model" not in error.problems[0].message:
            raise
        help = f"write {_model_of(found)} and def {name}(config: Config, context)"
        raise UserError(error.problems[0].message, help=help) from error


def _model_of(function: Callable[..., Any]) -> str:
    """A model with the arguments of a function as fields, on one line; a default says what type an argument has."""
    fields = {"seed": "int = 0"}
    for name, parameter in inspect.signature(function).parameters.items():
        default, hint = parameter.default, parameter.annotation
        known = isinstance(hint, type) and hint is not inspect.Parameter.empty
        kind = hint.__name__ if known else type(default).__name__ if default is not parameter.empty else "..."
        fields[name] = kind if default is parameter.empty else f"{kind} = {default!r}"
    return f"class Config(BaseModel): {'; '.join(f'{name}: {field}' for name, field in fields.items())}"


def _likely_metric(function: str) -> str | None:
    """The likeliest name of a metric in the code of a function, or else of its module; None if there is none."""
    module_name, _, name = function.partition(":")
    module = sys.modules[module_name]
    for part in (getattr(module, name), module):
        try:
            if found := metric_in(inspect.getsource(part)):
                return found
        except (OSError, TypeError):  # no Python source, as of a compiled module
            continue
    return None


def _axis(option: str, known: Sequence[str], function: str) -> tuple[str, list[Any]]:
    """Setting -> its values, from `--vary lr=0.1,0.01`."""
    setting, _, values = option.partition("=")
    if setting == "seed":
        raise UserError("--vary seed: seeds are not an axis", help="ablate run STUDY --seeds 3")
    if setting not in known:
        message = f"--vary {option}: '{setting}' is not a setting of {function}{nearest(setting, known)}"
        raise UserError(message, help=f"settings are: {', '.join(known)}")
    listed = [plain_value(value.strip()) for value in values.split(",") if value.strip()]
    return setting, listed


def _check_required(trainer: Trainer, axes: Mapping[str, object]) -> None:
    """Raise UserError for settings without a default that are not varied: no trial could have them."""
    fields = trainer.config.model_fields
    varied = {setting.partition(".")[0] for setting in axes}
    missing = [name for name, field in fields.items() if field.is_required() and name not in {*varied, "seed"}]
    if missing:
        message = f"{trainer.config.__name__} has no default for {', '.join(missing)}"
        raise UserError(message, help=f"give it one, or vary it: --vary {missing[0]}=A,B")


def _text(name: str, function: str, axes: Mapping[str, list[Any]], metric: str) -> str:
    """The study file, with a claim to edit."""
    names = {_axis_name(setting, axes): setting for setting in axes}
    first = next(iter(names))
    lines = [
        f"name = {toml(name)}",
        f"title = {toml(name.replace('_', ' ').capitalize())}",
        f"question = {toml(f'What does {first} change?')}",
        f"trainer = {toml(function)}",
        f"metric = {toml(metric)}  # one of the numbers that the function returns",
        "",
        "[axes]",
        *(f"{axis} = {{ setting = {toml(each)}, values = {toml(axes[each])} }}" for axis, each in names.items()),
        "",
        *first_claim(first, axes[names[first]][0], metric),
    ]
    return "\n".join(lines) + "\n"


def _axis_name(setting: str, settings: Iterable[str]) -> str:
    """The last part of a setting's path; all of it if another setting has that part, or the store such a column."""
    last = setting.rpartition(".")[2]
    shared = [each for each in settings if each.rpartition(".")[2] == last]
    short = setting.replace(".", "_") if len(shared) > 1 or last == "name" or last in COLUMNS else last
    return f"{short}_" if short in COLUMNS else short


def _check(text: str, path: Path, trainer: Trainer) -> None:
    """Raise UserError for what `ablate check` would report of a study."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder) / path.name
        scratch.write_text(text, encoding="utf-8")
        loaded = load_study(str(scratch))
        problems = list(loaded.problems)
        if not problems:
            try:
                expand(loaded, load_profile(DEFAULT_PROFILE, path), trainer=without_files(trainer))
            except UserError as error:
                problems = list(error.problems)
    if problems:
        raise UserError(f"--vary: {problems[0].message}", help=problems[0].help)
