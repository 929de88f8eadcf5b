"""The networks as a whole: fresh parameters, moving copies, prototypes."""

import jax
import jax.numpy as jnp
import numpy as np
import tiny
import tiny_v2

from embodied.core.space import Space
from harmony_dreamerv3.nets.layers import run
from harmony_dreamerv3.nets.layers_v2 import Mlp

KEY = np.array([0, 1], np.uint32)


def test_parts_by_configuration():
    parts = {"encoder", "rssm", "decoder", "reward"}
    net = tiny_v2.make_agent(predict_discount=False).net
    params, stats = jax.eval_shape(net.init, KEY)
    assert set(params) == parts and not stats
    net = tiny_v2.make_agent(tiny.spaces(16), **{r".*coder\.kind": "residual"}).net
    params, stats = jax.eval_shape(net.init, KEY)
    assert set(params) == parts | {"discount"} and set(stats) == {"encoder", "decoder"}
    params, _ = jax.eval_shape(tiny_v2.make_pro().net.init, KEY)
    assert set(params) == {"encoder", "rssm", "reward", "projections"}


def test_one_hot_actions_have_no_deviation():
    discrete, continuous = tiny_v2.make_agent(discrete=True).net, tiny_v2.make_agent().net
    feat = jnp.zeros((1, discrete.config.rssm.features))
    shapes = jax.eval_shape(discrete.actor.init, KEY, feat)["params"]
    assert set(shapes) == {"mlp", "out"}
    assert set(jax.eval_shape(continuous.actor.init, KEY, feat)["params"]) == {"mlp", "out", "std"}
    assert not continuous.estimated and tiny_v2.make_pro().net.estimated


def test_several_parts():
    """A choice and a push: logits and mean in one layer, a deviation for the push alone."""
    choice, push = Space(np.float32, (3,), discrete=True), Space(np.float32, (2,), -1, 1)
    net = tiny_v2.make_agent(action=Space.joined([choice, push])).net
    feat = jnp.ones((4, net.config.rssm.features))
    params = net.actor.init(KEY, feat)["params"]
    assert params["out"]["kernel"].shape[1] == 5 and params["std"]["kernel"].shape[1] == 2
    first, second = net.policy(params, feat).parts
    hidden = run(Mlp(1, 6), params["mlp"], feat)
    out, std = (hidden @ params[k]["kernel"] + params[k]["bias"] for k in ("out", "std"))
    np.testing.assert_allclose(first.raw, out[:, :3], rtol=1e-5)
    np.testing.assert_allclose(second.mean, jnp.tanh(out[:, 3:]), rtol=1e-5)
    np.testing.assert_allclose(second.std, 2 * jax.nn.sigmoid(std / 2) + 0.1, rtol=1e-5)
    # Numbers alone are one vector, which learns through the model.
    net = tiny_v2.make_agent(action=Space.joined([push, push])).net
    assert not net.discrete


def test_no_gradient_of_the_policy_reaches_the_features():
    net = tiny_v2.make_agent().net
    feat = jnp.ones((1, net.config.rssm.features))
    params = net.actor.init(KEY, feat)["params"]
    assert not jax.grad(lambda x: net.policy(params, x).mean.sum())(feat).any()


def test_copies():
    net = tiny_v2.make_pro().net
    model, _ = jax.jit(net.init)(KEY)
    online = net.copied(model)
    target = jax.tree.map(jnp.zeros_like, online)
    first, later = (net.moved(target, model, jnp.int32(n)) for n in (0, 7))
    jax.tree.map(np.testing.assert_array_equal, first, online)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, 0.05 * b, rtol=1e-6), later, online)
    assert tiny_v2.make_agent().net.copied({}) == {}
