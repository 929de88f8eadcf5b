"""Turns what happens in a run into lines, events, videos and the progress line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from embodied.core.clock import Timer
from embodied.core.learner import Arrays
from embodied.records.logger import Logger, Progress
from embodied.run.evaluation import Outcome
from embodied.run.state import RunState
from embodied.run.world import Setup
from embodied.stepping.driver import Episode


class Reporter:
    """Writes the records of all members.

    Args:
      setup: what the run is made of.
      state: a started state.
      timer: measures the sections of the loop.
    """

    def __init__(self, setup: Setup, state: RunState, timer: Timer) -> None:
        self._setup, self._state, self._timer = setup, state, timer
        self._loggers = [Logger(folder, state.step) for folder in setup.logdirs]
        self._progress = Progress(setup.run.steps)
        self._shown = (state.step, state.updates)  # At the last progress line.

    def close(self) -> None:
        """Closes the logs."""
        for logger in self._loggers:
            logger.close()

    def log(self) -> None:
        """Writes the means since the last line, the timing and the progress line."""
        state = self._state
        for n in state.active:
            means = state.means[n].pop() | {"replay/size": state.world.replays[n].size}
            self._metrics(n, means, state.step, state.updates)
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
        for n in state.active:
            self._loggers[n].timing(timing)
        self._progress.show(
            state.step, state.updates, steps / total, updates / total, self._returns()
        )

    def report(self, reports: Sequence[Arrays]) -> None:
        """Writes the learner's heavy metrics: scalars, histograms and videos.

        Args:
          reports: for each member what `Learner.report` returned.
        """
        state = self._state
        for n in state.active:
            scalars = {}
            for name, value in reports[n].items():
                if name.endswith("/video"):
                    self._loggers[n].video(f"report/{name[:-6]}", value, state.step)
                elif name.endswith("/hist"):
                    self._loggers[n].histogram(f"report/{name[:-5]}", value, state.step)
                else:
                    scalars[f"report/{name}"] = float(value)
            self._metrics(n, scalars, state.step, state.updates)

    def episode(self, episode: Episode) -> None:
        """Records a finished training episode."""
        state, n = self._state, episode.member
        counts = self._counts(state.step, state.updates)
        line = episode_line("train", counts, episode, state.episodes[n], self._setup.seeds[n])
        state.records[n].write("episodes.jsonl", line)
        state.episodes[n] += 1
        state.returns[n]["train"] = episode.total
        values = np.array([[episode.total, episode.length]])
        state.means[n].add(["episode/return", "episode/length"], values)

    def evaluation(self, outcome: Outcome, step: int, updates: int) -> None:
        """Writes an evaluation's lines as one block, before those kept back since its step.

        Args:
          outcome: of the members that have one.
          step: agent step of the evaluated policy.
          updates: updates of the evaluated policy.
        """
        state = self._state
        counts = self._counts(step, updates)
        for n in state.active:
            episodes = outcome.episodes.get(n, [])
            lines, means = evaluation_lines(episodes, counts, self._setup.seeds[n])
            state.records[n].release(lines)
            if means:
                state.returns[n]["eval"] = means["eval/return"]
                self._loggers[n].scalars(means, step)
            frames = outcome.frames.get(n)
            if frames is not None:
                self._loggers[n].video("eval/episode", frames, step)

    def _returns(self) -> str:
        """Returns the last returns as text, the mean over members."""
        texts = []
        for mode in ("train", "eval"):
            found = [returns[mode] for returns in self._state.returns if mode in returns]
            if found:
                texts.append(f"{mode} return {np.mean(found):.1f}")
        return "  ".join(texts)

    def _metrics(self, n: int, values: Mapping[str, float], step: int, updates: int) -> None:
        line = {**self._counts(step, updates), **values}
        self._state.records[n].write("metrics.jsonl", line)
        self._loggers[n].scalars(values, step)

    def _counts(self, step: int, updates: int) -> dict[str, int]:
        return {"step": step, "frame": step * self._state.world.driver.repeat, "updates": updates}


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
