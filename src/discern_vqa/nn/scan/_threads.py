"""Runs machine code on several threads at once: on torch's own where they can be reached, else on threads of ours.

torch computes on the threads of an OpenMP library, which wait busily for some milliseconds after each piece of work;
threads of our own would have to share the cores with them just then. OpenMP starts its threads through the function
`GOMP_parallel` (GNU's library; LLVM's has it too), which is looked up in the libraries that torch has loaded.
"""

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch


def on_threads(code: Any, address: int, threads: int, alive: object) -> None:
    """Calls `code`, a C function of one pointer, with this address on each of `threads` threads; this is one of them.

    `alive` holds the memory that they use: it lives as long as the last of them, whatever interrupts this one.
    """
    start = _openmp() if threads > 1 else None
    if start is not None:
        start(ctypes.cast(code, ctypes.c_void_p), address, threads, 0)
    else:
        on_our_threads(code, address, threads, alive)


def on_our_threads(code: Any, address: int, threads: int, alive: object) -> None:
    """`on_threads` without OpenMP."""
    helpers = [_pool(os.getpid(), threads).submit(_call, code, address, alive) for _ in range(threads - 1)]
    code(address)
    for helper in helpers:
        if not helper.cancel():  # one that has not begun by now has nothing left to do
            helper.result()


def _call(code: Any, address: int, alive: object) -> None:
    code(address)


@cache
def _openmp() -> Callable[..., None] | None:
    """`GOMP_parallel(function, data, threads, flags)` of torch's OpenMP library; None where it has no such function."""
    try:
        start = ctypes.CDLL(torch._C.__file__).GOMP_parallel
    except (OSError, AttributeError):
        return None
    start.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    start.restype = None
    function: Callable[..., None] = start
    return function


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Helping threads of this process: a child that was forked off gets its own."""
    return ThreadPoolExecutor(threads - 1, thread_name_prefix=f"scan-{process}")
