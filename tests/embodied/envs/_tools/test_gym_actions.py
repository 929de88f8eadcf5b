"""Which choices a mask allows; actions themselves are tested in `test_gym`."""

import numpy as np
import pytest
from gymnasium import spaces

from embodied.core.errors import UserError
from embodied.envs._tools import gym_actions

NESTED = spaces.Dict(
    a=spaces.Discrete(2), b=spaces.Tuple([spaces.Box(-1, 1, (1,)), spaces.Discrete(3)])
)


@pytest.mark.parametrize(
    ("space", "value", "expected"),
    [
        (spaces.Discrete(3), np.array([1, 0, 1], np.int8), [1, 0, 1]),
        (spaces.Discrete(2, start=5), [True, False], [1, 0]),
        (spaces.MultiDiscrete([2, 3]), ([1, 0], np.array([0, 1, 1])), [1, 0, 0, 1, 1]),
        (NESTED, {"b": (None, np.array([0, 1, 0])), "a": np.array([0, 1])}, [0, 1, 1, 0, 1, 0]),
        (NESTED, np.array([1, 0, 0, 0, 1]), [1, 0, 1, 0, 0, 1]),  # The push left out, or in.
        (NESTED, np.array([1, 0, 0, 0, 0, 1]), [1, 0, 1, 0, 0, 1]),
        (spaces.Discrete(3), None, [1, 1, 1]),
    ],
)
def test_masks(space, value, expected):
    ours = gym_actions.act(space)[1]
    mask = gym_actions.mask(space, ours, value)
    assert mask.dtype == np.float32
    np.testing.assert_array_equal(mask, expected)
    cells = np.concatenate([np.full(part.shape, part.discrete) for part in ours.parts or (ours,)])
    rng = np.random.default_rng(0)
    drawn = np.array([ours.sample(rng, mask) for _ in range(60)])
    np.testing.assert_array_equal(drawn.any(0)[cells], np.array(expected)[cells] > 0)


@pytest.mark.parametrize("value", [np.ones(2), np.array([0, 2, 1]), "all", {"a": [1, 1, 1]}])
def test_wrong_masks(value):
    space = spaces.Discrete(3)
    if isinstance(value, dict):
        space = NESTED
    with pytest.raises(UserError, match=r"action_mask: expected [35] zeros and ones, one for each"):
        gym_actions.mask(space, gym_actions.act(space)[1], value)
