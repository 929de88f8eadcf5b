"""Windows of other kinds than plain ones, against slow models in plain Python."""

from __future__ import annotations

import collections
import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replays import SPACES, fill

from embodied.core.errors import UserError
from embodied.replay import Replay, Sampling
from embodied.replay.sampling import Episodes, episode_steps


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"episodes": True, "online": True}, "expected run.replay_online False"),
        ({"episodes": True, "consecutive": 2}, "run.consec_train 1"),
        ({"ends": True}, "need run.replay_episodes True"),
        ({"minlen": 3}, "need run.replay_episodes True"),
        ({"context": 5}, "at most the window's 4 steps, got 5"),
        ({"consecutive": 0}, "consecutive must be at least 1"),
    ],
)
def test_what_does_not_go_together_is_named(options: dict[str, int], words: str) -> None:
    with pytest.raises(UserError, match=words):
        Sampling(4, **options)  # type: ignore[arg-type]


def test_context_makes_windows_longer() -> None:
    replay = Replay(SPACES, 20, 1, Sampling(4, context=2), 0)
    fill(replay, 5)
    assert replay.windows == 0
    fill(replay, 2)
    assert replay.windows == 2 and replay.draw(0, 3).shape == (3, 6)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 4), st.integers(0, 1), st.integers(1, 6), st.integers(0, 99)
)
def test_the_online_queue_equals_a_slow_one(
    streams: int, length: int, context: int, batch: int, seed: int
) -> None:
    """Every item-th new window of a stream is queued when complete, and served first."""
    rng = np.random.default_rng(seed)
    sampling = Sampling(length, context=min(context, length), online=True)
    replay = Replay(SPACES, 40 * streams, streams, sampling, seed)
    plain = Replay(SPACES, 40 * streams, streams, sampling.item, seed)
    queue: collections.deque[tuple[int, int]] = collections.deque()
    for update in range(12):
        for _ in range(int(rng.integers(0, 2 * sampling.item))):
            fill(replay, 1)
            fill(plain, 1)
            if replay.counts[0] % sampling.item == 0:
                first = int(replay.counts[0]) - sampling.item
                queue.extend((first, stream) for stream in range(streams))
        if not replay.windows:
            continue
        while queue and queue[0][0] < replay.oldest[0]:
            queue.popleft()
        steps, wanted = replay.draw(update, batch), plain.draw(update, batch)
        for row in range(min(batch, len(queue))):
            number, stream = queue.popleft()
            wanted[row] = (number + np.arange(sampling.item)) * streams + stream
        np.testing.assert_array_equal(steps, wanted)
        # Draws for a report neither see nor move the queue.
        np.testing.assert_array_equal(
            replay.draw(update, batch, "report"), plain.draw(update, batch, "report")
        )


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 2), st.integers(1, 3), st.integers(0, 1), st.integers(2, 4), st.integers(0, 99)
)
def test_consecutive_windows_equal_slow_ones(
    streams: int, length: int, context: int, consecutive: int, seed: int
) -> None:
    """A row keeps its long window, piece after piece, unless the next piece is overwritten."""
    rng = np.random.default_rng(seed)
    sampling = Sampling(length, context=min(context, length), consecutive=consecutive)
    ring = sampling.item + 3
    replay = Replay(SPACES, ring * streams, streams, sampling, seed)
    plain = Replay(SPACES, ring * streams, streams, sampling.item, seed)
    rows: list[tuple[np.ndarray, int]] = []
    fill(replay, sampling.item + 2)
    fill(plain, sampling.item + 2)
    for update in range(12):
        fresh, following = plain.draw(update, 3), []
        for row in range(3):
            long, piece = rows[row] if rows else (fresh[row], consecutive)
            piece += 1
            rest = long[piece * length :]
            gone = len(rest) == 0 or rest[0] // streams < replay.oldest[rest[0] % streams]
            if piece >= consecutive or gone:
                long, piece = fresh[row], 0
            following.append((long, piece))
        rows = following
        span = sampling.context + length
        wanted = [long[piece * length :][:span] for long, piece in rows]
        drawn = replay.draw(update, 3)
        np.testing.assert_array_equal(drawn, wanted)
        # A piece that goes on is not the beginning of a window.
        begins = (
            replay.gather(drawn)["is_first"][:, 0]
            > replay.store.read(replay.positions(drawn[:, 0] % streams, drawn[:, 0] // streams))[
                "is_first"
            ]
        )
        assert not begins[[piece > 0 for _, piece in rows]].any()
        steps = int(rng.integers(0, 3))
        fill(replay, steps)
        fill(plain, steps)


@pytest.mark.parametrize("options", [{"online": True}, {"consecutive": 3}])
def test_a_saved_cursor_goes_on(options: dict[str, int]) -> None:
    def make() -> Replay:
        replay = Replay(SPACES, 60, 2, Sampling(3, **options), 5)  # type: ignore[arg-type]
        fill(replay, 20)
        return replay

    replay, other = make(), make()
    for update in range(2):
        replay.draw(update, 4)
    other.cursor.load(copy.deepcopy(replay.cursor.save()))
    for update in range(2, 9):
        np.testing.assert_array_equal(replay.draw(update, 4), other.draw(update, 4))
    fresh = make()
    assert any((fresh.draw(u, 4) != make().draw(u, 4)).any() or u for u in range(3))


def windows_of(length: int, total: int, minlen: int, ends: bool) -> np.ndarray:
    """Counts of each start among 50,000 draws from one episode."""
    sampling = Sampling(length, episodes=True, ends=ends, minlen=minlen)
    rng = np.random.default_rng(0)
    steps = episode_steps(rng, np.array([[0, 0, total]]), 50_000, sampling, 1)
    return np.bincount(steps[:, 0], minlength=total - length + 1)


def test_the_end_of_an_episode_comes_more_often() -> None:
    # An episode of 12 steps has 8 windows of 5. With a bias starts come from 8 + 5 values, of which
    # those from 7 on are the last window: 6 of 13. Standard deviations are below 112.
    counts = windows_of(5, 12, 0, ends=True)
    assert counts.sum() == 50_000 and len(counts) == 8
    np.testing.assert_allclose(counts[:7], 50_000 / 13, atol=500)
    np.testing.assert_allclose(counts[7], 50_000 * 6 / 13, atol=600)
    np.testing.assert_allclose(windows_of(5, 12, 0, ends=False), 50_000 / 8, atol=500)
    # 500 agent steps and the reset: the last window has 51 of 502 chances.
    last = windows_of(50, 501, 0, ends=True)[-1]
    np.testing.assert_allclose(last, 50_000 * 51 / 502, atol=350)


def test_every_finished_episode_has_the_same_chance() -> None:
    replay = Replay(SPACES, 100, 1, Sampling(2, episodes=True), 0)
    for length in (2, 30, 4):
        start = replay.counts[0]
        for number in range(length):
            flags = {
                "is_first": np.array([number == 0]),
                "is_last": np.array([number == length - 1]),
            }
            data = {key: np.zeros((1, *space.shape), space.dtype) for key, space in SPACES.items()}
            replay.insert({**data, "number": np.array([start]), **flags})
    for _ in range(20):  # Not finished.
        data = {key: np.zeros((1, *space.shape), space.dtype) for key, space in SPACES.items()}
        replay.insert({**data, "number": np.array([-1])})
    assert replay.windows == 3
    batch = replay.sample(0, 9000)
    found, counts = np.unique(batch["number"][:, 0], return_counts=True)
    np.testing.assert_array_equal(found, [0, 2, 32])
    np.testing.assert_allclose(counts, 3000, atol=250)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 3), st.integers(1, 6), st.integers(2, 9), st.integers(0, 60), st.booleans())
