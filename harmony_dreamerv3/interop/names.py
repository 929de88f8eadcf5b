"""Names of the released code's variables, and where they live in our parameter tree.

A path is a tuple of keys into `{'world_model', 'balance', 'actor', 'critic', 'slow_critic'}`.
Layouts agree (kernels in, out; convolutions height, width, in, out; transposed ones height,
width, out, in), so that nothing is transposed.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np
import optax

from embodied.core.errors import UserError, nearest
from harmony_dreamerv3 import prng
from harmony_dreamerv3.agents.dreamerv3 import Agent, TrainState
from harmony_dreamerv3.runtime import trees

Path = tuple[str, ...]

# Variables of the released code that no computation reads.
UNUSED = ("agent/wm/identity/identity",)
SCALE = "agent/task_behavior/ac/retnorm_extr"
SLOW_UPDATES = "agent/task_behavior/critic/updates/value"
# Harmonizers by task.
HARMONIZERS = {"reward": "har_s1", "observation": "har_s2", "dynamics": "har_s3"}

_HEAD = (
    (r"mlp/h(\d+)/", r"h\1/"),
    (r"^out/", r"dist_out/out/"),
    (r"^std/", r"dist_out/std/"),
)
_RULES: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "world_model/encoder": (
        "agent/wm/enc",
        ((r"^cnn(\d+)/", r"cnn/s\1res/"),),
    ),
    "world_model/rssm": ("agent/wm/rssm", ()),
    "world_model/decoder": (
        "agent/wm/dec",
        (
            (r"^cnn_in/", r"cnn/in/"),
            (r"^cnn(\d+)/", r"cnn/s\1res/"),
            (r"^vector_(.*)/(\w+)$", r"mlp/dist_\1/out/\2"),
        ),
    ),
    "world_model/reward": ("agent/wm/rew", _HEAD),
    "world_model/cont": ("agent/wm/cont", _HEAD),
    "actor": ("agent/task_behavior/ac/actor", _HEAD),
    "critic": ("agent/task_behavior/critic/net", _HEAD),
    "slow_critic": ("agent/task_behavior/critic/slow", _HEAD),
}


def upstream_name(path: Path) -> str:
    """The released code's name of a parameter such as `('world_model', 'rssm', 'gru', 'kernel')`.

    Raises:
      UserError: for a parameter that the released code does not have.
    """
    ours = "/".join(path)
    if ours.startswith("balance/log_sigma/"):
        task = path[-1]
        if task not in HARMONIZERS:
            raise UserError(
                f"the released code has no harmonizer for the task {task!r}, only for "
                f"{', '.join(HARMONIZERS)}"
            )
        return f"agent/wm/{HARMONIZERS[task]}/harmony_s"
    for prefix, (theirs, rules) in _RULES.items():
        if ours.startswith(f"{prefix}/"):
            rest = ours[len(prefix) + 1 :]
            for pattern, replacement in rules:
                rest = re.sub(pattern, replacement, rest)
            return f"{theirs}/{rest}"
    raise UserError(f"the released code has no counterpart of {ours!r}")


def flatten(tree: Any) -> dict[Path, Any]:
    """Leaves of nested dictionaries by path."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {tuple(str(k.key) for k in path): leaf for path, leaf in leaves}


def trainable(state: TrainState) -> dict[str, Any]:
    """Our parameter tree with the slow critic beside it."""
    return {**state.params, "slow_critic": state.slow_critic}


def export_params(state: TrainState) -> dict[str, np.ndarray]:
    """All variables under the released code's names, optimizer states left out."""
    return export_arrays({name: np.asarray(value) for name, value in trees.named(state)})


