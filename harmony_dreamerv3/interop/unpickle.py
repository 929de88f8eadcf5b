"""Reading pickles of NumPy arrays and plain containers without executing anything in them.

Pickles name functions and classes of the program that wrote them. None is ever imported here:
the few that arrays and optax states need are replaced by inert stand-ins, every other name is
refused. A first pass over the opcodes bounds memory before anything is built.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from embodied.core.errors import UserError

MAX_BYTES = 16 << 30
MAX_OPCODES = 5_000_000
KINDS = "biuf"  # booleans, integers, floats
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


class InertState(tuple):
    """A named tuple of optax, known by its name only.

    Attributes:
      name: of the class, such as `ScaleByAdamState`; set on subclasses.
    """

    __slots__ = ()
    name = ""

    def __new__(cls, *fields: Any) -> InertState:
        """Holds the fields in order."""
        return super().__new__(cls, fields)


class _Array:
    """What an array is while it is being read: a place for its dtype, shape and bytes."""

    __slots__ = ("array",)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        self.array = _build(data, dtype, shape, "F" if fortran else "C")


class _DType:
    """A dtype by its code, such as `f4`."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any) -> None:
        if not isinstance(code, str) or not re.fullmatch(rf"[{KINDS}](1|2|4|8)", code):
            raise UserError(f"arrays of dtype {code!r} are not read, only plain numbers")
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order not in ("<", ">", "=", "|") or any(part is not None for part in state[2:5]):
            raise UserError("arrays with structured dtypes are not read")
        self.order = order

    def dtype(self) -> np.dtype:
        """The real one."""
        return np.dtype(self.order + self.code)


class _Call:
    """A stand-in for a function: callable, and without attributes to set."""

    __slots__ = ("_function",)
    _function: Callable[..., Any]

    def __init__(self, function: Callable) -> None:
        object.__setattr__(self, "_function", function)

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setattr__(self, name: str, value: Any) -> None:
        raise UserError("a pickle must not change what it refers to")


class _Sealed(type):
    """The type of stand-in classes, whose attributes a pickle cannot set."""

    def __setattr__(cls, name: str, value: Any) -> None:
        raise UserError("a pickle must not change what it refers to")


class _SealedState(InertState, metaclass=_Sealed):
    __slots__ = ()


def _build(data: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
    if not isinstance(dtype, _DType) or not isinstance(data, bytes | bytearray):
        raise UserError("an array in the pickle is not made of a dtype and bytes")
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise UserError(f"an array in the pickle has the shape {shape!r}")
    real = dtype.dtype()
    if math.prod(shape) * real.itemsize != len(data):
        raise UserError(f"an array claims the shape {shape} of {real}, but has {len(data)} bytes")
    return np.frombuffer(data, real).reshape(shape, order=order).astype(real.newbyteorder("="))  # type: ignore[call-overload]


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise UserError("bytes in the pickle are not written as latin1 text")
    return text.encode("latin1")


def _dict(*args: Any) -> dict:
    if args:
        raise UserError("an ordered dictionary in the pickle is not written item by item")
    return {}


def _bytes(*args: Any) -> bytes:
    if args:
        raise UserError("bytes in the pickle are not written as latin1 text")
    return b""


def _set(items: Any) -> set:
    if not isinstance(items, list):
        raise UserError("a set in the pickle is not written as a list")
    return set(items)


_CALLS: dict[tuple[str, str], Any] = {
    ("multiarray", "_reconstruct"): _Call(lambda *_: _Array()),
    ("multiarray", "scalar"): _Call(lambda dtype, data: _build(data, dtype, (), "C")),
    ("numeric", "_frombuffer"): _Call(lambda data, dtype, shape, order="C": _build(
        data, dtype, shape, "F" if order == "F" else "C")),
}  # fmt: skip
_PLAIN: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Call(lambda code, *_: _DType(code)),
    ("numpy", "ndarray"): _Call(lambda *_: _Array()),
    ("_codecs", "encode"): _Call(_encode),
    ("collections", "OrderedDict"): _Call(_dict),
    **{(module, "bytes"): _Call(_bytes) for module in ("builtins", "__builtin__")},
    **{(module, "set"): _Call(_set) for module in ("builtins", "__builtin__")},
    **{(module, "frozenset"): _Call(_set) for module in ("builtins", "__builtin__")},
}


class _Unpickler(pickle.Unpickler):
    """Finds stand-ins only."""

    def find_class(self, module: str, name: str) -> Any:
        """Returns the stand-in of a name, or refuses it."""
        package, _, last = module.rpartition(".")
        found = _PLAIN.get((module, name))
        if package in ("numpy.core", "numpy._core"):
            found = _CALLS.get((last, name))
        elif _OPTAX.fullmatch(module) and _STATE.fullmatch(name):
            found = _Sealed(name, (_SealedState,), {"__slots__": (), "name": name})
        if found is None:
            raise UserError(
                f"it refers to {module}.{name}, which is not read: only NumPy arrays, plain "
                "containers and states of optax are"
            )
        return found


class _Bounded(io.BytesIO):
    """Bytes that refuse to read beyond their end, before anything is allocated for it."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Reads at most what is there."""
        left = self.getbuffer().nbytes - self.tell()
        if size is not None and size > left:
            raise UserError(f"it claims {size} bytes where {left} are left")
        return super().read(size)


def load(path: Path) -> Any:
    """Reads a pickle.

    Args:
      path: the file.

    Returns:
      Plain containers, numbers, strings, NumPy arrays, and `InertState`s.

    Raises:
      UserError: when it is damaged, too large, or refers to anything else, naming it.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"larger than {MAX_BYTES} bytes")
        data = path.read_bytes()
        _scan(data)
        return _finish(_Unpickler(io.BytesIO(data)).load())
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
    seen: dict[int, Any] = {}

    def visit(item: Any, depth: int) -> Any:
        if depth > 50:
            raise UserError("it is nested more than 50 deep")
        if isinstance(item, _Array):
            return item.array
        if not isinstance(item, dict | list | tuple):
            return None if isinstance(item, _DType | _Call | type) else item
        if id(item) not in seen:
            seen[id(item)] = None  # Ends cycles.
            if isinstance(item, dict):
                done: Any = {k: visit(v, depth + 1) for k, v in item.items()}
            elif isinstance(item, InertState):
                done = type(item)(*(visit(v, depth + 1) for v in item))
            else:
                done = type(item)(visit(v, depth + 1) for v in item)
            seen[id(item)] = done
        return seen[id(item)]

    return visit(value, 0)
