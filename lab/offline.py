"""Trains a world model on a fixed buffer: no behaviour, no environment."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from embodied.records.progress import say
from embodied.records.text import duration
from harmony_dreamerv3 import prng
from harmony_dreamerv3.agents import agent_class
from harmony_dreamerv3.config import Config
from lab import base_2025, split
from lab.buffer import Buffer

EVERY = 10.0  # Seconds between lines that say how far it is.
Metrics = dict[str, Any]


def make_agent(config: Config, buffer: Buffer) -> Any:
    """Returns the agent of a configuration for the spaces that the buffer's arrays have."""
    return agent_class(config.base)(config, buffer.obs_space, buffer.act_space)


def window_length(config: Config) -> int:
    """Steps C + T of a training window: context, from whose latents it begins, and the rest."""
    return config.run.replay_context + config.batch_length


class Trainer:
    """The compiled functions of one agent, shared by its seeds."""

    def __init__(self, agent: Any) -> None:
        self.agent = agent
        self.step = jax.jit(functools.partial(model_step, agent), donate_argnums=0)
        self._init = jax.jit(agent.init)

    def init(self, seed: int) -> Any:
        """Returns the state that training with this seed begins with."""
        return self._init(jax.random.key_data(jax.random.key(seed, impl="threefry2x32")))


def model_step(agent: Any, state: Any, batch: Any) -> tuple[Any, Metrics, Metrics]:
    """The first part of `Agent.train_step`: world model and balance, nothing else.

    Its draws and so the world model and balance after are the same; of the 2025 base where no other
    loss reaches them. In between come latents that replace the stored ones of the trained steps.
    """
    if agent.config.base == "dreamerv3_2025":
        return base_2025.model_step(agent, state, batch)
    key, _ = prng.for_update(state.key, state.updates)
    new, _, metrics = agent.train_model(state, batch, key)
    return new.replace(updates=state.updates + new.alive.astype(jnp.int32)), {}, metrics


class Progress:
    """Says now and then how far all trainings are, and when they will be done.

    Args:
      total: updates of all methods and seeds.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._start = self._said = time.monotonic()

    def step(self, count: int, what: Callable[[], str]) -> None:
        """Notes `count` more updates; `what` describes the last one, if it is to be said."""
        self._done += count
        now = time.monotonic()
        if now - self._said < EVERY and self._done < self._total:
            return
        self._said = now
        rate = self._done / max(now - self._start, 1e-9)
        left = (self._total - self._done) / rate
        say(
            f"{what()}; {self._done:,} of {self._total:,} updates, {rate:.3g} a second, "
            f"{duration(left)} left"
        )


def train(
    trainer: Trainer,
    buffer: Buffer,
    starts: np.ndarray,
    seed: int,
    updates: int,
    log_every: int,
    record: Callable[[int, Mapping[str, float]], None],
) -> tuple[Any, str | None]:
    """Trains one world model.

    Args:
      trainer: of the method's agent.
      buffer: the transitions.
      starts: first rows of the training windows.
      seed: of parameters and windows.
      updates: how many.
      log_every: updates between records.
      record: is given the number of updates and the means since the last record.

    Returns:
      The state after, and None, or the loss that was not finite and ended it.
    """
    config, agent = trainer.agent.config, trainer.agent
    length, context = window_length(config), config.run.replay_context
    state = trainer.init(seed)
    # Stored latents are this model's own: zeros, as before an episode, until it writes them back.
    latents = {
        key: np.zeros((buffer.size, *space.shape), space.dtype)
        for key, space in agent.stored_space.items()
    }
    pending: list[Metrics] = []
    for update in range(updates):
        index = split.draw(starts, length, seed, update, config.batch_size)
        batch = buffer.rows(index) | {key: array[index] for key, array in latents.items()}
        state, outputs, metrics = trainer.step(state, {key: batch[key] for key in agent.batch_keys})
        for key, value in outputs.items():
            latents[key][index[:, context:]] = value
        pending.append(metrics)
        if (update + 1) % log_every == 0 or update + 1 == updates:
            values = jax.device_get(pending)
            pending = []
            bad = _not_finite(values)
            if bad:
                return state, bad
            means = {name: float(np.mean([v[name] for v in values])) for name in values[0]}
            record(update + 1, means)
    return state, None


def _not_finite(values: list[Metrics]) -> str | None:
    for value in values:
        fatal = [name for name in value if name.startswith(("loss/", "grad_norm/"))]
        bad = sorted(name for name in fatal if not np.isfinite(value[name]))
        if bad:
            return min(bad, key=lambda name: (not name.startswith("loss/"), name == "loss/model"))
    return None
