"""Checks of `[tune]`."""

from collections.abc import Iterator
from typing import Any

from ablate.errors import value_text
from ablate.study.cells.cell import is_number
from ablate.study.cells.condition import wrong_condition
from ablate.study.schema.study import Study, axes_of
from ablate.study.schema.values import Tune
from ablate.study.toml.positions import Key
from ablate.study.toml.problems import Problems
from ablate.trainer.find import is_built_in


def check_tune(study: Study) -> Problems:
    """Problems of `[tune]`: settings that cannot be tuned, a metric of test data, seeds that the comparison uses."""
    tune = study.tune
    if tune is None:
        for profile, overrides in study.profile.items():
            if overrides.tune:
                key: Key = ("profile", profile, "tune")
                yield f"profile.{profile}.tune: the study has no [tune]", key, "add [tune] with the settings to choose"
        return
    for path, values in tune.settings.items():
        yield from _setting(study, path, values)
    for profile, overrides in study.profile.items():
        for path in overrides.tune:
            if path not in tune.settings:
                message = f"profile.{profile}.tune: {path} is not a tuned setting"
                yield message, ("profile", profile, "tune", path), f"tuned settings are: {', '.join(tune.settings)}"
    yield from _when(study, tune)
    yield from _metric(study, tune)
    yield from _choose(tune)
    for profile in ("", *study.profile):
        if both := sorted({*study.seeds_at(profile)} & {*tune.every_seed}):
            where = f" at profile {profile}" if profile else ""
            message = f"tune.seeds: the comparison uses seed {both[0]} too{where}"
            help = "tune with other seeds: a value that was lucky on the compared seeds would be favored"
            yield message, ("tune", "seeds"), help
            return


def _setting(study: Study, path: str, values: Any) -> Problems:
    key: Key = ("tune", "settings", path)
    if path == "seed" or not all(path.split(".")):
        what = "the seed is not a setting to choose" if path == "seed" else "not a dotted path"
        yield f"tune.settings: {value_text(path)}: {what}", key, "for example optimizer.learning_rate"
    elif len(values) == 1:
        help = 'list several; a dotted path is quoted: settings = { "optimizer.learning_rate" = [0.1, 0.3] }'
        yield f"tune.settings: {path} has one value, so nothing is chosen", key, help
    for _, name, axis in axes_of(study):
        if f"{axis.setting}.".startswith(f"{path}.") or f"{path}.".startswith(f"{axis.setting}."):
            message = f"tune.settings: {path} is set by the axis '{name}', too"
            yield message, key, "a setting is either varied or chosen"
    for case in study.cases:
        if path in _paths(case.set):
            yield f"tune.settings: {path} is set by the case '{case.name}', too", key, "remove it from the case"


def _when(study: Study, tune: Tune) -> Problems:
    for path, text in tune.when.items():
        key: Key = ("tune", "when", path)
        if path not in tune.settings:
            yield f"tune.when: {path} is not a tuned setting", key, f"tuned settings are: {', '.join(tune.settings)}"
        for wrong in wrong_condition(text, study.choices_and_cases):
            yield f"tune.when, {path}: {wrong}", key, None


def _paths(settings: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in settings.items():
        yield f"{prefix}{name}"
        yield from _paths(value, f"{prefix}{name}.") if isinstance(value, dict) else ()


def _metric(study: Study, tune: Tune) -> Problems:
    if is_built_in(study.trainer):
        if tune.set.get("data.validation", True) in (False, "none"):
            message = "tune.set: without data.validation, values would be chosen by the test images"
            yield message, ("tune", "set", "data.validation"), "remove it, or give a share such as 0.1"
        if (metric := tune.metric or study.metric).startswith("transfer"):
            message = f"[tune] cannot choose by {value_text(metric)}: the transfer set's test images give it"
            key: Key = ("tune", "metric") if tune.metric else ("tune",)
            yield message, key, 'name a metric of the held-out images: metric = "linear_top1"'
    elif tune.metric is None:
        help = 'for example metric = "validation_accuracy", which the trainer returns besides the study\'s metric'
        yield "tune lacks 'metric', by which values are chosen", ("tune",), help
    elif tune.metric == study.metric and not tune.set:
        message = f"tune.metric = {value_text(tune.metric)} is the metric that is compared"
        help = 'name a validation metric, or make the trainer use validation data: set = { split = "validation" }'
        yield message, ("tune", "metric"), help


def _choose(tune: Tune) -> Problems:
    if tune.choose == "best":
        return
    values = list(tune.settings.values())
    if len(values) != 1 or len(values[0]) < 3 or not all(map(is_number, values[0])):
        message = f"tune.choose = {value_text(tune.choose)} needs one setting with three numbers or more"
        yield message, ("tune", "choose"), 'or choose = "best"'