def test_the_episodes_held_equal_a_slow_list(
    streams: int, shortest: int, episode: int, steps: int, minlen: bool
) -> None:
    sampling = Sampling(6, episodes=True, minlen=shortest if minlen else 0)
    replay = Replay(SPACES, 20 * streams, streams, sampling, 3)
    fill(replay, steps, episode)
    wanted = set()
    for stream in range(streams):
        first = 0
        for number in range(steps):
            if (number + stream) % episode == episode - 1:
                length = number + 1 - first
                if first >= steps - 20 and length >= (shortest if minlen else 6):
                    wanted.add((stream, first, length))
                first = number + 1
    found = replay._held()
    assert {tuple(row) for row in found.tolist()} == wanted and len(found) == len(wanted)
    if not wanted:
        with pytest.raises(UserError, match="no window"):
            replay.draw(0, 1)
        return
    batch = replay.gather(replay.draw(0, 40))
    joint = np.ones(batch["number"].shape, bool)
    joint[:, 1:] = (np.diff(batch["number"]) != 1) | (np.diff(batch["stream"]) != 0)
    # A row begins anew, and so does every piece; nothing runs on from one episode into another.
    assert batch["is_first"][joint].all()
    starts = {(stream, first) for stream, first, _ in wanted}
    for number, stream in zip(batch["number"].reshape(-1), batch["stream"].reshape(-1)):
        holder = max(f for s, f in starts if s == stream and f <= number)
        assert any(row[:2] == (stream, holder) and number < holder + row[2] for row in wanted)


def test_short_episodes_are_joined_by_hand() -> None:
    episodes = np.array([[0, 10, 3]])
    rng = np.random.default_rng(0)
    steps = episode_steps(rng, episodes, 2, Sampling(4, episodes=True, minlen=1), 1)
    # 10 11 12 | 10, then the rest of the piece opens the next row: 11 12 | 10 11.
    np.testing.assert_array_equal(steps, [[10, 11, 12, 10], [11, 12, 10, 11]])


def test_transitions_after_a_gap_belong_to_no_episode() -> None:
    episodes, no = Episodes(1), np.zeros(4, bool)
    ends = np.array([False, False, True, False])
    episodes.add(0, 0, no, ends)  # 0 to 2.
    episodes.add(0, 8, no, ends)  # After the gap: 8 to 10 may be the rest of one.
    episodes.add(0, 12, no, ends)  # 11 to 14.
    episodes.add(0, 20, ~no, ends)  # A first step after a gap begins one.
    table = episodes.held(np.zeros(1, np.int64), 1)
    np.testing.assert_array_equal(table, [[0, 0, 3], [0, 11, 4], [0, 20, 3]])
    np.testing.assert_array_equal(episodes.held(np.array([1]), 4), [[0, 11, 4]])
