"""Everything a run has to remember, and how it goes into checkpoints and comes back."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from embodied.checkpoint.checkpoints import Checkpoints
from embodied.checkpoint.files import CorruptFile, decode
from embodied.checkpoint.parts import Part, Saved
from embodied.core.errors import UserError
from embodied.core.learner import Arrays
from embodied.records.logger import say
from embodied.records.metrics import Means
from embodied.records.run_records import FILES, Records
from embodied.run.config import fill_step
from embodied.run.evaluation import require
from embodied.run.schema import check_state
from embodied.run.world import Setup, World, open_world


@dataclasses.dataclass
class Frozen:
    """A member that takes no further part.

    Args:
      reason: why.
      part: its checkpoint at that moment, saved again and again with those of the others.
    """

    reason: str
    part: Part


class RunState:
    """The state of a run between two agent steps.

    Args:
      setup: what the run is made of.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.step = 0  # Agent steps stored.
        self.began: int | None = None  # Agent step at which training started.
        self.updates = 0
        self.carry: Any = setup.learner.initial_carry(setup.run.envs)
        self.frozen: dict[int, Frozen] = {}
        self.pending: tuple[int, int, Any] | None = None  # Evaluation: step, updates, snapshot.
        size = setup.learner.size
        self.evaluated = -1  # Agent step at which the last evaluation began.
        self.episodes = [0] * size  # Training episodes finished.
        self.returns: list[dict[str, float]] = [{} for _ in range(size)]  # The last, by mode.
        self.means = [Means() for _ in range(size)]
        self.records = [Records(folder) for folder in setup.logdirs]
        self.world: World
        self._checkpoints = Checkpoints(setup.root, setup.logdirs, setup.run.keep)
        self._writer = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        self._saved: tuple[int, bool] | None = None  # Step and whether an evaluation was pending.

    @property
    def active(self) -> list[int]:
        """The members that are not frozen."""
        return [n for n in range(self.setup.learner.size) if n not in self.frozen]

    def start(self) -> None:
        """Continues from the newest checkpoint, or begins and saves the first one.

        Raises:
          UserError: when there are records but no checkpoint, or a checkpoint of another run.
        """
        saved = self._checkpoints.load(say)
        if saved is None:
            if not all(records.empty for records in self.records):
                raise UserError(
                    f"{self.setup.root} has records but no checkpoint to continue from; choose "
                    "another --logdir, or move the old records away"
                )
            self.world = open_world(self.setup, self.active, 0, {})
            require(self.world.driver.reset(self.mask()), self.setup.seeds)
            for records in self.records:
                records.load(dict.fromkeys(FILES, b""), None)
            self.save()
            self.check(wait=True)  # No record may come before something to continue from.
        else:
            self._load(saved)
            self._saved = (self.step, self.pending is not None)
            say(f"continuing from the checkpoint of step {self.step:,} in {self.setup.root}")
            then, now = saved[0].state["machine"], self.setup.learner.machine
            if then != now:
                say(
                    f"warning: it was computed on {then}, and goes on on {now}: the last digits of "
                    "its numbers will differ from those of an undisturbed run"
                )

    def mask(self) -> np.ndarray:
        """Returns which environments take part, bool [N, E]."""
        mask = np.zeros((self.setup.learner.size, self.setup.run.envs), bool)
        mask[self.active] = True
        return mask

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
        learned, carries = learner.save(), learner.save(self.carry)
        policies = learner.save(self.pending[2]) if self.pending else None
        parts = []
        for n in range(learner.size):
            if n in self.frozen:
                part = self.frozen[n].part
                kept = [*part.kept, *part.replay]
                self.frozen[n].part = dataclasses.replace(part, replay={}, kept=kept)
            else:
                part = self.part(n, learned[n], carries[n], policies[n] if policies else None)
            parts.append(part)
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
        if hasattr(self, "world"):
            self.world.driver.close()

    def drain(self) -> None:
        """Takes the metrics of all updates so far into the means."""
        names, values = self.setup.learner.drain()
        for n in self.active:
            self.means[n].add([f"train/{name}" for name in names], values[:, n])

    def part(
        self, n: int, learned: Arrays, carry: Arrays, policy: Arrays | None, broken: bool = False
    ) -> Part:
        """Returns a member's part of a checkpoint.

        Args:
          n: index of the member.
          learned: its learner's arrays.
          carry: its policy state.
          policy: its part of the pending evaluation's snapshot.
          broken: its environments failed and cannot be asked for their state.
        """
        obs, states, running = self.world.driver.save(n, broken)
        replay, chunks, latents = self.world.files[n].save(self.step)
        contents, held = self.records[n].save()
        loop = {f"obs/{key}": value for key, value in obs.items()}
        loop |= {f"carry/{key}": value for key, value in carry.items()}
        loop |= {
            f"env/{row}": np.frombuffer(data, np.uint8)
            for row, data in enumerate(states)
            if data is not None
        }
        files: dict[str, Any] = {"learner.safetensors": learned, "loop.safetensors": loop}
        if latents:
            files["latents.safetensors"] = latents
        if policy is not None:
            files["policy.safetensors"] = policy
        state = {
            "seed": int(self.setup.seeds[n]),
            "batch_length": self.setup.batch_length,
            "run.envs": self.setup.run.envs,
            "machine": self.setup.learner.machine,
            "step": self.step,
            "updates": self.updates,
            "episodes": self.episodes[n],
            "returns": self.returns[n],
            "running": running,
            "means": self.means[n].save(),
            "evaluated": self.evaluated,
            "pending": self.pending[:2] if self.pending else None,
            "held": held if self.pending else None,
            "replay": replay,
            "draws": {"began": self.began, **self.world.replays[n].cursor.save()},
            "frozen": None,
        }
        kept = [chunk["name"] for chunk in replay["chunks"] if chunk["name"] not in chunks]
        return Part(state, files | contents, chunks, kept)

    def freeze(self, n: int, reason: str, broken: bool) -> None:
        """Takes a member out of the run, with its state of this moment.

        Args:
          n: index of the member.
          reason: why, for people.
          broken: as for `part`.
        """
        self.drain()
        self.records[n].release([])
        learner = self.setup.learner
        part = self.part(n, learner.save()[n], learner.save(self.carry)[n], None, broken)
        state = {**part.state, "frozen": reason, "pending": None, "held": None}
        self.frozen[n] = Frozen(reason, dataclasses.replace(part, state=state))

    def _load(self, saved: Sequence[Saved]) -> None:
        """Takes over a checkpoint."""
        setup, learner = self.setup, self.setup.learner
        try:
            self._compare(saved)
            arrays = [
                {
                    key: decode(path.read_bytes(), path)
                    for key, path in part.files.items()
                    if key.endswith(".safetensors")
                }
                for part in saved
            ]
            for n, part in enumerate(saved):
                if part.state["frozen"] and learner.size > 1:
                    self._keep_frozen(n, part)
            lead = saved[self.active[0]].state if self.active else saved[0].state
            self.step, self.updates = lead["step"], lead["updates"]
            fill = fill_step(setup.run, setup.batch_length)
            # Runs of earlier versions always began there.
            began = {"began": fill if self.step > fill else None}
            self.began = lead.get("draws", began)["began"]
            loops = [files["loop.safetensors"] for files in arrays]
            self.evaluated = lead["evaluated"]
            self.world = open_world(setup, self.active, self.step, dict(enumerate(loops)))
            learner.load([files["learner.safetensors"] for files in arrays])
            self._refuse_failed(saved)
            self.carry = learner.load([_under("carry/", loop) for loop in loops], self.carry)
            if lead["pending"]:
                spare = arrays[self.active[0]]["policy.safetensors"]  # For those frozen since.
                policy = learner.load(
                    [files.get("policy.safetensors", spare) for files in arrays], learner.snapshot()
                )
                self.pending = (*lead["pending"], policy)
            for n, part in enumerate(saved):
                self._load_member(n, part, loops[n], arrays[n].get("latents.safetensors"))
        except (KeyError, TypeError, ValueError, IndexError, CorruptFile) as error:
            raise UserError(
                f"the checkpoint in {setup.root} is not one of this run: {error!r}; choose another "
                "--logdir"
            ) from error

    def _load_member(self, n: int, part: Saved, loop: Arrays, latents: Arrays | None) -> None:
        state = part.state
        self.world.files[n].load(state["replay"], part.folder / "replay", part.damaged, latents)
        if "draws" in state:
            self.world.replays[n].cursor.load(state["draws"])
        if part.damaged:
            replay = self.world.replays[n]
            say(
                f"warning: {part.folder}: replay files {sorted(part.damaged)} are damaged; the run "
                f"goes on with the {replay.size:,} transitions after them, and will differ from an "
                "undisturbed one"
            )
        if n in self.frozen:
            return
        rows = range(self.setup.run.envs)
        states = [loop[f"env/{r}"].tobytes() if f"env/{r}" in loop else None for r in rows]
        self.world.driver.load(n, _under("obs/", loop), states, state["running"])
        self.episodes[n] = int(state["episodes"])
        self.returns[n] = dict(state["returns"])
        self.means[n].load(state["means"])
        contents = {name: part.files[name].read_bytes() for name in FILES}
        self.records[n].load(contents, state["held"])

    def _refuse_failed(self, saved: Sequence[Saved]) -> None:
        """Stops when a learner that is to go on will not learn any more."""
        failed = self.setup.learner.failed()
        for n in self.active:
            if failed[n]:
                reason = saved[n].state["frozen"] or f"the loss {failed[n]!r} was not finite"
                raise UserError(
                    f"the learner of step {self.step:,} in {saved[n].folder} has stopped learning "
                    f"({reason}) and cannot go on; choose another --logdir"
                )

    def _keep_frozen(self, n: int, part: Saved) -> None:
        files = {name: path.read_bytes() for name, path in part.files.items()}
        kept = [chunk["name"] for chunk in part.state["replay"]["chunks"]]
        self.frozen[n] = Frozen(part.state["frozen"], Part(part.state, files, {}, kept))

    def _compare(self, saved: Sequence[Saved]) -> None:
        """Refuses a damaged checkpoint, one of another run, and one beyond the end of this."""
        for seed, part in zip(self.setup.seeds, saved):
            now = {"seed": seed, "batch_length": self.setup.batch_length}
            now["run.envs"] = self.setup.run.envs
            then = {key: part.state.get(key) for key in now}
            if now != then:
                raise UserError(
                    f"{part.folder} holds a run with {then}, this one has {now}; choose another "
                    "--logdir"
                )
            check_state(part.state)
            done, run = part.state["step"], self.setup.run
            if done - run.envs >= run.steps:  # The last step of all environments may go beyond.
                raise UserError(
                    f"run.steps is {run.steps}, but the run in {part.folder} has done {done} agent "
                    f"steps; give --run.steps {done} or more, or choose another --logdir"
                )


def _under(prefix: str, arrays: Arrays) -> Arrays:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
