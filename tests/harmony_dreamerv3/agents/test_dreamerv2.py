"""The update of DreamerV2 and DreamerPro: formulas by hand, schedules, stops, side by side."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import tiny_v2

from embodied.core.errors import UserError
from embodied.core.space import Space
from harmony_dreamerv3.nets import fast
from harmony_dreamerv3.nets.layers import run
from harmony_dreamerv3.nets.rssm_v2 import features

KEYS = [np.array([0, seed], np.uint32) for seed in range(3)]
RESIDUAL = {r".*coder\.kind": "residual", "decoder.kernels": (5, 8)}
FAST = {r".*_opt\.lr": 1e-2, "clip_rewards": "identity"}


@functools.cache
def prepared(name: str):
    """An agent, its compiled init and update, and a batch."""
    makers = {
        "vectors": lambda: tiny_v2.make_agent(
            balance__method="harmony", slow_critic_every=2, **FAST
        ),
        "discrete": lambda: tiny_v2.make_agent(discrete=True, **FAST),
        "pro": lambda: tiny_v2.make_pro(balance__method="harmony", prototypes__freeze=2, **FAST),
        "residual": lambda: tiny_v2.make_agent(tiny.spaces(16), **RESIDUAL, **FAST),
    }
    agent = makers[name]()
    return agent, jax.jit(agent.init), jax.jit(agent.train_step), tiny.make_batch(agent)


def equal(a, b):
    return jax.tree.all(jax.tree.map(lambda x, y: bool((x == y).all()), a, b))


@pytest.mark.parametrize("name", ["vectors", "discrete", "pro"])
def test_losses_fall_on_a_fixed_batch(name):
    _, init, step, batch = prepared(name)
    state, history = init(KEYS[0]), []
    for _ in range(40):
        state, outputs, metrics = step(state, batch)
        history.append(jax.device_get(metrics))
    assert int(state.updates) == 40 and bool(state.alive) and outputs == {}
    losses = {"pro": ["swav", "temp"]}.get(name, ["position", "speed", "discount"])
    for loss in [*losses, "reward"]:
        start, end = history[0][f"loss/{loss}"], np.mean([m[f"loss/{loss}"] for m in history[-5:]])
        assert end < 0.9 * start, loss
    assert np.isfinite([list(metrics.values()) for metrics in history]).all()


TWINS = {
    "pro": tiny_v2.make_pro,
    "discrete": functools.partial(tiny_v2.make_agent, discrete=True),
    "gaussian": functools.partial(tiny_v2.make_agent, rssm__classes=0, predict_discount=False),
    "images": functools.partial(tiny_v2.make_agent, tiny.spaces(16)),
    "residual": functools.partial(tiny_v2.make_agent, tiny.spaces(16), **RESIDUAL),
}


@pytest.mark.parametrize(
    "make",
    [tiny_v2.make_agent, *(pytest.param(x, marks=pytest.mark.slow) for x in TWINS.values())],
    ids=["vectors", *TWINS],
)
def test_losses_and_gradients_are_those_of_the_plain_twin(make):
    with jax.enable_x64(True):
        agent = make(jax__precision="float64", balance__method="harmony")
        batch = tiny.make_batch(agent)
        batch = {k: x.astype(float) if x.dtype == np.float32 else x for k, x in batch.items()}

        def everything(state):
            key = state.key
            params = dict(agent.trained(state.params))["model"]
            grad = jax.value_and_grad(agent.model_loss, has_aux=True)
            (total, aux), grads = grad(params, state, batch, key)
            start, terminal = jax.tree.map(
                lambda x: x.reshape(-1, *x.shape[2:]), (aux["post"], aux["is_terminal"])
            )
            grad = jax.value_and_grad(agent.actor_loss, has_aux=True)
            (actor, aux), actor_grads = grad(state.params["actor"], state, start, terminal, key)
            return total, grads, actor, actor_grads, aux["returns"]

        state = jax.jit(agent.init)(jnp.asarray(KEYS[1]))
        actual, expected = (jax.jit(f)(state) for f in (everything, fast.plain(everything)))
        for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10 * np.abs(b).max(initial=1e-6))


def test_metrics_have_the_same_names_from_shapes_alone():
    agent, init, step, batch = prepared("vectors")
    state = init(KEYS[0])
    assert set(jax.eval_shape(agent.train_step, state, batch)[2]) == set(step(state, batch)[2])


@pytest.mark.parametrize("name", ["vectors", pytest.param("pro", marks=pytest.mark.slow)])
def test_vmap_over_learners_is_a_loop(name):
    agent, init, step, _ = prepared(name)
    batches = [tiny.make_batch(agent, seed=seed) for seed in range(2)]
    alone = [step(init(KEYS[i]), batches[i]) for i in range(2)]
    states = jax.tree.map(lambda *xs: jnp.stack(xs), *[init(KEYS[i]) for i in range(2)])
    stacked = jax.tree.map(lambda *xs: np.stack(xs), *batches)
    together = jax.jit(jax.vmap(agent.train_step))(states, stacked)
    for i in range(2):
        mine = jax.tree.map(lambda x, i=i: x[i], together)
        loss = mine[2]["loss/model"], alone[i][2]["loss/model"]
        np.testing.assert_allclose(*loss, rtol=1e-5)
        moments = mine[0].opt["model"].mu, alone[i][0].opt["model"].mu
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), *moments)


@pytest.mark.parametrize(
    "name", ["vectors", "pro", pytest.param("residual", marks=pytest.mark.slow)]
)
def test_a_loss_that_is_not_finite_freezes_the_learner(name):
    _, init, step, batch = prepared(name)
    state, _, _ = step(init(KEYS[0]), batch)
    bad = {**batch, "reward": np.full_like(batch["reward"], np.nan)}
    dead, _, metrics = step(state, bad)
    assert not dead.alive and np.isnan(metrics["loss/reward"])
    assert equal(dead.replace(alive=state.alive), state)
    later, _, _ = step(dead, batch)
    assert equal(later, dead)


def test_an_update_is_a_function_of_state_and_batch():
    _, init, step, batch = prepared("vectors")
    state = init(KEYS[0])
    assert equal(step(state, batch), step(state, batch))
    later, _, _ = step(state.replace(updates=state.updates + 1), batch)
    assert not equal(later.params["actor"], step(state, batch)[0].params["actor"])


def test_the_slow_critic_is_copied_at_every_second_update_from_the_first():
    """`slow_critic_every` 2; before the first it is a network of its own."""
    _, init, step, batch = prepared("vectors")
    state = init(KEYS[0])
    assert not equal(state.slow_critic, state.params["critic"])
    for update in range(4):
        before = state
        state, _, _ = step(state, batch)
        source = before.slow_critic if update % 2 else state.params["critic"]
        assert equal(state.slow_critic, source)


def test_dreamerpro_copies_freezes_and_scales():
    agent, init, step, batch = prepared("pro")
    state = init(KEYS[0])
    assert set(state.target) == {"encoder", "obs_proj"}
    assert not equal(state.target, agent.net.copied(state.params["world_model"]))

    def protos(state):
        return np.asarray(state.params["world_model"]["projections"]["prototypes"])

    for update in range(3):
        before = state
        state, _, _ = step(state, batch)
        online = agent.net.copied(state.params["world_model"])
        mix = 0.05 if update else 1.0
        expected = jax.tree.map(lambda s, p, m=mix: m * p + (1 - m) * s, before.target, online)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
            state.target, expected,
        )  # fmt: skip
        unit = protos(before) / np.linalg.norm(protos(before), axis=-1, keepdims=True)
        moved = np.abs(protos(state) - unit * (1 - 1e-6)).max()
        assert (moved > 1e-3) == (update >= 2)  # frozen for two updates


def test_a_free_step_of_the_prototypes_after_the_frozen_ones():
    """Moments are still zero, the count is not: .1 / sqrt(.001) = 3.2 learning rates an entry."""
    _, init, step, batch = prepared("pro")
    state = init(KEYS[0])
    for _ in range(2):
        state, _, _ = step(state, batch)
    new, _, _ = step(state, batch)
    before = state.params["world_model"]["projections"]["prototypes"]
    unit = before / jnp.linalg.norm(before, axis=-1, keepdims=True)
    moved = jnp.abs(new.params["world_model"]["projections"]["prototypes"] - unit)
    correction = np.sqrt(1 - 0.999**3) / (1 - 0.9**3)
    assert 0.9 < float(moved.max()) / (1e-2 * correction * 0.1 / np.sqrt(0.001)) <= 1.01


def test_batch_norms_move_in_the_update_alone():
    agent, init, step, batch = prepared("residual")
    state = init(KEYS[0])
    new, _, _ = step(state, batch)
    assert set(state.stats) == {"encoder", "decoder"}
    assert not any(equal(new.stats[k], state.stats[k]) for k in state.stats)
    assert set(agent.policy_params(new)["stats"]) == {"encoder"}
    carry = agent.initial_carry(2)
    obs = {k: batch[k][:, 0] for k in agent.obs_keys}
    observe = jax.jit(agent.filter)
    first = observe(agent.policy_params(new), carry, obs, KEYS[1])["logit"]
    moved = {**agent.policy_params(new), "stats": {"encoder": state.stats["encoder"]}}
    second = observe(moved, carry, obs, KEYS[1])["logit"]
    assert not equal(first, second)  # acting reads them


# Losses


@functools.cache
def quiet(**flags):
    """An agent that draws modes, a state, a batch."""
    agent = tiny_v2.make_agent(sampling=False, **flags)
    return agent, jax.jit(agent.init)(KEYS[0]), tiny.make_batch(agent)


def test_losses_by_hand():
    agent, state, batch = quiet(clip_rewards="tanh", discount=0.9)
    losses, aux = jax.jit(agent.model_losses)(state.params["world_model"], state, batch, KEYS[0])
    error = np.asarray(aux["slot"]["position"]) - batch["position"]
    np.testing.assert_allclose(losses["position"], 0.5 * (error**2).sum(-1), rtol=1e-5)
    error = np.asarray(aux["reward"]) - np.tanh(batch["reward"])
    np.testing.assert_allclose(losses["reward"], 0.5 * error**2, rtol=1e-4)
    p, soft = np.asarray(aux["discount"], np.float64), 0.9 * (1.0 - batch["is_terminal"])
    likelihood = -soft * np.log(p) - (1 - soft) * np.log1p(-p)
    np.testing.assert_allclose(losses["discount"], likelihood, rtol=1e-5)
    np.testing.assert_allclose(losses["dyn"], np.asarray(aux["kl"]).mean(), rtol=1e-5)
    np.testing.assert_allclose(losses["rep"], losses["dyn"], rtol=1e-6)
    assert losses["dyn"].shape == ()


def test_free_nats_bound_the_mean_and_then_stop_both_gradients():
    agent, state, batch = quiet(free_nats=50.0)

    def kl(model):
        losses, _ = agent.model_losses(model, state, batch, KEYS[0])
        return losses["dyn"] + losses["rep"]

    value, grads = jax.jit(jax.value_and_grad(kl))(state.params["world_model"])
    assert float(value) == 100.0
    assert not any(np.abs(g).max() for g in jax.tree.leaves(grads))


def test_gradients_of_the_two_kls_reach_one_side_each():
    agent, state, batch = quiet(free_nats=0.0)

    def kl(model, name):
        return agent.model_losses(model, state, batch, KEYS[0])[0][name]

    grads = {
        name: jax.jit(jax.grad(functools.partial(kl, name=name)))(state.params["world_model"])
        for name in ("dyn", "rep")
    }
    # The prior's output feels `dyn` alone; the posterior's feels `rep`, and both through time.
    assert np.abs(grads["dyn"]["rssm"]["img_stats"]["kernel"]).max() > 0
    assert not np.abs(grads["rep"]["rssm"]["img_stats"]["kernel"]).max()


@pytest.mark.parametrize("balance", [0.0, 0.8, 1.0])
def test_kl_balance_weighs_the_two(balance):
    agent, state, batch = quiet(kl_balance=balance, loss_scales__kl=2.0)
    total, aux = jax.jit(agent.model_loss)(
        {k: state.params[k] for k in ("world_model", "balance")}, state, batch, KEYS[0]
    )
    losses = {k: float(v.mean()) for k, v in aux["losses"].items()}
    expected = sum(v for k, v in losses.items() if k not in ("dyn", "rep"))
    expected += 2.0 * (balance * losses["dyn"] + (1 - balance) * losses["rep"])
    np.testing.assert_allclose(total, expected, rtol=1e-5)


def test_harmony_is_rectified_for_all_three_and_applies_no_scales():
    """Eq. 5: sum of L / sigma + log(1 + sigma); the discount stays outside at its own scale."""
    flags = {"balance__method": "harmony", "loss_scales__kl": 0.1, "loss_scales__discount": 3.0}
    agent, state, batch = quiet(**flags)
    s = {"observation": 0.5, "reward": -1.0, "dynamics": 0.2}
    params = {"world_model": state.params["world_model"]}
    params["balance"] = {"log_sigma": {k: jnp.float32(v) for k, v in s.items()}}
    total, aux = jax.jit(agent.model_loss)(params, state, batch, KEYS[0])
    means = {k: float(v.mean()) for k, v in aux["losses"].items()}
    tasks = {
        "observation": means["position"] + means["speed"],
        "reward": means["reward"],
        "dynamics": 0.8 * means["dyn"] + 0.2 * means["rep"],
    }
    expected = 3.0 * means["discount"]
    expected += sum(v * np.exp(-s[k]) + np.log1p(np.exp(s[k])) for k, v in tasks.items())
    np.testing.assert_allclose(total, expected, rtol=1e-5)


def test_harmony_dreamerpro_has_four_tasks():
    """Eq. 17; the norm loss is in neither equation and stays outside at its own scale."""
    agent, init, _, batch = prepared("pro")
    state = init(KEYS[0])
    assert set(state.params["balance"]["log_sigma"]) == {"swav", "temp", "reward", "dynamics"}
    params = {k: state.params[k] for k in ("world_model", "balance")}
    total, aux = jax.jit(agent.model_loss)(params, state, batch, KEYS[0])
    means = {k: float(v.mean()) for k, v in aux["losses"].items()}
    assert set(means) == {"swav", "temp", "norm", "reward", "dyn", "rep"}
    expected = sum(means[k] for k in ("swav", "temp", "norm", "reward"))
    expected += 0.8 * means["dyn"] + 0.2 * means["rep"] + 4 * np.log(2.0)
    np.testing.assert_allclose(total, expected, rtol=1e-5)


METHODS = {
    "fixed": {"balance__weights": {"reward": 100.0}},
    "implicit": {"balance__weights": {"observation": 0.0}},
    "wd1": {"balance__method": "harmony", "balance__weights": {"dynamics": 1.0}},
    **{
        name: {"balance__method": name}
        for name in ("harmony_unrectified", "uncertainty", "dwa", "nashmtl", "reciprocal")
    },
}


CASES = [*((name, False) for name in METHODS), ("uncertainty", True), ("nashmtl", True)]


@pytest.mark.parametrize(("name", "pro"), CASES)
def test_every_balancer(name, pro):
    make = tiny_v2.make_pro if pro else tiny_v2.make_agent
    agent = make(**METHODS[name])
    state, batch = jax.jit(agent.init)(KEYS[0]), tiny.make_batch(agent)
    params = {k: state.params[k] for k in ("world_model", "balance")}
    grad = jax.jit(jax.value_and_grad(agent.model_loss, has_aux=True))
    (total, aux), grads = grad(params, state, batch, KEYS[0])
    assert np.isfinite(total) and np.isfinite(list(aux["metrics"].values())).all()
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))
    if name == "fixed":
        assert float(aux["metrics"]["weight/reward"]) == 100.0
    if name == "implicit":
        assert not any(np.abs(g).max() for g in jax.tree.leaves(grads["world_model"]["decoder"]))


# Behavior


def returns_by_hand(reward, discount, value, lam):
    """R_t = r_t + d_t ((1 - lam) v_{t+1} + lam R_{t+1}), R_H = v_H, in float64."""
    out, nxt = [], value[-1]
    for t in reversed(range(len(reward) - 1)):
        nxt = reward[t] + discount[t] * ((1 - lam) * value[t + 1] + lam * nxt)
        out.append(nxt)
    return np.stack(out[::-1])


# A choice of two and a push.
PARTS = Space.joined([Space(np.float32, (2,), discrete=True), Space(np.float32, (1,), -1, 1)])


@pytest.mark.parametrize("kind", ["vectors", "constant", "discrete", "pro", "parts", "pro parts"])
def test_actor_and_critic_losses_by_hand(kind):
    """From what was imagined to the losses, in float64."""
    flags = {"actent": 0.3, "return_lambda": 0.7}
    flags["action"] = PARTS if "parts" in kind else None
    if "pro" in kind:
        agent = tiny_v2.make_pro(**flags)
    else:
        agent = tiny_v2.make_agent(
            discrete=kind == "discrete", predict_discount=kind != "constant", **flags
        )
    state, rng = jax.jit(agent.init)(KEYS[0]), np.random.default_rng(0)
    start = {
        "deter": jnp.asarray(rng.normal(size=(4, 8)), jnp.float32),
        "stoch": jnp.zeros((4, *agent.net.rssm.latent)),
    }
    start |= (
        {"logit": jnp.zeros((4, 3, 4))}
        if agent.c.rssm.classes
        else {"mean": jnp.zeros((4, 3)), "std": jnp.ones((4, 3))}
    )
    terminal = jnp.array([False, True, False, False])
    loss, aux = jax.jit(agent.actor_loss)(state.params["actor"], state, start, terminal, KEYS[1])
    traj = jax.tree.map(lambda x: np.asarray(x, np.float64), aux["traj"])
    feat = features(aux["traj"].states)
    value = np.asarray(run(agent.net.critic, state.slow_critic, feat), np.float64)
    np.testing.assert_allclose(aux["value"], value, rtol=1e-5)
    if kind == "constant" or "pro" in kind:
        assert (np.asarray(aux["traj"].discount) == np.float32(0.9)).all()
    else:
        # The start's discount is known; the others are the head's, gamma included.
        np.testing.assert_allclose(traj.discount[0], [0.9, 0.0, 0.9, 0.9], rtol=1e-6)
        logit = run(agent.net.discount, state.params["world_model"]["discount"], feat)
        np.testing.assert_allclose(traj.discount[1:], jax.nn.sigmoid(logit)[1:], rtol=1e-5)
    returns = returns_by_hand(traj.reward, traj.discount, value, 0.7)
    np.testing.assert_allclose(aux["returns"], returns, rtol=1e-4, atol=1e-5)
    weight = np.ones_like(traj.discount)
    for t in range(1, len(weight)):
        weight[t] = weight[t - 1] * traj.discount[t - 1]
    np.testing.assert_allclose(traj.weight, weight, rtol=1e-5, atol=1e-7)
    entropy, first = np.asarray(aux["entropy"], np.float64), 0 if kind == "pro" else 1
    steps = 3 - first
    assert entropy.shape == (steps, 4)
    objective = returns[first:]
    if agent.net.discrete:
        policy = agent.net.policy(state.params["actor"], feat[:steps])
        log = np.asarray(policy.log_prob(aux["traj"].action[:steps]), np.float64)
        objective = log * (returns[1:] - value[:steps])
    expected = -(weight[:steps] * (objective + 0.3 * entropy)).mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    np.testing.assert_array_equal(aux["target"], aux["returns"])
    critic = agent.critic_loss(state.params["critic"], aux["traj"], aux["target"])
    guess = np.asarray(run(agent.net.critic, state.params["critic"], feat), np.float64)[:-1]
    expected = (0.5 * (guess - returns) ** 2 * weight[:-1]).mean()
    np.testing.assert_allclose(critic, expected, rtol=1e-4)


def test_the_slip_that_only_parity_has():
    """The entropy of state t - 1 is in the target of state t, and none in that of the start."""
    agent = tiny_v2.make_agent(entropy_in_critic_target=True, actent=0.5)
    state = jax.jit(agent.init)(KEYS[0])
    start = {**agent.net.rssm.zeros(4), "logit": jnp.zeros((4, 3, 4))}
    none = jnp.zeros(4, bool)
    _, aux = jax.jit(agent.actor_loss)(state.params["actor"], state, start, none, KEYS[1])
    extra = np.asarray(aux["target"] - aux["returns"])
    np.testing.assert_array_equal(extra[0], 0.0)
    np.testing.assert_allclose(extra[1:], 0.5 * np.asarray(aux["entropy"]), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("discrete", [False, True])
def test_where_the_actors_gradient_comes_from(discrete):
    """Continuous actions learn through the model, one-hot ones do not differentiate it."""
    agent = tiny_v2.make_agent(discrete=discrete, actent=0.0)
    state = jax.jit(agent.init)(KEYS[0])
    start = {**agent.net.rssm.zeros(4), "logit": jnp.zeros((4, 3, 4))}

    def loss(actor, model):
        inside = state.replace(params={**state.params, "world_model": model})
        return agent.actor_loss(actor, inside, start, jnp.zeros(4, bool), KEYS[1])[0]

    grads = jax.jit(jax.grad(loss, (0, 1)))(state.params["actor"], state.params["world_model"])
    assert max(np.abs(g).max() for g in jax.tree.leaves(grads[0])) > 0
    recurrent = np.abs(grads[1]["rssm"]["img_in"]["kernel"]).max()
    assert (recurrent > 0) != discrete


@pytest.mark.parametrize(
    "maker", [tiny_v2.make_agent, pytest.param(tiny_v2.make_pro, marks=pytest.mark.slow)]
)
def test_bfloat16_computes_low_and_keeps_high(maker):
    agent = maker(jax__precision="bfloat16", balance__method="harmony")
    state, batch = jax.jit(agent.init)(KEYS[0]), tiny.make_batch(agent)
    new, _, metrics = jax.jit(agent.train_step)(state, batch)
    assert bool(new.alive) and all(v.dtype == jnp.float32 for v in metrics.values())
    floats = (x for x in jax.tree.leaves(new) if jnp.issubdtype(x.dtype, jnp.floating))
    assert all(x.dtype == jnp.float32 for x in floats)
    assert agent.initial_carry(1)["deter"].dtype == jnp.bfloat16


def test_what_fits_no_observation():
    vectors = tiny.spaces(vectors={"position": 3})
    with pytest.raises(UserError, match="prototypes compares shifted views of images"):
        tiny_v2.make_agent(vectors, **tiny_v2.PRO)
    with pytest.raises(UserError, match="prototypes has no decoder"):
        tiny_v2.make_pro(decoder__cnn_keys="image")
    with pytest.raises(UserError, match="match none of the observations"):
        tiny_v2.make_agent(vectors, encoder__mlp_keys="velocity")
    with pytest.raises(UserError, match=r"16x16; expected a square, of 13x13"):
        tiny_v2.make_agent(tiny.spaces(16), decoder__kernels=(5, 5))
    with pytest.raises(UserError, match=r"loss_scales\.image must stay 1"):
        tiny_v2.make_agent(balance__method="harmony", loss_scales__image=2.0)
