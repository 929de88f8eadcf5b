"""Training on the replay of another run, as it is: `run.offline`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from embodied.checkpoint.checkpoints import Checkpoints
from embodied.checkpoint.files import CorruptFile, decode
from embodied.checkpoint.manifest import Saved
from embodied.core.errors import UserError
from embodied.core.learner import Arrays
from embodied.records.progress import say
from embodied.run.config import RunConfig, updates_due
from embodied.run.member import Member
from embodied.run.member_state import MemberState
from embodied.run.setup import Setup


@dataclasses.dataclass(frozen=True)
class Recorded:
    """A run's replay on disk, of which each member gets a copy: the run may go on meanwhile."""

    setup: Setup  # of the run that trains on it
    saved: Saved  # the newest checkpoint of the one that recorded it
    state: MemberState  # what that says
    latents: Arrays | None  # what that run's policy left with each step, where it did

    @classmethod
    def read(cls, setup: Setup) -> Recorded:
        """Reads what `run.offline` names: a run folder, or the folder `replay` in it.

        Raises:
          UserError: when there is no replay, or one of another number of environments.
        """
        place = place_of(setup.run)
        checkpoints = Checkpoints(place, [place])
        found = checkpoints.take(lambda saved: cls._take(setup, saved), say)
        if found is None:
            raise UserError(f"run.offline: there is no checkpoint in {place}")
        if found.state.envs != setup.run.envs:
            raise UserError(
                f"run.offline: {place} was recorded in {found.state.envs} environments side by "
                f"side, this run has run.envs = {setup.run.envs}; give --run.envs "
                f"{found.state.envs}"
            )
        return found

    @classmethod
    def _take(cls, setup: Setup, saved: Sequence[Saved]) -> Recorded:
        path = saved[0].files.get("latents.safetensors")
        latents = decode(path.read_bytes(), path) if path else None
        return cls(setup, saved[0], MemberState.from_plain(saved[0].state), latents)

    @property
    def capacity(self) -> int:
        """Transitions that a replay must hold for all of these."""
        return int(self.state.replay["ring"]) * self.state.envs

    def fill(self, members: Sequence[Member]) -> None:
        """Copies the transitions into empty replays, and says what training they are for.

        Raises:
          UserError: when they are of another task, or do not hold one window.
        """
        folder, state, setup = self.saved.folder, self.state.replay, self.setup
        for member in members:
            try:
                member.files.copy(state, folder / "replay", self.saved.damaged, self.latents)
            except CorruptFile as error:
                raise UserError(
                    f"run.offline: the replay in {folder} does not fit this task and base: {error}"
                ) from error
            if not member.replay.windows:
                raise UserError(
                    f"run.offline: the {member.replay.size} steps in {folder} hold no window of "
                    f"{member.replay.sampling.item}; lower batch_length"
                )
        updates = total_updates(setup)
        say(
            f"offline: {members[0].replay.size:,} steps of {folder}, {updates:,} updates; an agent "
            "step stands for the updates that an online run makes in it"
        )


def place_of(run: RunConfig) -> Path:
    """Returns the run folder that `run.offline` names.

    Raises:
      UserError: when it is none.
    """
    given = Path(run.offline)
    place = given.parent if given.name == "replay" else given
    if not (place / "checkpoints").is_dir():
        raise UserError(f"run.offline: {given} is no run folder with a checkpoint and a replay")
    return place


def total_updates(setup: Setup) -> int:
    """Returns how many updates an offline run makes; 0 for a run that steps environments."""
    run = setup.run
    if not run.offline:
        return 0
    last = -(-run.steps // run.envs) * run.envs - run.envs  # Updates come before the step counts.
    return updates_due(last, 0, run, setup.batch_size, setup.batch_length)
