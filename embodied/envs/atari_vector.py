"""Many games of one kind in one call, on ale-py's own threads; for evaluation.

Checked against `Atari` frame by frame, given the same number of no-ops: images, rewards and ends
are equal. Three things differ. The number of no-ops comes from ale-py's generator (the same
uniform distribution from 0 to 29). The image of an episode's last step shows an earlier frame; no
policy acts on it. The state cannot be saved, so it serves evaluation and not training.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from embodied.core.env import STANDARD_SPACES, Obs
from embodied.core.errors import UserError
from embodied.core.space import Space
from embodied.envs.atari import Options, rom, time_limit


class AtariVector:
    """N environments of one game, stepped together under the contract of `Env`.

    Each environment starts its next episode in the step after its last one ended, so that a fixed
    number of episodes of each can be counted from `is_last`.

    Args:
      game: name of the ROM, such as `ms_pacman`.
      seeds: one for each environment, from 0 to 2^31 - 1.
      options: as for `Atari`; life losses have to be unused.
      threads: of the emulators; 0 for as many as there are cores, at most one for each.

    Raises:
      UserError: an option that ale-py's vectors cannot follow, or a seed out of range.
    """

    def __init__(self, game: str, seeds: Sequence[int], options: Options, threads: int = 0) -> None:
        if options.lives != "unused":
            raise UserError("vectors of Atari games know only env.atari.lives: unused")
        if not all(0 <= seed < 2**31 for seed in seeds):
            raise UserError(f"seeds of Atari vectors are from 0 to 2^31 - 1, got {list(seeds)}")
        rom(game)
        from ale_py.vector_env import AtariVectorEnv

        self._options = options
        self._env = AtariVectorEnv(
            game,
            len(seeds),
            num_threads=threads,
            img_height=options.size,
            img_width=options.size,
            grayscale=options.gray,
            stack_num=1,
            frameskip=options.repeat,
            maxpool=True,
            noop_max=options.noops + 1,
            repeat_action_probability=options.sticky,
            full_action_space=options.actions == "all",
            max_num_frames_per_episode=time_limit(game, options),
            reward_clipping=False,
            use_fire_reset=False,
        )
        self._seeds = np.asarray(seeds, np.int64)
        self._over = np.ones(len(seeds), bool)
        self._started = False
        self.repeat = options.repeat
        channels = 1 if options.gray else 3
        self.obs_space: dict[str, Space] = {
            **STANDARD_SPACES,
            "image": Space(np.uint8, (options.size, options.size, channels), 0, 255),
        }
        count = len(self._env.ale.get_action_set())
        self.act_space: dict[str, Space] = {
            "action": Space(np.float32, (count,), 0, 1, discrete=True)
        }

    def step(self, actions: np.ndarray) -> Obs:
        """Steps all environments; those whose episode ended start another.

        Args:
          actions: float32 [N, A], one-hot; ignored at starts.

        Returns:
          Arrays [N, ...] for each key of `obs_space`.
        """
        size = len(self._seeds)
        first = self._over
        if self._started:
            # An action out of range would hang ale-py for ever: argmax never is.
            found = self._env.step(np.argmax(actions, -1).astype(np.int64).reshape(size))
            image, reward, terminated, truncated, _ = found
        else:
            image, _ = self._env.reset(seed=self._seeds)
            reward, terminated, truncated = np.zeros((3, size))
            self._started = True
        terminated, truncated = terminated.astype(bool), truncated.astype(bool)
        self._over = terminated | truncated
        if self._options.timeout_is_terminal:
            terminated = self._over
        return {
            "image": image[:, 0].reshape(size, *self.obs_space["image"].shape).copy(),
            "reward": np.where(first, 0, reward).astype(np.float32),
            "is_first": first.copy(),
            "is_last": self._over.copy(),
            "is_terminal": terminated,
        }

    def close(self) -> None:
        """Ends the threads."""
        self._env.close()
