"""Upstream's 2025 numbers, and options that its bundles here leave alone against a reference."""

import functools
import json
from pathlib import Path

import jax
import numpy as np
import pytest
import reference_2025 as ref

from harmony_dreamerv3.interop import names_2025 as names
from harmony_dreamerv3.interop import parity, parity_2025, recorded_2025, upstream_2025

GOLDEN = Path(__file__).parents[2] / "golden" / "v2025"
BUNDLES = sorted(GOLDEN.glob("*.npz"))
SCALARS = {"reward": "float32", "is_first": "bool", "is_last": "bool", "is_terminal": "bool"}
SIZES = {
    r".*\.rssm": {"deter": 16, "hidden": 6, "stoch": 3, "classes": 4, "blocks": 4},
    r".*\.units": 6, r".*\.depth": 1, r".*\.bins": 41, "agent.dec.simple.bspace": 4,
    "agent.imag_length": 3, "batch_size": 2, "batch_length": 5, "replay_context": 0,
}  # fmt: skip
VECTORS = {"speed": [2], "height": []}
ROOT = ["enc", "dyn", "dec", "rew", "con", "pol", "val"]


def test_there_are_seven_bundles():
    assert len(BUNDLES) == 7


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.stem)
def test_golden(path):
    rows = parity.check(path)
    assert [row.name for row in rows if not row.ok] == []
    assert len(rows) > 230
    # The tolerance is 1e-4; float32 alone gives less than a tenth of it before the update.
    before = [row for row in rows if not row.name.startswith(("grads", "after"))]
    assert max(row.max_rel for row in before) < 1e-5


def meta_of(
    overrides: dict,
    vectors: dict = VECTORS,
    image: int = 0,
    tokens: int = 0,
    continuous: bool = False,
) -> dict:
    obs = {key: {"shape": shape, "dtype": "float32"} for key, shape in vectors.items()}
    if tokens:
        obs["token"] = {"shape": [2], "dtype": "int32", "classes": tokens}
    if image:
        obs["image"] = {"shape": [image, image, 2], "dtype": "uint8"}
        obs["first"] = {"shape": [image, image, 1], "dtype": "uint8"}
    obs |= {key: {"shape": [], "dtype": dtype} for key, dtype in SCALARS.items()}
    action = {"dtype": "int32", "shape": [], "classes": 3}
    return {
        "configs": ["defaults"],
        "overrides": {**SIZES, **overrides},
        "obs_space": obs,
        "act_space": {"action": {"dtype": "float32", "shape": [2]} if continuous else action},
        "gaussian_offset": 0.4 * continuous,
    }


def random_params(agent, rng):
    """Parameters under upstream's names, of which none is zero or one."""
    shapes = jax.eval_shape(agent.init, jax.ShapeDtypeStruct((2,), np.uint32))
    params = {}
    for name, leaf in names.flatten(names.params_tree(shapes)).items():
        x = rng.normal(size=leaf.shape)
        if name.endswith("kernel"):
            x = 1.5 * x / np.sqrt(np.prod(leaf.shape[:-1]))
        params[name] = 1 + 0.2 * x if name.endswith("scale") else 0.5 * x
        if "head/logits/bias" in name and not name.startswith("pol"):
            # Predictions of a few units: what lies beyond the middle bins is unlikely.
            places = np.linspace(-1, 1, leaf.shape[0])
            params[name] = 0.3 * x - 60 * places**2
    for k, value in (("lo", -0.5), ("hi", 1.2)):
        params[f"retnorm/{k}/value"] = np.array(value)
    params = {k: np.asarray(v, np.float32) for k, v in params.items()}
    return {**params, names.SLOW_UPDATES: np.int32(0)}


def random_batch(agent, rng, size=2, length=5):
    batch = {}
    for key, space in agent.obs_space.items():
        shape = (size, length, *space.shape)
        if space.dtype == np.uint8:
            batch[key] = rng.integers(0, 256, shape, np.uint8)
        elif space.dtype.kind == "i":
            batch[key] = rng.integers(0, int(space.high) + 1, shape).astype(np.int32)
            batch[key][0, 1, 0] = -1
        else:
            batch[key] = (2 * rng.normal(size=shape)).astype(space.dtype)
    batch |= {key: np.zeros((size, length), bool) for key in ("is_first", "is_last", "is_terminal")}
    batch["is_first"][0] = [True, False, False, True, False]
    batch["is_last"][0] = [False, False, True, False, False]
    batch["is_terminal"][1] = [False, False, True, False, False]  # Terminal, but not last.
    batch["is_last"][1, 3] = True  # Last, but not terminal.
    batch["is_first"][1, 4] = True
    space = agent.act_space["action"]
    if space.discrete:
        drawn = rng.integers(space.shape[0], size=(size, length))
        batch["action"] = np.eye(space.shape[0], dtype=np.float32)[drawn]
    else:
        batch["action"] = (2 * rng.normal(size=(size, length, *space.shape))).astype(np.float32)
    return batch


