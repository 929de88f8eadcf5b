"""Reading pickles of NumPy arrays and plain containers without executing anything in them.

Pickles name functions and classes of the program that wrote them. None is ever imported here:
the few that arrays and optax states need are replaced by inert stand-ins, every other name is
refused. A first pass over the opcodes bounds memory before anything is built; what calls make is
counted (`inert`), since one object of the file may be given to any number of them.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
import warnings
from pathlib import Path
from typing import Any

from embodied.core.errors import UserError
from harmony_dreamerv3.interop.inert import (
    ArrayPlace,
    Budget,
    Call,
    DType,
    InertState,
    stand_ins,
    state_class,
)

MAX_BYTES = 16 << 30
MAX_OPCODES = 5_000_000
MAX_NAME = 200  # Characters of module and name.
_OPTAX = re.compile(r"optax(\._src)?(\.\w+)*")
_STATE = re.compile(r"[A-Z]\w*State")
# Protocols 0 and 1 write text lines of any length and objects by other ways; nobody uses them.
# fmt: off
_OPCODES = {
    "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "NONE", "NEWTRUE", "NEWFALSE",
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
    "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
    "EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_SET", "ADDITEMS", "FROZENSET",
    "BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET",
    "GLOBAL", "STACK_GLOBAL", "REDUCE", "NEWOBJ", "BUILD",
}
# fmt: on


class _Unpickler(pickle.Unpickler):
    """Finds stand-ins only."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self._budget = Budget(len(data))
        self._numpy, self._plain = stand_ins(self._budget)
        self._states: dict[str, type] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Returns the stand-in of a name, or refuses it."""
        if len(module) + len(name) > MAX_NAME:
            raise UserError(f"it refers to a name of more than {MAX_NAME} characters")
        package, _, last = module.rpartition(".")
        stand_in: Any = self._plain.get((module, name))
        if package in ("numpy.core", "numpy._core"):
            stand_in = self._numpy.get(f"{last}.{name}")
        elif _OPTAX.fullmatch(module) and _STATE.fullmatch(name):
            if name not in self._states:
                self._states[name] = state_class(name, self._budget)
            stand_in = self._states[name]
        if stand_in is None:
            raise UserError(
                f"it refers to {module}.{name}, which is not read: only NumPy arrays, plain "
                "containers and states of optax are"
            )
        return stand_in


class _Bounded(io.BytesIO):
    """Bytes that refuse to read beyond their end, before anything is allocated for it."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Reads at most what is there."""
        left = self.getbuffer().nbytes - self.tell()
        if size is not None and size > left:
            raise UserError(f"it claims {size} bytes where {left} are left")
        return super().read(size)


def load(path: Path) -> Any:
    """Reads a pickle: plain containers, numbers, strings, NumPy arrays, and `InertState`s.

    Raises:
      UserError: when it is damaged, too large, or refers to anything else, naming it.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"larger than {MAX_BYTES} bytes")
        data = path.read_bytes()
        _scan(data)
        return _finish(_Unpickler(data).load())
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (OSError, pickle.UnpicklingError, EOFError, ValueError, TypeError, IndexError) as error:
        raise UserError(f"{path}: not a readable checkpoint: {error}") from error
    except (KeyError, AttributeError, OverflowError, MemoryError, RecursionError) as error:
        raise UserError(f"{path}: not a readable checkpoint: {error!r}") from error


def _scan(data: bytes) -> None:
    """Refuses opcodes without use here, claims beyond the file, and absurd memo numbers."""
    count = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # About escapes in the text of names.
        for count, (opcode, arg, _) in enumerate(pickletools.genops(_Bounded(data))):
            if opcode.name not in _OPCODES:
                raise UserError(f"it uses the pickle opcode {opcode.name}, which is not read")
            if opcode.name == "LONG_BINPUT" and int(arg or 0) > count:
                raise UserError(f"it numbers its {count} objects up to {arg}")
            if opcode.name == "FRAME" and int(arg or 0) > len(data):
                raise UserError(f"it claims a frame of {arg} bytes")
            if count > MAX_OPCODES:
                raise UserError(f"it has more than {MAX_OPCODES} opcodes")


def _finish(value: Any) -> Any:
    """Replaces placeholders by their arrays; each object is visited once."""
    copies: dict[int, Any] = {}

    def visit(item: Any, depth: int) -> Any:
        if depth > 50:
            raise UserError("it is nested more than 50 deep")
        if isinstance(item, ArrayPlace):
            return item.array
        if not isinstance(item, dict | list | tuple):
            return None if isinstance(item, DType | Call | type) else item
        if id(item) not in copies:
            copies[id(item)] = None  # Ends cycles.
            if isinstance(item, dict):
                copy: Any = {k: visit(v, depth + 1) for k, v in item.items()}
            elif isinstance(item, InertState):
                copy = type(item)(*(visit(v, depth + 1) for v in item))
            else:
                copy = type(item)(visit(v, depth + 1) for v in item)
            copies[id(item)] = copy
        return copies[id(item)]

    return visit(value, 0)
