"""Mutations of valid studies: each is a study or a UserError, soon. `python -m tests.study.fuzz 5000`."""

import contextlib
import copy
import random
import re
import signal
import sys
import tempfile
import time
import tomllib
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from ablate.errors import UserError, toml
from ablate.study.checks.lint import lint
from ablate.study.expansion.expand import expand
from ablate.study.load import load_profile, load_study
from tests.study.material import BELOW, KEYS, RICH, TOKENS, VALUES

STUDIES = Path(__file__).parents[2] / "studies"
SECONDS = 2.0
SECONDS_A_TRIAL = 0.0005
"""What a large grid may take on top; 100,000 trials are measured in tests/bench."""

LONGEST = 60
"""After so many seconds a mutant is given up."""

Mutate = Callable[[random.Random, str], str]


def _character(rng: random.Random, text: str) -> str:
    at = rng.choice(range(len(text)))
    other = chr(rng.choice([0, 9, 34, 39, 61, 91, 93, 123, 233, 0x202E]))
    return text[:at] + rng.choice(["", text[at] * 2, other, rng.choice(text)]) + text[at + 1 :]


def _token(rng: random.Random, text: str) -> str:
    spans = [match.span() for match in re.finditer(r"""[\w.-]+|"[^"\n]*"|'[^'\n]*'|[^\s\w]""", text)]
    start, end = rng.choice(spans)
    return text[:start] + rng.choice([rng.choice(TOKENS), text[slice(*rng.choice(spans))], ""]) + text[end:]


def _value(rng: random.Random, text: str) -> str:
    spans = [match.span(1) for match in re.finditer(r"=\s*([^\n]+)", text)]
    start, end = rng.choice(spans)
    return text[:start] + rng.choice([rng.choice(TOKENS), text[slice(*rng.choice(spans))]]) + text[end:]


def _line(rng: random.Random, text: str) -> str:
    lines = text.split("\n")
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(5)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(at, lines[other])
    elif kind == 2:
        lines[at], lines[other] = lines[other], lines[at]
    elif kind == 3:
        lines[at] = " ".join(rng.choices(TOKENS, k=rng.randint(1, 4)))
    else:
        lines.insert(at, f"{rng.choice(TOKENS)} = {rng.choice(TOKENS)}")
    return "\n".join(lines)


def _block(rng: random.Random, text: str) -> str:
    blocks = text.split("\n\n")
    at, other = rng.randrange(len(blocks)), rng.randrange(len(blocks))
    blocks[at] = rng.choice([f"{blocks[at]}\n\n{blocks[other]}", blocks[other], "", blocks[at] + "\n" + blocks[at]])
    return "\n\n".join(blocks)


def _nest(rng: random.Random, text: str) -> str:
    spans = [match.span(1) for match in re.finditer(r"=\s*([^\n]+)", text)]
    start, end = rng.choice(spans)
    depth = rng.choice([2, 10, 50, 400, 5000])
    opening, closing = rng.choice(
        [("[", "]"), ("{a=", "}"), ("{ x.y = [", "] }"), ("{setting=", "}"), ("{values=", "}")]
    )
    return (
        text[:start] + opening * depth + text[start:end] + closing * rng.choice([depth, depth, depth - 1]) + text[end:]
    )


def _swap_case(rng: random.Random, text: str) -> str:
    return re.sub(rf"\b{re.escape(rng.choice(re.findall(r'[a-z_]{3,}', text)))}\b", lambda match: match[0][::-1], text)


def _tree(rng: random.Random, text: str) -> str:
    """Valid TOML from valid TOML: some of its values replaced, swapped, renamed, repeated or taken away."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        return text
    for _ in range(rng.choice([1, 1, 2, 4])):
        places = list(_places(data))
        at, key = rng.choice(places)
        other, other_key = rng.choice(places)
        if (kind := rng.randrange(6)) == 0:
            del at[key]
        elif kind == 1:
            at[key] = copy.deepcopy(other[other_key])
        elif kind == 2 and isinstance(at, dict):
            at[rng.choice([str(other_key), *KEYS])] = at.pop(key)
        elif kind == 3 and isinstance(at, list):
            at.insert(0, copy.deepcopy(other[other_key]))
        else:
            at[key] = copy.deepcopy(rng.choice(VALUES))
    return "".join(f"{_quoted(name)} = {_inline(value)}\n" for name, value in data.items())


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
        yield tree, key
        if isinstance(tree[key], (dict, list)):
            yield from _places(tree[key])


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_quoted(name)} = {_inline(inner)}' for name, inner in value.items())} }}"
    return f"[{', '.join(map(_inline, value))}]" if isinstance(value, list) else toml(value)


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml(name)


MUTATIONS: tuple[Mutate, ...] = (_character, _token, _value, _line, _block, _nest, _swap_case, *[_tree] * 7)


def mutant(number: int) -> tuple[str, str]:
    """The name and the text of a mutant, the same for the same number."""
    rng = random.Random(number)
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(STUDIES.glob("*.toml"))}
    name = rng.choice(["rich", "rich", "rich", *texts])
    text = RICH if name == "rich" else texts[name]
    for _ in range(rng.choice([1, 1, 1, 2, 3, 8])):
        with contextlib.suppress(IndexError):  # nothing of that kind is left to change
            text = rng.choice(MUTATIONS)(rng, text)
    return name, text


def survives(number: int, folder: Path) -> str:
    """What became of a mutant: `right`, or `told`. Raises AssertionError where it is neither."""
    name, text = mutant(number)
    (folder / "below.toml").write_text(BELOW, encoding="utf-8")
    path = folder / f"{name}.toml"
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    start = time.perf_counter()
    trials = 0
    signal.alarm(LONGEST)
    told = UserError()
    try:
        loaded = load_study(str(path))
        expansion = expand(loaded, load_profile("embedded", path))
        lint(loaded, expansion)
        trials = len(expansion.trials)
        assert all(len(trial.key) == len(trial.pretrain_key) == 64 for trial in expansion.trials)
    except UserError as error:
        told = error
    finally:
        signal.alarm(0)
    seconds = time.perf_counter() - start
    assert bool(told.problems) != bool(trials)
    assert all(problem.message.strip() for problem in told.problems)
    assert len(str(told)) < 200_000, "a message as long as a book"
    assert seconds < SECONDS + trials * SECONDS_A_TRIAL, f"{seconds:.1f} s for {trials} trials"
    return "right" if trials else "told"


def _hangs(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"{LONGEST} seconds are over")


def main(count: int, first: int = 0) -> int:
    """Try so many mutants; how many did not survive."""
    warnings.simplefilter("error")
    signal.signal(signal.SIGALRM, _hangs)
    ends: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + count):
            try:
                ends[survives(number, Path(folder))] += 1
            except Exception:
                ends["failed"] += 1
                print(f"mutant {number}:\n{traceback.format_exc(limit=-4)}")
    print(", ".join(f"{ends[end]} {end}" for end in ("right", "told", "failed")))
    return ends["failed"]


if __name__ == "__main__":
    sys.exit(1 if main(*map(int, sys.argv[1:])) else 0)
