"""How many books are read at once, and with how much memory each: as this machine, or the container, can bear."""

from __future__ import annotations

import os
from pathlib import Path

MOST = 2 * 1024**3  # bytes a reader may have; a book of a thousand pages takes a tenth of it
LEAST = 1024**3
SHARE = 0.75  # of the memory; the rest is for whoever waits for the readers

_CGROUP = Path("/sys/fs/cgroup")


def readers() -> int:
    """How many books are read at once: one a processor, fewer where there is little memory."""
    return max(1, min(processors(), int(memory_bytes() * SHARE) // LEAST))


def reader_bytes() -> int:
    """The memory of one reader: with all of them at their limit there is still some left."""
    return min(MOST, int(memory_bytes() * SHARE) // readers())


def processors(cgroup: Path = _CGROUP) -> int:
    """The processors that this process may use, those of its container where that has fewer."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, period = (*_words(cgroup / "cpu.max"), "", "")[:2]
    if not quota:
        quota, period = (_word(cgroup / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    if quota.isdigit() and period.isdigit():
        return max(1, min(mine, int(quota) // int(period)))
    return mine


def memory_bytes(cgroup: Path = _CGROUP) -> int:
    """The memory of this machine, or of its container where that has less."""
    mine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    given = _word(cgroup / "memory.max") or _word(cgroup / "memory" / "memory.limit_in_bytes")
    return min(mine, int(given)) if given.isdigit() else mine


def _word(file: Path) -> str:
    return next(iter(_words(file)), "")


def _words(file: Path) -> list[str]:
    return file.read_text().split() if file.is_file() else []