def export_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same from the flat arrays of a checkpoint, named by the paths of a train state."""
    variables = {}
    for name, value in arrays.items():
        head, _, rest = name.partition("/")
        if head == "params":
            if rest.startswith("balance/log_sigma/"):  # Theirs start from nothing but 0.
                value = value + arrays.get(rest.replace("/log_sigma/", "/offset/"), 0)
            variables[upstream_name(tuple(rest.split("/")))] = value
        elif head == "slow_critic":
            variables[upstream_name(tuple(name.split("/")))] = value
        elif head == "return_scale":
            variables[f"{SCALE}/{rest}/value"] = value
        elif head == "updates":
            variables[SLOW_UPDATES] = value.astype(np.int32)
    return variables


def import_params(agent: Agent, variables: Mapping[str, np.ndarray], seed: int = 0) -> TrainState:
    """Builds a train state of NumPy arrays from the released code's variables.

    Args:
      agent: the agent, configured to the same sizes.
      variables: name to array.
      seed: of the draws to come.

    Returns:
      A state with fresh optimizers; its number of updates is the slow critic's.

    Raises:
      UserError: naming each variable that is missing, surplus, or of another shape.
    """
    shapes = _shapes(agent, variables)
    tree = trainable(shapes)
    expected = {upstream_name(k): tuple(v.shape) for k, v in flatten(tree).items()}
    expected |= dict.fromkeys((f"{SCALE}/low/value", f"{SCALE}/high/value", SLOW_UPDATES), ())
    _check_names(list(expected), variables, idle_harmonizers(expected))
    for name, shape in expected.items():
        if tuple(variables[name].shape) != shape:
            raise UserError(
                f"{name}: expected shape {shape} from the configuration, "
                f"got {tuple(variables[name].shape)}"
            )
        if variables[name].dtype.kind not in ("iu" if name == SLOW_UPDATES else "f"):
            raise UserError(f"{name}: its dtype {variables[name].dtype} is not the right one")
    dtype = np.dtype(agent.param_dtype)
    tree = jax.tree_util.tree_map_with_path(
        lambda path, _: np.asarray(variables[upstream_name(_keys(path))], dtype), tree
    )
    slow = tree.pop("slow_critic")
    scale: Any = [np.asarray(variables[f"{SCALE}/{k}/value"], dtype) for k in ("low", "high")]
    balance = jax.tree.map(np.asarray, agent.balancer.init()[1])
    if "started" in balance:
        balance["started"] = np.asarray(True)  # With what is imported.
    fields: dict[str, Any] = {
        "params": tree,
        "slow_critic": slow,
        "return_scale": type(shapes.return_scale)(*scale),
        "balance": balance,
        # Adam starts from zeros.
        "opt": jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes.opt),
        "updates": np.asarray(variables[SLOW_UPDATES], np.int32),
        "key": np.asarray(prng.of_seed(seed)),
        "alive": np.asarray(True),
    }
    return dataclasses.replace(shapes, **fields)


def import_moments(
    state: TrainState, optimizer: str, count: int, moments: Mapping[str, Mapping[str, np.ndarray]]
) -> TrainState:
    """Takes over the moments of one Adam optimizer.

    Args:
      state: the state to change.
      optimizer: `model`, `actor` or `critic`.
      count: its number of updates.
      moments: `mu` and `nu`: array by variable name of the released code.

    Raises:
      UserError: when a variable is missing, surplus, or of another shape.
    """
    prefix: Path = () if optimizer == "model" else (optimizer,)

    def fill(kind: str, tree: Any) -> Any:
        arrays = moments[kind]
        expected = {upstream_name(prefix + path): leaf for path, leaf in flatten(tree).items()}
        _check_names(list(expected), arrays, idle_harmonizers(expected))
        for name, leaf in expected.items():
            if arrays[name].shape != leaf.shape:
                raise UserError(
                    f"{optimizer} optimizer, {kind} of {name}: expected shape {leaf.shape}, "
                    f"got {arrays[name].shape}"
                )
        return jax.tree_util.tree_map_with_path(
            lambda path, leaf: arrays[upstream_name(prefix + _keys(path))].astype(leaf.dtype), tree
        )

    chain = tuple(
        part._replace(
            count=np.asarray(count, part.count.dtype),
            mu=fill("mu", part.mu),
            nu=fill("nu", part.nu),
        )
        if isinstance(part, optax.ScaleByAdamState)
        else part
        for part in state.opt[optimizer]
    )
    return dataclasses.replace(state, opt={**state.opt, optimizer: chain})


def idle_harmonizers(used: Iterable[str]) -> list[str]:
    """Names of harmonizers without losses, as of `observation` where no key is called `image`.

    Where no harmonizer is among the names in use, none is idle.
    """
    every = [f"agent/wm/{name}/harmony_s" for name in HARMONIZERS.values()]
    idle = [name for name in every if name not in used]
    return idle if len(idle) < len(every) else []


def _shapes(agent: Agent, variables: Mapping[str, Any]) -> TrainState:
    """Shapes of the agent's train state, computed without allocating it."""
    c = agent.config.agent
    coders = (c.encoder.mlp_layers, c.decoder.mlp_layers)
    layers = max(c.reward_head.layers, c.cont_head.layers, c.actor.layers, c.critic.layers, *coders)
    if layers > len(variables):
        raise UserError(f"{layers} layers are configured, but there are {len(variables)} variables")
    try:
        return jax.eval_shape(agent.init, jax.ShapeDtypeStruct((2,), np.uint32))
    except (TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise UserError(f"no agent has the sizes of this configuration: {error}") from error


def _keys(path: Any) -> Path:
    return tuple(str(key.key) for key in path)


def _check_names(expected: list[str], variables: Mapping[str, Any], idle: list[str]) -> None:
    missing = sorted(set(expected) - set(variables))
    surplus = sorted(set(variables) - set(expected) - set(UNUSED) - set(idle))
    if not missing and not surplus:
        return
    parts = []
    if missing:
        parts.append(f"missing: {', '.join(missing[:5])}{' ...' if missing[5:] else ''}")
    if surplus:
        hint = nearest(surplus[0], missing)
        parts.append(f"surplus: {', '.join(surplus[:5])}{' ...' if surplus[5:] else ''}{hint}")
    raise UserError(
        f"{len(missing)} variables missing and {len(surplus)} surplus for this "
        f"configuration; {'; '.join(parts)}"
    )
