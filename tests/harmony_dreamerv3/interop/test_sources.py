"""Parameters are found in runs, checkpoints, hub folders and files of other names."""

import re

import numpy as np
import pytest
import safetensors.numpy
import tiny

from embodied.core.errors import UserError
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.interop import sources
from harmony_dreamerv3.interop.sources import Source

KERNEL = "params/actor/out/kernel"


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


def test_a_run_and_its_checkpoints(exported):
    run = exported[0] / "run"
    newest = sources.read(run)
    assert newest.step == 24 and newest.config.task == "dummy_disc" and not newest.hub
    for place in ("", "learner.safetensors", "manifest.json"):
        found = sources.read(run / "checkpoints" / f"{24:012d}" / place)
        assert found.step == 24 and found.place == run and same(found.arrays, newest.arrays)
    first = sources.read(run / "checkpoints" / f"{0:012d}")
    assert first.step == 0 and not same(first.arrays, newest.arrays)
    with pytest.raises(UserError, match=r"no such checkpoint in .* those of steps 0, 24"):
        sources.of_run(run, f"{7:012d}")


def test_a_damaged_checkpoint_is_not_read(exported, tmp_path):
    place = tmp_path / "run" / "checkpoints" / f"{24:012d}"
    place.mkdir(parents=True)
    for file in (exported[0] / "run" / "checkpoints" / f"{24:012d}").iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    (tmp_path / "run" / "config.yaml").write_bytes((exported[0] / "run/config.yaml").read_bytes())
    (place / "learner.safetensors").write_bytes(b"no")
    with pytest.raises(UserError, match=r"none of the 1 checkpoints .* can be used"):
        sources.read(place)


def test_what_is_nothing_of_this(tmp_path):
    (tmp_path / "a.txt").write_text("")
    for place in ("a.txt", "none"):
        with pytest.raises(UserError, match=r"expected the folder of a run or of export --hub, a"):
            sources.read(tmp_path / place)
    with pytest.raises(UserError, match="is no run folder"):
        sources.read(tmp_path)
    (tmp_path / "config.yaml").write_text(configs.dump(configs.make(["debug"])))
    safetensors.numpy.save_file({KERNEL: np.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="does not say its agent step"):
        sources.read(tmp_path)


def test_parameters_are_what_is_learned(exported):
    arrays = sources.read(exported[0] / "run").parameters
    heads = {name.partition("/")[0] for name in arrays}
    assert heads == {"params", "slow_critic"}
    name = "params/balance/log_sigma/reward"
    moved = Source(None, {name: np.float32(1), "balance/offset/reward": np.float32(2)}, None, 0)
    assert moved.parameters[name] == 3


def fit(there, here, pattern=""):
    named = {key: np.full(shape, 1.0) for key, shape in there.items()}
    own = {key: np.zeros(shape) for key, shape in here.items()}
    source = Source("there", named, configs.make(["debug"]), 0)
    return sources.fitting(source, "dreamerv3", own, pattern)


def test_what_fits_and_what_does_not():
    there = {KERNEL: (4, 3), "params/critic/out/bias": (5,), "slow_critic/out/bias": (5,),
             "params/old": (1,), "opt/x": (9,)}  # fmt: skip
    here = {KERNEL: (4, 2), "params/critic/out/bias": (5,), "slow_critic/out/bias": (5,),
            "params/new": (), "opt/x": (9,)}  # fmt: skip
    arrays, left = fit(there, here)
    assert set(arrays) == {"params/critic/out/bias", "slow_critic/out/bias"}
    assert left == {
        "actor/out/kernel": {"there": [4, 3], "here": [4, 2]},
        "new": {"there": None, "here": []},
        "old": {"there": [1], "here": None},
    }
    assert sources.text(left).splitlines() == [
        "  actor/out/kernel: [4, 3] there, [4, 2] here",
        "  new: not there, [] here",
        "  old: [1] there, not here",
    ]
    # The slow critic goes with the critic, and not alone.
    assert set(fit(there, here, "critic/")[0]) == set(arrays)
    with pytest.raises(UserError, match=r"no parameter of there that init_keys 'actor' names fits"):
        fit(there, here, "actor")
    with pytest.raises(UserError, match=r"'\(' is no regular expression"):
        fit(there, here, "(")


@pytest.mark.parametrize("harmony", [True, False])
def test_names_of_the_released_code(exported, harmony):
    base, _ = exported
    run = sources.read(base / "run")
    own = {k: np.zeros_like(v) for k, v in run.parameters.items()}
    if not harmony:
        own = {k: v for k, v in own.items() if "balance" not in k}
    arrays, left = sources.fitting(sources.read(base / "out.npz"), "dreamerv3", own)
    assert same(arrays, {k: v for k, v in run.parameters.items() if k in own})
    assert ("agent/wm/har_s1/harmony_s" in left) == (not harmony)
    assert left["agent/task_behavior/ac/retnorm_extr/low/value"] == {"there": [], "here": None}


def test_names_of_2025():
    own = {"params/actor/out/kernel": np.zeros(2), "params/balance/x": np.zeros(1)}
    theirs = Source("a.npz", {"pol/out/kernel": np.ones(2), "opt": np.ones(3)}, None, 0)
    arrays, left = sources.fitting(theirs, "dreamerv3_2025", own)
    assert arrays["params/actor/out/kernel"].tolist() == [1, 1]
    assert re.findall(r"^  (\S+):", sources.text(left), re.M) == ["balance/x", "opt"]


def test_tiny_is_what_the_run_was(exported):
    assert sources.read(exported[0] / "run").config.batch_size == tiny.RUN["batch_size"]
