"""What several processes cannot do; that they agree is in test_devices."""

import dataclasses

import jax
import pytest

from embodied.core.errors import UserError
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.runtime import multihost


@pytest.mark.parametrize("place", ["nowhere", "host:", ":12", "host:port"])
def test_a_coordinator_has_a_host_and_a_port(place):
    settings = dataclasses.replace(configs.make().jax, coordinator=place)
    with pytest.raises(UserError, match="expected host:port or auto"):
        multihost.join(settings)


@pytest.mark.parametrize(
    ("flags", "seeds", "message"),
    [
        ({}, 2, "several processes train one seed"),
        ({"jax.data_devices": 3}, 1, "expected jax.data_devices 2, got 3"),
        ({"jax.data_devices": 2, "run.eval_async": True}, 1, "expected run.eval_async False"),
    ],
)
def test_what_several_processes_cannot_do(monkeypatch, flags, seeds, message):
    config = configs.make(["debug"], flags)
    multihost.check(config, seeds)  # One process can.
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(jax, "device_count", lambda: 2)
    with pytest.raises(UserError, match=message):
        multihost.check(config, seeds)
    multihost.check(configs.make(["debug"], {"jax.data_devices": 2}), 1)


def test_one_process_writes_to_the_folder_itself(tmp_path):
    with multihost.records(tmp_path / "run") as mine:
        assert mine == tmp_path / "run"