OPTIONS = {
    "defaults": ({}, {}),
    "contdisc_off": ({"agent.contdisc": False, "agent.horizon": 20}, {}),
    "repval_grad_off": ({"agent.repval_grad": False}, {}),
    "reward_grad_off": ({"agent.reward_grad": False}, {}),
    "continuous": ({"agent.policy": {"minstd": 0.2, "maxstd": 0.7}}, {"continuous": True}),
    "ac_grads": (
        {"agent.ac_grads": True, "agent.repval_grad": False, "agent.reward_grad": False,
         "agent.dyn.rssm.free_nats": 0.8},
        {},
    ),
    "ac_grads_continuous": ({"agent.ac_grads": True}, {"continuous": True}),
    "imag_last": (
        {"agent.imag_last": 3, "agent.dyn.rssm.absolute": True, "agent.dyn.rssm.unimix": 0.05,
         r".*\.bins": 15, "agent.imag_loss.slowtar": True, "agent.dyn.rssm.free_nats": 0.1},
        {},
    ),
    "bspace0_outer": (
        {"agent.dec.simple.bspace": 0, r".*\.outer": True, "agent.enc.simple.symlog": False},
        {"image": 16},
    ),
    "strided_outer": ({r".*\.outer": True, r".*\.strided": True}, {"image": 16, "tokens": 5}),
    "pooled": ({}, {"image": 16, "vectors": {}}),
}  # fmt: skip


SLOW = ("reward_grad_off", "ac_grads_continuous", "strided_outer")  # Others cover most of these.


@pytest.mark.parametrize(
    "name", [pytest.param(k, marks=pytest.mark.slow) if k in SLOW else k for k in OPTIONS]
)
def test_options_agree_with_a_reference_in_float64(name):
    overrides, spaces = OPTIONS[name]
    agent = recorded_2025.build(meta_of(overrides, **spaces))
    rng = np.random.default_rng(3)
    params, batch = random_params(agent, rng), random_batch(agent, rng)
    if name == "imag_last":
        batch["reward"][0, :3] = [1e9, -1e9, 3e8]  # Beyond the last bins.
    settings = {
        k.removeprefix("agent."): v
        for k, v in upstream_2025.resolve(["defaults"], {**SIZES, **overrides}).items()
    }
    state = names.import_params(agent, params)
    with jax.default_matmul_precision("highest"):
        values, grads = jax.jit(
            lambda s, b: parity_2025.forward(agent, s, b), compiler_options=parity._options()
        )(state, {key: batch[key] for key in agent.batch_keys})
    exact = {k: np.float64(v) for k, v in params.items()}
    zeros = {k: np.zeros(v.shape) for k, v in agent.initial_carry(2).items()}
    offset = agent.gaussian_offset
    keys = {**agent.images, **agent.vectors}
    observed = {key: space for key, space in agent.obs_space.items() if key in keys}

    def total(params, hold):
        args = (settings, observed, agent.act_space, batch, zeros, offset)
        return ref.total(params, *args, hold)

    hold = ref.Hold()
    _, expect = total(exact, hold)
    for key, value in expect.items():
        np.testing.assert_allclose(
            values[key], value, atol=2e-5 * np.abs(value).max(), rtol=0, err_msg=key
        )
    # The derivative along a random direction in each module.
    for root in ROOT:
        names_of = [k for k in exact if k.split("/")[0] == root]
        if not names_of:
            continue
        step = {k: rng.normal(size=exact[k].shape) for k in names_of}
        moved = [{k: exact[k] + s * 1e-6 * step[k] for k in names_of} for s in (1, -1)]
        ends = [total({**exact, **each}, hold.again())[0] for each in moved]
        slope = sum(float((np.asarray(grads[k]) * step[k]).sum()) for k in names_of)
        size = np.sqrt(sum(float(np.square(grads[k]).sum()) for k in names_of))
        assert slope == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-3, abs=2e-4 * size), root


