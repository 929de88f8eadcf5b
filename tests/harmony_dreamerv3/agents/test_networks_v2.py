"""The networks as a whole: fresh parameters, moving copies, prototypes."""

import jax
import jax.numpy as jnp
import numpy as np
import tiny
import tiny_v2

from embodied.core.space import Space
from harmony_dreamerv3.nets.layers import run

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
    policy, (out, std) = net.policy(params, feat), run(net.actor, params, feat)
    first, second = policy.parts
    np.testing.assert_array_equal(first.logit, out[:, :3])
    np.testing.assert_allclose(second.mean, jnp.tanh(out[:, 3:]), rtol=1e-6)
    np.testing.assert_allclose(second.std, 2 * jax.nn.sigmoid(std / 2) + 0.1, rtol=1e-6)
    # Numbers alone are one vector, which learns through the model.
    net = tiny_v2.make_agent(action=Space.joined([push, push])).net
    assert net.sizes == (4,) and not net.discrete


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


def test_prototypes_alone_are_scaled_and_held():
    net = tiny_v2.make_pro(prototypes__freeze=3).net
    model, _ = jax.jit(net.init)(KEY)
    scaled = net.with_unit_prototypes({"world_model": model})["world_model"]
    protos = scaled["projections"].pop("prototypes")
    np.testing.assert_allclose(jnp.linalg.norm(protos, axis=-1), 1.0, rtol=1e-5)
    del model["projections"]["prototypes"]
    jax.tree.map(np.testing.assert_array_equal, scaled, model)
    grads = {"projections": {"prototypes": jnp.ones(3), "obs_proj": jnp.ones(3)}}
    for updates, held in ((2, 0.0), (3, 1.0)):
        out = net.without_frozen(grads, jnp.int32(updates))["projections"]
        np.testing.assert_array_equal(out["prototypes"], held)
        np.testing.assert_array_equal(out["obs_proj"], 1.0)
