"""The exact state of a MuJoCo simulation: what integrates, and what a task changed in its model."""

from __future__ import annotations

from typing import Any

import numpy as np

from embodied.envs._tools import state as states


def arrays(model: Any) -> dict[str, np.ndarray]:
    """Returns copies of the numbers that describe a model; meshes, skins, textures left out."""
    skipped = ("_", "mesh", "skin", "tex")
    fields = {key: getattr(model, key) for key in dir(model) if not key.startswith(skipped)}
    return {
        key: value.copy()
        for key, value in fields.items()
        if isinstance(value, np.ndarray) and value.dtype.kind == "f"
    }


def save(model: Any, data: Any, first: dict[str, np.ndarray]) -> dict[str, Any]:
    """Returns MuJoCo's integration state, and the model's numbers that differ from the `first`."""
    import mujoco

    kind = mujoco.mjtState.mjSTATE_INTEGRATION
    integration = np.zeros(mujoco.mj_stateSize(model, kind), np.float64)
    mujoco.mj_getState(model, data, integration, kind)
    now = arrays(model)
    changed = {key: value for key, value in now.items() if not np.array_equal(value, first[key])}
    return {"integration": integration, "model": changed}


def load(
    model: Any, data: Any, first: dict[str, np.ndarray], saved: dict[str, Any], name: str
) -> None:
    """Puts back what `save` returned, into the same task; what depends on it is not computed.

    Raises:
      UserError: when it is of another model than the environment `name` has.
    """
    import mujoco

    # Only these: a foreign index among the integers would make MuJoCo read anywhere.
    whole = states.expect({**first, **saved["model"]}, set(first), name)
    for key, value in whole.items():
        getattr(model, key)[:] = states.array(value, first[key])
    kind = mujoco.mjtState.mjSTATE_INTEGRATION
    like = np.zeros(mujoco.mj_stateSize(model, kind), np.float64)
    mujoco.mj_setState(model, data, states.array(saved["integration"], like), kind)
