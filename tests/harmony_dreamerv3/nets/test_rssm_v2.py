"""The recurrence by hand, resets, the prior outside of the loop, divergences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from harmony_dreamerv3.config.dreamerv2 import RSSMConfig
from harmony_dreamerv3.nets.layers import run
from harmony_dreamerv3.nets.rssm_v2 import (
    RSSM,
    divergence,
    entropy,
    features,
    imagine,
    observe,
)

SIZES = {"categorical": (3, 4), "gaussian": (3, 0)}


def sizes(deter: int, stoch: int, classes: int, gru_init: str = "fan_in") -> RSSMConfig:
    return RSSMConfig(deter, 6, stoch, classes, 0.1, gru_init)


def make(kind: str, deter: int = 5):
    stoch, classes = SIZES[kind]
    rssm = RSSM(sizes(deter, stoch, classes), 7, 2)
    params = rssm.init(jax.random.key(0))["params"]
    keys = iter(jax.random.split(jax.random.key(1), 100))
    return rssm, jax.tree.map(lambda x: jax.random.normal(next(keys), x.shape) * 0.5, params)


def inputs(rssm: RSSM, rows: int = 2, steps: int = 4):
    keys = jax.random.split(jax.random.key(2), 3)
    embed = jax.random.normal(keys[0], (rows, steps, 7))
    action = jax.random.normal(keys[1], (rows, steps, 2))
    noise = jax.random.normal(keys[2], (rows, steps, *rssm.latent))
    return embed, action, noise


def elu(x):
    return np.where(x > 0, x, np.expm1(x))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("kind", SIZES)
def test_against_plain_numpy(kind):
    """Every step in float64: concatenations, gates, normalisation, draws."""
    rssm, params = make(kind)
    embed, action, noise = inputs(rssm)
    first = np.zeros((2, 4), bool)
    first[1, 2] = True
    post, prior = observe(rssm, params, embed, action, jnp.asarray(first), noise, rssm.zeros(2))
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
    embed, action, noise = (np.asarray(x, np.float64) for x in (embed, action, noise))

    def affine(name, *xs):
        return np.concatenate(xs, -1) @ p[name]["kernel"] + p[name]["bias"]

    def moments(stats):
        mean, std = np.split(stats, 2, -1)
        return mean, 2 * sigmoid(std / 2) + 0.1

    deter, stoch = np.zeros((2, 5)), np.zeros((2, *rssm.latent))
    for t in range(4):
        keep = 1.0 - first[:, t, None]
        flat = stoch.reshape(2, -1) * keep
        x = elu(affine("img_in", flat, action[:, t] * keep))
        gates = affine("gru", x, deter * keep)
        gates = (gates - gates.mean(-1, keepdims=True)) / np.sqrt(
            gates.var(-1, keepdims=True) + 1e-3
        )
        gates = gates * p["gru_norm"]["scale"] + p["gru_norm"]["bias"]
        reset, cand, update = np.split(gates, 3, -1)
        update = sigmoid(update - 1)
        deter = update * np.tanh(sigmoid(reset) * cand) + (1 - update) * deter * keep
        np.testing.assert_allclose(post["deter"][:, t], deter, atol=1e-5)
        stats = affine("obs_stats", elu(affine("obs_out", deter, embed[:, t])))
        ahead = affine("img_stats", elu(affine("img_out", deter)))
        if kind == "categorical":
            logit = stats.reshape(2, 3, 4)
            np.testing.assert_allclose(post["logit"][:, t], logit, atol=1e-5)
            np.testing.assert_allclose(prior["logit"][:, t], ahead.reshape(2, 3, 4), atol=1e-5)
            stoch = np.eye(4)[np.argmax(logit + noise[:, t], -1)]
        else:
            mean, std = moments(stats)
            np.testing.assert_allclose(prior["mean"][:, t], moments(ahead)[0], atol=1e-5)
            np.testing.assert_allclose(prior["std"][:, t], moments(ahead)[1], atol=1e-5)
            stoch = mean + std * noise[:, t]
        np.testing.assert_allclose(post["stoch"][:, t], stoch, atol=1e-5)


@pytest.mark.parametrize("kind", SIZES)
def test_a_reset_is_a_fresh_start_without_action(kind):
    rssm, params = make(kind)
    embed, action, noise = inputs(rssm)
    first = jnp.zeros((2, 4), bool).at[:, 2].set(True)
    whole, _ = observe(rssm, params, embed, action, first, noise, rssm.zeros(2))
    later = (embed[:, 2:], action[:, 2:].at[:, 0].set(0.0), jnp.zeros((2, 2), bool), noise[:, 2:])
    again, _ = observe(rssm, params, *later, rssm.zeros(2))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a[:, 2:], b, rtol=1e-5, atol=1e-6), whole, again
    )


def test_imagination_continues_what_one_step_gives():
    rssm, params = make("categorical")
    start = {**rssm.zeros(2), "logit": jnp.zeros((2, 3, 4))}
    noise = jnp.zeros((3, 2, 3, 4))
    actions = jnp.arange(12.0).reshape(3, 2, 2) / 10
    states, taken = imagine(rssm, params, start, lambda feat, a: a, actions, noise)
    np.testing.assert_array_equal(taken, actions)
    step = run(rssm, params, start, actions[0], noise[0], method="imagine_step")
    np.testing.assert_allclose(states["deter"][1], step["deter"], rtol=1e-6)
    assert states["deter"].shape == (4, 2, 5) and not states["deter"][0].any()


def test_features_put_the_stochastic_part_first():
    state = {"deter": jnp.ones((2, 5)), "stoch": jnp.zeros((2, 3, 4))}
    np.testing.assert_array_equal(features(state)[0], [0.0] * 12 + [1.0] * 5)


def test_straight_through():
    rssm, params = make("categorical")

    def first(deter):
        state = run(rssm, params, deter, jnp.zeros((1, 3, 4)), method="prior")
        return (state["stoch"] * jnp.arange(4.0)).sum(), state["logit"]

    (value, logit), pull = jax.value_and_grad(first, has_aux=True)(jnp.ones((1, 5)))
    assert float(value) == float(jnp.argmax(logit, -1).sum())  # one-hot in value
    assert np.abs(pull).max() > 0


def test_divergence_by_hand_and_by_draws():
    p = {"logit": jnp.log(jnp.array([[0.5, 0.5], [0.9, 0.1]])) + 3.0}
    q = {"logit": jnp.log(jnp.array([[0.25, 0.75], [0.9, 0.1]]))}
    expected = 0.5 * np.log(2) + 0.5 * np.log(0.5 / 0.75)
    np.testing.assert_allclose(divergence(p, q), expected, rtol=1e-5)
    p = {"mean": jnp.array([0.0, 1.0]), "std": jnp.array([1.0, 0.5])}
    q = {"mean": jnp.array([1.0, 1.0]), "std": jnp.array([2.0, 0.5])}
    # log 2 + (1 + 1) / 8 - 1 / 2, and nothing for the second.
    np.testing.assert_allclose(divergence(p, q), np.log(2) + 0.25 - 0.5, rtol=1e-5)
    np.testing.assert_allclose(divergence(p, p), 0.0, atol=1e-7)


def test_entropy():
    flat = {"logit": jnp.full((3, 4), 7.0)}
    np.testing.assert_allclose(entropy(flat), 3 * np.log(4), rtol=1e-6)
    normal = {"mean": jnp.zeros(2), "std": jnp.ones(2)}
    np.testing.assert_allclose(entropy(normal), np.log(2 * np.pi * np.e), rtol=1e-6)


def test_initial_gru():
    """torch's default reaches the bias, Xavier's does not."""
    key = jax.random.key(0)
    params = RSSM(sizes(5, 3, 4), 7, 2).init(key)["params"]["gru"]
    assert 0 < np.abs(params["bias"]).max() <= 11**-0.5
    assert np.abs(params["kernel"]).max() <= 11**-0.5
    params = RSSM(sizes(5, 3, 4, "xavier"), 7, 2).init(key)["params"]["gru"]
    assert not params["bias"].any()