# Options that no bundle here sets, in the form in which bundles set them.
MADE_UP = {
    "acgrads": (
        {"agent.ac_grads": True, "agent.repval_grad": False, "agent.reward_grad": False,
         "agent.dyn.rssm.free_nats": 3.5, "agent.opt.warmup": 0},
        {},
    ),
    "imaglast": (
        {"agent.imag_last": 3, r".*\.absolute": True, r".*\.unimix": 0.05, r".*\.bins": 15,
         "agent.opt.warmup": 0, "replay_context": 1},
        {},
    ),
    "bspace0": (
        {"agent.dec.simple.bspace": 0, r".*\.outer": True, r".*\.symlog": False,
         "agent.contdisc": False, "agent.opt.warmup": 0, "replay_context": 1},
        {"image": 16},
    ),
    "mean": ({"agent.opt.warmup": 0, "replay_context": 1}, {"continuous": True}),
    # The default optimizer: its first step is 0, its second smaller than float32 can tell.
    "consec": ({"consec_train": 2, "replay_context": 1}, {}),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", MADE_UP)
def test_a_bundle_made_in_float64_is_met_in_float32(name, tmp_path, monkeypatch):
    overrides, spaces = MADE_UP[name]
    meta = meta_of({**overrides, "jax.compute_dtype": "float32"}, **spaces)
    meta |= {"base": "dreamerv3_2025", "updates": 2, "policy_steps": [1, 2], "gaussian_offset": 0.0}
    rng = np.random.default_rng(5)
    with monkeypatch.context() as patch, jax.enable_x64(True):
        make = recorded_2025.configs.make
        double = {"jax.precision": "float64"}
        patch.setattr(
            recorded_2025.configs, "make", lambda names, flags: make(names, flags | double)
        )
        agent = recorded_2025.build(meta)
        length = agent.context + 5
        params, batches = random_params(agent, rng), []
        # Steps of gradients that float32 cannot square are no matter here.
        params |= {k: 0.4 * x for k, x in params.items() if k.endswith("head/logits/bias")}
        jit = functools.partial(jax.jit, compiler_options=parity._options())
        for number in range(2):
            batch = random_batch(agent, rng, length=5)
            batch |= {k: np.concatenate([x[:, :1], x], 1) for k, x in batch.items() if length == 6}
            batch |= {
                k: rng.normal(size=(2, length, *space.shape)).astype(np.float32)
                for k, space in agent.stored_space.items()
            }
            batch["consec"] = np.full((2, length), number, np.int32)
            batches.append(batch)
        if "consec" not in name:
            batches[1] = batches[0]
        arrays = {f"params/{k}": v for k, v in params.items()}
        for prefix, batch in zip(("batch", "batch2"), batches):
            whole = {k: x.argmax(-1) if "action" in k and x.shape[-1] == 3 else x
                     for k, x in batch.items()}  # fmt: skip
            arrays |= {f"{prefix}/{k}": v for k, v in whole.items()}
        state = names.import_params(agent, params)
        read = [
            recorded_2025.check_batch(agent, {k: arrays[f"{prefix}/{k}"] for k in batch}, prefix)
            for prefix, batch in zip(("batch", "batch2"), batches)
        ]
        expect = parity_2025.compute(agent, jit, state, read)
        parity_2025.policy(agent, jit, state, read[0], [1, 2], expect)
    arrays |= {f"expect/{k}": np.asarray(v, np.float32) for k, v in expect.items()}
    path = tmp_path / "b.npz"
    np.savez(path, meta=np.array(json.dumps(meta)), **arrays)
    rows = parity.check(path)
    assert [(row.name, row.max_rel) for row in rows if not row.ok] == []
    assert len(rows) > 200
    (rms,) = (row for row in rows if row.name == "after2_update_rms")
    assert rms.max_rel < 1e-3


@pytest.mark.parametrize("context", [0, 1])
def test_consecutive_batches_go_on_from_the_carry(context):
    """Two halves of a long window give the latents of the whole."""
    overrides = {"consec_train": 2, "replay_context": context}
    whole = recorded_2025.build(meta_of({"replay_context": context, "batch_length": 10 - context}))
    half = recorded_2025.build(meta_of({**overrides, "batch_length": 5 - context}))
    rng = np.random.default_rng(4)
    params = random_params(whole, rng)
    batch = random_batch(whole, rng, 3, 5)
    batch = {k: np.concatenate([x, x], 1) for k, x in batch.items()}
    batch["is_first"][:] = False
    batch["is_first"][:, 0] = batch["is_first"][1, 7] = True
    for key, space in whole.stored_space.items():
        batch[key] = rng.normal(size=(3, 10, *space.shape)).astype(np.float32)
    long, _ = jax.jit(whole.world_model)(
        names.import_params(whole, params).params, {}, batch, np.zeros((3, 10 - context, 3, 4))
    )
    state = names.import_params(half, params).replace(
        carry={k: np.zeros(v.shape, v.dtype) for k, v in half.initial_carry(3).items()}
    )
    pieces = []
    for start in (0, 5 - context):
        piece = {k: x[:, start : start + 5] for k, x in batch.items()}
        if start and context:
            # The context of what goes on is not read.
            piece |= {k: np.full_like(piece[k], np.nan) for k in half.stored_space}
        losses, aux = jax.jit(half.world_model)(
            state.params, state.carry, piece, np.zeros((3, 5 - context, 3, 4))
        )
        post = {k: x[:, -1] for k, x in aux["post"].items()}
        state = state.replace(carry={**post, "action": half.joined_actions(piece)[:, -1]})
        pieces.append(losses)
    for key in ("dyn", "height"):
        joined = np.concatenate([piece[key] for piece in pieces], 1)
        np.testing.assert_allclose(joined, long[key][:, : joined.shape[1]], rtol=1e-5)


def test_variables_come_back_from_a_checkpoint():
    agent = recorded_2025.build(meta_of({"agent.retnorm.debias": True}))
    params = random_params(agent, np.random.default_rng(0))
    params["retnorm/corr/value"] = np.float32(0.3)
    state = names.import_params(agent, params)
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    flat = {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in leaves
    }
    exported = names.export_arrays(flat)
    assert exported.keys() == params.keys() == names.export_params(state).keys()
    for name, value in params.items():
        np.testing.assert_array_equal(exported[name], value)
