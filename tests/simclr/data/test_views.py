from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import kstest
from torch import Tensor

from ablate.simclr.augment import Augment, Transform
from ablate.simclr.augment.crop import Crop, crop_to
from ablate.simclr.base.vision import torchvision
from ablate.simclr.data import views as module
from ablate.simclr.data.views import Operation, fit, join_steps

v2 = pytest.importorskip("torchvision.transforms.v2.functional")

ALL: tuple[Transform, ...] = get_args(Transform)
HALF = {"probability": 0.5}
OTHERS = tuple(name for name in ALL if name not in ("crop", "color"))
SOMETIMES = Augment.model_validate({"transforms": ALL, "base_crop": True} | dict.fromkeys(OTHERS, HALF))
IMAGES = torch.randint(0, 256, (12, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def square(count: int, size: int = 32) -> np.ndarray:
    return np.full((count, 2), size)


def draw_views(augment: Augment, count: int, size: int, seed: int, step: int) -> tuple[Operation, ...]:
    return module.draw_views(augment, square(count, size), size, seed, step)


def apply_views(operations: tuple[Operation, ...], images: Tensor, augment: Augment, steps: int = 1) -> Tensor:
    return module.apply_views(operations, images / 255, square(len(images)), augment, 32, steps)


def views(augment: Augment, images: Tensor = IMAGES, seed: int = 0, step: int = 0) -> Tensor:
    return apply_views(draw_views(augment, len(images), 32, seed, step), images, augment)[0]


def rows(operation: Operation, chosen: np.ndarray, count: int) -> Operation:
    """The operation as it is for some images of the batch only."""
    both = np.concatenate([chosen, count + chosen])
    index = both if operation.on == "both" else chosen
    return Operation(operation.name, operation.on, {name: drawn[index] for name, drawn in operation.draws.items()})


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("sides", ["both", "one"])
def test_views_are_images_and_the_transformed_ones_differ(name: str, sides: str) -> None:
    always = {name: {"probability": 1}} if name in OTHERS else {}
    made = views(Augment.model_validate({"transforms": (name,), "views": sides, **always}))
    assert made.shape == (24, 3, 32, 32)
    assert made.dtype == torch.float32
    assert made.min() >= 0
    assert made.max() <= 1
    assert not torch.allclose(made[:12], IMAGES / 255, atol=1e-3)
    assert torch.allclose(made[12:], IMAGES / 255) == (sides == "one")


def test_the_base_crop_is_one_crop_for_both_views() -> None:
    made = views(Augment(transforms=(), views="one", base_crop=True))
    assert torch.equal(made[:12], made[12:])
    assert not torch.allclose(made[:12], IMAGES / 255)


def test_the_views_of_a_step_depend_on_seed_and_step_and_nothing_else() -> None:
    torch.manual_seed(1)
    first = views(SOMETIMES, seed=3, step=7)
    torch.manual_seed(2)
    assert torch.equal(first, views(SOMETIMES, seed=3, step=7))
    assert not torch.equal(first, views(SOMETIMES, seed=3, step=8))
    assert not torch.equal(first, views(SOMETIMES, seed=4, step=7))


@pytest.mark.parametrize("sides", ["both", "one"])
def test_steps_made_at_once_are_bit_for_bit_those_made_alone(sides: str) -> None:
    augment = SOMETIMES.model_copy(update={"views": sides})
    drawn = [draw_views(augment, 4, 32, 0, step) for step in range(3)]
    together = apply_views(join_steps(drawn), IMAGES, augment, steps=3)
    for step in range(3):
        alone = apply_views(drawn[step], IMAGES[4 * step : 4 * step + 4], augment)[0]
        assert torch.equal(together[step], alone)


@pytest.mark.parametrize("sides", ["both", "one"])
def test_a_part_of_the_batch_has_the_views_it_has_in_the_whole(sides: str) -> None:
    augment = SOMETIMES.model_copy(update={"views": sides})
    drawn = draw_views(augment, 12, 32, 0, 0)
    whole = apply_views(drawn, IMAGES, augment)[0]
    chosen = np.array([1, 2, 5, 11])
    part = apply_views(tuple(rows(each, chosen, 12) for each in drawn), IMAGES[chosen], augment)[0]
    torch.testing.assert_close(part, whole[np.concatenate([chosen, 12 + chosen])], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", OTHERS)
def test_a_transformation_of_probability_zero_changes_nothing(name: str) -> None:
    augment = Augment.model_validate({"transforms": (name,), name: {"probability": 0}})
    torch.testing.assert_close(views(augment), torch.cat([IMAGES, IMAGES]) / 255, rtol=0, atol=1e-7)


def test_color_drops_all_color_from_a_fifth_of_the_images() -> None:
    augment = Augment.model_validate({"transforms": ("color",), "color": {"jitter_probability": 0}})
    images = IMAGES.repeat(100, 1, 1, 1)
    made = views(augment, images)
    gray = (made.amax(1) - made.amin(1)).amax((1, 2)) < 1e-6
    assert abs(gray.float().mean() - 0.2) < 0.03


def test_a_strength_beyond_one_never_turns_a_factor_negative() -> None:
    augment = Augment.model_validate(
        {"transforms": ("color",), "color": {"strength": 2, "brightness": "multiplicative"}}
    )
    (operation,) = draw_views(augment, 2000, 32, 0, 0)
    amounts = operation.draws["amounts"]
    assert amounts[:, :3].min() >= 0
    assert np.abs(amounts[:, 3]).max() <= 0.4


@pytest.mark.parametrize("strength", [0.125, 1.0])
def test_jitter_reaches_as_far_as_the_papers_strength_says(strength: float) -> None:
    augment = Augment.model_validate({"transforms": ("color",), "color": {"strength": strength}})
    amounts = draw_views(augment, 5000, 32, 0, 0)[0].draws["amounts"]
    reach = np.array([0.8, 0.8, 0.8, 0.2]) * strength
    middle = np.array([0, 1, 1, 0])
    np.testing.assert_allclose(amounts.min(0), middle - reach, atol=0.01)
    np.testing.assert_allclose(amounts.max(0), middle + reach, atol=0.01)


def test_the_second_view_of_one_sided_views_is_torchvisions_base_crop() -> None:
    augment = Augment(transforms=("color", "noise"), views="one", base_crop=True)
    drawn = draw_views(augment, 12, 32, 0, 0)
    mode = torchvision.transforms.InterpolationMode.BICUBIC
    boxes = drawn[0].draws["boxes"].tolist()
    crops = [
        v2.resized_crop(image / 255, *box, size=[32, 32], interpolation=mode, antialias=False).clamp(0, 1)
        for image, box in zip(IMAGES, boxes, strict=True)
    ]
    made = apply_views(drawn, IMAGES, augment)[0]
    torch.testing.assert_close(made[12:], torch.stack(crops), rtol=0, atol=1e-5)
    assert not torch.allclose(made[:12], made[12:], atol=0.01)


def test_the_base_crop_never_flips() -> None:
    augment = Augment.model_validate({"transforms": ("crop",), "base_crop": True, "crop": {"flip_probability": 1}})
    base, studied = draw_views(augment, 200, 32, 0, 0)
    assert not base.draws["flip"].any()
    assert studied.draws["flip"].all()


@pytest.mark.parametrize("name", ALL)
def test_a_transformation_named_twice_is_the_config_that_names_it_once(name: str) -> None:
    twice, once = Augment(transforms=(name, name), views="one"), Augment(transforms=(name,), views="one")
    assert twice == once
    assert twice.transforms == (name,)
    assert torch.equal(views(twice), views(once))


def test_transformations_are_applied_in_the_order_of_their_names() -> None:
    """A covered square of 0.5 survives only where nothing comes after it."""
    last, first = (views(Augment(transforms=order)) for order in (("sobel", "cutout"), ("cutout", "sobel")))
    assert ((last == 0.5).all(1).float().mean((1, 2)) > 0.05).all()
    assert ((first == 0.5).all(1).float().mean((1, 2)) < 0.01).all()


@pytest.mark.parametrize("name", ["crop", "cutout", "color", "noise", "blur"])
def test_both_views_of_an_image_are_drawn_apart(name: str) -> None:
    augment = Augment.model_validate({"transforms": (name,), "blur": {"sigma_of": "image"}})
    (operation,) = draw_views(augment, 500, 32, 0, 0)
    drawn = {"crop": "boxes", "cutout": "centre", "color": "amounts", "noise": "sigma", "blur": "sigma"}[name]
    first, second = operation.draws[drawn].reshape(2, 500, -1)
    assert len(first) == 500
    assert (first == second).all(1).mean() < 0.05
    assert abs(np.corrcoef(first[:, 0], second[:, 0])[0, 1]) < 0.2


def test_color_of_probability_zero_leaves_the_images_alone() -> None:
    augment = Augment.model_validate(
        {"transforms": ("color",), "color": {"jitter_probability": 0, "gray_probability": 0}}
    )
    torch.testing.assert_close(views(augment), torch.cat([IMAGES, IMAGES]) / 255, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "share"), [("crop", 0.5), ("blur", 0.5), ("color", 0.8), ("cutout", 1.0), ("noise", 1.0), ("sobel", 1.0)]
)
def test_by_default_a_transformation_or_flip_happens_as_often_as_the_paper_says(name: str, share: float) -> None:
    (operation,) = draw_views(Augment(transforms=(name,)), 4000, 32, 0, 0)
    draws = operation.draws
    happens = {"crop": "flip", "color": "order"}.get(name, "applied")
    happened = draws["order"][:, 0] >= 0 if happens == "order" else draws[happens]
    assert happened.mean() == pytest.approx(share, abs=0.025)  # 4.5 standard errors of 8,000


def test_each_image_of_the_jitter_has_one_of_the_24_orders_as_likely_as_another() -> None:
    augment = Augment.model_validate({"transforms": ("color",), "color": {"jitter_probability": 1}})
    order = draw_views(augment, 12000, 8, 0, 0)[0].draws["order"]
    _, counts = np.unique(order, axis=0, return_counts=True)
    assert len(counts) == 24
    assert counts.min() > 850  # of 1,000 expected, 4.8 standard deviations
    assert counts.max() < 1150


def test_rotations_by_all_four_quarter_turns_are_as_likely() -> None:
    (operation,) = draw_views(Augment(transforms=("rotate",)), 2000, 32, 0, 0)
    shares = np.bincount(operation.draws["quarter_turns"]) / 4000
    np.testing.assert_allclose(shares, [0.25] * 4, atol=0.03)


def test_a_blur_drawn_for_the_batch_has_one_sigma_a_view() -> None:
    (operation,) = draw_views(Augment(transforms=("blur",)), 50, 32, 0, 0)
    first, second = operation.draws["sigma"].reshape(2, 50)
    assert len(set(first)) == len(set(second)) == 1
    assert first[0] != second[0]


RANGES = {  # the definition of every uniform parameter
    ("blur", "sigma"): (0.1, 2.0),
    ("cutout", "centre"): (0, 1),
    ("noise", "sigma"): (0, 0.2),
    ("solarize", "threshold"): (0, 1),
    ("motion_blur", "length"): (0, 1),
    ("motion_blur", "angle"): (0, np.pi),
}


@pytest.mark.parametrize(("name", "drawn"), RANGES)
def test_a_parameter_is_uniform_over_its_range(name: str, drawn: str) -> None:
    low, high = RANGES[name, drawn]
    augment = Augment.model_validate({"transforms": (name,), "blur": {"sigma_of": "image"}})
    values = draw_views(augment, 2000, 32, 0, 0)[0].draws[drawn].ravel()
    assert kstest(values, "uniform", (low, high - low)).pvalue > 0.001


@pytest.mark.parametrize("brightness", ["additive", "multiplicative"])
def test_the_four_amounts_of_the_jitter_are_uniform_over_the_papers_ranges(brightness: str) -> None:
    augment = Augment.model_validate({"transforms": ("color",), "color": {"brightness": brightness}})
    amounts = draw_views(augment, 2000, 32, 0, 0)[0].draws["amounts"]
    middle = [0.0 if brightness == "additive" else 1.0, 1.0, 1.0, 0.0]
    for values, centre, reach in zip(amounts.T, middle, [0.8, 0.8, 0.8, 0.2], strict=True):
        assert kstest(values, "uniform", (centre - reach, 2 * reach)).pvalue > 0.001


@pytest.mark.parametrize("sides", ["both", "one"])
@pytest.mark.parametrize("bounds", [(0, 5), (5, 12)])
def test_a_slice_of_the_operations_makes_the_views_of_these_images(sides: str, bounds: tuple[int, int]) -> None:
    augment = SOMETIMES.model_copy(update={"views": sides})
    drawn = draw_views(augment, 12, 32, 0, 0)
    first, second = apply_views(drawn, IMAGES, augment)[0].chunk(2)
    part = apply_views(tuple(each.slice(*bounds) for each in drawn), IMAGES[slice(*bounds)], augment)[0]
    expected = torch.cat([first[slice(*bounds)], second[slice(*bounds)]])
    torch.testing.assert_close(part, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("sides", ["both", "one"])
def test_one_view_alone_is_the_first_of_two(sides: str) -> None:
    augment = SOMETIMES.model_copy(update={"views": sides, "base_crop": False})
    drawn = draw_views(augment, 12, 32, 0, 0)
    alone = module.apply_first_views(drawn, IMAGES / 255, square(12), augment, 32)
    torch.testing.assert_close(alone, apply_views(drawn, IMAGES, augment)[0, :12], rtol=0, atol=1e-6)


def squashed(shapes: np.ndarray, size: int) -> tuple[list[Tensor], Tensor]:
    """Smooth images of these shapes, and the same squashed to squares as a pack holds them."""
    whole = []
    for height, width in shapes.tolist():
        rows, columns = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)[None]
        whole.append(torch.stack([rows + 0 * columns, columns + 0 * rows, (rows * 6 + columns * 4).sin() / 2 + 0.5]))
    return whole, torch.stack([v2.resize(image, [size, size], antialias=True) for image in whole])


def test_a_crop_of_a_squashed_image_is_the_crop_of_the_image_itself() -> None:
    shapes = np.array([[90, 120], [120, 90], [100, 100], [75, 150]])
    whole, stored = squashed(shapes, 96)
    augment = Augment.model_validate({"transforms": ("crop",), "crop": {"area_min": 0.4, "antialias": True}})
    (operation,) = module.draw_views(augment, shapes, 48, 0, 0)
    made = module.apply_views((operation,), stored, shapes, augment, 48)[0]
    for view in range(8):
        top, left, height, width = operation.draws["boxes"][view].tolist()
        assert top + height <= shapes[view % 4, 0]
        assert left + width <= shapes[view % 4, 1]
        expected = v2.resize(whole[view % 4][:, top : top + height, left : left + width], [48, 48], antialias=True)
        expected = expected.flip(2) if operation.draws["flip"][view] else expected
        torch.testing.assert_close(made[view], expected, rtol=0, atol=0.02)


def test_fitting_a_squashed_image_gives_its_centre_square() -> None:
    shapes = np.array([[90, 120], [120, 90], [100, 100]])
    whole, stored = squashed(shapes, 96)
    made = fit(stored, shapes, 56, Crop(antialias=True), share=0.875)
    for image, ours in zip(whole, made, strict=True):
        side = min(image.shape[1:])
        kept = round(0.875 * side)
        expected = v2.resize(v2.center_crop(image, [kept, kept]), [56, 56], antialias=True)
        torch.testing.assert_close(ours, expected, rtol=0, atol=0.02)


def test_images_of_the_right_size_and_shape_are_not_touched_by_fitting() -> None:
    images = IMAGES / 255
    assert fit(images, square(12), 32, Crop()) is images


@pytest.mark.parametrize(("antialias", "interpolation"), [(False, "bicubic"), (True, "bicubic"), (False, "bilinear")])
def test_an_image_without_augmentation_is_resized_as_a_crop_of_the_whole_image(
    antialias: bool, interpolation: str
) -> None:
    """Against torch's own interpolation in float64; its antialiased filter is Pillow's, as is ours."""
    images = torch.rand(2, 3, 72, 72, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    crop = Crop(antialias=antialias, interpolation=interpolation)
    expected = F.interpolate(images, (32, 32), mode=interpolation, antialias=antialias, align_corners=False)
    fitted = fit(images, square(2, 72), 32, crop)
    torch.testing.assert_close(fitted, expected.clamp(0, 1), rtol=0, atol=1e-6)
    whole = {"boxes": np.array([[0, 0, 72, 72]] * 2), "shapes": square(2, 72), "flip": np.zeros(2, bool)}
    torch.testing.assert_close(fitted, crop_to(images, whole, crop, 32), rtol=0, atol=1e-12)


@pytest.mark.parametrize("sides", ["both", "one"])
def test_large_images_have_the_same_views_in_parts_as_at_once(sides: str, monkeypatch: pytest.MonkeyPatch) -> None:
    augment = SOMETIMES.model_copy(update={"views": sides})
    images = torch.rand(7, 3, 72, 72, generator=torch.Generator().manual_seed(0))
    drawn = module.draw_views(augment, square(7, 72), 72, 0, 0)
    made = []
    for size in (2**30, 3 * 2 * 3 * 4 * 72**2):  # all seven, and three at once
        monkeypatch.setattr(module, "_CACHED_BYTES", size)
        made.append(module.apply_views(drawn, images, square(7, 72), augment, 72))
    torch.testing.assert_close(made[0], made[1], rtol=0, atol=1e-5)
