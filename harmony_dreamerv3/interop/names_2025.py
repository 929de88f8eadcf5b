"""Upstream's 2025 names of variables, and where they live in our train state.

Below each module the names are the same on both sides, and so are all layouts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from embodied.core.errors import UserError, nearest
from harmony_dreamerv3.agents.dreamerv3_2025 import Agent, TrainState

MODULES = {
    "encoder": "enc", "rssm": "dyn", "decoder": "dec", "reward": "rew", "cont": "con",
    "actor": "pol", "critic": "val",
}  # fmt: skip
SLOW_UPDATES = "slowval_count/value"
STEP = "opt/step/value"


def params_tree(state: TrainState) -> dict[str, Any]:
    """Everything of a state that upstream has under a name, as nested dictionaries of its names.

    Optimizer states and balancers are left out.
    """
    named = {theirs: state.params[ours] for ours, theirs in MODULES.items()}
    norms = {
        name: {key: {"value": value} for key, value in norm.items()}
        for name, norm in state.norms.items()
        if norm
    }
    return {**named, "slowval": state.slow_critic, **norms}


def flatten(tree: Any) -> dict[str, Any]:
    """Leaves of nested dictionaries, by keys joined with slashes."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {"/".join(str(k.key) for k in path): leaf for path, leaf in leaves}


def export_params(state: TrainState) -> dict[str, np.ndarray]:
    """All variables under upstream's names."""
    named = {name: np.asarray(value) for name, value in flatten(params_tree(state)).items()}
    return {**named, SLOW_UPDATES: np.asarray(state.updates, np.int32)}


def export_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same from the flat arrays of a checkpoint, named by the paths of a train state."""
    named = {}
    for name, value in arrays.items():
        head, *rest = name.split("/")
        if head == "params" and rest[0] in MODULES:
            named["/".join([MODULES[rest[0]], *rest[1:]])] = value
        elif head == "slow_critic":
            named["/".join(["slowval", *rest])] = value
        elif head == "norms":
            named["/".join([*rest, "value"])] = value
        elif head == "updates":
            named[SLOW_UPDATES] = value.astype(np.int32)
    return named


def import_params(agent: Agent, named: Mapping[str, np.ndarray], seed: int = 0) -> TrainState:
    """Builds a train state of NumPy arrays from upstream's variables.

    Args:
      agent: the agent, configured to the same sizes.
      named: name to array; without optimizer states.
      seed: of the draws to come.

    Returns:
      A state with a fresh optimizer; its number of updates is the slow critic's.

    Raises:
      UserError: naming a variable that is missing, surplus, or of another shape.
    """
    try:
        shapes = jax.eval_shape(agent.init, jax.ShapeDtypeStruct((2,), np.uint32))
    except (TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise UserError(f"no agent has the sizes of this configuration: {error}") from error
    wanted = {name: tuple(x.shape) for name, x in flatten(params_tree(shapes)).items()}
    wanted[SLOW_UPDATES] = ()
    check_names(wanted, named)
    dtype = np.dtype(agent.param_dtype)

    def fill(prefix: str, tree: Any) -> Any:
        values = {name: np.asarray(named[f"{prefix}/{name}"], dtype) for name in flatten(tree)}
        return jax.tree_util.tree_map_with_path(
            lambda path, _: values["/".join(str(k.key) for k in path)], tree
        )

    norms = {
        name: {key: np.asarray(named[f"{name}/{key}/value"], dtype) for key in norm}
        for name, norm in shapes.norms.items()
    }
    modules = {ours: fill(theirs, shapes.params[ours]) for ours, theirs in MODULES.items()}
    balance_params, balance = agent.balancer.init()
    zeros = lambda tree: jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), tree)  # noqa: E731
    return shapes.replace(
        params={**modules, "balance": jax.tree.map(np.asarray, balance_params)},
        slow_critic=fill("slowval", shapes.slow_critic),
        norms=norms,
        carry=zeros(shapes.carry),
        balance=jax.tree.map(np.asarray, balance),
        opt=zeros(shapes.opt),
        updates=np.asarray(named[SLOW_UPDATES], np.int32),
        key=np.asarray(jax.random.key_data(jax.random.key(seed, impl="threefry2x32"))),
        alive=np.asarray(True),
    )


def step_of(state: TrainState) -> np.ndarray:
    """The optimizer's count of updates."""
    opt = state.opt["opt"]
    return np.asarray(opt["model"].steps if isinstance(opt, dict) else opt.steps)


def check_names(wanted: Mapping[str, tuple[int, ...]], named: Mapping[str, np.ndarray]) -> None:
    """Raises UserError unless exactly these variables are there, in these shapes."""
    missing = sorted(set(wanted) - set(named))
    surplus = sorted(set(named) - set(wanted) - {STEP})
    if missing or surplus:
        parts = [f"missing: {', '.join(missing[:5])}"] if missing else []
        if surplus:
            hint = nearest(surplus[0], missing)
            parts.append(f"surplus: {', '.join(surplus[:5])}{hint}")
        raise UserError(
            f"{len(missing)} variables missing and {len(surplus)} surplus for this "
            f"configuration; {'; '.join(parts)}"
        )
    for name, shape in wanted.items():
        value = named[name]
        if tuple(value.shape) != shape or value.dtype.kind not in "fiu":
            raise UserError(
                f"{name}: expected numbers of shape {shape} from the configuration, got "
                f"{value.dtype} {tuple(value.shape)}"
            )
