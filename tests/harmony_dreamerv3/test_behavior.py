"""Returns, actor and critic losses: by hand, special cases, and against the formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference as ref
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied.core.space import Space
from harmony_dreamerv3.behavior import Behavior, ReturnScale, Trajectory, lambda_return
from harmony_dreamerv3.config.dreamerv3 import RetnormConfig

RNG = np.random.default_rng(0)
H, N, F = 3, 5, 20


def arrays(seed: int, horizon: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    shape = (horizon + 1, 2)
    return rng.normal(size=shape), rng.integers(0, 2, shape), rng.normal(size=shape)


def ours(reward, cont, value, gamma, lam):
    cast = [jnp.asarray(x[1:], jnp.float32) for x in (reward, cont, value)]
    return np.asarray(lambda_return(*cast, gamma, lam))


def test_lambda_return_by_hand():
    # H = 2, gamma 0.5, lambda 0.5; R2 = v2 = 8.
    # R1 = r2 + 0.5 (0.5 * 8 + 0.5 * 8) = 2 + 4 = 6;  R0 = 1 + 0.5 (0.5 * 4 + 0.5 * 6) = 3.5.
    returns = ours(np.array([9.0, 1, 2]), np.ones(3), np.array([9.0, 4, 8]), 0.5, 0.5)
    np.testing.assert_allclose(returns, [3.5, 6.0])


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 999), st.sampled_from([1, 4]), st.floats(0, 1), st.floats(0, 1))
def test_lambda_return_is_the_formula(seed, horizon, gamma, lam):
    reward, cont, value = arrays(seed, horizon)
    expected = np.stack(
        [ref.lambda_return(*(x[:, i] for x in (reward, cont, value)), gamma, lam) for i in (0, 1)],
        -1,
    )
    np.testing.assert_allclose(
        ours(reward, cont, value, gamma, lam), expected, rtol=1e-4, atol=1e-5
    )


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 999))
def test_lambda_return_special_cases(seed):
    reward, cont, value = arrays(seed, 4)
    one_step = reward[1:] + 0.9 * cont[1:] * value[1:]
    np.testing.assert_allclose(ours(reward, cont, value, 0.9, 0.0), one_step, rtol=1e-4, atol=1e-5)
    ends = ours(reward, np.zeros_like(cont), value, 0.9, 0.95)
    np.testing.assert_allclose(ends, reward[1:], rtol=1e-5, atol=1e-6)
    # lambda 1: discounted rewards to the horizon, then the last value, no value between.
    ones = np.ones_like(cont)
    total = ours(reward, ones, value, 0.9, 1.0)[0]
    powers = 0.9 ** np.arange(4)
    expected = (powers[:, None] * reward[1:]).sum(0) + 0.9**4 * value[-1]
    np.testing.assert_allclose(total, expected, rtol=1e-4, atol=1e-5)


def trajectory(discrete: bool) -> Trajectory:
    action = np.eye(3)[RNG.integers(3, size=(H + 1, N))]
    cont = RNG.integers(0, 2, (H + 1, N))
    weight = np.cumprod(0.99 * cont, 0) / 0.99
    fields = (RNG.normal(size=(H + 1, N, F)), action, RNG.normal(size=(H, N)) * 3, cont, weight)
    return Trajectory(*(jnp.asarray(x, jnp.float32) for x in fields))


def state_of(agent):
    state = jax.jit(agent.init)(jax.random.key_data(jax.random.key(0)))
    # Zero-initialised outputs would hide mistakes.
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda x: x + 0.3 * rng.normal(size=x.shape).astype(x.dtype), state.params)


@pytest.fixture(scope="module")
def discrete():
    agent = tiny.make_agent()
    return agent, state_of(agent)


def as64(tree):
    return jax.tree.map(lambda x: np.asarray(x, np.float64), tree)


def head(params, feat):
    hidden = ref.mlp(feat, params["mlp"])
    return hidden @ params["out"]["kernel"] + params["out"]["bias"]


def test_actor_loss_is_the_formula(discrete):
    agent, params = discrete
    traj = trajectory(True)
    scale = ReturnScale(jnp.float32(-1), jnp.float32(4))
    loss, aux = agent.behavior.actor_loss(params["actor"], params["critic"], traj, scale)
    big = as64(traj)
    value = np.vectorize(ref.twohot_mean, signature="(k)->()")(
        head(as64(params["critic"]), big.feat)
    )
    reward = np.concatenate([np.zeros((1, N)), big.reward])
    returns = np.stack(
        [
            ref.lambda_return(reward[:, i], big.cont[:, i], value[:, i], 1 - 1 / 333, 0.95)
            for i in range(N)
        ],
        -1,
    )
    low, high = ref.return_scale(-1.0, 4.0, returns)
    adv = ref.advantage(returns, value[:-1], low, high)
    logits = ref.unimix(head(as64(params["actor"]), big.feat[:-1]), 0.01)
    expected = ref.actor_loss_discrete(logits, big.action[:-1], adv, big.weight[:-1])
    np.testing.assert_allclose(aux["returns"], returns, rtol=2e-4, atol=1e-5)
    np.testing.assert_allclose(aux["scale"], (low, high), rtol=1e-5)
    assert float(loss) == pytest.approx(expected, rel=2e-4)


def test_actor_loss_of_several_parts(discrete):
    """A choice of three and a push of two: log-probabilities and entropies add up."""
    (agent, params), rng = discrete, np.random.default_rng(5)
    choice, push = Space(np.float32, (3,), discrete=True), Space(np.float32, (2,), -1, 1)
    behavior = Behavior(agent.config.agent, (choice, push), jnp.float32)
    assert behavior.discrete
    actor = behavior.actor.init(jax.random.key(0), jnp.zeros((1, F)))["params"]
    assert actor["out"]["kernel"].shape[1] == 5 and actor["std"]["kernel"].shape[1] == 2
    actor = jax.tree.map(lambda x: x + 0.3 * rng.normal(size=x.shape).astype(np.float32), actor)
    traj = trajectory(True)
    numbers = rng.normal(size=(H + 1, N, 2)).astype(np.float32)
    traj = traj._replace(action=jnp.concatenate([traj.action, numbers], -1))
    scale = ReturnScale(jnp.float32(-1), jnp.float32(4))
    loss, aux = behavior.actor_loss(actor, params["critic"], traj, scale)
    low, divisor = float(aux["scale"][0]), max(1.0, float(aux["scale"][1] - aux["scale"][0]))
    adv = (aux["returns"] - low) / divisor - (aux["value"][:-1] - low) / divisor
    raw, big = as64(actor), as64(traj)
    out, hidden = head(raw, big.feat[:-1]), ref.mlp(big.feat[:-1], raw["mlp"])
    logits, mean = ref.unimix(out[..., :3], 0.01), np.tanh(out[..., 3:])
    std = 0.9 * ref.sigmoid(hidden @ raw["std"]["kernel"] + raw["std"]["bias"] + 2) + 0.1
    scaled = (big.action[:-1, :, 3:] - mean) / std
    logp = (logits * big.action[:-1, :, :3]).sum(-1)
    logp += (-0.5 * scaled**2 - np.log(std * np.sqrt(2 * np.pi))).sum(-1)
    entropy = -(np.exp(logits) * logits).sum(-1)
    entropy += np.log(std * np.sqrt(2 * np.pi * np.e)).sum(-1)
    expected = ((-logp * adv - 3e-4 * entropy) * big.weight[:-1]).mean()
    assert float(loss) == pytest.approx(float(expected), rel=2e-4)
    # What is drawn: a choice, and numbers around their means.
    drawn = behavior.sample(actor, traj.feat, jnp.zeros((H + 1, N, 5)))
    np.testing.assert_array_equal(drawn[:-1, :, :3].argmax(-1), logits.argmax(-1))
    np.testing.assert_allclose(drawn[:-1, :, 3:], mean, rtol=1e-3, atol=1e-5)


def test_critic_loss_is_the_formula(discrete):
    agent, params = discrete
    traj = trajectory(True)
    slow = jax.tree.map(lambda x: 0.5 * x, params["critic"])
    returns = jnp.asarray(RNG.normal(size=(H, N)) * 5, jnp.float32)
    loss = agent.behavior.critic_loss(params["critic"], slow, traj, returns)
    big = as64(traj)
    logits = head(as64(params["critic"]), big.feat[:-1])
    slow_logits = head(as64(slow), big.feat[:-1])
    total = 0.0
    for h in range(H):
        for i in range(N):
            targets = (float(returns[h, i]), ref.twohot_mean(slow_logits[h, i]))
            losses = [ref.twohot_loss(logits[h, i], target) for target in targets]
            total += sum(losses) * big.weight[h, i]
    assert float(loss) == pytest.approx(total / (H * N), rel=2e-4)


def test_gradients_of_the_actor_loss(discrete):
    agent, params = discrete
    traj = trajectory(True)
    scale = ReturnScale(jnp.float32(-1), jnp.float32(4))

    def loss(critic, feat):
        moved = traj._replace(feat=feat)
        return agent.behavior.actor_loss(params["actor"], critic, moved, scale)[0]

    critic, feat = jax.grad(loss, (0, 1))(params["critic"], traj.feat)
    # REINFORCE: nothing flows into the critic, nor into the latents.
    assert all(not np.any(x) for x in jax.tree.leaves(critic)) and not np.any(feat)


def test_continuous_actor(discrete):
    agent = tiny.make_agent(discrete=False)
    params = state_of(agent)
    traj = trajectory(False)
    mean, std = agent.behavior.policy(params["actor"], traj.feat)
    raw = as64(params["actor"])
    hidden = ref.mlp(as64(traj.feat), raw["mlp"])
    np.testing.assert_allclose(
        mean, np.tanh(hidden @ raw["out"]["kernel"] + raw["out"]["bias"]), rtol=1e-3, atol=1e-5
    )
    expected = 0.9 * ref.sigmoid(hidden @ raw["std"]["kernel"] + raw["std"]["bias"] + 2) + 0.1
    np.testing.assert_allclose(std, expected, rtol=1e-4)
    assert (np.asarray(std) > 0.1).all() and (np.asarray(std) < 1).all()
    scale = ReturnScale(jnp.float32(-1), jnp.float32(4))
    loss, aux = agent.behavior.actor_loss(params["actor"], params["critic"], traj, scale)
    low, divisor = float(aux["scale"][0]), max(1.0, float(aux["scale"][1] - aux["scale"][0]))
    adv = (aux["returns"] - low) / divisor - (aux["value"][:-1] - low) / divisor
    entropy = np.log(np.asarray(std)[:-1] * np.sqrt(2 * np.pi * np.e)).sum(-1)
    expected = ((-adv - 3e-4 * entropy) * traj.weight[:-1]).mean()
    assert float(loss) == pytest.approx(float(expected), rel=1e-4)
    grad = jax.grad(
        lambda reward: agent.behavior.actor_loss(
            params["actor"], params["critic"], traj._replace(reward=reward), scale
        )[0]
    )(traj.reward)
    assert np.any(grad)  # Through the returns, that is, through the dynamics.


RETNORM = RetnormConfig(decay=0.99, max=1.0, perclo=5.0, perchi=95.0)


def test_percentiles_are_interpolated_and_averages_start_at_zero():
    # Of 0..100 the percentiles are 5 and 95; the averages move one hundredth from zero.
    scale = ReturnScale(*jnp.zeros(2)).update(jnp.arange(101.0).reshape(101, 1), RETNORM)
    np.testing.assert_allclose(scale, (0.05, 0.95), rtol=1e-6)


def test_return_scale_is_the_formula():
    rng = np.random.default_rng(0)
    scale, expected = ReturnScale(jnp.float32(-2), jnp.float32(7)), (-2.0, 7.0)
    for _ in range(3):
        returns = rng.normal(size=(5, 7)).astype(np.float32) * 30
        scale = scale.update(jnp.asarray(returns), RETNORM)
        expected = ref.return_scale(*expected, returns.astype(np.float64))
    np.testing.assert_allclose(scale, expected, rtol=1e-5)
