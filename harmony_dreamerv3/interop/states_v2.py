"""Train states of the DreamerV2 base from variables of the released codes, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from embodied.core.errors import UserError, nearest
from harmony_dreamerv3.agents.dreamerv2 import Agent
from harmony_dreamerv3.agents.dreamerv2_frame import TrainState
from harmony_dreamerv3.interop import names_v2
from harmony_dreamerv3.interop.names import flatten
from harmony_dreamerv3.interop.names_v2 import Naming
from harmony_dreamerv3.nets import coders_v2 as coders

Arrays = Mapping[str, np.ndarray]
OWN = ("slow_critic", "stats", "target")  # beside `params`
UPDATES = "updates"  # the codes save no count; `export` does


def naming(agent: Agent) -> Naming:
    """Names and layouts of the code that an agent's configuration is of."""
    if agent.net.prototypes:
        return names_v2.tensorflow()
    c, sides = agent.c, {"encoder": 0, "decoder": 0}
    if agent.net.encoder.cnn_keys:
        size = agent.obs_space[agent.net.encoder.cnn_keys[0]].shape[0]
        plain = coders.encoded_side(size, c.encoder.kernels)
        sides["encoder"] = size // 16 if c.encoder.kind == "residual" else plain
    for shape in agent.net.images.values():
        sides["decoder"] = shape[0] // 16 if c.decoder.kind == "residual" else 0
    return names_v2.torch(agent, sides)


def tree(state: TrainState) -> dict[str, Any]:
    """Everything of a state that has a name there."""
    return {**state.params, **{name: getattr(state, name) for name in OWN}}


def load(agent: Agent, naming: Naming, named: Arrays, updates: int, key: Any = None) -> TrainState:
    """A train state with given variables, its optimizers fresh.

    Args:
      agent: the agent.
      naming: of the variables.
      named: all of them by name.
      updates: how many were made.
      key: of the draws to come, `[2]` uint32; zeros by default.

    Raises:
      UserError: naming a variable that is missing, surplus, or of another shape.
    """
    try:
        shapes = jax.eval_shape(agent.init, jax.ShapeDtypeStruct((2,), np.uint32))
    except (TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise UserError(f"no agent has the sizes of this configuration: {error}") from error
    leaves = {}
    for path, leaf in flatten(tree(shapes)).items():
        name = naming.name(path)
        if name not in named:
            raise UserError(f"the parameters lack {name!r}{nearest(name, named)}")
        value, shape = named[name], tuple(leaf.shape)
        if value.size == leaf.size:  # Before that a size may be any number.
            shape = naming.dump(path, np.zeros(shape, np.float32)).shape
        if value.shape != shape or value.dtype.kind != "f":
            raise UserError(f"{name}: expected floats {shape}, got {value.dtype} {value.shape}")
        leaves[path] = naming.load(path, value.astype(np.float32))
    surplus = [name for name in named if name not in {naming.name(path) for path in leaves}]
    if surplus:
        raise UserError(f"the parameters have a surplus {surplus[0]!r}")
    values = jax.tree_util.tree_map_with_path(
        lambda path, _: leaves[tuple(str(k.key) for k in path)], tree(shapes)
    )
    own = {name: values.pop(name) for name in OWN}
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    return zeros.replace(
        params=values, balance=jax.tree.map(np.asarray, agent.balancer.init()[1]),
        updates=np.asarray(updates, np.int32), alive=np.asarray(True),
        key=zeros.key if key is None else np.asarray(key), **own,
    )  # fmt: skip


def import_params(agent: Agent, named: Arrays, seed: int) -> TrainState:
    """A train state of variables that `export_arrays`, or a released code, has written.

    Args:
      agent: the agent, configured to the same sizes.
      named: name to array; without a count of updates it is 0, without harmonizers they are fresh.
      seed: of the draws to come.

    Raises:
      UserError: as `load`.
    """
    named = dict(named)
    updates = named.pop(UPDATES, np.zeros((), np.int32))
    if updates.shape != () or updates.dtype.kind not in "iu" or not 0 <= updates < 2**30:
        raise UserError(f"{UPDATES}: expected a count, got {updates.dtype} {updates.shape}")
    theirs = naming(agent)
    for path, value in flatten({"balance": agent.balancer.init()[0]}).items():
        named.setdefault(theirs.name(path), np.asarray(value, np.float32))
    key = jax.random.key_data(jax.random.key(seed, impl="threefry2x32"))
    return load(agent, theirs, named, int(updates), key)


def export_arrays(agent: Agent, arrays: Arrays) -> dict[str, np.ndarray]:
    """Variables by name from the flat arrays of a checkpoint, named by paths of a train state."""
    theirs, named = naming(agent), {}
    for name, value in arrays.items():
        path = tuple(name.split("/"))
        path = path[1:] if path[0] == "params" else path
        if name.startswith("params/") or path[0] in OWN:
            named[theirs.name(path)] = np.array(theirs.dump(path, value), order="C")
    return {**named, UPDATES: arrays["updates"].astype(np.int32)}
