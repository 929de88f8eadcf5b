"""One seed of a run: what it has of its own, and how that goes into checkpoints and comes back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embodied.checkpoint.manifest import Content, Part, Saved
from embodied.core.learner import Arrays
from embodied.records.logger import Logger
from embodied.records.metrics import Means
from embodied.records.progress import say
from embodied.records.run_records import FILES, Records
from embodied.replay import Replay
from embodied.replay.chunks import ReplayFiles
from embodied.run.member_state import MemberState
from embodied.stepping.driver import Driver


@dataclasses.dataclass
class Member:
    """One seed of a run."""

    index: int  # its place n among the N members
    seed: int  # of everything random in it
    folder: Path  # its run folder
    records: Records  # its lines
    replay: Replay  # its transitions
    files: ReplayFiles  # the same on disk
    means: Means = dataclasses.field(default_factory=Means)  # of metrics since the last line
    returns: dict[str, float] = dataclasses.field(default_factory=dict)  # the last return by mode
    episodes: int = 0  # training episodes finished
    frozen: str | None = None  # why it takes no further part; None while it does
    logger: Logger = dataclasses.field(init=False)  # what people watch
    _last: Part | None = None  # Of a frozen one: saved again and again with those of the others.

    def save(
        self,
        common: Mapping[str, Any],
        arrays: Mapping[str, Arrays],
        driver: Driver,
        broken: bool = False,
    ) -> Part:
        """Returns this member's part of a checkpoint.

        Args:
          common: fields of `MemberState` that all members share.
          arrays: of its learner (`learner`), of its policy's state (`carry`), and of its part of
            the pending evaluation's snapshot (`policy`) where there is one.
          driver: steps its environments.
          broken: one of them failed, so that they cannot be asked for their state.
        """
        if self._last:
            part = self._last
            # What is new in its replay is new once.
            self._last = dataclasses.replace(part, replay={}, kept=[*part.kept, *part.replay])
            return part
        obs, states, running = driver.save(self.index, broken)
        replay, chunks, latents = self.files.save(common["step"])
        contents, held = self.records.save()
        loop = {f"obs/{key}": value for key, value in obs.items()}
        loop |= {f"carry/{key}": value for key, value in arrays["carry"].items()}
        for row, data in enumerate(states):
            if data is not None:
                loop[f"env/{row}"] = np.frombuffer(data, np.uint8)
        files: dict[str, Content] = {"learner.safetensors": arrays["learner"], **contents}
        files["loop.safetensors"] = loop
        if latents:
            files["latents.safetensors"] = latents
        if "policy" in arrays:
            files["policy.safetensors"] = arrays["policy"]
        state = MemberState(
            **{name: value for name, value in common.items() if name != "began"},
            seed=self.seed,
            episodes=self.episodes,
            returns=dict(self.returns),
            running=running,
            means=self.means.save(),
            held=[list(line) for line in held] if common["pending"] else None,
            replay=replay,
            frozen=self.frozen,
            draws={"began": common["began"], **self.replay.cursor.save()},
        )
        kept = [chunk["name"] for chunk in replay["chunks"] if chunk["name"] not in chunks]
        return Part(state.plain(), files, chunks, kept)

    def freeze(self, reason: str, part: Part) -> None:
        """Takes the member out of the run, with its part of this moment."""
        self.frozen = reason
        state = {**part.state, "frozen": reason, "pending": None, "held": None}
        self._last = dataclasses.replace(part, state=state)

    def load(
        self, saved: Saved, state: MemberState, arrays: Mapping[str, Arrays], driver: Driver
    ) -> None:
        """Continues from a checkpoint in which the member was not frozen; arrays are by file."""
        self._load_replay(saved, state, arrays)
        loop = arrays["loop.safetensors"]
        rows = range(state.envs)
        states = [loop[f"env/{r}"].tobytes() if f"env/{r}" in loop else None for r in rows]
        driver.load(self.index, under("obs/", loop), states, state.running)
        self.episodes = state.episodes
        self.returns = dict(state.returns)
        self.means.load(state.means)
        contents = {name: saved.files[name].read_bytes() for name in FILES}
        held = state.held and [(name, values) for name, values in state.held]
        self.records.load(contents, held if state.held is not None else None)

    def load_frozen(self, saved: Saved, state: MemberState, arrays: Mapping[str, Arrays]) -> None:
        """Keeps what a checkpoint holds of a frozen member."""
        files = {name: path.read_bytes() for name, path in saved.files.items()}
        kept = [chunk["name"] for chunk in state.replay["chunks"]]
        self.frozen, self._last = state.frozen, Part(saved.state, files, {}, kept)
        self._load_replay(saved, state, arrays)

    def _load_replay(self, saved: Saved, state: MemberState, arrays: Mapping[str, Arrays]) -> None:
        latents = arrays.get("latents.safetensors")
        self.files.load(state.replay, saved.folder / "replay", saved.damaged, latents)
        if state.draws:
            self.replay.cursor.load(state.draws)
        if saved.damaged:
            say(
                f"warning: {saved.folder}: replay files {sorted(saved.damaged)} are damaged; the "
                f"run goes on with the {self.replay.size:,} transitions after them, and will "
                "differ from an undisturbed one"
            )


def members(
    seeds: Sequence[int], folders: Sequence[Path], replays: Sequence[Replay]
) -> list[Member]:
    """Returns the members of a run, each with its empty replay."""
    return [
        Member(n, int(seed), folder, Records(folder), replay, ReplayFiles(replay))
        for n, (seed, folder, replay) in enumerate(zip(seeds, folders, replays))
    ]


def under(prefix: str, arrays: Arrays) -> Arrays:
    """Returns the arrays whose names begin with a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
