import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import ks_2samp

from ablate.simclr.augment.crop import Crop, draw_boxes
from ablate.simclr.base import resample as module
from ablate.simclr.base.resample import resized_crop
from ablate.simclr.base.vision import torchvision

v2 = pytest.importorskip("torchvision.transforms.v2")
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
IMAGES = torch.rand(40, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def square(count: int, size: int) -> np.ndarray:
    return np.full((count, 2), size)


BOXES = torch.from_numpy(draw_boxes(square(40, 32), Crop(), np.random.default_rng(0)))
NONE = torch.zeros(40, dtype=torch.bool)


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("size", [16, 32, 45])
@pytest.mark.parametrize("antialias", [True, False])
def test_a_resized_crop_is_torchvisions(interpolation: str, size: int, antialias: bool) -> None:
    mode = torchvision.transforms.InterpolationMode(interpolation)
    expected = [
        v2.functional.resized_crop(image, *box, size=[size, size], interpolation=mode, antialias=antialias).clamp(0, 1)
        for image, box in zip(IMAGES, BOXES.tolist(), strict=True)
    ]
    ours = resized_crop(IMAGES, BOXES, NONE, size, interpolation, antialias)
    torch.testing.assert_close(ours, torch.stack(expected), rtol=0, atol=1e-5)


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("size", [16, 32, 45])
def test_a_resized_crop_is_pillows(interpolation: str, size: int) -> None:
    ours = resized_crop(IMAGES, BOXES, NONE, size, interpolation)
    for image, (top, left, height, width), mine in zip(IMAGES, BOXES.tolist(), ours, strict=True):
        for channel, resized in zip(image.numpy(), mine.numpy(), strict=True):  # Pillow's floats are one channel
            cut = Image.fromarray(channel).crop((left, top, left + width, top + height))
            expected = np.asarray(cut.resize((size, size), FILTERS[interpolation])).clip(0, 1)
            np.testing.assert_allclose(resized, expected, atol=1e-5)


def test_a_flip_mirrors_the_resized_crop_left_to_right() -> None:
    flipped = resized_crop(IMAGES, BOXES, ~NONE, 32, "bicubic")
    torch.testing.assert_close(flipped, resized_crop(IMAGES, BOXES, NONE, 32, "bicubic").flip(3), rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def samples() -> tuple[np.ndarray, np.ndarray]:
    """4,000 boxes (top, left, height, width) of ours and of torchvision's."""
    image = torch.empty(3, 32, 32)
    crop = torchvision.transforms.RandomResizedCrop
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = [crop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(4000)]
    return draw_boxes(square(4000, 32), Crop(sampler="torchvision"), np.random.default_rng(1)), np.array(theirs)


@pytest.mark.parametrize("column", range(4), ids=["top", "left", "height", "width"])
def test_boxes_are_distributed_as_torchvisions(samples: tuple[np.ndarray, np.ndarray], column: int) -> None:
    ours, theirs = samples
    assert ks_2samp(ours[:, column], theirs[:, column]).pvalue > 0.001


def test_areas_and_aspects_are_distributed_as_torchvisions(samples: tuple[np.ndarray, np.ndarray]) -> None:
    ours, theirs = samples
    assert ks_2samp(ours[:, 2] * ours[:, 3], theirs[:, 2] * theirs[:, 3]).pvalue > 0.001
    assert ks_2samp(ours[:, 2] / ours[:, 3], theirs[:, 2] / theirs[:, 3]).pvalue > 0.001


@pytest.mark.parametrize("sampler", ["torchvision", "tensorflow"])
def test_boxes_lie_inside_the_image_also_where_no_attempt_fits(sampler: str) -> None:
    crop = Crop(sampler=sampler, area_min=1.0, aspect_max=4.0)
    boxes = draw_boxes(square(2000, 32), crop, np.random.default_rng(0))
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] >= 1).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= 32).all()
    assert [0, 0, 32, 32] in boxes.tolist()


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("size", [16, 32, 45])
def test_a_resized_crop_is_within_one_level_of_pillows_on_8_bit_images(interpolation: str, size: int) -> None:
    """Levels of 64 to 191, beyond which bicubic never leaves 0 to 255: Pillow clips 8 bits between its passes."""
    levels = (64 + 127 * IMAGES).round()  # (B, 3, H, W), whole numbers
    ours = resized_crop(levels / 255, BOXES, NONE, size, interpolation) * 255
    pictures = levels.permute(0, 2, 3, 1).byte().numpy()  # (B, H, W, 3)
    for picture, (top, left, height, width), mine in zip(pictures, BOXES.tolist(), ours, strict=True):
        cut = Image.fromarray(picture).crop((left, top, left + width, top + height))
        expected = np.asarray(cut.resize((size, size), FILTERS[interpolation])).astype(int)
        assert np.abs(mine.round().permute(1, 2, 0).numpy() - expected).max() <= 1


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("size", [16, 45])
def test_only_the_chosen_images_are_flipped_at_any_size(interpolation: str, size: int) -> None:
    chosen = torch.arange(40) % 3 == 0
    plain = resized_crop(IMAGES, BOXES, NONE, size, interpolation)
    expected = torch.where(chosen[:, None, None, None], torch.flip(plain, [3]), plain)
    made = resized_crop(IMAGES, BOXES, chosen, size, interpolation)
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("interpolation", FILTERS)
def test_the_whole_image_at_its_own_size_stays_as_it_is(interpolation: str) -> None:
    whole = torch.tensor([[0, 0, 32, 32]]).expand(40, 4)
    torch.testing.assert_close(resized_crop(IMAGES, whole, NONE, 32, interpolation), IMAGES, rtol=0, atol=1e-6)


