"""Videos as GIF files, by Pillow alone."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def encode_gif(frames: np.ndarray, fps: int = 20) -> bytes:
    """Returns an endless animated GIF.

    Args:
      frames: uint8 [T, H, W, 3] or [T, H, W, 1], T at least 1.
      fps: frames a second; GIF counts hundredths of a second.

    Raises:
      ValueError: when the frames have another shape or dtype.
    """
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] not in (1, 3):
        raise ValueError(f"expected uint8 [T, H, W, 1 or 3], got {frames.dtype} {frames.shape}")
    if frames.shape[-1] == 1:
        frames = np.repeat(frames, 3, -1)
    images = [
        Image.fromarray(frame).quantize(256, method=Image.Quantize.FASTOCTREE) for frame in frames
    ]
    buffer = io.BytesIO()
    images[0].save(
        buffer, "GIF", save_all=True, append_images=images[1:], duration=1000 // fps, loop=0
    )
    return buffer.getvalue()
