"""Pages are taken from the kernel once, on every thread."""

import ctypes
import logging
import subprocess
import sys

import pytest

from whisperfleet.engine import host_memory
from whisperfleet.engine.host_memory import keep_host_memory, return_free_memory

# Takes, fills and frees blocks of 80 MB, which no arena but the main one could hold, on a thread.
PROGRAM = """
import ctypes, resource, sys, threading
from whisperfleet.engine.host_memory import keep_host_memory

def fill(libc, size=80 * 1024**2):
    block = libc.malloc(size)
    libc.memset(block, 1, size)
    libc.free(block)

def run(libc):
    fill(libc)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        fill(libc)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

if sys.argv[1] == "kept":
    assert keep_host_memory()
libc = ctypes.CDLL(None)
libc.malloc.argtypes, libc.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
thread = threading.Thread(target=run, args=(libc,))
thread.start()
thread.join()
"""


def faults(mode: str) -> int:
    """Return how many pages the kernel gave for ten more blocks."""
    program = subprocess.run(
        [sys.executable, "-c", PROGRAM, mode], check=True, capture_output=True, text=True
    )
    return int(program.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_what_is_freed_is_kept(report_figure):
    given_back, kept = faults("given back"), faults("kept")
    report_figure(f"page faults of ten blocks of 80 MB: {given_back} as it is, {kept} when kept")
    assert kept < 100
    assert given_back > 10 * max(kept, 1), "glibc keeps them by itself: the setting has no use"


# Leaves 100 holes of a MB between small blocks that stay, and says how many MB the process has
# before and after they are returned.
HOLES = """
import ctypes, os
from pathlib import Path
from whisperfleet.engine.host_memory import keep_host_memory, return_free_memory

def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20

assert keep_host_memory()
libc = ctypes.CDLL(None)
libc.malloc.argtypes, libc.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
blocks = []
for _ in range(100):
    blocks.append(libc.malloc(2**20))
    libc.memset(blocks[-1], 1, 2**20)
    libc.malloc(64)
for block in blocks:
    libc.free(block)
print(resident())
return_free_memory()
print(resident())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="not glibc")
def test_what_is_free_is_returned_from_the_middle_of_the_heap():
    program = subprocess.run(
        [sys.executable, "-c", HOLES], check=True, capture_output=True, text=True
    )
    before, after = map(int, program.stdout.split())
    assert before - after > 90


def test_a_c_library_without_mallopt_is_left_alone(monkeypatch):
    monkeypatch.setattr(host_memory.ctypes, "CDLL", lambda _: object())
    assert not keep_host_memory()
    return_free_memory()


def test_a_refused_setting_is_named(monkeypatch, caplog):
    class Refusing:
        @staticmethod
        def mallopt(_: int, value: int) -> int:
            return int(value != 0)

    monkeypatch.setattr(host_memory.ctypes, "CDLL", lambda _: Refusing())
    with caplog.at_level(logging.WARNING):
        assert not keep_host_memory()
    assert "refuses M_MMAP_MAX;" in caplog.text
