"""Everything a run has to remember, and how it goes into checkpoints and comes back."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from embodied.checkpoint.checkpoints import Checkpoints
from embodied.checkpoint.files import CorruptFile, decode
from embodied.checkpoint.manifest import Part, Saved
from embodied.core.errors import UserError
from embodied.core.learner import Arrays
from embodied.records.progress import say
from embodied.records.run_records import FILES, Records
from embodied.run.config import fill_step
from embodied.run.member import Member, members, under
from embodied.run.member_state import MemberState
from embodied.run.offline import Recorded
from embodied.run.setup import Setup, open_driver, open_replays, require
from embodied.stepping.driver import Driver


class RunState:
    """The state of a run between two agent steps.

    Attributes:
      members: all N of them, once started.
      driver: steps their environments, once started.
      step: agent steps stored.
      updates: updates done.
      began: agent step at which training began; None before.
      carry: state of the training policies.
      evaluated: agent step at which the last evaluation began.
      pending: of an evaluation that is not written yet: step, updates, snapshot.

    Args:
      setup: what the run is made of.
    """

    members: list[Member]
    driver: Driver

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.step = 0
        self.updates = 0
        self.began: int | None = None
        self.carry: Any = setup.learner.initial_carry(setup.run.envs)
        self.evaluated = -1
        self.pending: tuple[int, int, Any] | None = None
        self._checkpoints = Checkpoints(setup.root, setup.logdirs, setup.run.keep)
        self._writer = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        self._saved: tuple[int, bool] | None = None  # Step and whether an evaluation was pending.

    @property
    def active(self) -> list[Member]:
        """The members that are not frozen."""
        return [member for member in self.members if member.frozen is None]

    def start(self) -> None:
        """Continues from the newest checkpoint, or begins and saves the first one.

        Raises:
          UserError: when there are records but no checkpoint, or a checkpoint of another run.
        """
        saved = self._checkpoints.load(say)
        if saved is not None:
            self._load(saved)
            self._saved = (self.step, self.pending is not None)
            say(f"continuing from the checkpoint of step {self.step:,} in {self.setup.root}")
            then, now = saved[0].state["machine"], self.setup.learner.machine
            if then != now:
                say(
                    f"warning: it was computed on {then}, and goes on on {now}: the last digits of "
                    "its numbers will differ from those of an undisturbed run"
                )
            return
        if not all(Records(folder).empty for folder in self.setup.logdirs):
            raise UserError(
                f"{self.setup.root} has records but no checkpoint to continue from; choose "
                "another --logdir, or move the old records away"
            )
        recorded = Recorded.read(self.setup) if self.setup.run.offline else None
        self._open(range(len(self.setup.seeds)), {}, recorded.capacity if recorded else None)
        if recorded:
            recorded.fill(self.members)
            self.began = 0
        require(self.driver.reset(self.mask()), self.setup.seeds)
        for member in self.members:
            member.records.load(dict.fromkeys(FILES, b""), None)
        self.save()
        self.check(wait=True)  # No record may come before something to continue from.

    def mask(self) -> np.ndarray:
        """Returns which environments take part, bool [N, E]."""
        active = [[member.frozen is None] for member in self.members]
        return np.repeat(np.array(active), self.setup.run.envs, 1)

    def save(self) -> None:
        """Takes a checkpoint of this moment and writes it in the background.

        Raises:
          UserError: when the one before could not be written.
        """
        moment = (self.step, self.pending is not None)
        if self._saved == moment:
            return
        self.check(wait=True)
        self.drain()
        learner = self.setup.learner
        arrays = {"learner": learner.save(), "carry": learner.save(self.carry)}
        if self.pending:
            arrays["policy"] = learner.save(self.pending[2])
        parts = [self._part(member, arrays) for member in self.members]
        self._saved = moment
        self._writing = self._writer.submit(self._checkpoints.save, self.step, parts)

    def check(self, wait: bool = False) -> None:
        """Raises the error of the last save, if it is done (or after waiting for it)."""
        if self._writing and (wait or self._writing.done()):
            writing, self._writing = self._writing, None
            writing.result()

    def close(self) -> None:
        """Closes the environments and waits for a save in progress."""
        self._writer.shutdown()
        if hasattr(self, "driver"):
            self.driver.close()

    def drain(self) -> None:
        """Takes the metrics of all updates so far into the means."""
        names, values = self.setup.learner.drain()
        for member in self.active:
            member.means.add([f"train/{name}" for name in names], values[:, member.index])

    def freeze(self, member: Member, reason: str, broken: bool) -> None:
        """Takes a member out of the run, with its state of this moment.

        `broken`: its environments failed and cannot be asked for their state.
        """
        self.drain()
        member.records.release([])
        learner = self.setup.learner
        arrays = {"learner": learner.save(), "carry": learner.save(self.carry)}
        member.freeze(reason, self._part(member, arrays, broken))

    def _part(self, member: Member, arrays: dict[str, list[Arrays]], broken: bool = False) -> Part:
        common = {
            "batch_length": self.setup.batch_length,
            "envs": self.setup.run.envs,
            "machine": self.setup.learner.machine,
            "step": self.step,
            "updates": self.updates,
            "evaluated": self.evaluated,
            "pending": list(self.pending[:2]) if self.pending else None,
            "began": self.began,
        }
        own = {name: each[member.index] for name, each in arrays.items()}
        return member.save(common, own, self.driver, broken)

    def _open(
        self, active: Sequence[int], loops: dict[int, Arrays], capacity: int | None = None
    ) -> None:
        """Makes the environments of the active members, and all members with empty replays."""
        setup = self.setup
        self.driver = open_driver(setup, active, self.step, loops)
        self.members = members(
            setup.seeds, setup.logdirs, open_replays(setup, self.driver, capacity)
        )

    def _load(self, saved: Sequence[Saved]) -> None:
        """Takes over a checkpoint."""
        setup, learner = self.setup, self.setup.learner
        try:
            states = self._compare(saved)
            arrays = [
                {
                    key: decode(path.read_bytes(), path)
                    for key, path in part.files.items()
                    if key.endswith(".safetensors")
                }
                for part in saved
            ]
            going = [n for n, s in enumerate(states) if s.frozen is None or learner.size == 1]
            if not going:
                raise CorruptFile("all its members are frozen")
            lead = states[going[0]]
            self.step, self.updates, self.evaluated = lead.step, lead.updates, lead.evaluated
            fill = fill_step(setup.run, setup.batch_length)
            # Training always began there in earlier versions.
            old = {"began": fill if self.step > fill else None}
            self.began = (lead.draws or old)["began"]
            loops = [files["loop.safetensors"] for files in arrays]
            fixed = lead.replay["ring"] * lead.envs if setup.run.offline else None
            self._open(going, dict(enumerate(loops)), fixed)
            learner.load([files["learner.safetensors"] for files in arrays])
            self._refuse_failed(saved, states, going)
            self.carry = learner.load([under("carry/", loop) for loop in loops], self.carry)
            if lead.pending:
                spare = arrays[going[0]]["policy.safetensors"]  # For those frozen since.
                policies = [files.get("policy.safetensors", spare) for files in arrays]
                policy = learner.load(policies, learner.snapshot())
                self.pending = (lead.pending[0], lead.pending[1], policy)
            for member, part, state, files in zip(self.members, saved, states, arrays):
                if member.index in going:
                    member.load(part, state, files, self.driver)
                else:
                    member.load_frozen(part, state, files)
        except (KeyError, TypeError, ValueError, IndexError, CorruptFile) as error:
            raise UserError(
                f"the checkpoint in {setup.root} is not one of this run: {error!r}; choose another "
                "--logdir"
            ) from error

    def _refuse_failed(
        self, saved: Sequence[Saved], states: Sequence[MemberState], going: Sequence[int]
    ) -> None:
        """Stops when a learner that is to go on will not learn any more."""
        failed = self.setup.learner.failed()
        for n in going:
            if failed[n]:
                reason = states[n].frozen or f"the loss {failed[n]!r} was not finite"
                raise UserError(
                    f"the learner of step {self.step:,} in {saved[n].folder} has stopped learning "
                    f"({reason}) and cannot go on; choose another --logdir"
                )

    def _compare(self, saved: Sequence[Saved]) -> list[MemberState]:
        """Refuses a damaged checkpoint, one of another run, and one beyond the end of this."""
        states = []
        for seed, part in zip(self.setup.seeds, saved):
            now = {"seed": seed, "batch_length": self.setup.batch_length}
            now["run.envs"] = self.setup.run.envs
            then = {key: part.state.get(key) for key in now}
            if now != then:
                raise UserError(
                    f"{part.folder} holds a run with {then}, this one has {now}; choose another "
                    "--logdir"
                )
            states.append(MemberState.from_plain(part.state))
            done, run = states[-1].step, self.setup.run
            if done - run.envs >= run.steps:  # The last step of all environments may go beyond.
                raise UserError(
                    f"run.steps is {run.steps}, but the run in {part.folder} has done {done} agent "
                    f"steps; give --run.steps {done} or more, or choose another --logdir"
                )
        return states
