"""Trains a world model on a fixed buffer: no behaviour, no environment."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from embodied.core.errors import UserError
from embodied.records.progress import say
from embodied.records.text import duration
from harmony_dreamerv3 import prng
from harmony_dreamerv3.agents import agent_class
from harmony_dreamerv3.config import Config
from lab import split
from lab.buffer import Buffer

EVERY = 10.0  # Seconds between lines that say how far it is.
Metrics = dict[str, Any]


BASES = ("dreamerv3", "dreamerv2")  # whose world models train by themselves


def make_agent(config: Config, buffer: Buffer) -> Any:
    """Returns the agent of a configuration for the spaces that the buffer's arrays have.

    Raises:
      UserError: for a base whose world model does not learn without its policy.
    """
    if config.base not in BASES:
        raise UserError(
            f"analyze trains world models of base {' or '.join(BASES)}, this run's is {config.base}"
        )
    return agent_class(config.base)(config, buffer.obs_space, buffer.act_space)


class Trainer:
    """The compiled functions of one agent, shared by its seeds."""

    def __init__(self, agent: Any) -> None:
        self.agent = agent
        self.step = jax.jit(functools.partial(model_step, agent), donate_argnums=0)
        self._init = jax.jit(agent.init)

    def init(self, seed: int) -> Any:
        """Returns the state that training with this seed begins with."""
        return self._init(jax.random.key_data(jax.random.key(seed, impl="threefry2x32")))


def model_step(agent: Any, state: Any, batch: Any) -> tuple[Any, Metrics]:
    """The first part of `Agent.train_step`: world model and balance, nothing else.

    Its draws and so the world model and balance after are the same.
    """
    key, _ = prng.for_update(state.key, state.updates)
    new, _, metrics = agent.train_model(state, batch, key)
    return new.replace(updates=state.updates + new.alive.astype(jnp.int32)), metrics


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
    config = trainer.agent.config
    keys = trainer.agent.batch_keys
    state = trainer.init(seed)
    pending: list[Metrics] = []
    for update in range(updates):
        index = split.draw(starts, config.batch_length, seed, update, config.batch_size)
        batch = buffer.rows(index)
        state, metrics = trainer.step(state, {key: batch[key] for key in keys})
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
