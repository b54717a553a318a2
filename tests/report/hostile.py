"""Studies whose every text is made to break a page, and studies of any size."""

from pathlib import Path
from typing import Any

from ablate.records.files import Results
from tests.records.by_hand import key_of, save_record, write_trial

LONG = "x" * 10_000
ENDS = "</script></style></title><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>\"'`{{ 7*7 }}"
TURNS = "\u202eabc\u05d0\u05d1\u2067\u2069\u2069 \u0645\u0631\u062d\u0628\u0627"
TEXTS = (ENDS, LONG, TURNS, "\U0001f525\U0001f469\u200d\U0001f4bb &amp; <b> \u2028 \x00 \x1b[31m", "]]>--><!--")
HALF = "\udcff"
"""Of a pair: what Python makes of a file's name, or an argument, that is not UTF-8."""
EVIL = " ".join((ENDS, TURNS, *TEXTS[3:]))


def hostile(folder: Path) -> Results:
    """Two axes, a case and claims, with such texts wherever a study or a trainer can put one."""
    results, trials = Results(folder / "results"), []
    environment = {"host": ENDS + HALF, "packages": {ENDS: TURNS}, "commit": "c" * 40, "plan": None}
    for number, (first, second) in enumerate((a, b) for a in TEXTS[:4] for b in TEXTS[:3]):
        key, failed = key_of(number), number % 5 == 4
        ended = ("failed", "exception", EVIL + HALF + LONG) if failed else ("done", None, None)
        numbers, config = {"top1": 50.0 + number, ENDS: ENDS}, {"seed": 0, ENDS: {TURNS: LONG}}
        write_trial(results, key, *ended, numbers, environment=environment, config=config)
        trials.append({"key": key, "seed": 0, "axes": {"first": first, "second": second}, "case": None})
    write_trial(results, key_of(99), numbers={"top1": 9.0})
    trials.append({"key": key_of(99), "seed": 0, "axes": {}, "case": "evil"})
    claims = [{"kind": "at_least", "id": "A1", "text": EVIL, "source": ENDS, "value": 20.0, "required": True},
              {"kind": "at_least", "id": "A2", "text": LONG, "source": TURNS, "value": 90.0}]  # fmt: skip
    plan: dict[str, Any] = {"study": "hostile", "profile": f"embedded+{ENDS}={TURNS}", "design": "d"}
    plan |= {
        "title": EVIL + LONG,
        "question": EVIL,
        "metric": "top1",
        "claims": claims,
        "exclude": [ENDS, {"first": [TURNS]}],
    }
    plan |= {
        "cases": [{"name": "evil", "label": EVIL}],
        "file": {"path": ENDS, "text": EVIL},
        "command": ["x", ENDS + HALF],
    }
    axes = [{"name": "first", "values": list(TEXTS[:4]), "label": EVIL}, {"name": "second", "values": list(TEXTS[:3])}]
    save_record(results, "hostile", plan | {"axes": axes, "trials": trials})
    return results


def sized(folder: Path, cells: int, seeds: int, epochs: int = 10, name: str = "sized") -> Results:
    """A study of two axes with so many cells, seeds and epochs, all done."""
    results, trials = Results(folder / "results"), []
    down = max(n for n in range(1, int(cells**0.5) + 1) if cells % n == 0)
    axes = [(f"first value {n % down}", f"second value {n // down}") for n in range(cells)]
    for number in range(cells * seeds):
        first, second = axes[number // seeds]
        losses = tuple(3.0 / (epoch + 1) + number * 1e-4 for epoch in range(epochs))
        numbers = {"top1": 40 + (number * 7919 % 5003) / 100, "loss": losses[-1]}
        write_trial(results, key_of(number), numbers=numbers, losses=losses, environment={"host": "h", "device": "cpu"})
        trials.append({"key": key_of(number), "seed": number % seeds, "axes": {"first": first, "second": second},
                       "case": None})  # fmt: skip
    values = [list(dict.fromkeys(each[place] for each in axes)) for place in (0, 1)]
    plan: dict[str, Any] = {
        "study": name,
        "profile": "embedded",
        "design": "d",
        "title": "Many",
        "question": "How many?",
    }
    plan |= {"axes": [{"name": each, "values": values[n]} for n, each in enumerate(("first", "second"))], "cases": []}
    save_record(results, name, plan | {"trials": trials})
    return results
