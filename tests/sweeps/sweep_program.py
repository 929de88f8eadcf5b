"""A stand-in for training: counts steps, saves real checkpoints, misbehaves on request.

python sweep_program.py --steps 5 [--die 2] [--fail] [--nap 0.05] [--freeze] --logdir D
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from embodied.checkpoint.checkpoints import Checkpoints
from embodied.checkpoint.lock import Lock
from embodied.checkpoint.manifest import Part
from embodied.run.signals import StopFlag


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seeds", type=int, nargs="+", default=[])
    parser.add_argument("--die", type=int, default=-1)
    parser.add_argument("--fail", action="store_true")
    parser.add_argument("--freeze", action="store_true")
    parser.add_argument("--nap", type=float, default=0.0)
    parser.add_argument("--logdir", type=Path)
    args = parser.parse_args()
    folders = [args.logdir / f"seed-{seed}" for seed in args.seeds] or [args.logdir]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    lock = Lock(args.logdir)
    if args.fail:
        print("something is wrong")
        return 3
    checkpoints = Checkpoints(args.logdir, folders)
    found = checkpoints.load()
    step = found[0].state["step"] if found else 0
    with StopFlag() as stop:
        while step < args.steps and not stop:
            time.sleep(args.nap)
            step += 1
            if step == args.die and not (args.logdir / "died").exists():
                (args.logdir / "died").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            frozen = "not finite" if args.freeze else None
            states = [{"step": step, "pending": None, "frozen": None} for _ in folders]
            states[0]["frozen"] = frozen
            checkpoints.save(step, [Part(state, {}) for state in states])
            line = {"time": time.time(), "step": step, "updates": step, "steps_per_second": 10.0,
                    "updates_per_second": 10.0, "seconds/total": 0.1}  # fmt: skip
            with open(folders[0] / "timing.jsonl", "a") as file:
                file.write(json.dumps(line) + "\n")
    with open(args.logdir / "visits", "a") as file:
        file.write(f"{os.environ.get('CUDA_VISIBLE_DEVICES', '-')} {step}\n")
    lock.release()
    return 0


if __name__ == "__main__":
    sys.exit(main())
