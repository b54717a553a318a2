import pytest
import torch
import torch.nn.functional as F

from ablate.simclr.augment.blur import gaussian_blur
from ablate.simclr.base.vision import torchvision

reference = pytest.importorskip("torchvision.transforms.v2.functional")
assert torchvision


@pytest.mark.parametrize(("size", "radius"), [(32, 1), (64, 3), (224, 11)])
def test_blur_is_torchvisions_with_zeros_beyond_the_edge(size: int, radius: int) -> None:
    images = torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    sigma = torch.tensor([0.1, 0.7, 2.0])
    padded = F.pad(images, [radius] * 4)
    expected = [
        reference.gaussian_blur(image, [2 * radius + 1] * 2, [float(s)] * 2)[:, radius:-radius, radius:-radius]
        for image, s in zip(padded, sigma, strict=True)
    ]
    torch.testing.assert_close(gaussian_blur(images, sigma), torch.stack(expected), rtol=0, atol=1e-5)
