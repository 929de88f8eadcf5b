"""Nash-MTL: weights as the bargaining solution over the gradients of the tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from harmony_dreamerv3.balance.balancer import Balancer, State, free_names, weighted
from harmony_dreamerv3.balance.tasks import Task, nearest, require

NORMALIZATIONS = ("frobenius", "none")
ACCEPTED_RESIDUAL = 1e-4
TOLERANCE = 1e-5
MAX_ITERATIONS = 50
ROUNDING = 1e-7  # of a cosine in float32; it moves the residual by this times β².
UNSOLVED = 1e30

Carry = tuple[jax.Array, jax.Array, jax.Array]  # β [K], residual, iteration


def nashmtl(
    tasks: Mapping[str, Task], *, interval: int = 1, normalization: str = "frobenius"
) -> Balancer:
    """Nash bargaining: the weights α > 0 with GᵀGα = 1/α, G the gradients of the K tasks.

    Where there is no solution (opposed gradients: a Pareto stationary point), or a gradient is
    not finite, the weights stay as they were; so does the weight of a task without gradient.
    The metric `residual` is the largest |α_i·(GᵀGα)_i - 1| of the last solution; below 1e-4 it
    was accepted.

    Source: Navon et al. (ICML 2022), Eq. 2 and Algorithm 1. Their clipping of the gradient is
    left to the optimizer.

    Args:
      tasks: by name.
      interval: updates from one solution to the next, at least 1.
      normalization: "frobenius" solves for GᵀG / ‖GᵀG‖ as the authors' code does, so that a
        common factor of all gradients has no effect; "none" solves for GᵀG.
    """
    require(
        isinstance(interval, int) and interval >= 1,
        f"The interval of nashmtl must be an integer >= 1 update, not {interval}.",
    )
    require(
        normalization in NORMALIZATIONS,
        f"The normalization of nashmtl is one of {', '.join(NORMALIZATIONS)}, not "
        f"{normalization!r}{nearest(normalization, NORMALIZATIONS)}.",
    )
    count = len(free_names(tasks))

    def update(state: State, losses: jax.Array, task_grads: Any) -> State:
        if task_grads is None:
            raise ValueError(
                f"nashmtl needs task_grads: gradients with a leading axis of {count} tasks"
            )

        def solve() -> tuple[jax.Array, jax.Array]:
            grads = task_grads() if callable(task_grads) else task_grads
            norm, cosine = gram(grads, count)
            beta, residual = bargain(cosine)
            weight = _weights(norm, cosine, beta, normalization)
            good = (residual < ACCEPTED_RESIDUAL) & jnp.isfinite(weight)
            return jnp.where(good, weight, state["weight"]), residual

        kept = state["weight"], state["residual"]
        weight, residual = jax.lax.cond(state["step"] == 0, solve, lambda: kept)
        step = (state["step"] + 1) % interval
        return {"weight": weight, "residual": residual, "step": step}

    weight, zero = jnp.ones(count, jnp.float32), jnp.zeros((), jnp.float32)
    state = {"weight": weight, "residual": zero, "step": jnp.zeros((), jnp.int32)}
    return weighted(tasks, state, update, needs_task_grads=True, metrics=("residual",))


def gram(grads: Any, count: int) -> tuple[jax.Array, jax.Array]:
    """Returns the norms [K] and the cosines [K, K] of K gradients, both float32.

    Each gradient is divided by its largest entry first: the squares of large or small ones
    would leave the range of float32. A zero gradient counts as orthogonal to all others. `grads`
    have leaves [K, ...], `count` is K.
    """
    leaves = [jnp.asarray(x) for x in jax.tree.leaves(grads)]
    if not leaves or any(x.ndim == 0 or x.shape[0] != count for x in leaves):
        shapes = sorted({str(x.shape) for x in leaves}) or "nothing"
        raise ValueError(f"task_grads: expected leaves [{count}, ...] for {count} tasks, {shapes=}")
    leaves = [x.reshape(count, -1).astype(jnp.float32) for x in leaves if x.size]
    peak = jnp.stack([jnp.abs(x).max(1) for x in leaves]).max(0)
    scale = jnp.where(peak == 0, 1.0, peak)
    leaves = [x / scale[:, None] for x in leaves]
    # TF32 products would leave no digits of 1e-4 in the residual.
    product = sum(jnp.dot(x, x.T, precision=jax.lax.Precision.HIGHEST) for x in leaves)
    norm = jnp.sqrt(jnp.diagonal(product))
    length = jnp.where(norm == 0, 1.0, norm)
    cosine = product / jnp.outer(length, length)
    return norm * scale, jnp.fill_diagonal(cosine, jnp.float32(1), inplace=False)


def bargain(cosine: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Solves Cβ = 1/β for β > 0 by damped Newton steps.

    The solution minimizes ½βᵀCβ - Σ log β, which is convex and self-concordant: a step of
    1 / (1 + decrement) never leaves β > 0 and always descends. The solution for gradients of
    any length is α_i = β_i / |g_i|, so the solver only ever sees unit gradients.

    Args:
      cosine: float32 [K, K], positive semidefinite with unit diagonal.

    Returns:
      β float32 [K] and its residual, the largest |β_i·(Cβ)_i - 1| and what rounding may hide of
      it, a float32 scalar; `UNSOLVED` where there is no solution, as for opposed gradients.
    """
    eye = jnp.eye(len(cosine), dtype=cosine.dtype)

    def dot(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.dot(a, b, precision=jax.lax.Precision.HIGHEST)

    def slack(beta: jax.Array) -> jax.Array:
        return 1 - beta * dot(cosine, beta)

    def step(carry: Carry) -> Carry:
        beta, _, iteration = carry
        rest = slack(beta)
        # In units of β the Hessian is never below the identity, so the solve is well posed.
        hessian = jnp.outer(beta, beta) * cosine + eye
        move = jnp.linalg.solve(hessian, rest)
        decrement = jnp.sqrt(jnp.maximum(dot(rest, move), 0))
        beta = beta * (1 + move * jnp.where(decrement < 0.25, 1.0, 1 / (1 + decrement)))
        return beta, jnp.abs(slack(beta)).max(), iteration + 1

    def unsolved(carry: Carry) -> jax.Array:
        return (carry[1] > TOLERANCE) & (carry[2] < MAX_ITERATIONS)

    beta = jnp.ones_like(cosine[0])
    carry = (beta, jnp.abs(slack(beta)).max(), jnp.zeros((), jnp.int32))
    beta, residual, _ = jax.lax.while_loop(unsolved, step, carry)
    residual = residual + ROUNDING * (beta * beta).max()
    return beta, jnp.where(jnp.isfinite(residual), residual, UNSOLVED)


def _weights(norm: jax.Array, cosine: jax.Array, beta: jax.Array, normalization: str) -> jax.Array:
    """Returns α [K] from the solution for unit gradients; infinite for a zero gradient."""
    if normalization == "none":
        return beta / norm
    # (GᵀG / F) α = 1/α has √F times the solution of GᵀGα = 1/α. The largest norm is taken out,
    # since norms of 1e20 have no square in float32.
    unit = norm / norm.max()
    root = jnp.sqrt(jnp.linalg.norm(cosine * jnp.outer(unit, unit)))
    return root * beta / unit
