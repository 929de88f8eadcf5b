"""What tasks are called elsewhere, to answer with the word that works here."""

from __future__ import annotations

import re

from embodied.envs import atari

# fmt: off
_DOMAINS = (
    "acrobot", "ball_in_cup", "cartpole", "cheetah", "dog", "finger", "fish", "hopper", "humanoid",
    "humanoid_CMU", "lqr", "manipulator", "pendulum", "point_mass", "quadruped", "reacher",
    "stacker", "swimmer", "walker",
)
# fmt: on
_GAME = re.compile(
    r"(?:ale[/_]|atari(?:100k|57)?[/_])?(?P<name>[a-z_-]+?)(?:-?ram)?(?:noframeskip|deterministic)?"
    r"(?:-v[045])?"
)


def hint(task: str) -> str:
    """Returns `; did you mean 'x'?` for a task under a name of elsewhere, else the empty string.

    Args:
      task: such as `ALE/Pong-v5`, `PongNoFrameskip-v4`, `CartPole-v1`, `walker-walk`,
        `lever-pull-v2`, `MinAtar/Breakout-v1`, with or without a suite before it.
    """
    word = translate(task)
    return f"; did you mean {word!r}?" if word and word != task else ""


def translate(task: str) -> str | None:
    """Returns the task here that `task` names elsewhere, or None."""
    bare = task.removeprefix("gym_")
    low = bare.lower()
    if found := re.fullmatch(r"minatar/([a-z]+?)(?:-v\d+)?", low):
        return f"minatar_{re.sub('spaceinvaders', 'space_invaders', found[1])}"
    if found := re.fullmatch(r"crafter[-_]?(no)?(?:reward)?(?:-v\d+)?", low):
        return f"crafter_{found[1] or ''}reward"
    games = {game.replace("_", ""): game for game in atari.games()}
    found = _GAME.fullmatch(low)
    if found and re.sub(r"[-_]", "", found["name"]) in games:
        return f"atari_{games[re.sub(r'[-_]', '', found['name'])]}"
    if re.match(r"(minigrid|babyai)-", low):
        return f"gym_minigrid:{bare}"
    name = re.sub(r"[-/]", "_", re.sub(r"^(dm_control|dmc|dmcontrol)[/_-]|-v\d+$", "", bare))
    name = re.sub(r"^cup_", "ball_in_cup_", name)
    if name.startswith(tuple(f"{domain}_" for domain in _DOMAINS)):
        return f"dmc_{name}"
    if found := re.fullmatch(r"(?:metaworld[/_-])?([a-z-]+)-v[23](?:-goal.*)?", bare):
        return f"metaworld_{found[1].replace('-', '_')}"
    if bare == task and re.fullmatch(r"[\w./-]+-v\d+", bare):
        return f"gym_{bare}"
    return None
