"""The noise of a study, against loops over its definition and simulated studies."""

import json
import math
import statistics
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from ablate.commands.judge import noise as command
from ablate.judge.evidence import MeasuredCell
from ablate.judge.noise import read_noise, seeds_needed
from ablate.records.files import Results
from ablate.report.reading import read_study
from ablate.study.cells.cell import Cell
from tests.records.by_hand import key_of, write_plan, write_trial
from tests.report.test_measured import study as recorded


def cell(name: str, values: dict[int, float]) -> MeasuredCell:
    numbers = {seed: {"accuracy": value} for seed, value in values.items()}
    return MeasuredCell(Cell({"model": name}), name, name, "accuracy", numbers)


def test_the_noise_is_that_of_its_definition_also_with_unequal_seeds() -> None:
    a, b, c = {0: 0.71, 1: 0.74, 2: 0.69}, {0: 0.75, 1: 0.79, 2: 0.73, 7: 0.8}, {3: 0.5}
    noise = read_noise([cell("a", a), cell("b", b), cell("c", c)], "accuracy")
    assert noise is not None
    squares = sum((value - statistics.fmean(each.values())) ** 2 for each in (a, b) for value in each.values())
    assert noise.of_cell.value == pytest.approx(math.sqrt(squares / (2 + 3)))
    assert noise.of_difference is not None
    assert noise.of_difference.value == pytest.approx(statistics.stdev(a[seed] - b[seed] for seed in range(3)))
    assert noise.largest == ("b", pytest.approx(statistics.stdev(b.values())))
    assert noise.cells == 2


def test_without_two_seeds_there_is_no_noise_and_without_shared_seeds_none_of_a_difference() -> None:
    assert read_noise([cell("a", {0: 0.7}), cell("b", {1: 0.7})], "accuracy") is None
    apart = read_noise([cell("a", {0: 0.7, 1: 0.8}), cell("b", {2: 0.7, 3: 0.6})], "accuracy")
    assert apart is not None
    assert apart.of_difference is None


@pytest.mark.parametrize(("cells", "seeds"), [(2, 4), (6, 3)])
def test_the_interval_holds_the_true_noise_in_19_of_20_studies(cells: int, seeds: int) -> None:
    draws = np.random.default_rng(cells).normal(0.0, 2.0, size=(300, cells, seeds))
    held = {"cell": 0, "difference": 0}
    for study in draws:
        noise = read_noise([cell(str(n), dict(enumerate(map(float, row)))) for n, row in enumerate(study)], "accuracy")
        assert noise is not None
        assert noise.of_difference is not None
        held["cell"] += noise.of_cell.low <= 2.0 <= noise.of_cell.high
        held["difference"] += noise.of_difference.low <= 2.0 * math.sqrt(2) <= noise.of_difference.high
    assert all(285 - 16 <= count <= 285 + 14 for count in held.values()), held


@pytest.mark.parametrize(("effect", "deviation"), [(0.02, 0.01), (-1.0, 1.5)])
def test_the_seeds_find_the_effect_in_80_of_100_studies_and_one_seed_less_does_not(
    effect: float, deviation: float
) -> None:
    needed = seeds_needed(effect, deviation)
    assert needed is not None
    draw = np.random.default_rng(3)
    for seeds, enough in ((needed, True), (needed - 1, False)):
        differences = draw.normal(abs(effect), deviation, size=(20_000, seeds))
        found = (ttest_1samp(differences, 0.0, axis=1, alternative="greater").pvalue <= 0.05).mean()
        assert (found >= 0.8 - 0.009) if enough else (found < 0.8 + 0.009)
    assert seeds_needed(1e-6, 1.0) is None
    assert seeds_needed(1.0, 0.0) == 3  # fewer give no verdict


def test_the_command_prints_the_noise_and_the_seeds_of_a_recorded_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = Results(tmp_path / "results")
    cells = {key_of(n): {"head": ("linear", "nonlinear")[n // 3], "seed": n % 3} for n in range(6)}
    values = [60.0, 62.0, 61.0, 70.0, 74.0, 71.0]
    for key, value in zip(cells, values, strict=True):
        write_trial(results, key, "done", numbers={"top1": value})
    write_plan(results, cells)
    command("mine", effect=[5.0, 0.001], json=True, results=results.root)
    found = json.loads(capsys.readouterr().out)
    deviation = statistics.stdev([10.0, 12.0, 10.0])
    assert found["of_cell"]["value"] == pytest.approx(math.sqrt((1.0 + 13 / 3) / 2))
    assert found["of_difference"]["value"] == pytest.approx(deviation)
    assert [each["seeds"] for each in found["effects"]] == [seeds_needed(5.0, deviation), None]
    command("mine", effect=[5.0], json=False, results=results.root)
    assert "an effect of 5 needs 3 seeds of each cell" in capsys.readouterr().out


def test_a_case_labelled_like_another_cell_is_a_cell_of_its_own(tmp_path: Path) -> None:
    values = {("a", None): (1.0, 2.0), ("untrained", None): (3.0, 3.5), (None, "untrained"): (10.0, 30.0)}
    trials = [
        {"axes": {"k": name} if name else {}, "case": case, "seed": seed, "numbers": {"top1": value}}
        for (name, case), own in values.items()
        for seed, value in enumerate(own)
    ]
    cells = read_study(recorded(tmp_path, trials, reference=False), "mine", None).measured.cells
    assert [cell.label for cell in cells] == ["a", "untrained", "untrained (untrained)"]
    noise = read_noise(cells, "top1")
    assert noise is not None
    assert noise.of_cell.value == pytest.approx(math.sqrt(statistics.fmean(map(statistics.variance, values.values()))))
