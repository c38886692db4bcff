"""How far a download has come, told to whoever waits for it and to the log. Knows the Hub client's progress bars."""

import logging
import time
from collections.abc import Callable
from typing import Any

from huggingface_hub.utils.tqdm import tqdm as HubBar

from sandle.checkpoint import gib

logger = logging.getLogger(__name__)

Report = Callable[[str], None]

REPORT_INTERVAL_S = 1.0
LOG_INTERVAL_S = 10.0
BYTES_BAR = 'huggingface_hub.snapshot_download'  # the client's name of its bar of bytes on disk


def progress_class(repo: str, total: int, report: Report) -> type[HubBar]:
    """Returns a class that the Hub's client uses for its progress bars, and that tells `report` and the log instead."""

    class Progress(HubBar):
        """Draws nothing. Of the client's bars, the one that counts bytes written to disk is told."""

        started_s = time.monotonic()
        reported_s = logged_s = 0.0

        def __init__(self, *args: Any, **kwargs: Any) -> None:  # Any: the client's and tqdm's arguments, passed on
            self._is_told = kwargs.get('name') == BYTES_BAR
            self._done = 0
            super().__init__(*args, **kwargs | {'disable': True})  # type: ignore[no-untyped-call]  # tqdm has no types

        def update(self, n: float | None = 1) -> None:
            self._done += int(n or 0)
            now_s = time.monotonic()
            if not self._is_told or now_s - Progress.reported_s < REPORT_INTERVAL_S:
                return
            Progress.reported_s = now_s
            line = progress_line(self._done, total, now_s - Progress.started_s)
            report(line)
            if now_s - Progress.logged_s >= LOG_INTERVAL_S:
                Progress.logged_s = now_s
                logger.info('%s: %s', repo, line)

    return Progress


def progress_line(done: int, total: int, elapsed_s: float) -> str:
    """Returns bytes, total, rate and the time that the rest takes at that rate, for people."""
    rate = done / max(elapsed_s, 0.001)
    line = f'downloading: {gib(done)} of {gib(total)}, {rate / 2 ** 20:.1f} MiB/s'
    return line if not done else f'{line}, {_duration(max(0, total - done) / rate)} left'


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return f'{whole} s' if whole < 120 else f'{whole // 60} min' if whole < 7200 else f'{whole / 3600:.1f} h'
