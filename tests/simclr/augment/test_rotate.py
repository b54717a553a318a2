import numpy as np
import pytest
import torch
from PIL import Image

from ablate.simclr.augment.rotate import rotate
from ablate.simclr.base.vision import torchvision

reference = pytest.importorskip("torchvision.transforms.v2.functional")
assert torchvision
IMAGES = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_rotation_is_pillows_by_quarter_turns() -> None:
    turned = rotate(IMAGES, np.array([0, 1, 2, 3, 1, 0]))
    turns = [None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270]
    for image, ours, quarter in zip(IMAGES, turned, [0, 1, 2, 3, 1, 0], strict=True):
        for channel, rotated in zip(image.numpy(), ours.numpy(), strict=True):
            picture = Image.fromarray(channel)
            theirs = picture.transpose(turns[quarter]) if quarter else picture
            np.testing.assert_array_equal(rotated, np.asarray(theirs))


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotation_is_torchvisions_counter_clockwise_rotation(turns: int) -> None:
    expected = reference.rotate(IMAGES, 90.0 * turns)
    torch.testing.assert_close(rotate(IMAGES, np.full(6, turns)), expected, rtol=0, atol=1e-6)
