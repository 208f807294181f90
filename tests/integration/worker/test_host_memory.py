"""Pages are taken from the kernel once, on every thread."""

import ctypes
import logging
import subprocess
import sys

import pytest

from whisperfleet.worker.host_memory import keep_host_memory, return_free_memory

# Takes, fills and frees 40 blocks of 2 MB at a time, more than an arena of a thread holds at once.
PROGRAM = """
import ctypes, resource, sys, threading
from whisperfleet.worker.host_memory import keep_host_memory

def fill(libc, size=2 * 1024**2):
    blocks = [libc.malloc(size) for _ in range(40)]
    for block in blocks:
        libc.memset(block, 1, size)
    for block in blocks:
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
    """Return how many pages the kernel gave when they were taken ten times more."""
    program = subprocess.run(
        [sys.executable, "-c", PROGRAM, mode], check=True, capture_output=True, text=True
    )
    return int(program.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_what_is_freed_is_kept(report_figure):
    given_back, kept = faults("given back"), faults("kept")
    report_figure(
        f"page faults of ten times 40 blocks of 2 MB: {given_back} as it is, {kept} when kept"
    )
    assert kept < 100
    assert given_back > 10 * max(kept, 1), "glibc keeps them by itself: the setting has no use"


# Takes 128 MB in blocks of some MB between small ones that stay, frees them, and says how many MB
# the process has before, after, and once free memory is returned.
HOLES = """
import ctypes, os, sys
from pathlib import Path
from whisperfleet.worker.host_memory import keep_host_memory, return_free_memory

def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20

assert keep_host_memory()
size = int(sys.argv[1]) * 2**20
libc = ctypes.CDLL(None)
libc.malloc.argtypes, libc.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
blocks = []
for _ in range(128 * 2**20 // size):
    blocks.append(libc.malloc(size))
    libc.memset(blocks[-1], 1, size)
    libc.malloc(64)
print(resident())
for block in blocks:
    libc.free(block)
print(resident())
return_free_memory()
print(resident())
"""


def resident_around_holes(block_mib: int) -> tuple[int, int, int]:
    """Return the MB that a process has before, after, and once free memory is returned."""
    program = subprocess.run(
        [sys.executable, "-c", HOLES, str(block_mib)], check=True, capture_output=True, text=True
    )
    taken, freed, returned = map(int, program.stdout.split())
    return taken, freed, returned


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="not glibc")
def test_what_is_free_is_returned_from_the_middle_of_the_heap():
    taken, freed, returned = resident_around_holes(1)
    assert taken - freed < 10
    assert freed - returned > 120


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_large_blocks_leave_no_holes():
    taken, freed, _ = resident_around_holes(8)
    assert taken - freed > 120


# A program that takes 60 MB in three steps, frees them and takes 128 MB in two; it says after each
# step whether free memory is returned.
GATHERED = """
import ctypes
from whisperfleet.worker.host_memory import FreeMemory, keep_host_memory

assert keep_host_memory()
libc = ctypes.CDLL(None)
libc.malloc.argtypes, libc.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def take(count):
    blocks = []
    for _ in range(count):
        blocks.append(libc.malloc(2**20))
        libc.memset(blocks[-1], 1, 2**20)
        libc.malloc(64)
    return blocks

free_memory = FreeMemory()
kept = []
for _ in range(3):
    kept += take(20)
    print(free_memory.return_if_gathered())
for block in kept:
    libc.free(block)
take(64)
print(free_memory.return_if_gathered())
take(64)
print(free_memory.return_if_gathered())
print(free_memory.return_if_gathered())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="not glibc")
def test_memory_is_returned_once_enough_has_gathered():
    program = subprocess.run(
        [sys.executable, "-c", GATHERED], check=True, capture_output=True, text=True
    )
    # 20, 40: enough, 20; 64 come out of the 60 that were freed, so there are 4 more; 68; none.
    assert program.stdout.split() == ["False", "True", "False", "False", "True", "False"]


def test_a_c_library_without_mallopt_is_left_alone():
    assert not keep_host_memory(object())
    return_free_memory(object())


def test_a_refused_setting_is_named(caplog):
    class Refusing:
        @staticmethod
        def mallopt(number: int, _: int) -> int:
            return int(number != -3)

    with caplog.at_level(logging.WARNING):
        assert not keep_host_memory(Refusing())
    assert "refuses M_MMAP_THRESHOLD;" in caplog.text
