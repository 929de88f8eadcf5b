"""What a full table costs, from rates given as arguments; prints the tables of docs/scaling.md.

    python benchmarks/cost.py
    python benchmarks/cost.py --rate "five seeds, measured=5:150" --eval-processes 30

The model, for one job that trains K seeds as one program on one device:

    updates = (steps - fill) * train_ratio / (batch_size * batch_length)    of each seed
    train   = K * updates / rate                   rate: updates/s of all K seeds together
    env     = K * steps / env_rate                 env_rate: agent steps/s of one core
    eval    = (steps / eval_every)
              * (start + K * (eval_envs * make + eval_eps * episode / eval_rate) / processes)
                                               eval_rate: agent steps/s of one process
    job     = overhead + max(train, env) + eval    or, with evaluation beside training,
              overhead + max(train, env, eval)
    jobs    = methods * games * ceil(seeds / K)
    hours on D devices = ceil(jobs / D) * job      device hours = jobs * job

Environments step while the accelerator computes the update, so the longer of the two counts.
"""

from __future__ import annotations

import argparse
import dataclasses
import math

# Name, seeds in one program, updates/s of all of them together. None was measured with this
# program; see docs/scaling.md for what each is.
RATES = (
    ("published: other JAX code, one seed", 1, 50.0),
    ("estimated: one seed", 1, 75.0),
    ("estimated: one seed, loops as CUDA graphs", 1, 95.0),
    ("estimated: five seeds as one program", 5, 190.0),
)
DEVICES = (1, 8, 52, 260)


@dataclasses.dataclass(frozen=True)
class Job:
    """Seconds of one job's parts; `total` with evaluation in its place or beside training."""

    train: float
    env: float
    evaluation: float
    overhead: float
    beside: bool

    @property
    def total(self) -> float:
        """Seconds of the whole job."""
        busy = max(self.train, self.env)
        both = max(busy, self.evaluation) if self.beside else busy + self.evaluation
        return self.overhead + both


def job(args: argparse.Namespace, seeds: int, rate: float) -> Job:
    """Applies the model.

    Args:
      args: see `parse`.
      seeds: K.
      rate: updates a second of all K seeds together.
    """
    updates = (args.steps - args.fill) * args.train_ratio / (args.batch_size * args.batch_length)
    work = args.eval_envs * args.eval_make + args.eval_eps * args.episode / args.eval_rate
    once = args.eval_start + seeds * work / args.eval_processes
    return Job(
        train=seeds * updates / rate,
        env=seeds * args.steps / args.env_rate,
        evaluation=args.steps // args.eval_every * once,
        overhead=args.overhead,
        beside=bool(args.eval_beside),
    )


def tables(args: argparse.Namespace) -> str:
    """Returns the tables as markdown."""
    devices = args.devices
    lines = [
        "| rate | seeds a job | updates/s | train | eval | job | device hours | "
        + " | ".join(f"hours on {count}" for count in devices)
        + " |",
        "|" + " --- |" * (7 + len(devices)),
    ]
    for name, seeds, rate in args.rate or RATES:
        made = job(args, seeds, rate)
        jobs = args.methods * args.games * math.ceil(args.seeds / seeds)
        hours = made.total / 3600
        parts = [f"{seconds / 3600:.3g} h" for seconds in (made.train, made.evaluation, made.total)]
        walls = [f"{math.ceil(jobs / count) * hours:.3g}" for count in devices]
        cells = [name, f"{seeds}", f"{rate:g}", *parts, f"{jobs * hours:.3g}", *walls]
        lines.append(f"| {' | '.join(cells)} |")
    runs = args.methods * args.games * args.seeds
    replay = args.steps * args.transition / 1e9
    saved = args.keep * args.parameters * 4 * args.copies / 1e9
    lines += [
        "",
        "| storage | GB |",
        "| --- | --- |",
        f"| replay of a run | {replay:.2f} |",
        f"| {args.keep} checkpoints of a run | {saved:.2f} |",
        f"| {runs} runs | {runs * (replay + saved):.0f} |",
    ]
    return "\n".join(lines)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the arguments; defaults are Atari 100K."""
    parser = argparse.ArgumentParser(description="Cost of a full table, from rates.")
    add = parser.add_argument
    add("--rate", action="append", type=_rate, metavar="NAME=K:R", help="R updates/s, K seeds")
    add("--games", type=int, default=26)
    add("--methods", type=int, default=2)
    add("--seeds", type=int, default=5)
    add("--devices", type=int, nargs="+", default=list(DEVICES))
    add("--steps", type=int, default=100_000, help="agent steps of a run")
    add("--fill", type=int, default=1_087, help="agent steps before training starts")
    add("--train-ratio", type=float, default=1024.0)
    add("--batch-size", type=int, default=16)
    add("--batch-length", type=int, default=64)
    add("--env-rate", type=float, default=2_500.0, help="agent steps/s of one core")
    add("--eval-every", type=int, default=5_000, help="agent steps")
    add("--eval-eps", type=int, default=100)
    add("--episode", type=float, default=800.0, help="agent steps of an episode in evaluations")
    add("--eval-envs", type=int, default=100, help="side by side, of one seed")
    add("--eval-start", type=float, default=2.0, help="seconds to start the processes")
    add("--eval-make", type=float, default=0.1, help="seconds to make an environment")
    add("--eval-processes", type=int, default=15, help="that share the evaluations of a job")
    add("--eval-rate", type=float, default=1_700.0, help="agent steps/s of one of them")
    add("--eval-beside", type=int, choices=(0, 1), default=1, help="evaluate beside training")
    add("--overhead", type=float, default=120.0, help="seconds to start and compile a job")
    add("--transition", type=float, default=64 * 64 * 3 + 32.0, help="bytes in the replay")
    add("--parameters", type=float, default=18e6, help="of one learner")
    add("--copies", type=float, default=3.1, help="of them in a checkpoint: Adam, slow critic")
    add("--keep", type=int, default=2, help="checkpoints kept")
    return parser.parse_args(argv)


def _rate(text: str) -> tuple[str, int, float]:
    name, _, numbers = text.rpartition("=")
    try:
        seeds, rate = numbers.split(":")
        return name, int(seeds), float(rate)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected NAME=K:R, got {text!r}") from None


if __name__ == "__main__":
    print(tables(parse()))
