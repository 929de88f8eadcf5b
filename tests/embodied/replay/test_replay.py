"""The ring of transitions and the windows drawn from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replays import SPACES, fill

from embodied.core.errors import UserError
from embodied.replay import HostStore, Replay


def test_windows_by_hand() -> None:
    # Two rings of 5 with windows of 3: 2 steps hold none, 3 hold one each, 5 and more three each.
    replay = Replay(SPACES, 10, 2, 3, seed=0)
    found = []
    for _ in range(7):
        fill(replay, 1)
        found.append((replay.size, replay.windows))
    assert found == [(2, 0), (4, 0), (6, 2), (8, 4), (10, 6), (10, 6), (10, 6)]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 4), st.integers(0, 6), st.integers(1, 30), st.integers(0, 99)
)
def test_windows_are_one_streams_newest_steps_in_order(
    streams: int, length: int, spare: int, steps: int, seed: int
) -> None:
    replay = Replay(SPACES, (length + spare) * streams, streams, length, seed)
    fill(replay, length + steps)
    batch = replay.sample(seed, 16)
    number = batch["number"]
    assert (np.diff(number, axis=1) == 1).all()
    assert (batch["stream"] == batch["stream"][:, :1]).all()
    assert (number >= replay.counts[0] - replay.ring).all() and (number < replay.counts[0]).all()
    assert (batch["image"][..., 0, 0, 0] == number % 256).all()
    assert batch["is_first"][:, 0].all() and not batch["is_first"][:, 1:].any()


def test_draws_are_uniform_over_all_windows() -> None:
    replay = Replay(SPACES, 12, 2, 3, seed=1)
    fill(replay, 8)  # Two rings of 6: 4 windows each, starting at numbers 2 to 5.
    batch = replay.sample(0, 8000)
    _, counts = np.unique(batch["stream"][:, 0] * 100 + batch["number"][:, 0], return_counts=True)
    assert len(counts) == 8
    # Each count is binomial with mean 1000 and deviation 29.6.
    assert np.abs(counts - 1000).max() < 5 * 29.6


def test_draws_are_a_function_of_seed_update_and_purpose() -> None:
    def draw(seed: int, update: int, purpose: str) -> np.ndarray:
        replay = Replay(SPACES, 100, 1, 2, seed)
        fill(replay, 100)
        return replay.draw(update, 8, purpose)

    base = draw(1, 2, "train")
    np.testing.assert_array_equal(base, draw(1, 2, "train"))
    for other in (
        draw(2, 2, "train"),
        draw(1, 3, "train"),
        draw(1, 2, "report"),
        draw(2, 1, "train"),
    ):
        assert (base != other).any()


def test_a_window_longer_than_the_ring_is_refused() -> None:
    with pytest.raises(UserError, match="fewer than a window of 6"):
        Replay(SPACES, 10, 2, 6, seed=0)


def test_drawing_without_a_window_is_refused() -> None:
    with pytest.raises(UserError, match="no window of 3"):
        Replay(SPACES, 10, 2, 3, seed=0).draw(0, 1)


@pytest.mark.parametrize("streams", range(1, 10))
def test_a_store_smaller_than_the_rings_is_refused(streams: int) -> None:
    rings = -(-100 // streams) * streams
    Replay(SPACES, 100, streams, 3, 0, HostStore(SPACES, rings))
    with pytest.raises(ValueError, match=f"a store of {rings - 1}"):
        Replay(SPACES, 100, streams, 3, 0, HostStore(SPACES, rings - 1))


def test_write_back_by_hand() -> None:
    replay = Replay(SPACES, 8, 2, 3, seed=0, latents=["number"])
    fill(replay, 6)  # Rings of 4: numbers 2 to 5. Step names are 2 * number + stream.
    steps = np.array([[3, 5, 7], [7, 9, 11]])  # Stream 1, numbers 1 2 3, then 3 4 5.
    replay.write_back(steps, {"number": np.array([[-1, -2, -3], [-4, -5, -6]], np.int32)})
    stored = replay.store.read(np.arange(8), ["number"])["number"]
    # Ring positions of stream 0: numbers 4 5 2 3; of stream 1 (4 to 7): 4 5 2 3 likewise.
    np.testing.assert_array_equal(stored, [4, 5, 2, 3, -5, -6, -2, -4])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 9), st.integers(0, 99))
def test_write_back_equals_a_slow_dictionary(
    streams: int, length: int, later: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    replay = Replay(SPACES, (length + 4) * streams, streams, length, seed, latents=["number"])
    fill(replay, length + 6)
    steps = replay.draw(seed, 5)
    fill(replay, later)  # Overwrites some of them.
    known = {
        number * streams + stream: number
        for stream in range(streams)
        for number in range(replay.oldest[stream], replay.counts[stream])
    }
    values = rng.integers(1000, 2000, steps.shape).astype(np.int32)
    for step, value in zip(steps.reshape(-1), values.reshape(-1)):
        if step in known:
            known[step] = value
    replay.write_back(steps, {"number": values})
    names = np.array(sorted(known))
    positions = replay.positions(names % streams, names // streams)
    found = replay.store.read(positions, ["number"])["number"]
    np.testing.assert_array_equal(found, [known[name] for name in names])
