"""Bundles of vectors only, whose expectations are computed in float64 from the formulas."""

import json
import math

import jax
import numpy as np
import pytest
import reference as ref

from harmony_dreamerv3.interop import names, parity, parity_2023

VECTORS = {"position": 3, "speed": 2}
S = {"har_s1": 0.3, "har_s2": -0.2, "har_s3": 0.15}
OVERRIDES = {
    "rssm.deter": 8, "rssm.units": 6, "rssm.stoch": 3, "rssm.classes": 4,
    r".*\.units$": 6, r".*\.layers": 1, r".*\.mlp_units": 6, r".*\.mlp_layers": 1,
    "imag_horizon": 3, "jax.precision": "float32", "loss_scales.vector": 2.0,
}  # fmt: skip


def make(path, harmony: bool, idle: bool):
    """Writes a bundle; `idle`: with the observation's harmonizer, which no loss uses."""
    scalars = {"reward": "float32", "is_first": "bool", "is_last": "bool", "is_terminal": "bool"}
    meta = {
        "configs": ["defaults", "dmc_proprio"],
        "overrides": {**OVERRIDES, "harmony": harmony},
        "obs_space": {
            **{key: {"shape": [n], "dtype": "float32"} for key, n in VECTORS.items()},
            **{key: {"shape": [], "dtype": dtype} for key, dtype in scalars.items()},
        },
        "act_space": {"action": {"shape": [2], "discrete": False}},
        "sampling": "mode",
    }
    text = np.array(json.dumps(meta))
    agent = parity_2023.build_agent(meta)
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(agent.init, jax.ShapeDtypeStruct((2,), np.uint32))
    tree = names.flatten(names.trainable(shapes))
    ours = {k: (0.5 * rng.normal(size=v.shape)).astype(np.float32) for k, v in tree.items()}
    params = {names.upstream_name(k): v for k, v in ours.items()}
    for name, value in S.items():
        if f"agent/wm/{name}/harmony_s" in params or (harmony and idle):
            params[f"agent/wm/{name}/harmony_s"] = np.float32(value)
    for key in ("low", "high"):
        params[f"{names.SCALE}/{key}/value"] = np.float32(1.0)
    params[names.SLOW_UPDATES] = np.int32(0)
    batch = {k: rng.normal(size=(2, 4, n)).astype(np.float32) for k, n in VECTORS.items()}
    batch |= {k: np.zeros((2, 4), bool) for k in ("is_first", "is_last", "is_terminal")}
    batch["is_first"][1, 2] = batch["is_terminal"][0, 3] = True
    batch["reward"] = np.array([[0, 1, -3, 1e7], [0, 0, 2, 1e13]], np.float32)
    batch["action"] = rng.normal(size=(2, 4, 2)).astype(np.float32)
    expect = expectations(ours, batch, harmony)
    arrays = {f"params/{k}": v for k, v in params.items()}
    arrays |= {f"batch/{k}": v for k, v in batch.items()}
    arrays |= {f"expect/{k}": np.asarray(v) for k, v in expect.items()}
    np.savez(path, meta=text, **arrays)
    return path, expect


def expectations(ours, batch, harmony):
    nested: dict = {}
    for path, value in ours.items():
        node = nested
        for part in path[:-1]:
            node = node.setdefault(part, {})
        node[path[-1]] = value.astype(np.float64)
    found = ref.world_model(nested["world_model"], batch, list(VECTORS), 3, 4)
    mean = {name: float(value.mean()) for name, value in found["losses"].items()}
    vectors = sum(mean[key] for key in VECTORS)
    if harmony:  # Vectors are unweighted, whatever their scale; the regularizer has its alpha.
        alpha, s1, s3 = 0.5 / 0.6, S["har_s1"], S["har_s3"]
        dynamics = alpha * mean["dyn"] + (1 - alpha) * mean["rep"]
        total = vectors + mean["cont"] + mean["reward"] / math.exp(s1) + math.log1p(math.exp(s1))
        total += dynamics / math.exp(s3) + alpha * math.log1p(math.exp(s3))
    else:
        total = 2 * vectors + mean["reward"] + mean["cont"] + 0.5 * mean["dyn"] + 0.1 * mean["rep"]
    return {
        **{f"losses/{name}": value for name, value in found["losses"].items()},
        "post/deter": found["feat"][..., :8],
        "model_loss": total,
    }


@pytest.mark.parametrize(("harmony", "idle"), [(False, False), (True, False), (True, True)])
def test_vectors_only(tmp_path, harmony, idle):
    path, expect = make(tmp_path / "b.npz", harmony, idle)
    rows = parity.check(path)
    assert [row.name for row in rows] == list(expect)
    assert [row for row in rows if not row.ok] == []
