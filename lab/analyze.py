"""Trains, predicts, judges: everything that the verb `analyze` records."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from embodied.checkpoint.files import encode, write_atomic
from embodied.core.errors import UserError
from embodied.records.progress import say
from embodied.records.run_records import append_line
from harmony_dreamerv3.config import Config
from harmony_dreamerv3.runtime import devices
from lab import offline, regress, rewards, strip
from lab.buffer import Buffer
from lab.files import FORMAT, FRAMES, RESULT, UPDATES
from lab.options import Options
from lab.predict import Outputs, Predictor
from lab.split import Split, split, training_starts, windows


@dataclasses.dataclass
class Predictions:
    """What one method's world models predicted; one entry for each seed that went well."""

    rewards: list[np.ndarray]  # [W, L] each
    state: dict[str, list[dict[str, Any]]]
    sigma: list[dict[str, float]]
    strip: Outputs | None = None


@dataclasses.dataclass(frozen=True)
class Windows:
    """Rows `[W, L]` of the windows that are predicted."""

    held: np.ndarray
    train: np.ndarray
    strip: np.ndarray


@devices.memory_errors()
def analyze(
    buffer: Buffer, source: Path, configs: Mapping[str, Config], options: Options, out: Path
) -> dict[str, Any]:
    """Runs the whole analysis.

    Args:
      buffer: the transitions.
      source: where they came from, for the record.
      configs: method -> configuration.
      options: see `Options`.
      out: folder for the records; must be empty or not exist.

    Returns:
      What was written to `analysis.json`.

    Raises:
      UserError: for lengths that the buffer cannot serve, or a folder that is in use.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is not empty; give another --out, or --figures-from {out}")
    device = devices.setup(next(iter(configs.values())).jax)[0]
    agents = {name: offline.make_agent(config, buffer) for name, config in configs.items()}
    keys = regress.state_keys(buffer, agents, options.state)
    parts = split(buffer, options.holdout)
    starts = {
        name: training_starts(parts, offline.window_length(config))
        for name, config in configs.items()
    }
    trained_on = np.concatenate([buffer.arrays["reward"][a:b] for a, b in parts.train])
    scale = rewards.scale(trained_on, options.tolerance)
    places = _windows(buffer, parts, options, scale, bool(keys))
    facts = parts.describe()
    _announce(source, facts, places, keys, device)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {out}: {error}") from error
    progress = offline.Progress(len(agents) * len(options.seeds) * options.updates)
    predictions: dict[str, Predictions] = {}
    failures: list[dict[str, Any]] = []
    for name, agent in agents.items():
        predictions[name] = Predictions([], {key: [] for key in keys}, [])
        trainer = offline.Trainer(agent)
        predictors = [Predictor(agent, buffer, n) for n in (options.observed, options.strip[0])]
        for seed in options.seeds:
            state, bad = _train(
                name, trainer, buffer, starts[name], seed, options, out, progress, predictions[name]
            )
            if bad:
                say(f"warning: {name} seed {seed}: {bad} is not finite; it is left out")
                failures.append({"method": name, "seed": seed, "reason": bad})
                continue
            _predict(buffer, places, state, seed, options, predictors, predictions[name])
    head = {
        "format": FORMAT,
        "source": str(source),
        "task": buffer.config.task,
        "options": dataclasses.asdict(options),
        "split": {"share": options.holdout, **facts},
        "failed": failures,
    }
    judgement, frames = _judge(buffer, parts, places, scale, options, predictions)
    write_atomic(
        out / RESULT, json.dumps({**head, **judgement}, indent=1, allow_nan=False).encode()
    )
    if frames:
        write_atomic(out / FRAMES, encode(frames))
    return {**head, **judgement}


def _judge(
    buffer: Buffer, parts: Split, places: Windows, scale: rewards.Scale, options: Options,
    predictions: Mapping[str, Predictions],
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:  # fmt: skip
    """Turns predictions into numbers, fit for json, and the frames of the strip."""
    good = {name: one for name, one in predictions.items() if one.rewards}
    if not good:
        raise UserError("no world model could be trained: every one had a loss not finite")
    episode = parts.episode[places.held[:, 0]]
    predicted = {name: np.stack(one.rewards) for name, one in good.items()}
    target = buffer.arrays["reward"][places.held]
    lines = {name: one.strip for name, one in good.items() if one.strip is not None}
    facts, frames = strip.record(buffer, places.strip, lines, options.strip[2])
    keys = next(iter(good.values())).state
    judgement = {
        "windows": {
            "held": len(places.held),
            "train": len(places.train),
            "held_episodes": len(np.unique(episode)),
        },
        "reward_scale": dataclasses.asdict(scale),
        "reward": rewards.summarize(target, predicted, options.observed, episode, scale),
        "state": {
            key: regress.summarize({name: one.state[key] for name, one in good.items()})
            for key in keys
        },
        "sigma": {name: _sigma(one.sigma) for name, one in good.items()},
        "strip": facts,
    }
    return judgement, frames


def _windows(
    buffer: Buffer, parts: Split, options: Options, scale: rewards.Scale, state: bool
) -> Windows:
    length, count = options.observed + options.predicted, options.windows
    held = windows(parts, "held", length, count)
    train = windows(parts, "train", length, count) if state else held[:0]
    observed, predicted, every = options.strip
    try:
        among = windows(parts, "held", observed + predicted, buffer.size)
    except UserError as error:
        raise UserError(f"--strip {observed} {predicted}: {error}") from None
    tolerance = scale.tolerance
    number = strip.choose(buffer.arrays["reward"][among], observed, every, tolerance)
    return Windows(held, train, among[number])


def _train(
    name: str,
    trainer: offline.Trainer,
    buffer: Buffer,
    starts: np.ndarray,
    seed: int,
    options: Options,
    out: Path,
    progress: offline.Progress,
    predictions: Predictions,
) -> tuple[Any, str | None]:
    """Trains one world model and keeps its curves."""
    last: dict[str, float] = {}
    last_update = 0

    def record(update: int, means: Mapping[str, float]) -> None:
        nonlocal last_update
        line = {"method": name, "seed": seed, "update": update}
        append_line(out / UPDATES, {**line, **means})
        last.update(means)
        text = f"{name} seed {seed}: loss {means['loss/model']:.4g}"
        progress.step(update - last_update, lambda: f"{text}, reward {means['loss/reward']:.3g}")
        last_update = update

    state, bad = offline.train(
        trainer, buffer, starts, seed, options.updates, options.log_every, record
    )
    if not bad:
        predictions.sigma.append(
            {k: v for k, v in last.items() if k.startswith("balance/log_sigma")}
        )
    return state, bad


def _predict(
    buffer: Buffer, places: Windows, model: Any, seed: int, options: Options,
    predictors: list[Predictor], predictions: Predictions,
) -> None:  # fmt: skip
    """Lets one world model predict, and regresses the state from its latents."""
    held = predictors[0].latents(model, places.held, seed)
    predictions.rewards.append(held["reward"])
    if predictions.strip is None:
        predictions.strip = predictors[1].images(model, places.strip[None], seed)
    if not predictions.state:
        return
    feat = predictors[0].latents(model, places.train, seed)["feat"]
    size, cut = feat.shape[-1], options.observed

    def state(key: str, rows: np.ndarray) -> np.ndarray:
        array = np.asarray(buffer.arrays[key][rows], np.float64)
        return array.reshape(rows.size, -1)

    for key, fits in predictions.state.items():
        tests = {
            name: (held["feat"][:, where].reshape(-1, size), state(key, places.held[:, where]))
            for name, where in (("observed", slice(cut)), ("predicted", slice(cut, None)))
        }
        target = state(key, places.train)
        updates = options.regression_updates
        fits.append(regress.fit(feat.reshape(-1, size), target, tests, seed, updates))


def _sigma(seeds: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Last log σ, log σ* and their distance by task, means over seeds; empty without σ."""
    prefix = "balance/log_sigma/"
    tasks = [key.removeprefix(prefix) for key in seeds[0] if key.startswith(prefix)]
    out = {}
    for task in tasks:
        log = [seed[f"{prefix}{task}"] for seed in seeds]
        star = [seed[f"balance/log_sigma_star/{task}"] for seed in seeds]
        distance = np.mean(log) - np.mean(star)
        out[task] = {
            "log_sigma": float(np.mean(log)), "log_sigma_star": float(np.mean(star)),
            "distance": float(distance),
        }  # fmt: skip
    return out


def _announce(
    source: Path, facts: Mapping[str, Any], places: Windows, keys: list[str], device: Any
) -> None:
    steps, episodes = facts["steps"], facts["episodes"]
    how = "the last whole episodes" if facts["whole_episodes"] else "the last steps of each stream"
    say(
        f"{source}: {steps['train']:,} steps ({episodes['train']} episodes) for training; held "
        f"out, {how}: {steps['held']:,} ({episodes['held']} episodes, {len(places.held)} windows)"
    )
    text = f"state regressed: {', '.join(keys)}" if keys else "no state that models do not see"
    say(f"{text}; on {device.device_kind} ({device.platform})")
