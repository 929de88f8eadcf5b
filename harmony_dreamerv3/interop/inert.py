"""Inert stand-ins for the few names that pickles of arrays and optax states refer to.

What they make is counted: one object of a file may be given to any number of calls.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from embodied.core.errors import UserError

KINDS = "biuf"  # booleans, integers, floats
SLACK = 2**20
MAX_DIMS = 32


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


class Budget:
    """What the calls of one file of so many bytes may still make, in bytes and items.

    An honest file brings along everything that arrays are made of: its old protocols write bytes as
    text, which is made into bytes and these into an array.
    """

    def __init__(self, size: int) -> None:
        self._most = self._left = 2 * size + SLACK

    def spend(self, amount: int) -> None:
        """Takes the amount away before it is made; raises UserError when there is not enough."""
        self._left -= amount
        if self._left < 0:
            raise UserError(
                f"its arrays would take more than {self._most} bytes, more than the file holds"
            )


class ArrayPlace:
    """What an array is while it is being read: a place for its dtype, shape and bytes."""

    __slots__ = ("_budget", "array")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        self.array = _build(self._budget, data, dtype, shape, "F" if fortran else "C")


class DType:
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


class Call:
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


def _build(budget: Budget, data: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
    if not isinstance(dtype, DType) or not isinstance(data, bytes | bytearray):
        raise UserError("an array in the pickle is not made of a dtype and bytes")
    if not isinstance(shape, tuple) or len(shape) > MAX_DIMS:
        raise UserError(f"an array in the pickle has no shape of at most {MAX_DIMS} dimensions")
    if not all(type(n) is int and n >= 0 for n in shape):
        raise UserError(f"an array in the pickle has the shape {shape!r}")
    real = dtype.dtype()
    if math.prod(shape) * real.itemsize != len(data):
        raise UserError(f"an array claims the shape {shape} of {real}, but has {len(data)} bytes")
    budget.spend(len(data))
    return np.frombuffer(data, real).reshape(shape, order=order).astype(real.newbyteorder("="))  # type: ignore[call-overload]


def _encode(budget: Budget, text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise UserError("bytes in the pickle are not written as latin1 text")
    budget.spend(len(text))
    return text.encode("latin1")


def _dict(*args: Any) -> dict:
    if args:
        raise UserError("an ordered dictionary in the pickle is not written item by item")
    return {}


def _bytes(*args: Any) -> bytes:
    if args:
        raise UserError("bytes in the pickle are not written as latin1 text")
    return b""


def _set(budget: Budget, items: Any) -> set:
    if not isinstance(items, list):
        raise UserError("a set in the pickle is not written as a list")
    budget.spend(len(items))
    return set(items)


def stand_ins(budget: Budget) -> tuple[dict[str, Call], dict[tuple[str, str], Call]]:
    """Returns the stand-ins for names of NumPy's core by name, and others by module and name."""

    def frombuffer(data: Any, dtype: Any, shape: Any, order: str = "C") -> np.ndarray:
        return _build(budget, data, dtype, shape, "F" if order == "F" else "C")

    numpy = {
        "multiarray._reconstruct": Call(lambda *_: ArrayPlace(budget)),
        "multiarray.scalar": Call(lambda dtype, data: _build(budget, data, dtype, (), "C")),
        "numeric._frombuffer": Call(frombuffer),
    }
    plain = {
        ("numpy", "dtype"): Call(lambda code, *_: DType(code)),
        ("numpy", "ndarray"): Call(lambda *_: ArrayPlace(budget)),
        ("_codecs", "encode"): Call(functools.partial(_encode, budget)),
        ("collections", "OrderedDict"): Call(_dict),
    }
    for module in ("builtins", "__builtin__"):
        plain[module, "bytes"] = Call(_bytes)
        plain[module, "set"] = plain[module, "frozenset"] = Call(functools.partial(_set, budget))
    return numpy, plain


def state_class(name: str, budget: Budget) -> type:
    """Returns the stand-in for a class of optax's states."""

    def new(cls: type, *fields: Any) -> InertState:
        budget.spend(len(fields))
        return tuple.__new__(cls, fields)

    return _Sealed(name, (_SealedState,), {"__slots__": (), "name": name, "__new__": new})