def test_boxes_of_other_settings_are_distributed_as_torchvisions() -> None:
    crop = torchvision.transforms.RandomResizedCrop
    with torch.random.fork_rng():
        torch.manual_seed(2)
        theirs = np.array([crop.get_params(torch.empty(3, 64, 64), [0.5, 1.0], [0.5, 2.0]) for _ in range(3000)])
    ours = draw_boxes(
        square(3000, 64), Crop(sampler="torchvision", area_min=0.5, aspect_max=2.0), np.random.default_rng(2)
    )
    for column in range(4):
        assert ks_2samp(ours[:, column], theirs[:, column]).pvalue > 0.001


def tensorflows_crop(random: np.random.Generator, height: int, width: int, crop: Crop) -> list[int]:
    """sample_distorted_bounding_box_op.cc for one image in a loop, as its C++ reads; the object is the image."""
    for _ in range(100):
        aspect = random.uniform(1 / crop.aspect_max, crop.aspect_max)
        least, most = crop.area_min * height * width, 1.0 * height * width
        h, highest = round(np.sqrt(least / aspect)), round(np.sqrt(most / aspect))
        if round(highest * aspect) > width:
            highest = int((width + 0.5 - 1e-7) / aspect)
            if round(highest * aspect) > width:
                highest -= 1
        highest = min(highest, height)
        h = min(h, highest)
        if h < highest:
            h += int(random.integers(0, highest - h + 1))
        w = round(h * aspect)
        if w * h < least:
            h += 1
            w = round(h * aspect)
        if w * h > most:
            h -= 1
            w = round(h * aspect)
        if w * h < least or w * h > most or w > width or h > height or w <= 0 or h <= 0:
            continue
        if w * h < 0.1 * height * width:  # min_object_covered
            continue
        top = int(random.integers(0, height - h)) if h < height else 0
        left = int(random.integers(0, width - w)) if w < width else 0
        return [top, left, h, w]
    return [0, 0, height, width]


@pytest.mark.parametrize("shape", [(32, 32), (48, 64), (300, 200)])
def test_boxes_are_distributed_as_tensorflows_written_as_a_loop(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    theirs = np.array([tensorflows_crop(random, *shape, Crop()) for _ in range(3000)])
    ours = draw_boxes(np.tile(shape, (3000, 1)), Crop(), np.random.default_rng(2))
    for column in range(4):
        assert ks_2samp(ours[:, column], theirs[:, column]).pvalue > 0.001
    for measure in (lambda box: box[:, 2] * box[:, 3], lambda box: box[:, 3] / box[:, 2]):
        assert ks_2samp(measure(ours), measure(theirs)).pvalue > 0.001


def test_tensorflows_boxes_cover_a_tenth_at_least_and_are_smaller_than_torchvisions() -> None:
    shapes = square(4000, 224)
    areas = {}
    for sampler in ("tensorflow", "torchvision"):
        boxes = draw_boxes(shapes, Crop(sampler=sampler), np.random.default_rng(0))
        areas[sampler] = boxes[:, 2] * boxes[:, 3] / 224**2
    assert areas["tensorflow"].min() >= 0.1
    assert areas["torchvision"].min() < 0.1
    assert areas["tensorflow"].mean() < areas["torchvision"].mean() - 0.05


def test_boxes_of_torchvisions_sampler_are_its_own_also_in_images_that_are_not_square() -> None:
    crop = torchvision.transforms.RandomResizedCrop
    with torch.random.fork_rng():
        torch.manual_seed(3)
        theirs = np.array([crop.get_params(torch.empty(3, 48, 64), [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(3000)])
    ours = draw_boxes(np.tile([48, 64], (3000, 1)), Crop(sampler="torchvision"), np.random.default_rng(2))
    for column in range(4):
        assert ks_2samp(ours[:, column], theirs[:, column]).pvalue > 0.001


@pytest.mark.parametrize("antialias", [True, False])
def test_large_images_are_cropped_in_windows_as_they_are_whole(antialias: bool) -> None:
    random = np.random.default_rng(0)
    shapes = np.tile([150, 200], (30, 1))
    boxes = torch.from_numpy(draw_boxes(shapes, Crop(), random) + random.random((30, 4)) * [0, 0, -0.5, -0.5])
    images = torch.rand(30, 3, 150, 200, generator=torch.Generator().manual_seed(0))
    flip = torch.arange(30) % 2 == 0
    for size in (64, 224):
        whole = module._crop(images, boxes.float(), flip, size, "bicubic", antialias)
        windows = resized_crop(images, boxes, flip, size, "bicubic", antialias)
        torch.testing.assert_close(windows, whole, rtol=0, atol=2e-5)
