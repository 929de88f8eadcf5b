"""Videos as GIF files."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from embodied.records.video import encode_gif

FRAMES = np.zeros((5, 8, 6, 3), np.uint8)
for number in range(5):
    FRAMES[number, :, :, 0] = 50 * number


def test_gif_has_every_frame() -> None:
    with Image.open(io.BytesIO(encode_gif(FRAMES, fps=10))) as image:
        assert image.n_frames == 5 and image.size == (6, 8) and image.info["duration"] == 100
        for number in range(5):
            image.seek(number)
            assert abs(int(np.asarray(image.convert("RGB"))[0, 0, 0]) - 50 * number) <= 20


def test_gray_frames_and_wrong_ones() -> None:
    assert encode_gif(FRAMES[..., :1])[:3] == b"GIF"
    with pytest.raises(ValueError, match="expected uint8"):
        encode_gif(FRAMES.astype(np.float32))
