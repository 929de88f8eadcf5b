"""Loops over time that repeat only what recurs, forward and backward.

Differentiating `lax.scan` saves every intermediate result of every step and adds to the gradient of
every weight in every step. But once the loop is through, the state before each step is known.
`scan` saves the states alone, computes all steps again at once as large products, and runs
backward only the chain of derivatives from state to state. The gradients of weights and inputs
then follow for all steps at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from harmony_dreamerv3.nets.fast.switch import is_plain

Array = jax.Array
Step = Callable[[Any, Any, Any], tuple[Any, Any]]


def scan(step: Step, weights: Any, start: Any, xs: Any) -> tuple[Any, Any]:
    """Repeats `carry, y = step(weights, carry, x)`, with the derivative described above.

    Args:
      step: a pure function that closes over no array, of arrays with any leading axes.
      weights: what all steps share, such as parameters.
      start: first carry.
      xs: inputs `[T, ...]`.

    Returns:
      The carry after each step and the outputs y, `[T, ...]` both.
    """
    if is_plain():
        return _loop(step, weights, start, xs)
    run = jax.custom_vjp(lambda *args: _loop(step, *args))
    run.defvjp(lambda *args: _forward(step, *args), lambda *args: _backward(step, *args))
    return run(weights, start, xs)


def _loop(step: Step, weights: Any, start: Any, xs: Any) -> tuple[Any, Any]:
    def body(carry: Any, x: Any) -> tuple[Any, Any]:
        carry, y = step(weights, carry, x)
        return carry, (carry, y)

    return jax.lax.scan(body, start, xs)[1]


def _forward(step: Step, weights: Any, start: Any, xs: Any) -> tuple[Any, Any]:
    after, ys = _loop(step, weights, start, xs)
    before = jax.tree.map(lambda x, rest: jnp.concatenate([x[None], rest[:-1]]), start, after)
    return (after, ys), (weights, before, xs)


def _backward(step: Step, saved: Any, by_out: Any) -> tuple[Any, Any, Any]:
    weights, before, xs = saved
    by_after, by_ys = by_out

    def pullback(carry: Any, x: Any) -> Any:
        """Maps derivatives by what a step returns to that by its carry."""
        return jax.vjp(lambda carry: step(weights, carry, x), carry)[1]

    # What recurs: the derivative by the carry after a step has two parts, by the carry itself as
    # a result, and through all later steps.
    pullbacks, merge = _at_all_steps(pullback, before, xs)

    def body(through_later: Any, x: Any) -> tuple[Any, Any]:
        own, by_carry, by_y = x
        by_carry = jax.tree.map(jnp.add, by_carry, through_later)
        (by_before,) = merge(own)((by_carry, by_y))
        return by_before, by_carry

    none = jax.tree.map(lambda x: jnp.zeros_like(x[0]), by_after)
    by_start, by_after = jax.lax.scan(body, none, (pullbacks, by_after, by_ys), reverse=True)

    # What does not: weights and inputs, at all steps at once.
    _, pull = jax.vjp(lambda weights, xs: step(weights, before, xs), weights, xs)
    by_weights, by_xs = pull((by_after, by_ys))
    return by_weights, by_start, by_xs


def _at_all_steps(function: Callable, *args: Any) -> tuple[list[Array], Callable]:
    """Calls a function of one step, whose result is a pytree such as a pullback, for all steps.

    Args:
      function: of one step's values.
      *args: for each argument all its values, `[T, ...]`.

    Returns:
      Those arrays of the results that differ between steps, `[T, ...]`; and a function that makes
      the whole result of one step out of its own arrays. What all steps share, such as kernels, is
      not repeated T times.
    """
    flat = lambda *args: jax.tree.leaves(function(*args))  # noqa: E731
    one = jax.tree.map(lambda x: x[0], args)
    shared, structure = jax.tree.flatten(function(*one))
    differs = _depends(flat, *one)

    def own(*args: Any) -> list[Array]:
        return [leaf for leaf, own in zip(flat(*args), differs, strict=True) if own]

    def merge(own: list[Array]) -> Any:
        rest = iter(own)
        leaves = [next(rest) if d else leaf for leaf, d in zip(shared, differs, strict=True)]
        return jax.tree.unflatten(structure, leaves)

    return jax.vmap(own)(*args), merge


def _depends(function: Callable, *args: Any) -> list[bool]:
    """Tells for each array of a list that a function returns whether it depends on arguments."""
    jaxpr = jax.make_jaxpr(function)(*args).jaxpr
    # By identity: some operands are constants, which cannot be compared.
    seen = {id(variable) for variable in jaxpr.invars}
    for equation in jaxpr.eqns:
        if not seen.isdisjoint(map(id, equation.invars)):
            seen.update(map(id, equation.outvars))
    return [id(variable) in seen for variable in jaxpr.outvars]
