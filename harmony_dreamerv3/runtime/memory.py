"""The host's memory as programs on CPUs need it; glibc's allocator alone can be told."""

from __future__ import annotations

import ctypes
import os
from typing import Any

# Numbers of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8

LARGEST, SMALLEST = 2**26, 2**10  # bytes of the holes that `settle` fills


def keep() -> None:
    """Lets freed memory stay with this process, for the next update.

    XLA on CPUs allocates the intermediate results of every call anew. glibc takes so large pieces
    from the system and gives them back, and the system clears every page again: a third of the time
    of an update (docs/performance.md). One arena, as others cannot hold large pieces; so this must
    run before JAX starts its threads.
    """
    mallopt = getattr(_library(), "mallopt", None)
    if mallopt is not None:
        for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_ARENA_MAX, 1)):
            mallopt(option, value)


def settle() -> None:
    """Fills the holes that compiling has left, after their pages went back to the system.

    A compiler frees hundreds of MiB in tens of thousands of pieces, and `keep` keeps them. For each
    intermediate result glibc then searches among them, which took a sixth of the time of small
    updates. Holes that are taken, and never touched, cost no memory, only addresses.
    """
    library = _library()
    if not all(hasattr(library, name) for name in ("mallinfo2", "malloc_trim", "sbrk")):
        return
    library.malloc.restype = library.sbrk.restype = ctypes.c_void_p
    library.malloc.argtypes = library.malloc_trim.argtypes = [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    library.mallinfo2.restype = _Info
    library.malloc_trim(0)
    top = (library.sbrk(0) or 0) - library.mallinfo2().keepcost  # Above it there are no holes.
    size = LARGEST
    while size >= SMALLEST:
        # Whatever is no hole is cut from the top.
        while (piece := library.malloc(size) or top) < top:
            pass
        library.free(piece if piece > top else None)
        size = size * 4 // 5


class _Info(ctypes.Structure):
    """`struct mallinfo2`."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
            "fordblks", "keepcost",
        )
    ]  # fmt: skip


def _library() -> Any:
    """The C library, or nothing where there is none of its kind."""
    return ctypes.CDLL(None) if os.name == "posix" else None
