"""Trains for a while and watches the memory of the process.

    python tests/faults/soak.py --minutes 15 -- harmony-dreamerv3 train --configs debug \\
        --run.steps 1000000 --run.replay_size 500 --logdir FOLDER

The slope is a straight line through the second half of the samples: the first holds what is filled
once (replay, compiled programs, arenas). The run is stopped by SIGTERM at the end.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import time
from pathlib import Path

import numpy as np


def resident(process: int) -> float:
    """Returns the megabytes that a process holds."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024 / 1e6


def watch(process: subprocess.Popen[bytes], seconds: float, every: float) -> np.ndarray:
    """Samples until the time is over or the process ends.

    Returns:
      float [S, 2]: seconds since the start, megabytes.
    """
    start, samples = time.monotonic(), []
    while process.poll() is None and (now := time.monotonic() - start) < seconds:
        samples.append((now, resident(process.pid)))
        time.sleep(every)
    return np.array(samples)


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--every", type=float, default=2, help="seconds between samples")
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    process = subprocess.Popen(args.command)
    samples = watch(process, 60 * args.minutes, args.every)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    code = process.wait()
    for part in (0.1, 0.25, 0.5, 0.75, 1.0):
        seconds, size = samples[max(0, round(part * len(samples)) - 1)]
        print(f"after {seconds:6.0f} s: {size:7.1f} MB")
    late = samples[len(samples) // 2 :]
    slope, _ = np.polyfit(late[:, 0], late[:, 1], 1)
    print(f"second half: {3600 * slope:+.1f} MB an hour, from {late[:, 1].min():.1f} to "
          f"{late[:, 1].max():.1f} MB; exit code {code}")  # fmt: skip


if __name__ == "__main__":
    main()
