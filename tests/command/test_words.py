import pytest

from ablate.command.words import filled, placeholders, text
from ablate.errors import InvalidValue

VALUES = {
    "lr": 0.1, "tiny": 1e-05, "epochs": 10, "model": "a b", "on": True, "off": False, "sizes": [64, 32], "clip": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--lr", "{lr}"], ["--lr", "0.1"]),
        (["--lr={lr}", "x{epochs}y{lr}"], ["--lr=0.1", "x10y0.1"]),
        (["{tiny}"], ["1e-05"]),
        (["{model}"], ["a b"]),  # one word: there is no shell
        (["amp={on}", "{off}"], ["amp=true", "false"]),
        (["{on:--amp}", "{off:--amp}"], ["--amp"]),
        (["{on:--amp|--no-amp}", "{off:--amp|--no-amp}"], ["--amp", "--no-amp"]),
        (["--sizes", "{sizes}"], ["--sizes", "64", "32"]),
        (["sizes=[{sizes}]"], ["sizes=[64,32]"]),
        (["a", "--clip", "{clip}", "b"], ["a", "b"]),
        (["a", "--clip={clip}", "b"], ["a", "b"]),
        (["a", "{clip}"], ["a"]),
        (["--shift", "-3", "{clip}"], ["--shift", "-3"]),  # neither a number nor a flag's word is its option
        (["{on:--amp}", "{clip}", "{clip}"], ["--amp"]),
        (["--shift", "{clip}", "{clip}"], []),
        (['{{"lr": {lr}}}'], ['{"lr": 0.1}']),
    ],
)
def test_a_placeholder_becomes_the_value_of_its_trial(words: list[str], expected: list[str]) -> None:
    assert filled(words, VALUES) == expected


@pytest.mark.parametrize("word", ["{", "a}", "{}", "{1}", "{lr:x}", "x{on:--amp}", "{a b}", "${lr"])
def test_what_is_no_placeholder_is_refused(word: str) -> None:
    with pytest.raises(InvalidValue):
        list(placeholders(word))


def test_braces_in_a_path_are_written_twice() -> None:
    assert text("{model}/{{x}}.json", VALUES) == "a b/{x}.json"
