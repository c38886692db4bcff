"""What processes take of memory, as Linux tells it."""

import resource
from pathlib import Path


def resident_mb(*pids: int) -> float:
    """Returns the memory of processes and their children."""
    family = [pid for parent in pids for pid in (
        parent, *map(int, Path(f'/proc/{parent}/task/{parent}/children').read_text().split()))]
    pages = sum(int(Path(f'/proc/{pid}/statm').read_text().split()[1]) for pid in family)
    return pages * resource.getpagesize() / 2 ** 20
