"""What a checkpoint says of one member beside arrays, checked before anything of it is used."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, get_type_hints

from embodied.checkpoint.files import CorruptFile
from embodied.records.run_records import FILES

_COUNT = range(2**48)
_ANY = "any key"
_RUNNING = {"totals": [float], "lengths": [_COUNT], "success": [bool]}
_MEANS = {"names": [str], "sums": [float], "counts": [range(1, 2**48)]}
_LINE = [(str, {_ANY: (None, bool, int, float, str)})]
_REPLAY = {
    "counts": [_COUNT],
    "lost": [_COUNT],
    "ring": _COUNT,
    "chunks": [{"name": str, "first": [_COUNT], "last": [_COUNT]}],
}
_DRAWS = {"began": (None, _COUNT), "served": _COUNT, "items": [_COUNT], "pieces": [_COUNT]}
_NAMES = {"envs": "run.envs"}  # In files, where the field is called otherwise.


@dataclasses.dataclass(frozen=True)
class Form:
    """What a value from a file may look like.

    Args:
      form: None, a type, a range of integers, a list with the form of all its items, a dict with
        the forms of its values (`_ANY` alone: of all of them), or a tuple of alternatives.
    """

    form: Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemberState:
    """The plain data of a member in a checkpoint.

    Raises:
      CorruptFile: naming the value that is wrong.
    """

    seed: Annotated[int, Form(range(2**63))]  # the member's
    batch_length: Annotated[int, Form(_COUNT)]  # steps T that an update trains on in each window
    envs: Annotated[int, Form(_COUNT)]  # training environments
    machine: Annotated[str, Form(str)]  # what the learner was computed on
    step: Annotated[int, Form(_COUNT)]  # agent steps stored
    updates: Annotated[int, Form(_COUNT)]  # updates done
    episodes: Annotated[int, Form(_COUNT)]  # training episodes finished
    returns: Annotated[dict[str, float], Form({_ANY: float})]  # the last return by mode
    running: Annotated[dict[str, Any], Form(_RUNNING)]  # partial episodes, see `Driver.save`
    means: Annotated[dict[str, Any], Form(_MEANS)]  # see `Means.save`
    # Agent step at which the last evaluation began; -1 before.
    evaluated: Annotated[int, Form(range(-1, 2**48))]
    # Step and updates of an evaluation that is not written yet.
    pending: Annotated[list[int] | None, Form((None, [_COUNT]))]
    held: Annotated[list[Any] | None, Form((None, [_LINE]))]  # lines that wait for it
    replay: Annotated[dict[str, Any], Form(_REPLAY)]  # see `ReplayFiles.save`
    frozen: Annotated[str | None, Form((None, str))]  # why it takes no further part
    # Agent step at which training began, and the cursor of the replay; None in the states of
    # earlier versions.
    draws: Annotated[dict[str, Any] | None, Form((None, _DRAWS))] = None

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(MemberState, include_extras=True).items():
            if not _fits(getattr(self, name), hint.__metadata__[0].form):
                raise _wrong(name)
        means, held = self.means, self.held
        sizes = {
            "running": [len(value) for value in self.running.values()] == [self.envs] * 3,
            "means": len(means["names"]) == len(means["sums"]) == len(means["counts"]),
            "pending": self.pending is None or len(self.pending) == 2,
            "held": held is None
            or all(len(line) == 2 and line[0] in FILES and type(line[1]) is dict for line in held),
            "replay": len(self.replay["lost"]) == len(self.replay["counts"]),
        }
        for name, right in sizes.items():
            if not right:
                raise _wrong(name)

    @classmethod
    def from_plain(cls, state: Any) -> MemberState:
        """Returns the state that a file holds; see `plain`."""
        values = {}
        for field in dataclasses.fields(cls):
            name = _NAMES.get(field.name, field.name)
            if isinstance(state, dict) and name in state:
                values[field.name] = state[name]
            elif field.default is dataclasses.MISSING:
                raise _wrong(field.name)
        return cls(**values)

    def plain(self) -> dict[str, Any]:
        """Returns what goes into a file."""
        return {_NAMES.get(name, name): value for name, value in vars(self).items()}


def _wrong(name: str) -> CorruptFile:
    return CorruptFile(f"its state has no proper value of {_NAMES.get(name, name)!r}")


def _fits(value: Any, form: Any) -> bool:
    if isinstance(form, tuple):
        return any(_fits(value, one) for one in form)
    if isinstance(form, range):
        return type(value) is int and value in form
    if isinstance(form, list):
        return type(value) is list and all(_fits(item, form[0]) for item in value)
    if isinstance(form, dict):
        if type(value) is not dict:
            return False
        if _ANY in form:
            return all(_fits(item, form[_ANY]) for item in value.values())
        return value.keys() == form.keys() and all(_fits(value[k], form[k]) for k in form)
    return value is None if form is None else type(value) is form
