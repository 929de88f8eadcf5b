"""Kills a run at random moments, lets it continue, and compares it with an undisturbed one.

    python tests/faults/harness.py --kills 50 --task atari_pong
    python tests/faults/harness.py --kills 20 --command "COMMAND ... --logdir {logdir}"

Without `--command` it runs the real loop, environment and replay with a learner of a few numbers
that remembers every batch. A kill is SIGKILL, or SIGTERM with `--term`, at a moment drawn
from the undisturbed run, in its seconds of processor time, so that it does not matter how busy the
machine is; `--after` spares the first of them, in which Python and JAX start.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import math
import os
import random
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from fake_learner import FakeLearner  # noqa: E402
from fingerprints import fingerprint  # noqa: E402

import embodied.envs  # noqa: E402
from embodied.core.env import Env  # noqa: E402
from embodied.run import RunConfig, train_eval  # noqa: E402

SETTINGS: dict[str, Any] = {
    "steps": 600,
    "envs": 2,
    "train_ratio": 8.0,
    "train_fill": 20,
    "log_every": 20,
    "report_every": 200,
    "eval_every": 150,
    "eval_eps": 4,
    "eval_envs": 3,
    "save_every": 50,
    "video_length": 0,
}


def child_command(settings: dict[str, Any]) -> list[str]:
    """Returns the command that trains the fake learner; `{logdir}` stands for the folder."""
    return [sys.executable, str(Path(__file__).resolve()), "--child", json.dumps(settings)]


@dataclasses.dataclass
class Tally:
    """What kills have hit.

    Args:
      kills: processes killed.
      begun: of them, those in which training had begun or continued.
      torn: of them, those that left an unfinished checkpoint or file behind.
    """

    kills: int = 0
    begun: int = 0
    torn: int = 0

    def note(self, folder: Path, log: str) -> None:
        """Looks at what a killed process has left."""
        self.kills += 1
        self.begun += "\nreplay: " in f"\n{log}"
        unfinished = [
            path
            for path in folder.rglob("checkpoints/*")
            if path.is_dir() and not (path / "manifest.json").exists()
        ]
        self.torn += bool(unfinished or list(folder.rglob(".*.tmp")))

    def __str__(self) -> str:
        return f"{self.kills} kills ({self.begun} after training began, {self.torn} amid a save)"


def disturb(
    command: list[str],
    folder: Path,
    kills: int,
    moments: tuple[float, float],
    rng: random.Random,
    term: bool,
    tally: Tally,
) -> None:
    """Runs the command again and again, killing it, until it has ended by itself.

    Args:
      command: with `{logdir}` for the folder.
      folder: of the run.
      kills: most kills before it is left alone; it may end before all are spent.
      moments: earliest and latest second of a kill, in processor time.
      rng: draws the moments.
      term: send SIGTERM instead of SIGKILL.
      tally: counts the kills that hit the running process.
    """
    most = tally.kills + kills
    while True:
        before = len(_log(folder))
        process = _start(command, folder)
        moment = rng.uniform(*moments) if tally.kills < most else math.inf
        if not _reaches(process, moment, rng.uniform(0, 0.1)):
            if process.returncode:
                raise RuntimeError(f"exit code {process.returncode}:\n{_log(folder)[-3000:]}")
            return
        process.send_signal(signal.SIGTERM if term else signal.SIGKILL)
        process.wait()
        tally.note(folder, _log(folder)[before:])
        if term and process.returncode not in (0, -signal.SIGTERM):
            raise RuntimeError(_log(folder)[-3000:])


def _reaches(process: subprocess.Popen[bytes], moment: float, more: float) -> bool:
    """Waits until a process has worked so many seconds and `more` have passed; False: it ended."""
    while process.poll() is None:
        if _worked(process.pid) >= moment:
            time.sleep(more)  # A process that waits for the disk does not work.
            return process.poll() is None
        time.sleep(0.01)
    return False


def _worked(process: int) -> float:
    """Returns the seconds of processor time that a process that was not waited for has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _worked_by_children() -> float:
    """Returns the seconds of processor time of all processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    filled = [word.replace("{logdir}", str(folder)) for word in command]
    with open(folder.with_suffix(".log"), "ab") as log:
        return subprocess.Popen(filled, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT)


def _log(folder: Path) -> str:
    path = folder.with_suffix(".log")
    return path.read_text(errors="replace") if path.exists() else ""


def compare(
    command: list[str],
    base: Path,
    kills: int,
    seed: int,
    term: bool = False,
    members: int = 1,
    after: float = 0,
) -> Tally:
    """Compares disturbed runs with an undisturbed one until all kills are spent.

    Args:
      command: with `{logdir}` for the folder.
      base: an empty folder.
      kills: number of kills in all.
      seed: of the moments.
      term: send SIGTERM instead of SIGKILL.
      members: when above 1, the run folders are `{logdir}/seed-<n>`.
      after: earliest second of a kill, in processor time.

    Returns:
      What the kills hit; all were survived.

    Raises:
      AssertionError: naming the parts that differ.
    """
    rng, tally = random.Random(seed), Tally()
    start, before = time.monotonic(), _worked_by_children()
    disturb(command, base / "plain", 0, (0, 0), rng, term, tally)
    seconds = _worked_by_children() - before
    print(f"  the undisturbed run took {seconds:.1f} s of processor time", flush=True)
    inner = [f"seed-{n}" for n in range(members)] if members > 1 else ["."]
    wanted = [fingerprint(base / "plain" / name) for name in inner]
    while (done := tally.kills) < kills:
        folder = base / f"killed-{done}"
        moments, before = (min(after, seconds), seconds), _worked_by_children()
        disturb(command, folder, min(kills - done, 10), moments, rng, term, tally)
        for name, want in zip(inner, wanted):
            found = fingerprint(folder / name)
            differing = [part for part in want if want[part] != found[part]]
            assert not differing, f"{folder / name} differs in {differing}\n{_log(folder)[-3000:]}"
        if tally.kills == done:  # Ended before its moment: the first run had compiled, say.
            seconds = min(seconds, _worked_by_children() - before)
        print(f"  {tally} survived in {time.monotonic() - start:.0f} s", flush=True)
        shutil.rmtree(folder)
    return tally


def make_env(task: str, options: dict[str, Any], member: int, index: int, seed: int) -> Env:
    """Returns the environment; a function of the module, so that processes can be given it."""
    return embodied.envs.make(task, seed, options)


def child(settings: dict[str, Any], logdir: Path) -> None:
    """Trains the fake learner in this process."""
    make = functools.partial(make_env, settings.pop("task"), settings.pop("options"))
    seeds = list(range(settings.pop("members")))
    probe = make(0, 0, 0)
    learner = FakeLearner(seeds, probe.act_space["action"])
    probe.close()
    folders = [logdir / f"seed-{seed}" for seed in seeds] if len(seeds) > 1 else [logdir]
    train_eval(learner, make, make, folders, seeds, RunConfig(**settings), 4, 8)


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--after", type=float, default=0, help="earliest kill, in seconds of work")
    parser.add_argument("--task", default="dummy_disc")
    parser.add_argument("--options", default="{}", help="JSON of the environment's options")
    parser.add_argument("--settings", default="{}", help="JSON of RunConfig fields")
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--term", action="store_true", help="SIGTERM instead of SIGKILL")
    parser.add_argument("--command", help="train something else; {logdir} stands for the folder")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args, rest = parser.parse_known_args()
    if args.child:
        child(json.loads(args.child), Path(rest[0]))
        return
    settings = {"task": args.task, "options": json.loads(args.options), "members": args.members}
    settings |= SETTINGS | json.loads(args.settings)
    command = shlex.split(args.command) if args.command else [*child_command(settings), "{logdir}"]
    base = Path(tempfile.mkdtemp())
    try:
        tally = compare(command, base, args.kills, args.seed, args.term, args.members, args.after)
    except AssertionError:
        print(f"the folders are kept in {base}")
        raise
    shutil.rmtree(base)
    print(f"{tally} survived, every run identical to the undisturbed one")


if __name__ == "__main__":
    main()
