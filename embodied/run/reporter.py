"""Turns what happens in a run into lines, events, videos and the progress line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from embodied.core.learner import Arrays
from embodied.records.logger import Logger
from embodied.records.progress import Progress, say
from embodied.records.timer import Timer
from embodied.run.config import RunConfig
from embodied.run.evaluation import Outcome
from embodied.run.member import Member
from embodied.run.offline import total_updates
from embodied.run.setup import Setup
from embodied.run.state import RunState
from embodied.stepping.driver import Episode


class Reporter:
    """Writes the records of all members."""

    def __init__(self, setup: Setup, state: RunState, timer: Timer) -> None:
        self._state, self._timer, self._run = state, timer, setup.run
        self._limited = False  # Whether it was said that episodes are cut.
        self._progress = Progress(setup.run.steps, total_updates(setup))
        self._shown = (state.step, state.updates)  # At the last progress line.
        for member in state.members:
            member.logger = Logger(member.folder, state.step, setup.run.tracker)

    def close(self) -> None:
        """Closes the logs."""
        for member in self._state.members:
            member.logger.close()

    def log(self) -> None:
        """Writes the means since the last line, the timing and the progress line."""
        state = self._state
        for member in state.active:
            means = member.means.pop() | {"replay/size": member.replay.size}
            self._metrics(member, means)
        seconds = self._timer.pop()
        steps, updates = state.step - self._shown[0], state.updates - self._shown[1]
        total = max(seconds["total"], 1e-9)
        self._shown = (state.step, state.updates)
        timing = {
            "step": state.step,
            "updates": state.updates,
            "steps_per_second": steps / total,
            "updates_per_second": updates / total,
            **{f"seconds/{name}": value for name, value in seconds.items()},
        }
        for member in state.active:
            member.logger.timing(timing)
        self._progress.show(state.step, state.updates, (steps, updates, total), self._returns())

    def report(self, reports: Sequence[Arrays]) -> None:
        """Writes what `Learner.report` returned: scalars, histograms and videos of each member."""
        step = self._state.step
        for member in self._state.active:
            scalars = {}
            for name, value in reports[member.index].items():
                if name.endswith("/video"):
                    member.logger.video(f"report/{name[:-6]}", value, step)
                elif name.endswith("/hist"):
                    member.logger.histogram(f"report/{name[:-5]}", value, step)
                else:
                    scalars[f"report/{name}"] = float(value)
            self._metrics(member, scalars)

    def episode(self, episode: Episode) -> None:
        """Records a finished training episode, unless its member is frozen."""
        state, member = self._state, self._state.members[episode.member]
        if member.frozen is not None:
            return
        counts = self._counts(state.step, state.updates)
        line = episode_line("train", counts, episode, member.episodes, member.seed)
        member.records.write("episodes.jsonl", line)
        member.episodes += 1
        member.returns["train"] = episode.total
        values = np.array([[episode.total, episode.length]])
        member.means.add(["episode/return", "episode/length"], values)

    def evaluation(self, outcome: Outcome, step: int, updates: int) -> None:
        """Writes an evaluation's lines as one block, before those kept back since its step.

        `step` and `updates` are those of the evaluated policy.
        """
        if outcome.limited:
            self.limited()
        counts = self._counts(step, updates)
        for member in self._state.active:
            episodes = outcome.episodes.get(member.index, [])
            lines, means = evaluation_lines(episodes, counts, member.seed)
            member.records.release(lines)
            if means:
                member.returns["eval"] = means["eval/return"]
                member.logger.scalars(means, step)
            frames = outcome.frames.get(member.index)
            if frames is not None:
                member.logger.video("eval/episode", frames, step)

    def limited(self) -> None:
        """Says, the first time, that an episode was cut at `run.episode_limit`."""
        if not self._limited:
            self._limited = True
            say(limit_note(self._run))

    def _returns(self) -> str:
        """Returns the last returns as text, the mean over members."""
        texts = []
        for mode in ("train", "eval"):
            values = [m.returns[mode] for m in self._state.members if mode in m.returns]
            if values:
                texts.append(f"{mode} return {np.mean(values):.1f}")
        return "  ".join(texts)

    def _metrics(self, member: Member, values: Mapping[str, float]) -> None:
        state = self._state
        line = {**self._counts(state.step, state.updates), **values}
        member.records.write("metrics.jsonl", line)
        member.logger.scalars(values, state.step)

    def _counts(self, step: int, updates: int) -> dict[str, int]:
        return {"step": step, "frame": step * self._state.driver.repeat, "updates": updates}


def limit_note(run: RunConfig) -> str:
    """Returns what to say when the first episode is cut."""
    return (
        f"warning: an episode did not end within run.episode_limit = {run.episode_limit:,} agent "
        "steps and was cut, as by a time limit; so will be others (0: no limit)"
    )


def episode_line(
    mode: str, counts: Mapping[str, int], episode: Episode, number: int, seed: int
) -> dict[str, Any]:
    """Returns the line of episodes.jsonl.

    Args:
      mode: `train` or `eval`.
      counts: step, frame and updates.
      episode: the finished episode.
      number: of the episode, from 0; in training over the run, else within the evaluation.
      seed: of the member.
    """
    line: dict[str, Any] = {
        "mode": mode,
        **counts,
        "episode": number,
        "return": episode.total,
        "length": episode.length,
        "seed": int(seed),
        "terminated": episode.terminated,
    }
    if episode.success is not None:
        line["success"] = episode.success
    return line | episode.logs


def evaluation_lines(
    episodes: Sequence[Episode], counts: Mapping[str, int], seed: int
) -> tuple[list[tuple[str, dict[str, Any]]], dict[str, float]]:
    """Returns the lines of one member's evaluation, and its means by tag.

    Args:
      episodes: in the order of their rows.
      counts: step, frame and updates of the policy.
      seed: of the member.
    """
    if not episodes:
        return [], {}
    lines = [
        ("episodes.jsonl", episode_line("eval", counts, episode, number, seed))
        for number, episode in enumerate(episodes)
    ]
    means = {
        "eval/return": float(np.mean([episode.total for episode in episodes])),
        "eval/length": float(np.mean([episode.length for episode in episodes])),
        "eval/episodes": len(episodes),
    }
    if episodes[0].success is not None:
        means["eval/success"] = float(np.mean([bool(e.success) for e in episodes]))
    return [*lines, ("metrics.jsonl", {**counts, **means})], means
