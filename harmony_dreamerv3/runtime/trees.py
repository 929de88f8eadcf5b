"""Between pytrees with a leading axis of members and one flat dict of arrays for each member."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from embodied.core.errors import UserError, nearest

Arrays = dict[str, np.ndarray]


def flat(tree: Any, size: int) -> list[Arrays]:
    """Returns the leaves `[size, ...]` of a tree on the host, for each member by name."""
    leaves = {name: np.asarray(leaf) for name, leaf in named(tree)}
    return [{name: _plain(leaf[index]) for name, leaf in leaves.items()} for index in range(size)]


def unflat(template: Any, arrays: Sequence[Arrays], size: int) -> Any:
    """Returns the inverse of `flat`, on the host, in the structure and dtypes of the template.

    Raises:
      UserError: when number, names or shapes differ.
    """
    if len(arrays) != size:
        raise UserError(f"expected the states of {size} learners, got {len(arrays)}")
    for one in arrays:
        _check(template, one)
    leaves = [
        np.stack([np.asarray(one[name]) for one in arrays]).astype(leaf.dtype)
        for name, leaf in named(template)
    ]
    return jax.tree.unflatten(jax.tree.structure(template), leaves)


def member(tree: Any, index: int) -> Any:
    """Returns the tree of one member, leaves `[...]`."""
    return jax.tree.map(lambda x: x[index], tree)


def named(tree: Any) -> list[tuple[str, Any]]:
    """Returns leaves with names such as `params/world_model/rssm/gru/kernel`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [(jax.tree_util.keystr(path, simple=True, separator="/"), x) for path, x in leaves]


def _plain(value: np.ndarray) -> np.ndarray:
    """Returns NumPy's own dtypes: bfloat16 becomes float32, which loses nothing."""
    return value.astype(np.float32) if value.dtype == jnp.bfloat16 else np.array(value)


def _check(template: Any, arrays: Arrays) -> None:
    expected = {name: leaf.shape[1:] for name, leaf in named(template)}
    missing = sorted(set(expected) - set(arrays))
    surplus = sorted(set(arrays) - set(expected))
    if missing or surplus:
        name = (missing or surplus)[0]
        word = "missing" if missing else "surplus"
        raise UserError(
            f"the saved state is of another agent: {word} {name!r}{nearest(name, arrays)}"
        )
    for name, shape in expected.items():
        if tuple(arrays[name].shape) != tuple(shape):
            raise UserError(
                f"the saved state is of another agent: {name} has shape "
                f"{tuple(arrays[name].shape)}, expected {tuple(shape)}"
            )
