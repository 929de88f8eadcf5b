"""What the state in a checkpoint may look like, checked before anything of it is used."""

from __future__ import annotations

from typing import Any

from embodied.checkpoint.files import CorruptFile
from embodied.records.run_records import FILES

_COUNT = range(2**48)
_ANY = "any key"

# A pattern is None, a type, a range of integers, a list with the pattern of all its items, a dict
# with the patterns of its values (`_ANY` alone: of all of them), or a tuple of alternatives.
_STATE: dict[str, Any] = {
    "seed": range(2**63),
    "batch_length": _COUNT,
    "run.envs": _COUNT,
    "machine": str,
    "step": _COUNT,
    "updates": _COUNT,
    "episodes": _COUNT,
    "returns": {_ANY: float},
    "running": {"totals": [float], "lengths": [_COUNT], "success": [bool]},
    "means": {"names": [str], "sums": [float], "counts": [range(1, 2**48)]},
    "evaluated": range(-1, 2**48),
    "pending": (None, [_COUNT]),
    "held": (None, [[(str, {_ANY: (None, bool, int, float, str)})]]),
    "replay": {
        "counts": [_COUNT],
        "lost": [_COUNT],
        "ring": _COUNT,
        "chunks": [{"name": str, "first": [_COUNT], "last": [_COUNT]}],
    },
    "frozen": (None, str),
}

# Not in the states of earlier versions.
_DRAWS = {"began": (None, _COUNT), "served": _COUNT, "items": [_COUNT], "pieces": [_COUNT]}


def check_state(state: Any) -> None:
    """Raises unless a member's saved state has the form that this program writes.

    Args:
      state: from a checkpoint.

    Raises:
      CorruptFile: naming the value that is wrong.
    """
    patterns = _STATE | ({"draws": _DRAWS} if isinstance(state, dict) and "draws" in state else {})
    for key, pattern in patterns.items():
        if not isinstance(state, dict) or key not in state or not _fits(state[key], pattern):
            raise CorruptFile(f"its state has no proper value of {key!r}")
    means, held, pending = state["means"], state["held"], state["pending"]
    sizes = {
        "running": [len(value) for value in state["running"].values()] == [state["run.envs"]] * 3,
        "means": len(means["names"]) == len(means["sums"]) == len(means["counts"]),
        "pending": pending is None or len(pending) == 2,
        "held": held is None
        or all(len(line) == 2 and line[0] in FILES and type(line[1]) is dict for line in held),
        "replay": len(state["replay"]["lost"]) == len(state["replay"]["counts"]),
    }
    for key, right in sizes.items():
        if not right:
            raise CorruptFile(f"its state has no proper value of {key!r}")


def _fits(value: Any, pattern: Any) -> bool:
    if isinstance(pattern, tuple):
        return any(_fits(value, one) for one in pattern)
    if isinstance(pattern, range):
        return type(value) is int and value in pattern
    if isinstance(pattern, list):
        return type(value) is list and all(_fits(item, pattern[0]) for item in value)
    if isinstance(pattern, dict):
        if type(value) is not dict:
            return False
        if _ANY in pattern:
            return all(_fits(item, pattern[_ANY]) for item in value.values())
        return value.keys() == pattern.keys() and all(_fits(value[k], pattern[k]) for k in pattern)
    return value is None if pattern is None else type(value) is pattern
