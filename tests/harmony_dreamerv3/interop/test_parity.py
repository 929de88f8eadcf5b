"""The released code's own numbers, and bundles derived from them."""

import json
from pathlib import Path

import numpy as np
import pytest

from embodied.core.errors import UserError
from harmony_dreamerv3.interop import parity
from harmony_dreamerv3.main import main

GOLDEN = Path(__file__).parents[2] / "golden"
BUNDLES = sorted(GOLDEN.glob("*.npz"))


def read(name: str = "atari_harmony") -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{name}.npz") as archive:
        return dict(archive)


def write(path: Path, arrays: dict[str, np.ndarray], keep: tuple[str, ...] = ("",)) -> Path:
    """Writes a bundle that expects only what begins with one of `keep`."""
    names = [n for n in arrays if not n.startswith("expect/")]
    names += [n for n in arrays if n.startswith(tuple(f"expect/{k}" for k in keep))]
    np.savez(path, **{name: arrays[name] for name in dict.fromkeys(names)})
    return path


def change_meta(arrays: dict[str, np.ndarray], **changes: object) -> dict[str, np.ndarray]:
    meta = json.loads(str(arrays["meta"]))
    for key, value in changes.items():
        meta[key] = {**meta[key], **value} if isinstance(value, dict) else value
    return {**arrays, "meta": np.array(json.dumps(meta))}


def test_there_are_five_bundles():
    assert len(BUNDLES) == 5


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.stem)
def test_golden(path):
    rows = parity.check(path)
    assert [row.name for row in rows if not row.ok] == []
    assert len(rows) > 250
    # The tolerance is 1e-4; float32 alone gives a tenth of it.
    assert max(row.max_rel for row in rows if not row.name.startswith("grads/")) < 5e-5


def test_another_base_or_device_is_refused(tmp_path):
    path = write(tmp_path / "b.npz", change_meta(read(), base="dreamerv4"), ("policy",))
    with pytest.raises(UserError, match=r"meta.base: expected one of dreamerv3.*got 'dreamerv4'"):
        parity.check(path)
    path = write(tmp_path / "b.npz", read(), ("policy",))
    with pytest.raises(UserError, match="--platform abacus: no such device"):
        parity.check(path, "abacus")


def test_windows_that_do_not_say_that_they_start_are_the_same(tmp_path):
    arrays = read()
    arrays["batch/is_first"] = arrays["batch/is_first"].copy()
    arrays["batch/is_first"][:, 0] = False
    rows = parity.check(write(tmp_path / "b.npz", arrays, ("losses/", "policy", "post/")))
    assert len(rows) > 10 and all(row.ok for row in rows)


def test_a_batch_of_another_size_and_dtype(tmp_path):
    """One row of three: what does not depend on the others stays as it was."""
    arrays = read()
    for name, value in arrays.items():
        if name.startswith(("batch/", "expect/losses/", "expect/policy/")):
            arrays[name] = value[1:2]
    arrays["batch/reward"] = arrays["batch/reward"].astype(np.float64)
    rows = parity.check(write(tmp_path / "b.npz", arrays, ("losses/", "policy/")))
    assert len(rows) > 5 and all(row.ok for row in rows)


