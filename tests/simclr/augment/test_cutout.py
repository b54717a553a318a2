import numpy as np
import pytest
import torch

from ablate.simclr.augment.cutout import cutout

IMAGES = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_cutout_covers_the_square_that_a_loop_covers() -> None:
    centre = torch.tensor([[0.0, 0.0], [0.5, 0.5], [0.99, 0.2], [0.3, 0.99], [0.25, 0.75], [0.6, 0.1]])
    expected = IMAGES.clone()
    for index, (row, column) in enumerate(centre.tolist()):
        for y in range(32):
            for x in range(32):
                if abs(y + 0.5 - int(row * 32)) < 8 and abs(x + 0.5 - int(column * 32)) < 8:
                    expected[index, :, y, x] = 0.5
    assert torch.equal(cutout(IMAGES, centre, side=0.5, fill=0.5), expected)


@pytest.mark.parametrize(("side", "pixels"), [(0.1, 3), (0.28, 9), (1.0, 32)])
def test_cutout_squares_of_odd_and_full_sides_are_those_of_numpy_slices(side: float, pixels: int) -> None:
    centre = np.random.default_rng(0).random((6, 2)).astype(np.float32)
    expected = IMAGES.numpy().copy()
    for image, (row, column) in zip(expected, centre, strict=True):
        top, left = int(row * 32) - pixels // 2, int(column * 32) - pixels // 2
        image[:, max(top, 0) : max(top + pixels, 0), max(left, 0) : max(left + pixels, 0)] = 0.25
    ours = cutout(IMAGES, torch.from_numpy(centre), side, fill=0.25)
    np.testing.assert_array_equal(ours.numpy(), expected)


def test_cutout_covers_on_average_the_share_that_squares_over_the_edge_leave() -> None:
    centre = torch.from_numpy(np.random.default_rng(0).random((4000, 2)).astype(np.float32))
    covered = cutout(torch.zeros(4000, 1, 32, 32), centre, side=0.5, fill=1.0)
    # A side s around a uniform centre covers s - s^2 / 4 of an axis: 0.4375 for s = 1/2.
    assert covered.mean().item() == pytest.approx(0.4375**2, abs=0.005)
