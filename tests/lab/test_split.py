"""What is held out, and which windows lie where."""

import numpy as np
import pytest

from embodied.core.errors import UserError
from lab import split


def test_last_episodes_are_held_out_by_hand(make_buffer):
    # 40 steps; 0.25 asks for 10: the last episode has 4, the one before 8, so both.
    parts = split.split(make_buffer([20, 8, 8, 4]), 0.25)
    assert parts.train == ((0, 28),)
    assert parts.held == ((28, 40),)
    assert parts.whole
    assert parts.describe() == {
        "whole_episodes": True,
        "steps": {"train": 28, "held": 12},
        "episodes": {"train": 2, "held": 2},
    }


def test_episodes_of_several_streams_are_ordered_by_when_they_began(make_buffer):
    # Starts within streams: 0, 10, 20 and 0, 12. The last to begin are 20, then 12.
    parts = split.split(make_buffer([10, 10, 5], [12, 13]), 0.3)
    assert parts.train == ((0, 20), (25, 37))
    assert parts.held == ((20, 25), (37, 50))


@pytest.mark.parametrize("lengths", [[50], [4, 46]])
def test_one_long_episode_is_cut_by_steps(make_buffer, lengths):
    parts = split.split(make_buffer(lengths), 0.2)
    assert not parts.whole
    assert parts.train == ((0, 40),)
    assert parts.held == ((40, 50),)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_training_windows_never_touch_held_out_rows(make_buffer, share):
    buffer = make_buffer([9, 11, 10, 7, 12], [15, 20, 14])
    parts = split.split(buffer, share)
    starts = split.training_starts(parts, 6)
    trained = set((starts[:, None] + np.arange(6)).ravel().tolist())
    held = {row for a, b in parts.held for row in range(a, b)}
    assert trained and held
    assert not trained & held
    streams = np.searchsorted(buffer.ends, [starts, starts + 5], side="right")
    assert (streams[0] == streams[1]).all()
    drawn = split.draw(starts, 6, 0, 3, 100)
    assert set(drawn.ravel().tolist()) <= trained
    assert (drawn == split.draw(starts, 6, 0, 3, 100)).all()
    assert (drawn != split.draw(starts, 6, 0, 4, 100)).any()


def test_windows_lie_in_single_episodes_and_spread(make_buffer):
    buffer = make_buffer([20, 8, 8, 4, 10])
    parts = split.split(buffer, 0.4)
    found = split.windows(parts, "held", 5, 100)
    # Held out are episodes of 8, 4 and 10 steps: 4 windows, none, and 6.
    assert found[:, 0].tolist() == [28, 29, 30, 31, *range(40, 46)]
    assert (parts.episode[found] == parts.episode[found[:, :1]]).all()
    assert split.windows(parts, "held", 5, 2)[:, 0].tolist() == [28, 45]


def test_what_is_too_short_or_wrong_is_said(make_buffer):
    parts = split.split(make_buffer([20, 8, 8, 4]), 0.25)
    with pytest.raises(UserError, match=r"no held-out episode has .* = 9 steps.*has 8"):
        split.windows(parts, "held", 9, 10)
    with pytest.raises(UserError, match="at most 28 steps in a row, fewer than batch_length 29"):
        split.training_starts(parts, 29)
    with pytest.raises(UserError, match="between 0 and 1"):
        split.split(make_buffer([20]), 1.0)