def test_command_names_the_worst(tmp_path, capsys):
    arrays = read()
    good = write(tmp_path / "good.npz", arrays, ("policy",))
    assert main(["parity", str(good)]) == 0
    assert "all within tolerance" in capsys.readouterr().out
    arrays["expect/policy2/deter"] = arrays["expect/policy2/deter"] * np.float32(1.001)
    arrays["expect/policy/nonsense"] = np.zeros(3)
    bad = write(tmp_path / "bad.npz", arrays, ("policy",))
    assert main(["parity", str(good), str(bad)]) == 1
    out = capsys.readouterr().out
    assert "2 outside tolerance; the worst: policy/nonsense, policy2/deter" in out
    assert "nothing of this name is computed" in out
    assert main(["parity", str(bad), "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)[str(bad)]
    assert {row["name"]: row["ok"] for row in rows} == {
        "policy/action": True, "policy/deter": True, "policy/nonsense": False,
        "policy2/action": True, "policy2/deter": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"configs": ["defaults", "atari100"]}, "no config block 'atari100'.*'atari100k'"),
        ({"overrides": {"rssm.detre": 8}}, "no config key 'rssm.detre'.*'rssm.deter'"),
        ({"overrides": {r".*\.dept": 8}}, "matches no config key"),
        ({"overrides": {"(": 8}}, "no regular expression"),
        ({"overrides": {"encoder.cnn": "simple"}}, "encoder.cnn: only 'resnet'"),
        ({"overrides": {"rssm.deter": "many"}}, "rssm.deter: expected int, got 'many'"),
        (
            {"overrides": {"rssm.deter": 33}},
            r"h0.kernel: expected shape \(53, 24\).*got \(52, 24\)",
        ),
        ({"overrides": {r".*\.layers": 3}}, "missing: .*h2"),
        ({"overrides": {r".*\.layers": 10**9}}, "layers are configured"),
        ({"overrides": {"rssm.deter": 10**9}}, "expected shape"),
        ({"overrides": {"imag_horizon": 10**9}}, "imag_horizon 1000000000"),
        ({"overrides": {"harmony": False}}, "surplus: agent/wm/har_s1"),
        ({"overrides": {"jax.precision": "float16"}}, "float32"),
        ({"sampling": "sample"}, "'sample'; only bundles whose draws are modes"),
        ({"overrides": {"encoder.cnn_keys": "picture"}}, "match none of the observations"),
        ({"obs_space": {"image": {"shape": [48, 64, 3], "dtype": "uint8"}}}, "48x64"),
        ({"obs_space": {"image": {"shape": [64, 64, 3], "dtype": "float32"}}}, "expected uint8"),
        ({"obs_space": {"reward": {"shape": [2], "dtype": "float32"}}}, "scalar 'reward'"),
        ({"act_space": {"x": {"shape": [3], "discrete": True}}}, "must hold one `action`"),
        ({"act_space": {"action": {"shape": [3]}}}, "discrete: bool"),
        ({"act_space": {"action": {"shape": [7], "discrete": True}}}, "action: expected shape"),
        ({"act_space": {"action": {"shape": [6], "discrete": False}}}, "missing: .*std"),
    ],
)
def test_what_cannot_be_built(tmp_path, changes, message):
    path = write(tmp_path / "b.npz", change_meta(read(), **changes), ("policy",))
    with pytest.raises(UserError, match=message):
        parity.check(path)


def test_missing_surplus_and_renamed_variables(tmp_path):
    name = "params/agent/wm/rssm/gru/kernel"
    arrays = read()
    kernel = arrays.pop(name)
    path = tmp_path / "b.npz"
    with pytest.raises(UserError, match=r"1 variables missing.*agent/wm/rssm/gru/kernel"):
        parity.check(write(path, arrays, ("policy",)))
    with pytest.raises(UserError, match=r"surplus: agent/wm/rssm/gru/kernels; did you mean '.*gru"):
        parity.check(write(path, {**arrays, f"{name}s": kernel}, ("policy",)))
    with pytest.raises(UserError, match=r"expected shape .56, 96.*got .96, 56"):
        parity.check(write(path, {**arrays, name: kernel.T}, ("policy",)))
    with pytest.raises(UserError, match="dtype int32"):
        parity.check(write(path, {**arrays, name: kernel.astype(np.int32)}, ("policy",)))
    arrays[name] = kernel
    batch = {k: v for k, v in arrays.items() if k != "batch/is_terminal"}
    with pytest.raises(UserError, match="lacks 'is_terminal'"):
        parity.check(write(path, batch, ("policy",)))
    wrong = {**arrays, "batch/image": arrays["batch/image"].astype(np.float32)}
    with pytest.raises(UserError, match="batch/image: expected uint8, got float32"):
        parity.check(write(path, wrong, ("policy",)))
