"""What a run of the bench found, as it is kept in a file."""

import json
import os
import platform
import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

from bench.load import Result

OURS = 'backend-hf'
OURS_LLAMA = 'backend-llama'


@dataclass(frozen=True, slots=True)
class Measured:
    """A case on a server, once."""

    shape: str
    server: str
    round: int
    result: Result


@dataclass(frozen=True, slots=True)
class Start:
    """A server's start and memory: until it was ready, its peak, and what it held at the end."""

    shape: str
    server: str
    round: int
    ready_s: float
    peak_rss_bytes: int
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Check:
    """A property of our own server beside its speed. `limit` says what is asked for; None in `is_met`: not measured."""

    shape: str
    round: int
    name: str
    value: str
    limit: str
    is_met: bool | None


@dataclass(frozen=True, slots=True)
class Failure:
    """What could not be measured, and why."""

    shape: str
    server: str
    round: int
    reason: str


@dataclass(slots=True)
class Run:
    """Everything that a run found, in the order in which it was found. `ours` is the server that ratios are of."""

    machine: str
    date: str
    measured: list[Measured] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    ours: str = OURS

    def shapes(self) -> list[str]:
        """Returns the shapes that were measured, in order."""
        return list(dict.fromkeys(one.shape for one in self.measured))

    def servers(self, shape: str) -> list[str]:
        """Returns the servers that were measured with a shape, in order."""
        return list(dict.fromkeys(one.server for one in self.measured if one.shape == shape))

    def median(self, shape: str, server: str, case: str, clients: int, figure: str) -> float | None:
        """Returns the median over the rounds of one field of Result, None where nothing was measured."""
        return _median(self._figures(shape, server, case, clients, figure).values())

    def ratio(self, shape: str, peer: str, case: str, clients: int, figure: str) -> float | None:
        """Returns the median over the rounds of ours divided by the peer's, each of the same round."""
        ours, theirs = (self._figures(shape, server, case, clients, figure) for server in (self.ours, peer))
        return _median(ours[number] / theirs[number] for number in ours if theirs.get(number))

    def start(self, shape: str, server: str, figure: str) -> float | None:
        """Returns the median over the rounds of one field of Start."""
        return _median(getattr(one, figure) for one in self.starts if (one.shape, one.server) == (shape, server))

    def save(self, file: Path) -> None:
        """Writes everything as JSON."""
        file.write_text(json.dumps(asdict(self), indent=1), 'utf-8')

    def _figures(self, shape: str, server: str, case: str, clients: int, figure: str) -> dict[int, float]:
        return {one.round: getattr(one.result, figure) for one in self.measured
                if (one.shape, one.server, one.result.case, one.result.concurrency) == (shape, server, case, clients)}


def new_run(ours: str) -> Run:
    """Returns a run without figures, of this machine and this day."""
    return Run(machine(), time.strftime('%Y-%m-%d'), ours=ours)


def machine() -> str:
    """Returns a line that says what this machine is, as far as speed depends on it."""
    lines = list(_lines(Path('/proc/cpuinfo')))
    model = next((text for name, text in lines if name == 'model name'), platform.machine())
    flags = next((text.split() for name, text in lines if name == 'flags'), [])
    vectors = [flag for flag in ('avx2', 'avx512f', 'avx512_bf16', 'amx_bf16') if flag in flags]
    memory = next((text for name, text in _lines(Path('/proc/meminfo')) if name == 'MemTotal'), '0 kB')
    return (f'{model}, {os.cpu_count()} cores ({", ".join(vectors) or "no known vector extensions"}), '
            f'{int(memory.split()[0]) / 2 ** 20:.0f} GiB; Python {platform.python_version()}, '
            f'PyTorch {version("torch")}, transformers {version("transformers")}')


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    if file.is_file():
        for line in file.read_text('utf-8').splitlines():
            name, _, text = line.partition(':')
            yield name.strip(), text.strip()


def _median(values: Iterable[float]) -> float | None:
    numbers = list(values)
    return statistics.median(numbers) if numbers else None
