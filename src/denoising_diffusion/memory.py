"""How much memory there is."""

import os
from pathlib import Path

UNKNOWN = 2**62
"""Where the system does not say, nothing is refused."""


def available() -> int:
    """Bytes that this process can still have on this machine; UNKNOWN where nothing tells."""
    try:
        limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, OSError, ValueError):  # Windows, which is asked for nothing
        limits = [UNKNOWN]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        limits += [int(line.split()[1]) * 1024 for line in lines if "MemAvailable" in line]
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        limits += [int(limit) - used] if limit.isdigit() else []
    except (OSError, ValueError):  # another system, which tells less
        pass
    return min(limits)


def size(count: int) -> str:
    """A number of bytes in words."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
