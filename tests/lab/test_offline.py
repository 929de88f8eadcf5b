"""Training without behaviour is the model part of the agent's update."""

import functools

import jax
import numpy as np
import pytest
import tiny_v2
from tiny import make_agent, make_batch

from lab import offline, split


@pytest.mark.parametrize(
    ("method", "maker"),
    [("harmony", make_agent), ("dwa", make_agent), ("harmony", tiny_v2.make_agent)],
    ids=["harmony", "dwa", "dreamerv2"],
)
def test_step_equals_the_model_part_of_the_update(method, maker):
    agent = maker(balance__method=method)
    trainer = offline.Trainer(agent)
    train = jax.jit(agent.train_step)
    ours = theirs = trainer.init(3)
    for seed in range(2):
        batch = make_batch(agent, seed=seed)
        # Actor and critic differ afterwards, and the world model must not depend on them.
        theirs, _, metrics = train(theirs, batch)
        ours, _, found = jax.jit(functools.partial(offline.model_step, agent))(ours, batch)
        assert set(found) < set(metrics)
        for name, value in found.items():
            np.testing.assert_allclose(value, metrics[name], rtol=1e-5, atol=1e-6, err_msg=name)
    same = [
        (s.params["world_model"], s.params["balance"], s.balance, s.opt["model"], s.updates)
        for s in (ours, theirs)
    ]
    for a, b in zip(*map(jax.tree.leaves, same), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    before = trainer.init(3)
    for name in ("actor", "critic"):
        for a, b in zip(*(jax.tree.leaves(s.params[name]) for s in (ours, before)), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("base", ["dreamerv3", "dreamerv3_2025"])
def test_training_is_a_function_of_the_seed_and_learns(make_buffer, base):
    flags = {"opt__lr": 1e-2, "opt__warmup": 0} if base != "dreamerv3" else {"model_opt__lr": 1e-2}
    buffer = make_buffer([30, 30], base=base, **flags)
    trainer = offline.Trainer(offline.make_agent(buffer.config, buffer))
    length = offline.window_length(buffer.config)
    starts = split.training_starts(split.split(buffer, 0.3), length)
    curves = []
    for seed in (0, 0, 1):
        lines: dict[int, float] = {}
        _, bad = offline.train(
            trainer, buffer, starts, seed, 25, 10,
            lambda update, means, to=lines: to.update({update: means["loss/model"]}),
        )  # fmt: skip
        assert bad is None
        curves.append(lines)
    assert list(curves[0]) == [10, 20, 25]
    assert curves[0] == curves[1] != curves[2]
    assert curves[0][25] < curves[0][10]


def test_a_loss_that_is_not_finite_ends_it(make_buffer):
    buffer = make_buffer([30])
    buffer.arrays["reward"][5:20] = np.nan
    trainer = offline.Trainer(offline.make_agent(buffer.config, buffer))
    starts = np.arange(4, 12)
    _, bad = offline.train(trainer, buffer, starts, 0, 4, 2, lambda *_: None)
    assert bad == "loss/reward"
