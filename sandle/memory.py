"""How much main memory there is. Knows Linux's files on it; elsewhere it knows of no limit."""

import re
from pathlib import Path


def main_memory(root: Path = Path('/')) -> int:
    """Returns the bytes of main memory that are free, within the container's limit; a lot where nothing says so."""
    free = 2 ** 60
    meminfo = _read(root / 'proc/meminfo')
    if match := re.search(r'^MemAvailable:\s+(\d+) kB', meminfo, re.MULTILINE):
        free = int(match[1]) * 1024
    for limit_file, used_file, stat_file in (
            ('memory.max', 'memory.current', 'memory.stat'),
            ('memory/memory.limit_in_bytes', 'memory/memory.usage_in_bytes', 'memory/memory.stat')):
        group = root / 'sys/fs/cgroup'
        limit, used = _read(group / limit_file).strip(), _read(group / used_file).strip()
        if limit.isdigit() and used.isdigit():
            cached = re.search(r'^(?:total_)?inactive_file (\d+)', _read(group / stat_file), re.MULTILINE)
            free = min(free, int(limit) - int(used) + (int(cached[1]) if cached else 0))
    return max(0, free)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding='utf-8', errors='replace')
    except OSError:
        return ''
