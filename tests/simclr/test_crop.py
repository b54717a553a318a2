import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import ks_2samp

from ablate.simclr.augment.crop import draw_boxes, resized_crop
from ablate.simclr.config import Crop
from ablate.simclr.vision import torchvision

v2 = pytest.importorskip("torchvision.transforms.v2")
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
IMAGES = torch.rand(40, 3, 32, 32, generator=torch.Generator().manual_seed(0))
BOXES = torch.from_numpy(draw_boxes(40, 32, Crop(), np.random.default_rng(0)))
NONE = torch.zeros(40, dtype=torch.bool)


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("size", [16, 32, 45])
def test_a_resized_crop_is_torchvisions(interpolation: str, size: int) -> None:
    mode = torchvision.transforms.InterpolationMode(interpolation)
    expected = [
        v2.functional.resized_crop(image, *box, size=[size, size], interpolation=mode, antialias=True).clamp(0, 1)
        for image, box in zip(IMAGES, BOXES.tolist(), strict=True)
    ]
    ours = resized_crop(IMAGES, BOXES, NONE, size, interpolation)
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
    return draw_boxes(4000, 32, Crop(), np.random.default_rng(1)), np.array(theirs)


@pytest.mark.parametrize("column", range(4), ids=["top", "left", "height", "width"])
def test_boxes_are_distributed_as_torchvisions(samples: tuple[np.ndarray, np.ndarray], column: int) -> None:
    ours, theirs = samples
    assert ks_2samp(ours[:, column], theirs[:, column]).pvalue > 0.001


def test_areas_and_aspects_are_distributed_as_torchvisions(samples: tuple[np.ndarray, np.ndarray]) -> None:
    ours, theirs = samples
    assert ks_2samp(ours[:, 2] * ours[:, 3], theirs[:, 2] * theirs[:, 3]).pvalue > 0.001
    assert ks_2samp(ours[:, 2] / ours[:, 3], theirs[:, 2] / theirs[:, 3]).pvalue > 0.001


def test_boxes_lie_inside_the_image_also_where_no_attempt_fits() -> None:
    boxes = draw_boxes(2000, 32, Crop(area_min=1.0, aspect_max=4.0), np.random.default_rng(0))
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
    ours = draw_boxes(3000, 64, Crop(area_min=0.5, aspect_max=2.0), np.random.default_rng(2))
    for column in range(4):
        assert ks_2samp(ours[:, column], theirs[:, column]).pvalue > 0.001
