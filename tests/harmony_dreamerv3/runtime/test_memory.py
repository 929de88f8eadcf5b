"""Memory that stays with the process, and the holes in it."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc only")


def run(program: str) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout


def test_the_memory_of_one_call_serves_the_next() -> None:
    # On one processor, and the best of ten calls: what other threads allocate in between may
    # take a piece of what was freed. Without it, every call takes all its pages anew.
    program = """
import os, resource
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import jax, jax.numpy as jnp
from harmony_dreamerv3 import config
from harmony_dreamerv3.runtime import devices
devices.setup(config.make(["debug"], {"jax.platform": "cpu", "jax.cache": False}).jax)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
x = jnp.ones((4096, 4096))
call = jax.jit(lambda x: jnp.sort(x + 1, 0)[0].sum())  # 64 MiB between
def pages():
    before = faults()
    call(x).block_until_ready()
    return faults() - before
print(min(pages() for _ in range(10)))
"""
    assert int(run(program)) < 1000  # It was 16,384 pages.


def test_holes_are_filled_and_their_pages_given_back() -> None:
    program = """
import ctypes
from harmony_dreamerv3.runtime import memory
memory.keep()
libc = memory._library()
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
pieces = [libc.malloc(20_000 + 16 * n) for n in range(4000)]
for piece in pieces:
    ctypes.memset(piece, 1, 20_000)
for piece in pieces[::2]:
    libc.free(piece)
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
before = resident()
memory.settle()
libc.mallinfo2.restype = memory._Info
info = libc.mallinfo2()
print(before - resident(), info.fordblks - info.keepcost)
"""
    freed, holes = run(program).split()
    assert int(freed) > 25e6  # Of 40 MB, whole pages.
    assert int(holes) < 5e6
