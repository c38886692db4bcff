"""A server's processes: started as a session of their own, so that all of them can be found, measured and ended.

Reads Linux's /proc; on another system nothing is found, and memory is said to be 0.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PROC = Path('/proc')
SESSION_FIELD = 3  # of /proc/PID/stat, counted from the one after the name
CPU_FIELDS = (11, 12)  # user and system time, in ticks
GRACE_S = 15.0


class ProcessTree:
    """A command and whatever it starts. Its output goes to a file."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        self.started_s = time.perf_counter()
        with log.open('wb') as output:
            self._process = subprocess.Popen(command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output,
                                             stderr=subprocess.STDOUT, start_new_session=True)

    def has_ended(self) -> bool:
        """Returns whether the command itself has ended."""
        return self._process.poll() is not None

    def peak_rss_bytes(self) -> int:
        """The most memory that each living process has had resident, added up; pages that they share count again."""
        return 1024 * sum(_status_kib(process, 'VmHWM') for process, _ in self._members())

    def rss_bytes(self) -> int:
        """The memory that is resident now, added up in the same way."""
        return 1024 * sum(_status_kib(process, 'VmRSS') for process, _ in self._members())

    def cpu_s(self) -> float:
        """The CPU seconds that the living processes have used."""
        ticks = sum(int(stat[field]) for _, stat in self._members() for field in CPU_FIELDS)
        return ticks / os.sysconf('SC_CLK_TCK')

    def wait_until_idle(self, timeout_s: float, interval_s: float = 2.0, busy_share: float = 0.1) -> float:
        """Waits until nothing is computed in the background any more and returns the seconds it took.

        Idle is less than `busy_share` of a core over `interval_s`. Gives up after `timeout_s`.
        """
        begun_s = time.perf_counter()
        while time.perf_counter() - begun_s < timeout_s:
            before_s = self.cpu_s()
            time.sleep(interval_s)
            if self.cpu_s() - before_s < busy_share * interval_s:
                break
        return time.perf_counter() - begun_s

    def stop(self) -> None:
        """Asks the command to end, kills whatever of the session is left, and waits until its memory is given back."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_S)
        self.kill()
        self._process.wait()
        until_s = time.perf_counter() + GRACE_S
        while self.rss_bytes() and time.perf_counter() < until_s:
            time.sleep(0.05)  # between two looks

    def kill(self) -> None:
        """Kills every process at once, as the kernel does when memory is short."""
        for process, _ in list(self._members()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process.name), signal.SIGKILL)

    def _members(self) -> Iterator[tuple[Path, list[str]]]:
        """Yields the processes of the session, each with the fields of its stat file that follow the name."""
        for process in PROC.glob('[0-9]*'):
            with contextlib.suppress(OSError):
                stat = (process / 'stat').read_text('utf-8', 'replace').rpartition(') ')[2].split()
                if int(stat[SESSION_FIELD]) == self._process.pid:
                    yield process, stat


def _status_kib(process: Path, name: str) -> int:
    with contextlib.suppress(OSError):
        for line in (process / 'status').read_text('utf-8', 'replace').splitlines():
            if line.startswith(f'{name}:'):
                return int(line.split()[1])
    return 0
