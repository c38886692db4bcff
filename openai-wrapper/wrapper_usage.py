"""What every key has used: requests and tokens a key, model and day (UTC), kept in an SQLite file of its own.

Counting never waits for the disk: a thread writes what has been gathered, once a second. When that fails (a full disk),
answers go on, what was counted stays in memory, and it is tried again. Several processes may share the file.
"""

import datetime
import json
import logging
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

FILE_NAME = 'usage.sqlite3'
WRITE_INTERVAL_S = 1.0
BUSY_TIMEOUT_S = 5.0
SCHEMA = """
    CREATE TABLE IF NOT EXISTS usage (
        key TEXT NOT NULL, model TEXT NOT NULL, day TEXT NOT NULL,
        requests INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
        PRIMARY KEY (key, day, model)
    ) STRICT, WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request, or of many."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    requests: int = 1

    @property
    def tokens(self) -> int:
        """Tokens in all."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: 'Usage') -> 'Usage':
        return Usage(self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens,
                     self.requests + other.requests)


NOTHING = Usage(0, 0, 0)


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What a key has used of a model on a day (`2027-01-31`)."""

    key: str
    model: str
    day: str
    usage: Usage


def find_usage(answer: bytes) -> Usage | None:
    """Returns the last usage that an answer tells, a whole one or an event of a stream; None if it tells none.

    Looked for from the end, without reading the whole: inside a JSON string the quotation marks would be escaped.
    """
    place = len(answer)
    while (place := answer.rfind(b'"usage"', 0, place)) >= 0:
        rest = answer[place + len(b'"usage"'):].lstrip()
        try:
            value, _ = json.JSONDecoder().raw_decode(rest.removeprefix(b':').lstrip().decode('utf-8', 'replace'))
            return Usage(int(value['prompt_tokens']), int(value.get('completion_tokens') or 0))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue
    return None


def today() -> str:
    """Returns the day in UTC."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


class UsageBook:
    """Counts, and writes down. Used from any thread."""

    def __init__(self, state_dir: Path | None) -> None:
        """Without a folder nothing outlives the process."""
        self._path = None if state_dir is None else state_dir / FILE_NAME
        self._lock = threading.Lock()
        self._writing = threading.Lock()  # two at once would write the same counts twice
        self._unwritten: defaultdict[tuple[str, str, str], Usage] = defaultdict(lambda: NOTHING)
        self._written: dict[str, int] = {}  # tokens of today by key, as the file has them
        self._written_day = ''
        self._is_writable = True
        self._stopped = threading.Event()

    def start(self) -> None:
        """Reads what today has seen, and begins to write."""
        self.write()
        threading.Thread(target=self._run, name='usage', daemon=True).start()

    def stop(self) -> None:
        """Writes what is left."""
        self._stopped.set()
        self.write()

    def add(self, key: str, model: str, usage: Usage) -> None:
        """Counts a request."""
        with self._lock:
            self._unwritten[key, model, today()] += usage

    def tokens_today(self, key: str) -> int:
        """Returns the tokens that a key has used today: by every process that shares the file, as of a second ago."""
        day = today()
        with self._lock:
            fresh = sum(usage.tokens for (owner, _, when), usage in self._unwritten.items()
                        if owner == key and when == day)
            return fresh + (self._written.get(key, 0) if self._written_day == day else 0)

    def rows(self, key: str | None = None, since: str = '') -> list[UsageRow]:
        """Returns what was used from a day on, by one key or by all, the latest day first. Raises sqlite3.Error."""
        self.write()
        found = {(row.key, row.model, row.day): row.usage for row in self._read(key, since)}
        with self._lock:  # what could not be written
            for (owner, model, day), usage in self._unwritten.items():
                if day >= since and key in (None, owner):
                    found[owner, model, day] = found.get((owner, model, day), NOTHING) + usage
        return [UsageRow(*place, usage) for place, usage in sorted(
            found.items(), key=lambda item: (item[0][2], item[0][0], item[0][1]), reverse=True)]

    def write(self) -> None:
        """Brings the file up to date; a failure is logged, and tried again the next time."""
        if self._path is not None:
            with self._writing:
                self._write_pending(self._path)

    def _write_pending(self, path: Path) -> None:
        with self._lock:
            pending = dict(self._unwritten)
        try:
            totals, day = self._write(path, pending), today()
        except (sqlite3.Error, OSError) as error:
            if self._is_writable:
                logger.error('usage cannot be written, it is kept in memory: %s', error)
            self._is_writable = False
            return
        self._is_writable = True
        with self._lock:
            for place, usage in pending.items():
                left = self._unwritten[place] + Usage(-usage.prompt_tokens, -usage.completion_tokens, -usage.requests)
                self._unwritten[place] = left
                if left == NOTHING:
                    del self._unwritten[place]
            self._written, self._written_day = totals, day

    @property
    def is_writable(self) -> bool:
        """Whether the last attempt to write succeeded."""
        return self._is_writable

    def _run(self) -> None:
        while not self._stopped.wait(WRITE_INTERVAL_S):
            self.write()

    def _write(self, path: Path, pending: dict[tuple[str, str, str], Usage]) -> dict[str, int]:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
        with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as database:
            database.execute('PRAGMA journal_mode = WAL')
            database.execute('PRAGMA synchronous = NORMAL')
            database.execute(SCHEMA)
            if pending:
                database.execute('BEGIN IMMEDIATE')
                database.executemany(
                    'INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET '
                    'requests = requests + excluded.requests, prompt_tokens = prompt_tokens + excluded.prompt_tokens, '
                    'completion_tokens = completion_tokens + excluded.completion_tokens',
                    [(*place, usage.requests, usage.prompt_tokens, usage.completion_tokens)
                     for place, usage in pending.items()])
                database.execute('COMMIT')
            return dict(database.execute('SELECT key, sum(prompt_tokens + completion_tokens) FROM usage WHERE day = ? '
                                         'GROUP BY key', (today(),)).fetchall())

    def _read(self, key: str | None, since: str) -> Iterator[UsageRow]:
        if self._path is None or not self._path.exists():
            return
        with closing(sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S)) as database:
            for owner, model, day, requests, prompt_tokens, completion_tokens in database.execute(
                    'SELECT * FROM usage WHERE day >= ?1 AND (?2 IS NULL OR key = ?2)', (since, key)):
                yield UsageRow(owner, model, day, Usage(prompt_tokens, completion_tokens, requests))
