"""The ring of transitions and the windows drawn from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied.checkpoint.files import CorruptFile, encode
from embodied.core.errors import UserError
from embodied.core.space import Space
from embodied.replay import HostStore, Replay
from embodied.replay.chunks import ReplayFiles

SPACES = {
    "image": Space(np.uint8, (2, 2, 3)),
    "number": Space(np.int32),
    "stream": Space(np.int32),
    "is_first": Space(bool),
}


def fill(replay: Replay, steps: int) -> None:
    """Inserts steps that carry their own number and stream."""
    streams = np.arange(len(replay.counts))
    for _ in range(steps):
        number = replay.counts.copy()
        image = np.broadcast_to(
            (number % 256).astype(np.uint8)[:, None, None, None], (len(streams), 2, 2, 3)
        )
        first = np.zeros(len(streams), bool)
        replay.insert({"image": image, "number": number, "stream": streams, "is_first": first})


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


def test_a_stored_step_costs_its_bytes_and_no_more() -> None:
    store = HostStore({"image": Space(np.uint8, (64, 64, 3)), "reward": Space(np.float32)}, 1000)
    assert store.nbytes == 1000 * (64 * 64 * 3 + 4)


def test_a_window_longer_than_the_ring_is_refused() -> None:
    with pytest.raises(UserError, match="fewer than a window of 6"):
        Replay(SPACES, 10, 2, 6, seed=0)


def test_drawing_without_a_window_is_refused() -> None:
    with pytest.raises(UserError, match="no window of 3"):
        Replay(SPACES, 10, 2, 3, seed=0).draw(0, 1)


def save(files: ReplayFiles, step: int, folder: Path) -> dict[str, object]:
    state, new = files.save(step)
    for name, arrays in new.items():
        (folder / name).write_bytes(encode(arrays))
    return state


def test_files_hold_each_step_once_and_restore_the_replay(tmp_path: Path) -> None:
    replay = Replay(SPACES, 12, 2, 3, seed=1)
    files = ReplayFiles(replay)
    sizes = []
    for step, steps in enumerate((2, 3, 4, 0, 1)):
        fill(replay, steps)
        state = save(files, step, tmp_path)
        sizes.append(len(state["chunks"]))  # type: ignore[arg-type]
    # After 10 steps a ring of 6 starts at number 4: the file of numbers 0 and 1 is dead, the one
    # of 2 to 4 is not; the save without new steps wrote none.
    assert sizes == [1, 2, 2, 2, 3]
    other = Replay(SPACES, 12, 2, 3, seed=1)
    ReplayFiles(other).load(state, tmp_path)
    np.testing.assert_array_equal(other.counts, replay.counts)
    for update in range(5):
        mine, theirs = replay.sample(update, 9), other.sample(update, 9)
        assert all((mine[name] == theirs[name]).all() for name in SPACES)


def test_a_saved_replay_fits_a_larger_ring_that_was_never_full(tmp_path: Path) -> None:
    replay = Replay(SPACES, 20, 1, 3, seed=1)
    files = ReplayFiles(replay)
    fill(replay, 15)
    state = save(files, 1, tmp_path)
    larger = Replay(SPACES, 50, 1, 3, seed=1)
    ReplayFiles(larger).load(state, tmp_path)
    assert (larger.sample(3, 9)["number"] == replay.sample(3, 9)["number"]).all()


def test_steps_up_to_a_damaged_file_are_given_up(tmp_path: Path) -> None:
    replay = Replay(SPACES, 40, 2, 3, seed=1)
    files = ReplayFiles(replay)
    for step in range(4):
        fill(replay, 5)
        state = save(files, step, tmp_path)
    (tmp_path / "000000000001.safetensors").write_bytes(b"")
    other = Replay(SPACES, 40, 2, 3, seed=1)
    rest = ReplayFiles(other)
    rest.load(state, tmp_path, {"000000000001.safetensors"})
    assert other.size == 2 * 10 and other.sample(0, 200)["number"].min() == 10
    again, _ = rest.save(9)  # It stays so in later checkpoints.
    assert again["lost"] == [10, 10] and len(again["chunks"]) == 2


@pytest.mark.parametrize(
    "arrays",
    [
        {"number": np.zeros(10, np.int32)},
        {name: np.zeros((9, *space.shape), space.dtype) for name, space in SPACES.items()},
        {name: np.zeros((10, *space.shape), np.float32) for name, space in SPACES.items()},
    ],
    ids=["names", "rows", "dtypes"],
)
def test_files_of_another_kind_are_refused(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    replay = Replay(SPACES, 20, 2, 3, seed=1)
    files = ReplayFiles(replay)
    fill(replay, 5)
    state = save(files, 0, tmp_path)
    (tmp_path / "000000000000.safetensors").write_bytes(encode(arrays))
    with pytest.raises(CorruptFile, match="expected arrays"):
        ReplayFiles(Replay(SPACES, 20, 2, 3, seed=1)).load(state, tmp_path)


def test_file_names_cannot_leave_the_folder(tmp_path: Path) -> None:
    state = {"counts": [5], "ring": 9, "lost": [0]}
    state["chunks"] = [{"name": "../x.safetensors", "first": [0], "last": [5]}]  # type: ignore
    with pytest.raises(CorruptFile, match="plain file name"):
        ReplayFiles(Replay(SPACES, 9, 1, 3, seed=1)).load(state, tmp_path)
