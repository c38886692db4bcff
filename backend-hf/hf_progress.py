"""How far a download has come, told to whoever waits for it and to the log. Knows the Hub client's progress bars."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from huggingface_hub.utils.tqdm import tqdm as HubBar

from sandle.engine.download import Download
from sandle.engine.runner import Report

logger = logging.getLogger(__name__)

REPORT_INTERVAL_S = 1.0
LOG_INTERVAL_S = 10.0
RATE_REPORTS = 10  # the rate is that since so many reports ago
STORED_BAR = 'huggingface_hub.snapshot_download'  # the client's name of its bar of bytes on disk
RECEIVED_BAR = 'huggingface_hub.snapshot_download.transfer'  # and of its bar of bytes from the network


class Meter:
    """Counts the bytes of one download and reports them about once a second. Used from any thread.

    What a download that was interrupted has left on the disk is stored without being received, so the rate is that of
    bytes received.
    """

    def __init__(self, repo: str, total_bytes: int, report: Report,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._repo = repo
        self._total_bytes = total_bytes
        self._report = report
        self._clock = clock
        self._lock = threading.Lock()
        self._stored = self._received = 0
        self._reports = deque([(clock(), 0)], RATE_REPORTS)  # when, and what had been received by then
        self._due_s = self._log_due_s = 0.0

    def stored(self, count: int) -> None:
        """Counts bytes that are on the disk."""
        with self._lock:
            self._stored += count
            self._tell()

    def received(self, count: int) -> None:
        """Counts bytes that came from the network."""
        with self._lock:
            self._received += count
            self._tell()

    def _tell(self) -> None:
        now_s = self._clock()
        if now_s < self._due_s:
            return
        self._due_s = now_s + REPORT_INTERVAL_S
        since_s, before = self._reports[0]
        self._reports.append((now_s, self._received))
        rate = max(0, self._received - before) / max(now_s - since_s, 0.001)
        download = Download(self._stored, self._total_bytes, rate)
        self._report(download)
        if now_s >= self._log_due_s:
            self._log_due_s = now_s + LOG_INTERVAL_S
            logger.info('%s: %s', self._repo, download)


def progress_class(meter: Meter) -> type[HubBar]:
    """Returns a class that the Hub's client uses for its progress bars, and that tells a meter instead."""
    counts = {STORED_BAR: meter.stored, RECEIVED_BAR: meter.received}

    class Progress(HubBar):
        """Draws nothing."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:  # Any: the client's and tqdm's arguments, passed on
            self._count = counts.get(kwargs.get('name', ''))
            super().__init__(*args, **kwargs | {'disable': True})  # type: ignore[no-untyped-call]  # tqdm has no types

        def update(self, n: float | None = 1) -> None:
            if self._count is not None:
                self._count(int(n or 0))

    return Progress
