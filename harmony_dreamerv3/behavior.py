"""Actor and critic, trained on imagined trajectories.

Arrays of a trajectory are time-major: `[H + 1, N, ...]` for states 0..H from N starts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from embodied.core.space import Space
from harmony_dreamerv3.config.dreamerv3 import AgentConfig, RetnormConfig
from harmony_dreamerv3.nets import distributions as dist
from harmony_dreamerv3.nets import policies
from harmony_dreamerv3.nets.heads import Actor, Head
from harmony_dreamerv3.nets.layers import run
from harmony_dreamerv3.nets.rssm import State

Array = jax.Array
Params = dict[str, Any]
sg = jax.lax.stop_gradient


class ReturnScale(NamedTuple):
    """Moving averages of the low and the high percentile of returns, scalars; zero at first."""

    low: Array
    high: Array

    def update(self, returns: Array, config: RetnormConfig) -> ReturnScale:
        """Moves the averages towards the percentiles of all of `returns`, of any shape."""
        percentiles = jnp.percentile(sg(returns), jnp.array([config.perclo, config.perchi]))
        decay = config.decay
        return ReturnScale(*(decay * a + (1 - decay) * b for a, b in zip(self, percentiles)))


class Trajectory(NamedTuple):
    """An imagined trajectory of states 0..H from N starts."""

    feat: Array  # [H + 1, N, F]
    action: Array  # [H + 1, N, A]
    reward: Array  # [H, N], reward[i] belongs to state i + 1
    cont: Array  # [H + 1, N], 1 - is_terminal of the start, then 0 or 1
    weight: Array  # [H + 1, N]
    states: State | None = None  # [H + 1, N, ...]


def lambda_return(
    reward_t: Array, cont_t: Array, value_t: Array, discount: float, lam: float | Array
) -> Array:
    """λ-returns R_i = r_{i+1} + γ c_{i+1} ((1 - λ) v_{i+1} + λ R_{i+1}), R_H = v_H.

    Args:
      reward_t, cont_t, value_t: rewards, continue flags in [0, 1] and values of states 1..H,
        `[H, ...]`.
      discount: γ.
      lam: λ in [0, 1], the same or one of each state, `[H, ...]`.

    Returns:
      The returns of states 0..H-1, `[H, ...]`.
    """
    discount_t = discount * cont_t
    inputs = reward_t + discount_t * (1.0 - lam) * value_t

    def step(return_t: Array, x: tuple[Array, Array]) -> tuple[Array, Array]:
        return_tm1 = x[0] + x[1] * return_t
        return return_tm1, return_tm1

    # Unrolled, the few operations of a step fuse into one kernel for all steps.
    _, returns = jax.lax.scan(
        step, value_t[-1], (inputs, discount_t * lam), reverse=True, unroll=True
    )
    return returns


class Behavior:
    """Actor and critic heads and their losses."""

    def __init__(self, config: AgentConfig, parts: tuple[Space, ...], dtype: Any) -> None:
        """Makes heads for the `parts` of an action (`Space.choices`, mostly one), A wide."""
        self.config, self.parts = config, parts
        # If any part is one-hot, all learn by REINFORCE, else through the model.
        self.discrete = any(part.discrete for part in parts)
        self.discount = 1.0 - 1.0 / config.horizon  # γ
        self.actor = Actor(config.actor, parts, dtype)
        self.critic = Head(config.critic, config.critic.bins, dtype)  # Two-hot over symlog bins.

    def policy(self, actor: Params, feat: Array) -> Any:
        """The distribution of actions at features `[..., F]`, to which no gradient passes."""
        return run(self.actor, actor, sg(feat))

    def sample(self, actor: Params, feat: Array, noise: Array, mask: Array | None = None) -> Array:
        """Draws actions `[..., A]` at features `[..., F]`.

        Noise `[..., A]` of zeros gives the mode; a mask `[..., A]` is 0 for what must not be drawn.
        """
        return policies.obey(self.policy(actor, feat), mask).sample(noise)

    def value(self, critic: Params, feat: Array) -> Array:
        """Predicted returns `[...]` of features `[..., F]`."""
        return dist.twohot_mean(run(self.critic, critic, feat))

    def actor_loss(
        self, actor: Params, critic: Params, traj: Trajectory, scale: ReturnScale
    ) -> tuple[Array, dict[str, Any]]:
        """Actor loss: REINFORCE, or the negative advantage through the model; less entropy.

        Args:
          actor, critic: parameters.
          traj: imagined under `actor`; in the continuous case a function of it.
          scale: of the returns, before this update.

        Returns:
          Scalar loss, and `returns` `[H, N]`, `value` `[H + 1, N]`, `scale` after, `metrics`.
        """
        c = self.config
        chex.assert_equal_shape([traj.reward, traj.cont[1:], traj.weight[1:], traj.feat[1:, :, 0]])
        # In two parts, so that compilers keep one forward pass for this and the critic's loss.
        before, last = (self.value(critic, feat) for feat in (traj.feat[:-1], traj.feat[-1]))
        value = jnp.concatenate([before, last[None]])
        returns = lambda_return(
            traj.reward, traj.cont[1:], value[1:], self.discount, c.return_lambda
        )
        # Percentiles of the returns of all updates so far, these among them, set the scale of
        # the advantage, so that one entropy weight serves all tasks. Small returns stay small.
        scale = scale.update(returns, c.retnorm)
        divisor = jnp.maximum(c.retnorm.max, scale.high - scale.low)
        advantage = (returns - scale.low) / divisor - (value[:-1] - scale.low) / divisor
        policy = self.policy(actor, traj.feat[:-1])
        loss = -advantage
        if self.discrete:
            loss = -policy.log_prob(sg(traj.action[:-1])) * sg(advantage)
        entropy = policy.entropy()
        loss = ((loss - c.actent * entropy) * sg(traj.weight[:-1])).mean()
        metrics = {
            "return_mean": returns.mean(),
            "return_std": returns.std(),
            "return_scale": divisor,
            "reward_mean": traj.reward.mean(),
            "value_mean": value.mean(),
            "advantage_magnitude": jnp.abs(advantage).mean(),
            "policy_entropy": entropy.mean(),
            "cont_rate": traj.cont.mean(),
        }
        aux = {"returns": returns, "value": value, "scale": scale, "metrics": metrics}
        return loss, jax.tree.map(sg, aux)

    def critic_loss(self, critic: Params, slow: Params, traj: Trajectory, returns: Array) -> Array:
        """Scalar critic loss: cross-entropy to the λ-returns and to the slow critic's prediction.

        The trajectory has no gradient; returns are `[H, N]`.
        """
        feat, weight = traj.feat[:-1], traj.weight[:-1]
        chex.assert_equal_shape([returns, weight, feat[..., 0]])
        logits = run(self.critic, critic, feat)
        target = self.value(slow, feat)
        loss = dist.twohot_loss(logits, returns) + dist.twohot_loss(logits, target)
        return (loss * weight).mean()
