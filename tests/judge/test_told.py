"""Verdicts in words."""

from ablate.judge import told
from ablate.judge.decide import decide_sequentially
from ablate.judge.formula import Leaf


def test_a_verdict_of_an_earlier_look_says_of_how_many_seeds_its_p_is() -> None:
    differences = (5.0, 5.1, 4.9, 5.2, 5.0, 4.8)
    for seeds, ending in ((6, "6 seeds; decided at 3 seeds, whose p stands here"), (3, "3 seeds")):
        (decision,) = decide_sequentially({"A1": Leaf("a - b", differences[:seeds])}).values()
        assert decision.state == "supported"
        assert told.numbers(decision).endswith(f"; {ending}")
