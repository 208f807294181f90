"""A process with all below it, and the memory that they take."""

import os
from pathlib import Path

__all__ = ["process_tree", "resident_bytes"]


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process and all below it; what they share counts for each."""
    return sum(_resident(process) for process in process_tree(pid))


def _resident(pid: int) -> int:
    try:
        # proc(5), /proc/<pid>/statm: the second number is resident pages.
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def process_tree(pid: int) -> list[int]:
    """Return a process and its descendants."""
    tree = [pid]
    for parent in tree:
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                tree += [int(child) for child in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return tree
