"""These functions measure the memory of this machine, or of its container; they use only the standard library."""

import os
from pathlib import Path

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def total_memory() -> int:
    """Returns the bytes of memory of this process's machine or container; 2^63 - 1 if the system does not say."""
    return _within_container(_pages("SC_PHYS_PAGES"))


def available_memory() -> int:
    """Returns the bytes that can be filled now, with caches that the system can free, at most a container's limit."""
    return _within_container(_told_available() or _pages("SC_AVPHYS_PAGES"))


def _pages(name: str) -> int:
    try:
        return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows; a system that has no such name
        return 2**63 - 1


def _told_available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _within_container(size: int) -> int:
    for path in map(Path, _LIMITS):
        if path.exists() and (text := path.read_text().strip()).isdigit():
            return min(size, int(text))
    return size
