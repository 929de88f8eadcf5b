"""Frames of one step, where the file or the command line tells."""

import pytest

from scores.read import BadFile
from scores.reading import NOTHING, Reading


@pytest.mark.parametrize(
    ("told", "unit", "game", "factor"),
    [
        (None, "frames", "pong", 1),
        (4, "frames", "pong", 1),  # what the file says holds
        (None, "agent_steps", "pong", 4),
        (None, "agent_steps", "atari_tennis", 4),
        (1, "steps", "pong", 1),
        (2, "agent_steps", "dmc_walker_walk", 2),
    ],
)
def test_known_units(told, unit, game, factor):
    reasons = []
    assert Reading(told).factor(unit, game, "column 'x'", reasons.append) == factor
    assert not reasons


def test_steps_of_a_benchmark_in_frames_are_refused():
    with pytest.raises(BadFile, match="column 'x': frames or agent steps"):
        NOTHING.factor("steps", "pong", "column 'x'", print)


@pytest.mark.parametrize("game", ["dmc_walker_walk", "atari_tennis", "minatar_breakout"])
def test_other_steps_are_taken_for_frames_with_a_word(game):
    reasons = []
    assert NOTHING.factor("steps", game, "column 'x'", reasons.append) == 1
    assert "taken for frames" in reasons[0]
