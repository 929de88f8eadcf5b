"""A replay on the device holds, gives and takes back what one on the host does."""

import jax
import numpy as np
import pytest

from embodied.core.errors import UserError
from embodied.core.space import Space
from embodied.replay import Replay
from embodied.replay.replay import ring_size
from embodied.replay.store import HostStore
from harmony_dreamerv3.runtime import device_replay
from harmony_dreamerv3.runtime.device_replay import DeviceStore

SPACES = {
    "image": Space(np.uint8, (2, 2, 3)),
    "reward": Space(np.float32),
    "is_first": Space(bool),
    "is_last": Space(bool),
    "latent": Space(np.float32, (3,)),
}


def rows(streams, step):
    rng = np.random.default_rng(step)
    return {
        "image": rng.integers(0, 256, (streams, 2, 2, 3), np.uint8),
        "reward": rng.normal(size=streams).astype(np.float32),
        "is_first": rng.random(streams) < 0.2,
        "is_last": rng.random(streams) < 0.2,
        "latent": rng.normal(size=(streams, 3)).astype(np.float32),
    }


def windows(batch):
    """A batch as arrays on the host, wherever it lies."""
    if isinstance(batch, dict):
        return batch
    gathered = device_replay.gather(batch.store.arrays, batch.index, batch.first)
    return {key: np.asarray(value) for key, value in gathered.items()}


@pytest.mark.parametrize("capacity", [60, 61, 64])
@pytest.mark.parametrize("streams", range(1, 10))
def test_host_and_device_agree(streams, capacity):
    """Also where the capacity is no multiple of the environments, and the ring has gone round."""
    size = ring_size(capacity, streams) * streams
    stores = {"host": HostStore(SPACES, size), "device": DeviceStore(SPACES, size)}
    replays = {
        name: Replay(SPACES, capacity, streams, 4, 7, store, ("latent",))
        for name, store in stores.items()
    }
    for step in range(2 * size // streams + 3):
        for replay in replays.values():
            replay.insert(rows(streams, step))
    for update in range(5):
        steps = {name: replay.draw(update, 3) for name, replay in replays.items()}
        np.testing.assert_array_equal(steps["host"], steps["device"])
        batches = {name: windows(replays[name].gather(steps[name])) for name in replays}
        for key, value in batches["host"].items():
            np.testing.assert_array_equal(batches["device"][key], value, err_msg=key)
        new = np.random.default_rng(update).normal(size=(3, 4, 3)).astype(np.float32)
        for name, replay in replays.items():
            replay.write_back(steps[name], {"latent": new})
    every = np.arange(size)
    for key, value in stores["host"].read(every).items():
        np.testing.assert_array_equal(stores["device"].read(every)[key], value, err_msg=key)


def test_the_windows_are_those_that_were_written():
    """Not only equal in both places: each is a piece of one stream, in order."""
    store = DeviceStore(SPACES, ring_size(10, 3) * 3)
    replay = Replay(SPACES, 10, 3, 2, 0, store)
    for step in range(9):
        replay.insert({**rows(3, 0), "reward": np.float32([100 * s + step for s in range(3)])})
    for update in range(20):
        reward = windows(replay.sample(update, 8))["reward"]
        np.testing.assert_array_equal(np.diff(reward), 1)
        assert ((reward % 100) >= 9 - replay.ring).all()


def test_a_smaller_store_is_refused():
    with pytest.raises(ValueError, match="a store of 10 for 3 rings of 4"):
        Replay(SPACES, 10, 3, 2, 0, DeviceStore(SPACES, 10))


def test_arrays_beyond_32_bits_are_refused_by_name():
    pixels = {"image": Space(np.uint8, (64, 64, 3)), "reward": Space(np.float32)}
    device_replay.check_size(pixels, 174_762)  # 2,147,475,456 numbers.
    with pytest.raises(UserError, match=r"174,763 steps of 'image' are 2,147,487,744 numbers"):
        device_replay.check_size(pixels, 174_763)


def test_what_does_not_fit_goes_to_the_host():
    class Card:
        platform = "gpu"

        def memory_stats(self):
            return {"bytes_limit": 80e9, "bytes_in_use": 0}

    pixels = {"image": Space(np.uint8, (64, 64, 3))}
    assert device_replay.fits(pixels, 100_000, 5, Card())
    assert not device_replay.fits(pixels, 500_000, 1, Card())  # More than 2^31 numbers.
    assert not device_replay.fits(pixels, 100_000, 40, Card())  # More than half of the memory.
    assert not device_replay.fits(pixels, 10, 1, jax.devices("cpu")[0])
