"""Where a page's numbers come from: commands, code, machines, and the settings that make the study what it is."""

import json
import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ablate.records.flatten import flat
from ablate.report.measured import Measured

_MOST_VALUES = 12
"""Of a setting that varies so many are shown."""


@dataclass(frozen=True)
class Settings:
    """All settings of a study's trials, those first that say what the study is."""

    varied: dict[str, str]
    """Dotted name -> its values over the trials."""
    given: dict[str, str]
    """What the study's file sets for all of its trials."""
    others: dict[str, str]
    """What the profile and the defaults set."""


def settings(measured: Measured) -> Settings:
    """The settings of a study's trials."""
    values: dict[str, dict[str, None]] = {}
    for config in measured.configs:
        for name, value in flat(config).items():
            values.setdefault(name, {})[_text(value)] = None
    base = _base(measured.plan)
    varied = {name: _listed(list(found)) for name, found in values.items() if len(found) > 1}
    same = {name: next(iter(found)) for name, found in values.items() if len(found) == 1}
    given = {name: value for name, value in same.items() if any(_below(name, key) for key in base)}
    return Settings(varied, given, {name: value for name, value in same.items() if name not in given})


def facts(measured: Measured) -> dict[str, str]:
    """What the finished trials ran with: of each fact all that they had, where they say it."""
    found: dict[str, dict[str, None]] = {}
    for environment in measured.environments:
        told = {name: environment.get(name) for name in ("commit", "host", "device", "processor", "python", "platform")}
        if environment.get("commit") and environment.get("modified"):
            told["commit"] = f"{environment['commit']} (with changes that are not committed)"
        told |= {name: version for name, version in (environment.get("packages") or {}).items() if version}
        for name, value in told.items():
            if value is not None:
                found.setdefault(name, {})[str(value)] = None
    facts = {name: ", ".join(values) for name, values in found.items()}
    return facts | ({"precision": ", ".join(measured.precisions)} if measured.precisions else {})


def ran(plan: Mapping[str, Any]) -> str | None:
    """The command of the study's last run, as it was typed; None where a plan file does not say it."""
    command = plan.get("command")
    return shlex.join(["ablate", *map(str, command[1:])]) if command else None


def repeats(measured: Measured) -> str:
    """The command that runs what is on the page, and goes on where it was left."""
    plan = measured.plan
    profile, *overrides = re.split(r"\+(?=[\w.]+=)", plan["profile"])
    command = ["ablate", "run", plan.get("file", {}).get("path") or plan["study"], "--profile", profile]
    for override in overrides:
        command += ["--set", override]
    seeds = {trial.seed for trial in measured.trials}
    if plan.get("sequential"):
        command.append("--until-decided")
    elif seeds == set(range(len(seeds))):
        command += ["--seeds", str(len(seeds))]
    return shlex.join(command)


def _base(plan: Mapping[str, Any]) -> set[str]:
    """Dotted names of what a study's file sets for all cells, or for all at the profile, or --set does."""
    profile, *overrides = re.split(r"\+(?=[\w.]+=)", plan["profile"])
    names = {override.partition("=")[0] for override in overrides}
    try:
        study = tomllib.loads(plan.get("file", {}).get("text", ""))
    except tomllib.TOMLDecodeError:  # the text of several files, of which one extends the others
        return names
    of_profile = study.get("profile", {}).get(profile, {})
    for table in (study.get("base"), of_profile.get("base") if isinstance(of_profile, dict) else None):
        names |= set(flat(table)) if isinstance(table, dict) else set()
    return names


def _below(name: str, key: str) -> bool:
    return name == key or name.startswith(f"{key}.")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _listed(values: list[str]) -> str:
    more = f" and {len(values) - _MOST_VALUES} more" if len(values) > _MOST_VALUES else ""
    return ", ".join(values[:_MOST_VALUES]) + more
