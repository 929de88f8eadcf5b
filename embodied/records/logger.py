"""What people watch: TensorBoard and videos. Its failure never stops a run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.summary import make_histogram

from embodied.checkpoint.files import write_atomic
from embodied.checkpoint.folders import check_inside
from embodied.core.errors import UserError
from embodied.records.events import EventFile
from embodied.records.progress import say
from embodied.records.run_records import append_line
from embodied.records.tracker import open_tracker
from embodied.records.video import encode_gif


class Logger:
    """TensorBoard events, GIF files and timing.jsonl of one run folder.

    Args:
      folder: the run folder.
      step: agent steps done; events of later steps, left by a killed run, are purged.
      tracker: where scalars go beside TensorBoard; see `tracker.KINDS`.
    """

    def __init__(self, folder: Path, step: int, tracker: str = "none") -> None:
        self._folder = folder
        self._tracker = open_tracker(tracker, folder)
        self._warned = False
        self._events: EventFile | None = None
        with self._guarded():
            self._events = EventFile(folder, step)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Writes scalars that are finite, by tag, such as `train/loss_image`."""
        summaries = [
            Summary.Value(tag=tag, simple_value=float(value))
            for tag, value in values.items()
            if np.isfinite(value)
        ]
        with self._guarded():
            self._summarize(summaries, step)
        if self._tracker and summaries:
            self._tracker.log({each.tag: float(values[each.tag]) for each in summaries}, step)

    def histogram(self, tag: str, values: np.ndarray, step: int) -> None:
        """Writes the histogram of the finite ones among `values`."""
        values = np.asarray(values, np.float64).reshape(-1)
        values = values[np.isfinite(values)]
        if not values.size:
            return
        with self._guarded():
            summary = Summary.Value(tag=tag, histo=make_histogram(values, 30))
            self._summarize([summary], step)

    def video(self, tag: str, frames: np.ndarray, step: int) -> Path | None:
        """Writes `videos/<tag>-<step>.gif` and the same as an animated TensorBoard image.

        Args:
          tag: such as `report/openloop`; slashes become dashes in the file's name.
          frames: uint8 [T, H, W, 1 or 3].
          step: agent step.

        Returns:
          The file; None where it could not be written.
        """
        path = None
        with self._guarded():
            data = encode_gif(frames)
            folder = self._folder / "videos"
            check_inside(self._folder, ["videos"])
            folder.mkdir(exist_ok=True)
            place = folder / f"{tag.replace('/', '-')}-{step:09d}.gif"
            write_atomic(place, data)
            path = place
            height, width = frames.shape[1:3]
            image = Summary.Image(
                height=height, width=width, colorspace=3, encoded_image_string=data
            )
            self._summarize([Summary.Value(tag=tag, image=image)], step)
        return path

    def timing(self, values: Mapping[str, Any]) -> None:
        """Appends a line to timing.jsonl."""
        with self._guarded():
            append_line(self._folder / "timing.jsonl", {"time": time.time(), **values})

    def close(self) -> None:
        """Closes the event file and the tracker."""
        if self._tracker:
            self._tracker.close()
        if self._events:
            self._events.close()

    def _summarize(self, values: Sequence[Summary.Value], step: int) -> None:
        if self._events:
            self._events.write(step, summary=Summary(value=values))

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Turns a failure to write into one warning."""
        try:
            yield
        except (OSError, UserError) as error:
            if not self._warned:
                self._warned = True
                say(f"warning: cannot write logs to {self._folder}: {error}; training goes on")
