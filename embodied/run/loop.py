"""The run loop: one agent step in a fixed order, and what is due between steps."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from embodied.core.env import MASK
from embodied.core.errors import UserError
from embodied.core.rng import generator
from embodied.records.progress import say
from embodied.records.timer import Timer
from embodied.run.config import crossed, fill_step, updates_due
from embodied.run.evaluation import Outcome, evaluate_policy
from embodied.run.reporter import Reporter
from embodied.run.setup import Setup, describe
from embodied.run.signals import StopFlag
from embodied.run.state import RunState


class Loop:
    """Trains until `run.steps` agent steps or a signal.

    Every agent step has the same order: act with the newest parameters; dispatch the updates that
    are due, which sample transitions up to the step before; step the environments; insert. So an
    accelerator computes updates while the environments step, and a run is a function of its seeds.
    """

    def __init__(self, setup: Setup, state: RunState, stop: StopFlag) -> None:
        self._setup, self._run, self._learner = setup, setup.run, setup.learner
        self._state = state
        self._stop = stop
        self._timer = Timer()
        self._reporter = Reporter(setup, state, self._timer)
        # By member, of the last update: the steps drawn, and what is to be written back.
        self._outputs: dict[int, tuple[np.ndarray, Mapping[str, Any]]] = {}
        self._background = ThreadPoolExecutor(1)
        self._evaluation: Future[Outcome] | None = None
        self._fill = fill_step(setup.run, setup.batch_length)

    def train(self) -> None:
        """Runs to the end, or until asked to stop; saves in both cases."""
        state = self._state
        self._launch()  # What a stop has cut short, and what it has kept from starting.
        self._evaluate()
        step = self._train_offline if self._run.offline else self._step
        while state.step < self._run.steps and not self._stop:
            step()
            self._due()
        self._collect(wait=True)
        self._save()
        with self._timer.section("save"):
            state.check(wait=True)

    def close(self) -> None:
        """Abandons background work and closes the logs."""
        self._stop.name = self._stop.name or "error"
        self._background.shutdown()
        self._reporter.close()

    def _step(self) -> None:
        """Makes one agent step in every environment of every member."""
        state, timer = self._state, self._timer
        obs = state.driver.obs
        if state.began is None and state.step >= self._fill:
            ready = all(member.replay.windows for member in state.active)
            state.began = state.step if ready else None
        with timer.section("policy"):
            actions, stored = self._act(obs)
        actions[obs["is_last"]] = 0  # The environment resets next.
        self._train()
        with timer.section("env"):
            stepped = state.driver.step(actions, state.mask())
        self._freeze(stepped.errors, broken=True)
        actions[stepped.cut] = 0
        # An environment that was restarted has ended its episode with the step acted on.
        data = {**obs, "is_last": obs["is_last"] | stepped.cut, "action": actions, **stored}
        for member in state.active:
            member.replay.insert({key: value[member.index] for key, value in data.items()})
        state.step += self._run.envs
        if stepped.limited:
            self._reporter.limited()
        for episode in stepped.episodes:
            self._reporter.episode(episode)

    def _train_offline(self) -> None:
        """Makes the updates of one agent step in every environment, and steps none."""
        self._find_failed()  # Waits for the last updates: batches must not pile up.
        self._train()
        self._state.step += self._run.envs

    def _train(self) -> None:
        """Makes the updates that are due."""
        state, size, length = self._state, self._setup.batch_size, self._setup.batch_length
        due = updates_due(state.step, state.began, self._run, size, length)
        with self._timer.section("train"):
            while state.updates < due:
                self._update()

    def _act(self, obs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, Mapping[str, Any]]:
        """Returns actions [N, E, A], random until training starts, and what is stored with them."""
        state, learner = self._state, self._learner
        if state.began is None and self._run.random_fill:
            space, rows = state.driver.act_space, range(self._run.envs)
            rngs = [generator("random", seed, state.step) for seed in self._setup.seeds]
            masks = obs.get(MASK, [[None] * len(rows)] * len(rngs))
            actions = np.array(
                [[space.sample(rng, mask[e]) for e in rows] for rng, mask in zip(rngs, masks)]
            )
            return actions, learner.stored(state.carry)
        if state.step == state.began and self._run.random_fill:
            # The policy has not seen how this episode began.
            obs = {**obs, "is_first": np.ones_like(obs["is_first"])}
        carry, actions = learner.act(state.carry, dict(obs), (state.step,), "train")
        self._find_failed()
        state.carry = carry
        return actions, learner.stored(carry)

    def _update(self) -> None:
        """Dispatches one update of every member; what it writes back follows in `_write_back`."""
        drawn, batches = self._draw(self._state.updates, "train")
        outputs = self._learner.train(batches)
        self._state.updates += 1
        self._outputs = {n: (steps, outputs[n]) for n, steps in drawn.items() if outputs[n]}

    def _draw(self, number: int, purpose: str) -> tuple[dict[int, np.ndarray], list[Any]]:
        """Returns the steps drawn for each active member, and a batch for every member.

        Nobody looks at what frozen ones make of theirs.
        """
        self._write_back()
        active, size = self._state.active, self._setup.batch_size
        drawn = {m.index: m.replay.draw(number, size, purpose) for m in active}
        batches = {m.index: m.replay.gather(drawn[m.index]) for m in active}
        spare = batches[active[0].index]
        return drawn, [batches.get(n, spare) for n in range(self._learner.size)]

    def _write_back(self) -> None:
        """Puts the last update's outputs into the replay, before anybody reads it.

        Not at once: the host would wait for the update instead of stepping the environments.
        """
        for n, (steps, outputs) in self._outputs.items():
            context = self._run.replay_context
            self._state.members[n].replay.write_back(steps[:, context:], outputs)
        self._outputs = {}

    def _find_failed(self) -> None:
        """Takes out the members whose loss is no longer finite."""
        state, seeds = self._state, self._setup.seeds
        failed = {
            n: UserError(
                f"the loss {name!r} of seed {seeds[n]} is no longer finite after update "
                f"{state.updates:,} (step {state.step:,}); the last good checkpoint stays"
            )
            for n, name in enumerate(self._learner.failed())
            if name is not None
        }
        self._freeze(failed, broken=False)

    def _freeze(self, errors: Mapping[int, Exception], broken: bool) -> None:
        """Takes failed members out, `broken` where their environments failed.

        The only one, or the last one, stops the run.
        """
        state = self._state
        for n, error in errors.items():
            member = state.members[n]
            if member.frozen is not None:
                continue
            reason = self._told(error, member.seed) if broken else str(error)
            if len(state.active) == 1:
                raise UserError(reason)
            say(f"warning: {reason}; seed {member.seed} is frozen, the others go on")
            self._write_back()
            state.freeze(member, reason, broken)

    @staticmethod
    def _told(error: Exception, seed: int) -> str:
        """Returns what is said of an environment that raised in training."""
        return f"{describe(error, seed)}; the last checkpoint stays"

    def _due(self) -> None:
        """Does what falls between this agent step and the next."""
        state, run, timer = self._state, self._run, self._timer
        state.check()
        self._collect()
        if crossed(state.step, run.log_every, run.envs):
            with timer.section("train"):
                state.drain()
            self._reporter.log()
        if state.updates and crossed(state.step, run.report_every, run.envs):
            with timer.section("report"):
                _, batches = self._draw(state.step, "report")
                self._reporter.report(self._learner.report(batches, (state.step,)))
        self._evaluate()
        if crossed(state.step, run.save_every, run.envs):
            self._save()

    def _save(self) -> None:
        with self._timer.section("save"):
            self._find_failed()  # What does not go on learning must not push out what does.
            self._write_back()
            self._state.save()

    def _evaluate(self) -> None:
        """Begins an evaluation if one is due at this step, after joining the one before."""
        state, run = self._state, self._run
        due = crossed(state.step, run.eval_every, run.envs) or state.step >= run.steps
        wanted = run.eval_every and self._setup.make_eval_env
        if not due or not wanted or state.evaluated == state.step:
            return
        self._collect(wait=True)
        if state.pending:
            return  # Asked to stop meanwhile: both are done when the run continues.
        state.evaluated = state.step
        state.pending = (state.step, state.updates, self._learner.snapshot())
        for member in state.active:
            member.records.hold()
        self._launch()

    def _launch(self) -> None:
        """Starts the pending evaluation, and waits for it unless it may run beside training."""
        state, setup = self._state, self._setup
        if not state.pending or not setup.make_eval_env:
            return
        play = functools.partial(
            evaluate_policy,
            setup.make_eval_env,
            self._learner,
            state.pending[2],
            setup.seeds,
            [member.index for member in state.active],
            state.pending[0],
            self._run,
            lambda: bool(self._stop),
        )
        if self._run.eval_async:
            self._evaluation = self._background.submit(play)
            return
        with self._timer.section("eval"):
            self._finish(play)

    def _collect(self, wait: bool = False) -> None:
        """Writes the results of the evaluation in progress if it is done, or after waiting."""
        if self._evaluation and (wait or self._evaluation.done()):
            future, self._evaluation = self._evaluation, None
            self._finish(future.result)

    def _finish(self, result: Callable[[], Outcome]) -> None:
        """Writes the pending evaluation's result, unless a stop cut it short."""
        state, outcome = self._state, result()
        if outcome.cut:
            return  # It stays pending, and is made again when the run continues.
        assert state.pending
        step, updates, _ = state.pending
        state.pending = None
        seeds = self._setup.seeds
        errors = {n: UserError(self._told(e, seeds[n])) for n, e in outcome.errors.items()}
        self._freeze(errors, broken=False)
        self._reporter.evaluation(outcome, step, updates)
