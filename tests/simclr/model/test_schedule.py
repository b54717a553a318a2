import pytest

from ablate.simclr import config
from ablate.simclr.model.optimizer import learning_rate, peak_learning_rate, warmup_steps


@pytest.mark.parametrize("scaling", [{"learning_rate": 0.3}, {"learning_rate": 0.075, "scaling": "sqrt"}])
def test_both_rules_of_the_paper_give_4_8_at_batch_4096(scaling: dict[str, object]) -> None:
    assert peak_learning_rate(config.Optimizer.model_validate(scaling), 4096) == pytest.approx(4.8)


def test_without_scaling_the_batch_does_not_matter() -> None:
    assert peak_learning_rate(config.Optimizer(learning_rate=0.02, scaling="none"), 4096) == 0.02


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.0), (5, 2.4), (10, 4.8), (35, 2.4 * (1 + 2**-0.5)), (60, 2.4), (110, 0.0)],
)
def test_the_rate_rises_linearly_from_zero_and_falls_along_a_cosine(step: int, rate: float) -> None:
    assert learning_rate(step, steps=110, warmup_steps=10, peak=4.8) == pytest.approx(rate, abs=1e-12)


def test_without_warm_up_the_rate_starts_at_its_peak() -> None:
    assert learning_rate(0, steps=100, warmup_steps=0, peak=1.6) == 1.6


@pytest.mark.parametrize(("epochs", "images", "batch", "steps"), [(10, 1_281_167, 4096, 3127), (0.5, 72, 16, 2)])
def test_warm_up_lasts_as_many_steps_as_the_authors_code_rounds_to(
    epochs: float, images: int, batch: int, steps: int
) -> None:
    assert warmup_steps(epochs, images, batch) == steps
