"""Actor and critic, trained on imagined trajectories.

Arrays of a trajectory are time-major: `[H + 1, N, ...]` for states 0..H from N starts.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from harmony_dreamerv3 import normalize
from harmony_dreamerv3.config.dreamerv3 import AgentConfig
from harmony_dreamerv3.nets import distributions as dist
from harmony_dreamerv3.nets.deferred import Layers
from harmony_dreamerv3.nets.heads import Actor, Head
from harmony_dreamerv3.nets.layers import Weights, run

Array = jax.Array
Params = dict[str, Any]
sg = jax.lax.stop_gradient


class Trajectory(NamedTuple):
    """An imagined trajectory."""

    feat: Array  # [H + 1, N, F]
    action: Array  # [H + 1, N, A]
    reward: Array  # [H, N], reward[i] belongs to state i + 1
    cont: Array  # [H + 1, N], 1 - is_terminal of the start, then 0 or 1
    weight: Array  # [H + 1, N]
    policy: Any = None  # what `Behavior.sample` kept of states 0..H-1, [H, N, ...]


def lambda_return(
    reward_t: Array, cont_t: Array, value_t: Array, discount: float, lam: float | Array
) -> Array:
    """λ-returns R_i = r_{i+1} + γ c_{i+1} ((1 - λ) v_{i+1} + λ R_{i+1}), R_H = v_H.

    Args:
      reward_t: rewards of states 1..H, `[H, ...]`.
      cont_t: continue flags of states 1..H, `[H, ...]`, in [0, 1].
      value_t: values of states 1..H, `[H, ...]`.
      discount: γ.
      lam: λ in [0, 1], the same or one of each state, `[H, ...]`.

    Returns:
      `[H, ...]`, the returns of states 0..H-1.
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


@dataclasses.dataclass(frozen=True)
class Behavior:
    """Actor and critic heads and their losses.

    Attributes:
      config: settings of the agent.
      actions: size A of the action vector.
      discrete: one-hot actions (REINFORCE) or continuous ones (gradients through the model).
      dtype: dtype of the computation.
    """

    config: AgentConfig
    actions: int
    discrete: bool
    dtype: Any

    @functools.cached_property
    def actor(self) -> Actor:
        """The policy head."""
        c, inputs = self.config.actor, self.config.rssm.features
        return Actor(
            inputs, c.layers, c.units, self.actions, self.discrete, c.outscale, c.minstd, c.maxstd,
            self.dtype,
        )  # fmt: skip

    @functools.cached_property
    def critic(self) -> Head:
        """The value head: two-hot over symlog bins."""
        c = self.config.critic
        return Head(c.layers, c.units, c.bins, c.outscale, dtype=self.dtype)

    @property
    def discount(self) -> float:
        """γ = 1 - 1 / horizon."""
        return 1.0 - 1.0 / self.config.horizon

    def noise(self, key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
        """Draws noise `[*shape, A]` for `sample`: Gumbel or standard normal."""
        draw = jax.random.gumbel if self.discrete else jax.random.normal
        return draw(key, (*shape, self.actions), dtype)

    def policy_weights(self, params: Params) -> Weights:
        """The actor's weights by layer."""
        return run(self.actor, params)

    def sample(self, layers: Layers, feat: Array, noise: Array) -> tuple[Array, Any]:
        """Draws actions.

        Args:
          layers: of `policy_weights`.
          feat: features `[..., F]`; no gradient passes to them.
          noise: `[..., A]` from `noise`, zeros for the mode.

        Returns:
          Actions `[..., A]`, differentiable in the weights, and what the actor's loss needs so that
          the policy is not computed again: for one-hot actions the outputs of the linear maps by
          name, else the standard deviations `[..., A]`.
        """
        out = self.actor.output(layers, sg(feat))
        if self.discrete:
            action = dist.onehot_draw(dist.unimix(out, self.config.actor.unimix), noise)
            linear = {k: y for k, y in layers.outputs.items() if "kernel" in layers.weights[k]}
            return action, linear
        mean, std = out
        return mean + std * noise, std

    def value(self, params: Params, feat: Array) -> Array:
        """Predicted returns `[...]` of features `[..., F]`."""
        return dist.twohot_mean(run(self.critic, params, feat))

    def actor_loss(
        self,
        actor: Params,
        critic: Params,
        traj: Trajectory,
        scale: normalize.ReturnScale,
    ) -> tuple[Array, dict[str, Any]]:
        """Actor loss: REINFORCE, or the negative advantage through the model; less entropy.

        Args:
          actor: actor parameters.
          critic: critic parameters.
          traj: imagined trajectory under `actor`; in the continuous case a function of it.
          scale: return scale before this update.

        Returns:
          Scalar loss, and `returns` `[H, N]`, `value` `[H + 1, N]`, `scale` after, `metrics`,
          and `critic`: its logits `[H, N, K]` and what maps a derivative by them to the gradient.
        """
        c = self.config
        # The critic's own loss is on the same states 0..H-1: its forward pass is kept for that.
        logits_v, pull = jax.vjp(lambda p: run(self.critic, p, traj.feat[:-1]), critic)
        last = self.value(critic, traj.feat[-1:])
        value = jnp.concatenate([dist.twohot_mean(logits_v), last])
        returns = lambda_return(
            traj.reward, traj.cont[1:], value[1:], self.discount, c.return_lambda
        )
        scale = normalize.update(scale, returns, c.retnorm)
        offset, divisor = normalize.offset_and_scale(scale, c.retnorm)
        advantage = (returns - offset) / divisor - (value[:-1] - offset) / divisor
        if self.discrete:
            layers = Layers(self.policy_weights(actor), self.dtype, known=sg(traj.policy))
            out = self.actor.output(layers, sg(traj.feat[:-1]))
            logits = dist.unimix(out, c.actor.unimix)
            logp = (logits * sg(traj.action[:-1])).sum(-1)
            entropy = dist.categorical_entropy(logits)
            loss = -logp * sg(advantage)
        else:
            entropy = dist.normal_entropy(traj.policy)
            loss = -advantage
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
        return loss, {
            "returns": sg(returns), "value": sg(value), "scale": scale, "metrics": metrics,
            "critic": (logits_v, pull),
        }  # fmt: skip

    def critic_loss(
        self, critic: Params, slow: Params, feat: Array, returns: Array, weight: Array
    ) -> Array:
        """Critic loss: cross-entropy to the λ-returns and to the slow critic's prediction.

        Args:
          critic: critic parameters.
          slow: slow critic's parameters.
          feat: features of states 0..H-1, `[H, N, F]`, without gradient.
          returns: targets `[H, N]`.
          weight: `[H, N]`.

        Returns:
          Scalar loss.
        """
        return self.value_loss(run(self.critic, critic, feat), slow, feat, returns, weight)

    def value_loss(
        self, logits: Array, slow: Params, feat: Array, returns: Array, weight: Array
    ) -> Array:
        """`critic_loss` of the critic's logits `[H, N, K]`."""
        target = self.value(slow, feat)
        loss = dist.twohot_loss(logits, returns) + dist.twohot_loss(logits, target)
        return (loss * weight).mean()
