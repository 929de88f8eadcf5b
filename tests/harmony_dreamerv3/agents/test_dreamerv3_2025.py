"""The 2025 agent: sizes, updates, resets, standing still, balancing."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from embodied import envs
from embodied.core.errors import UserError
from embodied.core.space import Space
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.agents.dreamerv3_2025 import Agent
from harmony_dreamerv3.nets import fast

FLAGS = {"is_first": bool, "is_last": bool, "is_terminal": bool}
# SPEC: parameters without the slow critic, of 64x64x3 images with 6 and 18 actions.
COUNTS = {
    "size1m": (686_456, 688_004),
    "size12m": (10_492_616, 10_498_772),
    "size25m": (23_487_016, 23_496_244),
    "size50m": (41_646_984, 41_659_284),
    "size100m": (93_463_624, 93_482_068),
    "size200m": (165_942_536, 165_967_124),
    "size400m": (372_887_176, 372_924_052),
}


def spaces(image=0, vectors=None):
    out = {"image": Space(np.uint8, (image, image, 3))} if image else {}
    out |= {k: Space(np.float32, shape) for k, shape in (vectors or {}).items()}
    return out | {"reward": Space(np.float32), **{k: Space(v) for k, v in FLAGS.items()}}


def make_agent(obs=None, actions=3, discrete=True, sampling=True, blocks=(), **flags):
    flags = {key.replace("__", "."): value for key, value in flags.items()}
    config = configs.make(["debug_2025", *blocks], {"batch_size": 2, "batch_length": 5, **flags})
    obs = obs or spaces(vectors={"speed": (2,), "height": ()})
    act = {"action": Space(np.float32, (actions,), discrete=discrete)}
    return Agent(config, obs, act, sampling=sampling)


def make_batch(agent, seed=0):
    rng = np.random.default_rng(seed)
    shape = (agent.config.batch_size, agent.context + agent.config.batch_length)
    batch = {}
    for key, space in {**agent.obs_space, **agent.act_space, **agent.stored_space}.items():
        if space.dtype == bool:
            batch[key] = np.zeros(shape, bool)
        elif space.discrete:
            batch[key] = np.eye(space.shape[0], dtype=np.float32)[
                rng.integers(space.shape[0], size=shape)
            ]
        elif space.dtype == np.uint8:
            batch[key] = rng.integers(0, 256, (*shape, *space.shape), np.uint8)
        else:
            batch[key] = rng.normal(size=(*shape, *space.shape)).astype(np.float32)
    batch["is_first"][:, 0] = True
    return batch


@functools.cache
def trained(steps=3, **flags):
    """An agent and its states before and after updates on one batch."""
    agent = make_agent(**flags)
    step, batch = jax.jit(agent.train_step), make_batch(agent)
    states = [agent.init(jax.random.PRNGKey(1))]
    for _ in range(steps):
        state, outputs, metrics = step(states[-1], batch)
        states.append(state)
    return agent, states, outputs, metrics


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("size", COUNTS)
def test_parameters_of_every_size(size):
    for actions, expected in zip((6, 18), COUNTS[size]):
        config = configs.make(["atari100k_2025", size])
        act = {"action": Space(np.float32, (actions,), discrete=True)}
        agent = Agent(config, spaces(image=64), act)
        params = jax.eval_shape(agent.init, jax.ShapeDtypeStruct((2,), np.uint32)).params
        assert count(params) == expected


def test_parameters_of_the_default_size_and_of_walker_by_module():
    agent = Agent(
        configs.make(["atari100k_2025"]), spaces(image=64),
        {"action": Space(np.float32, (6,), discrete=True)},
    )  # fmt: skip
    params = jax.eval_shape(agent.init, jax.ShapeDtypeStruct((2,), np.uint32)).params
    millions = {k: round(count(v) / 1e6, 2) for k, v in params.items() if k != "balance"}
    assert millions == {
        "rssm": 95.48, "encoder": 3.49, "decoder": 20.28, "reward": 10.75, "cont": 10.49,
        "actor": 12.60, "critic": 12.85,
    }  # fmt: skip
    walker = spaces(vectors={"height": (), "orientations": (14,), "velocity": (9,)})
    agent = Agent(configs.make(["dmc_proprio_2025"]), walker, {"action": Space(np.float32, (6,))})
    params = jax.eval_shape(agent.init, jax.ShapeDtypeStruct((2,), np.uint32)).params
    assert {k: count(v) for k, v in params.items() if k != "balance"} == {
        "rssm": 364_416, "encoder": 10_112, "decoder": 51_096, "reward": 57_663, "cont": 41_153,
        "critic": 66_111, "actor": 50_316,
    }  # fmt: skip


def test_the_first_update_moves_no_parameter_and_the_second_does():
    _, states, outputs, metrics = trained()
    first, second = (jax.tree.leaves(state.params) for state in states[1:3])
    start = jax.tree.leaves(states[0].params)
    assert all(np.array_equal(a, b) for a, b in zip(start, first))
    assert sum(not np.array_equal(a, b) for a, b in zip(first, second)) > 40
    assert float(states[3].norms["retnorm"]["hi"]) > 0.0 == float(states[1].norms["retnorm"]["hi"])
    assert [int(state.updates) for state in states] == [0, 1, 2, 3]
    assert outputs["dyn/deter"].shape == (2, 5, 16) and outputs["dyn/stoch"].shape == (2, 5, 4, 4)
    assert all(np.isfinite(value) and value.shape == () for value in metrics.values())


@pytest.mark.parametrize("image", [0, pytest.param(16, marks=pytest.mark.slow)])
def test_loss_and_gradients_are_those_of_the_plain_twin(image):
    obs = spaces(image=image, vectors={"speed": (2,), "height": ()})
    flags = {"rssm__dyn_layers": 2, "ac_grads": True, "actor__outscale": 1.0}
    heads = {"reward_head__outscale": 1.0, "critic__outscale": 1.0}
    with jax.enable_x64(True):
        agent = make_agent(obs, jax__precision="float64", **flags, **heads)
        batch = make_batch(agent)
        batch["is_first"][0, 3] = True
        batch = {k: x.astype(float) if x.dtype == np.float32 else x for k, x in batch.items()}

        def both(state):
            draws = agent.draws(jax.random.split(state.key, 3), batch)
            return jax.value_and_grad(agent.loss, has_aux=True)(state.params, state, batch, draws)

        state = jax.jit(agent.init)(jax.random.PRNGKey(1))
        ((total, aux), grads), ((plain_total, plain_aux), plain_grads) = (
            jax.jit(function)(state) for function in (both, fast.plain(both))
        )
        assert float(total) == pytest.approx(float(plain_total), rel=1e-12)
        pairs = zip(
            *map(jax.tree.leaves, ((grads, aux["losses"]), (plain_grads, plain_aux["losses"])))
        )
        for a, b in pairs:
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10 * np.abs(b).max(initial=1e-6))


def test_first_predictions_are_zero_and_the_policy_is_uniform():
    agent, states, _, _ = trained()
    batch = make_batch(agent)
    draws = agent.draws(jax.random.split(jax.random.PRNGKey(0), 3), batch)
    _, aux = jax.jit(agent.loss)(states[0].params, states[0], batch, draws)
    assert float(jnp.abs(aux["imag"]["rew"]).max()) == 0.0
    assert float(jnp.abs(aux["imag"]["val"]).max()) == 0.0
    entropy = aux["imag"]["entropy"]["action"]
    assert float(jnp.abs(entropy - np.log(3)).max()) < 1e-3


def test_nothing_changes_after_a_loss_that_is_not_finite():
    agent, states, _, _ = trained()
    batch = make_batch(agent)
    batch["reward"][0, 2] = np.nan
    dead, _, _ = jax.jit(agent.train_step)(states[2], batch)
    again, _, _ = jax.jit(agent.train_step)(dead, make_batch(agent))
    assert not dead.alive and not again.alive
    for state in (dead, again):
        for a, b in zip(jax.tree.leaves(states[2]), jax.tree.leaves(state.replace(alive=True))):
            np.testing.assert_array_equal(a, b)


def test_learners_side_by_side_are_those_alone():
    agent, states, _, _ = trained()
    batch = make_batch(agent)
    other = agent.init(jax.random.PRNGKey(7))
    pair = jax.tree.map(lambda a, b: jnp.stack([a, b]), states[1], other)
    both = jax.tree.map(lambda x: np.stack([x, x]), batch)
    together, _, _ = jax.jit(jax.vmap(agent.train_step))(pair, both)
    alone, _, _ = jax.jit(agent.train_step)(states[1], batch)
    for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(alone)):
        np.testing.assert_allclose(a[0], b, rtol=1e-3, atol=1e-5)


def test_a_reset_forgets_carry_and_action_and_stored_latents():
    agent, states, _, _ = trained()
    params = agent.policy_params(states[-1])
    obs = {"speed": np.ones((2, 2), np.float32), "height": np.ones(2, np.float32)}
    obs["is_first"] = np.array([True, False])
    act = jax.jit(functools.partial(agent.policy, mode="train"))
    key = jax.random.PRNGKey(3)
    carries = [agent.initial_carry(2), jax.tree.map(jnp.ones_like, agent.initial_carry(2))]
    (a, _), (b, _) = (act(params, carry, obs, key) for carry in carries)
    np.testing.assert_array_equal(a["deter"][0], b["deter"][0])
    assert np.abs(a["deter"][1] - b["deter"][1]).max() > 0.01


def test_windows_start_from_the_last_stored_latent_of_the_context():
    agent, states, _, _ = trained(run__replay_context=2)
    batch = make_batch(agent)
    batch["is_first"][:] = False
    batch["is_first"][:, 0] = True  # In the context, where nothing is trained.
    world = jax.jit(agent.world_model)
    noise = np.zeros((2, 5, 4, 4), np.float32)

    def latents(batch):
        return world(states[0].params, {}, batch, noise)[1]["post"]["deter"]

    before = latents(batch)
    early, late = (dict(batch, **{"dyn/deter": batch["dyn/deter"].copy()}) for _ in range(2))
    early["dyn/deter"][:, 0] += 1.0
    late["dyn/deter"][:, 1] += 1.0
    np.testing.assert_array_equal(latents(early), before)
    assert np.abs(latents(late)[:, 0] - before[:, 0]).max() > 0.01


def test_the_dynamics_task_at_weight_1_1_is_upstream():
    """alpha dyn + (1 - alpha) rep with alpha = 1 / 1.1, times 1.1, is dyn + 0.1 rep."""
    plain = make_agent(sampling=False, balance__tasks="{}")
    grouped = make_agent(sampling=False, balance__method="harmony", **{
        "balance__weights": "{observation: 1.0, reward: 1.0, dynamics: 1.1}"})  # fmt: skip
    state, batch = plain.init(jax.random.PRNGKey(0)), make_batch(plain)
    draws = plain.draws(jax.random.split(state.key, 3), batch)
    totals = []
    for agent in (plain, grouped):
        grad = jax.jit(jax.value_and_grad(agent.loss, has_aux=True))
        (total, _), grads = grad(state.params, state, batch, draws)
        totals.append((float(total), grads))
    assert totals[0][0] == pytest.approx(totals[1][0], rel=1e-6)
    for a, b in zip(jax.tree.leaves(totals[0][1]), jax.tree.leaves(totals[1][1])):
        np.testing.assert_allclose(a, b, atol=1e-6 * np.abs(a).max(), rtol=1e-5)


@pytest.mark.parametrize("init", ["one", "first_loss"])
def test_sigma_arrives_at_its_optimum(init):
    """Loss weights of a fixed batch, the model standing still, after 500 updates."""
    faster = {"balance__method": "harmony", "balance__lr": 0.02}
    flags, blocks = (faster, ()) if init == "one" else ({}, ("harmony_2025",))
    agent = make_agent(blocks=blocks, opt__lr=0.0, sampling=False, **flags)
    assert (agent.config.balance.method, agent.config.balance.init) == ("harmony", init)
    batch = make_batch(agent)
    step = jax.jit(lambda state, _: (agent.train_step(state, batch)[0], None))
    state = agent.init(jax.random.PRNGKey(0))
    state, _ = jax.jit(lambda s: jax.lax.scan(step, s, length=500))(state)
    _, _, metrics = jax.jit(agent.train_step)(state, batch)
    for task in ("observation", "reward", "dynamics"):
        sigma, star = (metrics[f"balance/log_{k}/{task}"] for k in ("sigma", "sigma_star"))
        assert abs(sigma - star) < 0.1, task


METHODS = ["nashmtl", "harmony_unrectified", "uncertainty", "dwa", "reciprocal"]


@pytest.mark.parametrize(
    "method", ["harmony", *(pytest.param(m, marks=pytest.mark.slow) for m in METHODS)]
)
def test_every_balancer_trains_it(method):
    _, states, _, metrics = trained(2, balance__method=method)
    assert states[-1].alive
    assert {"balance/weight/observation", "balance/weight/repval"} <= metrics.keys()
    assert metrics["balance/weight/repval"] == pytest.approx(0.3)


def test_repval_may_be_part_of_the_reward_task():
    agent = make_agent(balance__method="harmony", balance__tasks__reward__repval=0.3)
    losses = {k: jnp.ones(()) for k in (*agent.vectors, "reward", "cont", "dyn", "rep", "policy",
                                        "value", "repval")}  # fmt: skip
    assert agent.balancer.task_losses(losses)["reward"] == pytest.approx(1.3)


def test_bfloat16_computes_and_keeps_float32():
    _, states, outputs, metrics = trained(2, jax__precision="bfloat16")
    assert {leaf.dtype for leaf in jax.tree.leaves(states[-1].params)} == {jnp.dtype("float32")}
    assert all(np.isfinite(value) for value in metrics.values())
    assert outputs["dyn/deter"].dtype == jnp.float32
    rounded = outputs["dyn/deter"].astype(jnp.bfloat16).astype(jnp.float32)
    np.testing.assert_array_equal(rounded, outputs["dyn/deter"])


def test_continuous_actions_images_and_reports():
    agent = make_agent(spaces(image=16, vectors={"speed": (2,)}), actions=2, discrete=False)
    state, batch = agent.init(jax.random.PRNGKey(0)), make_batch(agent)
    state, _, metrics = jax.jit(agent.train_step)(state, batch)
    assert state.alive and metrics["loss/image"] > 0
    out = jax.jit(agent.report)(state, batch, jax.random.PRNGKey(0))
    assert out["openloop/image/video"].shape == (5, 3 * 16, 2 * 16, 3)
    assert out["openloop/reward/hist"].shape == (10,)


def test_observations_that_do_not_fit_are_named():
    with pytest.raises(UserError, match="multiples of 16"):
        make_agent(spaces(image=24))
    with pytest.raises(UserError, match=r"encoder.cnn_keys .* match no observation"):
        make_agent(spaces())
    with pytest.raises(UserError, match="'value' has the name of a loss"):
        make_agent(spaces(vectors={"value": (2,)}))
    with pytest.raises(UserError, match="with an upper bound"):
        make_agent({**spaces(vectors={"a": (1,)}), "token": Space(np.int32)})
    with pytest.raises(
        UserError, match=r"decoder.bspace must divide 4 decoder.depth \(8\), got 16"
    ):
        make_agent(spaces(image=16), decoder__bspace=16)


def test_patterns_choose_what_encoder_and_decoder_see():
    obs = spaces(image=16, vectors={"speed": (2,), "state": (4,)})
    hidden = make_agent(obs, encoder__mlp_keys="$^", decoder__mlp_keys="speed")
    assert hidden.obs_keys == ("image", "is_first")
    assert hidden.decoded == ({"image": obs["image"]}, {"speed": obs["speed"]})
    assert "speed" in hidden.batch_keys and "state" not in hidden.batch_keys
    step = jax.eval_shape(hidden.train_step, hidden.init(jax.random.PRNGKey(0)), make_batch(hidden))
    assert {"loss/image", "loss/speed"} <= step[2].keys() and "loss/state" not in step[2]


@pytest.mark.parametrize("block", ["distract_2025", "catch_2025"])
def test_tasks_of_pixels_show_pixels_alone(block):
    """What stands in an observation for analysis, such as the true state, reaches no network."""
    config = configs.make([block])
    env = envs.make(config.task, 0, config.env[config.task.partition("_")[0]])
    agent = Agent(config, env.obs_space, env.act_space)
    assert agent.seen_keys == ("image", "is_first")
    assert set(agent.batch_keys) & set(env.obs_space) == {
        "image", "reward", "is_first", "is_last", "is_terminal"
    }  # fmt: skip


def test_settings_that_do_not_fit_are_named():
    for flags, message in (
        ({"rssm.blocks": 3}, r"rssm.blocks must divide rssm.deter \(16\), got 3"),
        ({"critic.bins": 4}, "critic.bins must be odd"),
        ({"retnorm.impl": "range"}, "retnorm.impl must be one of none, perc, meanstd"),
        ({"actor.maxstd": 0.01}, "actor.maxstd must be at least 0.1"),
        ({"decoder.bspace": 3}, "decoder.bspace must divide rssm.deter"),
        ({"rssm.units": 3}, "'rssm.units' is a key of base dreamerv3,.* use --base dreamerv3"),
    ):
        with pytest.raises(UserError, match=message):
            config = configs.make(["debug_2025"], flags)
            dataclasses.replace(config)
    with pytest.raises(UserError, match="block atari100k is of base dreamerv3,"):
        configs.make(["atari100k"], {"base": "dreamerv3_2025"})
    with pytest.raises(UserError, match=r"unknown config block 'size2m'.*size"):
        configs.make(["atari100k_2025", "size2m"])
