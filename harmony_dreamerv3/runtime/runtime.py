"""The one mutable holder of train states: compile, place, donate, save, load.

N learners ("members") of one game live in one TrainState with a leading axis `[N, ...]` and
train as one compiled program. It implements `embodied.core.learner.Learner`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from embodied.core.errors import UserError
from embodied.core.space import Space
from harmony_dreamerv3 import prng
from harmony_dreamerv3.agents import agent_class, openloop
from harmony_dreamerv3.agents.base import TrainState
from harmony_dreamerv3.config import Config
from harmony_dreamerv3.nets.fast import plain
from harmony_dreamerv3.runtime import device_replay, devices, memory, programs, trees
from harmony_dreamerv3.runtime.failures import Failures

Arrays = dict[str, np.ndarray]


class Runtime:
    """N learners of one game as one compiled program, one of each of the `seeds`."""

    def __init__(
        self,
        config: Config,
        obs_space: Mapping[str, Space],
        act_space: Mapping[str, Space],
        seeds: Sequence[int],
    ) -> None:
        self.agent: Any = agent_class(config.base)(config, dict(obs_space), dict(act_space))
        self.size = len(seeds)
        self.seeds = tuple(int(seed) for seed in seeds)
        self.machine = devices.machine()
        self.mesh = devices.mesh(config.jax.population_devices, config.jax.data_devices)
        population, data = self.mesh.devices.shape
        if self.size % population or config.batch_size % data:
            raise UserError(
                f"{self.size} seeds must be a multiple of jax.population_devices "
                f"({population}), and batch_size {config.batch_size} of jax.data_devices ({data})"
            )
        self._shard_state = NamedSharding(self.mesh, P("population"))
        self._shard_batch = NamedSharding(self.mesh, P("population", "data"))
        self._everywhere = NamedSharding(self.mesh, P())
        self.keys = self._place(np.stack([np.asarray(prng.of_seed(s)) for s in self.seeds]))
        init = jax.jit(self._each(self.agent.init), compiler_options=programs.seldom())
        devices.check_memory(jax.eval_shape(init, self.keys), self.mesh.shape["population"])
        self.state: TrainState = self._place(init(self.keys))
        self._pending: list[jax.Array] = []
        self._alive: Any = None
        self._failures = Failures(self.size)
        self._names: list[str] = []  # of metrics, once the shapes of a batch are known
        # Said for outputs, too: a state that came back laid out differently could not be donated.
        trained = (self._shard_state, *[self._everywhere] * 3)
        acted = (self._shard_state, self._everywhere)
        self._step = jax.jit(self._each(self.agent.train_step), inline=True)
        self._train = jax.jit(self._train_members, donate_argnums=0, out_shardings=trained)
        self._train_stored = jax.jit(
            self._gather_and_train, donate_argnums=0, out_shardings=trained
        )
        self._policy = jax.jit(self._act_members, static_argnames="mode", out_shardings=acted)
        self._report = jax.jit(self._each(self.agent.report), compiler_options=programs.seldom())
        self._stored = jax.jit(self._each(self.agent.stored))
        self._compiled = 0  # programs, when memory was last settled

    @property
    def parameters(self) -> int:
        """Number of trained parameters of one learner."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.state.params)) // self.size

    # Acting

    def initial_carry(self, rows: int) -> Any:
        """Returns the policy's state of `[N, rows]` environments."""
        carry = self.agent.initial_carry(rows)
        return self._place(jax.tree.map(lambda x: jnp.stack([x] * self.size), carry))

    def act(
        self, carry: Any, obs: Arrays, counter: tuple[int, ...], mode: str, policy: Any = None
    ) -> tuple[Any, np.ndarray]:
        """Chooses actions for `[N, rows]` environments; see `Learner.act`."""
        params = self.agent.policy_params(self.state) if policy is None else policy
        obs = {key: np.asarray(obs[key]) for key in self.agent.obs_keys}
        count = np.asarray(counter, np.uint32)
        carry, action = self._policy(params, carry, obs, self.keys, count, mode=mode)
        if policy is None:  # One wait for both: what `failed` asks next comes along.
            action, self._alive = jax.device_get((action, self._alive))
        return carry, np.array(action, np.float32)

    @property
    def stored_space(self) -> Mapping[str, Space]:
        """What the policy leaves in the replay with each step."""
        return self.agent.stored_space

    def stored(self, carry: Any) -> Mapping[str, jax.Array]:
        """Returns what a carry leaves in the replay, `[N, rows, ...]`."""
        return self._stored(carry) if self.stored_space else {}

    def snapshot(self) -> Any:
        """Returns a copy of the policies' parameters that training leaves alone."""
        return jax.tree.map(jnp.copy, self.agent.policy_params(self.state))

    # Training

    def train(self, batches: list[Any]) -> list[Mapping[str, Any]]:
        """Dispatches one update of every member; see `Learner.train`."""
        if isinstance(batches[0], device_replay.DeviceBatch):
            stores = [{k: b.store.arrays[k] for k in self.agent.batch_keys} for b in batches]
            index, first = (
                np.stack([getattr(b, name) for b in batches]) for name in ("index", "first")
            )
            self._name_metrics(jax.eval_shape(programs.gather, stores, index, first))
            done = self._train_stored(self.state, stores, index, first)
        else:
            batch = self._share(
                {k: np.stack([b[k] for b in batches]) for k in self.agent.batch_keys}
            )
            self._name_metrics(batch)
            done = self._train(self.state, batch)
        self.state, outputs, values, self._alive = done
        self._pending.append(values)
        self._settle()
        return [trees.member(outputs, n) for n in range(self.size)]

    def drain(self) -> tuple[list[str], np.ndarray]:
        """Waits for all updates; returns names `[M]` and values float64 `[U, N, M]`."""
        values = [np.asarray(v, np.float64) for v in self._pending]
        self._pending = []
        for value in values:
            self._failures.look(self._names, value)
        shape = (0, self.size, len(self._names))
        return list(self._names), np.stack(values) if values else np.zeros(shape)

    def failed(self) -> list[str | None]:
        """Returns for each member None, or the first loss that was not finite."""
        alive = np.ones(self.size, bool) if self._alive is None else np.asarray(self._alive)
        if self._failures.missing(alive):
            for value in self._pending:
                self._failures.look(self._names, np.asarray(value))
        return self._failures.reasons(alive)

    def report(self, batches: list[Any], counter: tuple[int, ...]) -> list[Arrays]:
        """Returns heavy metrics: open-loop videos and histograms; see `Learner.report`."""
        if isinstance(batches[0], device_replay.DeviceBatch):
            arrays = [device_replay.gather(b.store.arrays, b.index, b.first) for b in batches]
        else:
            arrays = batches
        batch = {k: np.stack([np.asarray(b[k]) for b in arrays]) for k in self.agent.batch_keys}
        count = jnp.asarray(counter, jnp.uint32)
        keys = jax.vmap(lambda key: prng.for_call(key, "report", count))(self.keys)
        out = jax.device_get(self._report(self.state, batch, keys))
        return [openloop.finish(trees.member(out, index)) for index in range(self.size)]

    # Saving

    def save(self, tree: Any = None) -> list[Arrays]:
        """Returns a carry, a snapshot or the train state (None), a flat dict for each member."""
        return trees.flat(self.state if tree is None else tree, self.size)

    def load(self, arrays: list[Arrays], like: Any = None) -> Any:
        """Takes back what `save` returned; see `Learner.load`."""
        if like is not None:
            return self._place(trees.unflat(like, arrays, self.size))
        self.state = self._place(trees.unflat(self.state, arrays, self.size))
        self._pending, self._alive = [], self.state.alive
        self._failures = Failures(self.size)

    def make_stores(
        self, spaces: Mapping[str, Space], capacity: int
    ) -> list[device_replay.DeviceStore | None]:
        """Returns a store for each member, in accelerator memory where configured and all fit."""
        choice = self.agent.config.jax.device_replay.lower()
        if choice not in ("auto", "true", "false"):
            raise UserError(f"jax.device_replay: expected auto, True or False, got {choice!r}")
        device = self.mesh.devices.flat[0]
        fits = device_replay.fits(spaces, capacity, self.size, device)
        if choice == "true":
            device_replay.check_size(spaces, capacity)
        if self.mesh.size > 1 or choice == "false" or (choice == "auto" and not fits):
            return [None] * self.size
        return [device_replay.DeviceStore(spaces, capacity, device) for _ in self.seeds]

    # Compiled functions

    def _train_members(self, state: TrainState, batch: Any) -> tuple[TrainState, Any, Any, Any]:
        state, outputs, metrics = self._step(state, batch)
        # One array for all: each further output of the program would be one more to wait for.
        values = jnp.stack([metrics[name] for name in sorted(metrics)], -1)
        return state, outputs, values, state.alive

    def _gather_and_train(
        self, state: TrainState, stores: list[Any], index: Any, first: Any
    ) -> tuple[TrainState, Any, Any, Any]:
        return self._train_members(state, programs.gather(stores, index, first))

    def _act_members(
        self, params: Any, carry: Any, obs: Any, keys: Any, counter: Any, *, mode: str
    ) -> tuple[Any, Any]:
        def one(params: Any, carry: Any, obs: Any, key: Any) -> tuple[Any, Any]:
            return self.agent.policy(params, carry, obs, prng.for_call(key, mode, counter), mode)

        return self._each(one)(params, carry, obs, keys)

    # Helpers

    def _settle(self) -> None:
        jitted: Any = (self._train, self._train_stored, self._policy, self._report)
        count = sum(program._cache_size() for program in jitted)
        if count != self._compiled and jax.default_backend() == "cpu":
            memory.settle()
        self._compiled = count

    def _each(self, function: Callable) -> Callable:
        function = function if self.agent.config.jax.fast else plain(function)
        return programs.each(function, self.size, self.mesh)

    def _name_metrics(self, batch: Any) -> None:
        """Learns the names of metrics from the shapes of a batch; training reuses the trace."""
        if not self._names:
            self._names = sorted(jax.eval_shape(self._step, self.state, batch)[2])

    def _place(self, tree: Any) -> Any:
        return jax.device_put(tree, self._shard_state)

    def _share(self, batch: Arrays) -> Any:
        """Puts every device's share of `[N, B, ...]` on it; other processes put their own."""
        if jax.process_count() == 1:
            return jax.device_put(batch, self._shard_batch)
        return {
            key: jax.make_array_from_callback(x.shape, self._shard_batch, x.__getitem__)
            for key, x in batch.items()
        }
