"""How much memory is free, by files written as Linux writes them."""

from pathlib import Path

from sandle.memory import main_memory


def write_memory(root: Path, available_kb: int, **cgroup: str) -> Path:
    (root / 'proc').mkdir(parents=True)
    (root / 'proc/meminfo').write_text(f'MemTotal: 99999999 kB\nMemAvailable:    {available_kb} kB\n')
    (root / 'sys/fs/cgroup').mkdir(parents=True)
    for name, value in cgroup.items():
        (root / 'sys/fs/cgroup' / name.replace('_', '.', 1)).write_text(value)
    return root


def test_free_memory_is_the_machines_or_the_containers(tmp_path: Path) -> None:
    assert main_memory(write_memory(tmp_path / 'a', 1000)) == 1_024_000
    unlimited = write_memory(tmp_path / 'b', 1000, memory_max='max\n', memory_current='5\n')
    assert main_memory(unlimited) == 1_024_000
    limited = write_memory(tmp_path / 'c', 1000, memory_max='500000\n', memory_current='400000\n',
                           memory_stat='anon 1\ninactive_file 50000\n')
    assert main_memory(limited) == 150_000
    assert main_memory(tmp_path / 'none') >= 2 ** 50
