import base64
import io

import numpy as np
from PIL import Image

from ablate.report.pictures import LARGEST, sprite


def test_strips_of_large_images_are_shrunk_and_coarser_where_they_would_take_too_many_bytes() -> None:
    noise = np.random.default_rng(0).random((3, 7, 3, 96, 96))
    fine, coarse = (base64.b64decode(sprite(noise, most).partition(",")[2]) for most in (10**6, 50_000))
    assert Image.open(io.BytesIO(coarse)).size == (7 * LARGEST, 3 * LARGEST)
    assert len(coarse) <= 50_000 < len(fine)
