"""The key store: named keys with what each may do, in one SQLite file of the state folder. Secrets are kept as digests.

Several processes may use it at once: the wrapper reads it, and the command line changes it while the wrapper runs.
Statements take their values as parameters, always. Knows nothing of HTTP or of the command line.
"""

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from wrapper_keys import NAME, Key, Limits, digest, key_id, new_key

FILE_NAME = 'keys.sqlite3'
BUSY_TIMEOUT_S = 10.0  # to wait for another process that writes
# Each brings the file from the version of its place to the next; PRAGMA user_version has the number of those done.
MIGRATIONS = (
    """
    CREATE TABLE keys (
        name TEXT PRIMARY KEY,
        created_s REAL NOT NULL,
        expires_s REAL,
        revoked_s REAL,
        models TEXT NOT NULL DEFAULT '[]'
    ) STRICT;
    CREATE TABLE secrets (
        digest BLOB PRIMARY KEY,
        id TEXT NOT NULL,
        name TEXT NOT NULL REFERENCES keys (name),
        created_s REAL NOT NULL,
        retired_s REAL
    ) STRICT;
    """,
    """
    ALTER TABLE keys ADD COLUMN requests_per_minute INTEGER;
    ALTER TABLE keys ADD COLUMN tokens_per_minute INTEGER;
    ALTER TABLE keys ADD COLUMN parallel INTEGER;
    ALTER TABLE keys ADD COLUMN tokens_per_day INTEGER;
    """,
)
LIMITS = 'requests_per_minute, tokens_per_minute, parallel, tokens_per_day'


class StoreError(Exception):
    """What was asked of the store cannot be done, in words for the operator."""


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A key as the operator sees it. Times are in seconds since 1970; `models` is empty for all of them.

    `ids` are the public parts of the secrets that are good now: two while a rotation's old one still is.
    """

    name: str
    created_s: float
    expires_s: float | None
    revoked_s: float | None
    models: tuple[str, ...]
    ids: tuple[str, ...]
    limits: Limits

    def state(self, now_s: float) -> str:
        """Returns `active`, `expired` or `revoked`."""
        if self.revoked_s is not None:
            return 'revoked'
        return 'expired' if self.expires_s is not None and self.expires_s <= now_s else 'active'


class KeyStore:
    """The file. Every method opens it anew, so any thread or process may call any of them."""

    def __init__(self, state_dir: Path) -> None:
        """Takes a folder; the file is made by the first change, readable by its owner alone."""
        self.path = state_dir / FILE_NAME
        self._was_there = False

    def create(self, name: str, expires_s: float | None = None, models: Sequence[str] = (),
               limits: Limits = Limits()) -> str:
        """Adds a key and returns its secret, which is never seen again. Raises StoreError."""
        if not NAME.fullmatch(name):
            raise StoreError(f'{name!r} is no name for a key: letters, digits and . _ @ - (at most 64)')
        secret = new_key()
        with self._changing() as database:
            if database.execute('SELECT 1 FROM keys WHERE name = ?', (name,)).fetchone():
                raise StoreError(f'there is a key named {name} already: rotate it, or choose another name')
            database.execute(f'INSERT INTO keys (name, created_s, expires_s, models, {LIMITS}) '
                             'VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
                             (name, time.time(), expires_s, json.dumps(list(models)), *astuple(limits)))
            _add_secret(database, name, secret)
        return secret

    def rotate(self, name: str, overlap_s: float = 0.0) -> str:
        """Gives a key another secret and returns it; those before it stay good for `overlap_s`. Raises StoreError."""
        secret = new_key()
        now_s = time.time()
        with self._changing() as database:
            row = database.execute('SELECT revoked_s FROM keys WHERE name = ?', (name,)).fetchone()
            if row is None:
                raise StoreError(f'there is no key named {name}')
            if row[0] is not None:
                raise StoreError(f'the key {name} is revoked: create another one')
            database.execute('UPDATE secrets SET retired_s = min(coalesce(retired_s, ?1), ?1) WHERE name = ?2',
                             (now_s + overlap_s, name))
            _add_secret(database, name, secret)
        return secret

    def revoke(self, name: str) -> None:
        """Ends a key for ever; its name stays taken, since its past is told by it. Raises StoreError."""
        with self._changing() as database:
            changed = database.execute('UPDATE keys SET revoked_s = coalesce(revoked_s, ?) WHERE name = ?',
                                       (time.time(), name))
            if not changed.rowcount:
                raise StoreError(f'there is no key named {name}')

    def entries(self) -> list[StoredEntry]:
        """Returns every key, the oldest first. Raises StoreError."""
        now_s = time.time()
        with self._reading() as database:
            ids: dict[str, list[str]] = {}
            for name, public in database.execute(
                    'SELECT name, id FROM secrets WHERE retired_s IS NULL OR retired_s > ? ORDER BY created_s',
                    (now_s,)):
                ids.setdefault(name, []).append(public)
            return [StoredEntry(name, created_s, expires_s, revoked_s, tuple(json.loads(models)),
                                tuple(ids.get(name, ())), Limits(*limits))
                    for name, created_s, expires_s, revoked_s, models, *limits in database.execute(
                        f'SELECT name, created_s, expires_s, revoked_s, models, {LIMITS} FROM keys '
                        'ORDER BY created_s, name')]

    def good_keys(self) -> dict[bytes, Key]:
        """Returns by digest what every key that is not revoked may do, and until when. Raises StoreError."""
        with self._reading() as database:
            rows = database.execute(
                f'SELECT digest, id, name, expires_s, retired_s, models, {LIMITS} FROM secrets JOIN keys USING (name) '
                'WHERE revoked_s IS NULL').fetchall()
        return {found: Key(found, public, name, frozenset(json.loads(models)) or None, _earlier(expires_s, retired_s),
                           Limits(*limits))
                for found, public, name, expires_s, retired_s, models, *limits in rows}

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A view of the file as it is at this moment; of an empty one when there has never been one."""
        is_there = self.path.exists()
        if self._was_there and not is_there:
            raise StoreError(f'{self.path} has gone')
        self._was_there = is_there
        with self._opened(str(self.path) if is_there else ':memory:') as database:
            database.execute('BEGIN')
            yield database

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """A change that happens as a whole or not at all."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
        except OSError as error:
            raise StoreError(f'{self.path} cannot be written: {error.strerror}') from None
        with self._opened(str(self.path)) as database:
            database.execute('BEGIN IMMEDIATE')
            yield database
            database.execute('COMMIT')

    @contextmanager
    def _opened(self, path: str) -> Iterator[sqlite3.Connection]:
        database = None
        try:
            database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            database.execute('PRAGMA foreign_keys = ON')
            _migrate(database)
            yield database
        except sqlite3.Error as error:
            raise StoreError(f'{self.path}: {error}') from error
        finally:
            if database is not None:
                database.close()  # what is not committed is undone


def _migrate(database: sqlite3.Connection) -> None:
    """Brings the file to the newest version. Raises StoreError for one of a later Sandle."""
    version = database.execute('PRAGMA user_version').fetchone()[0]
    if version > len(MIGRATIONS):
        raise StoreError('the key store was written by a later version of Sandle')
    if version == len(MIGRATIONS):
        return
    database.execute('PRAGMA journal_mode = WAL')  # the wrapper reads while the command line writes
    database.execute('BEGIN IMMEDIATE')
    for script in MIGRATIONS[database.execute('PRAGMA user_version').fetchone()[0]:]:
        for statement in script.split(';'):  # one by one: executescript would commit by itself
            database.execute(statement)
    database.execute(f'PRAGMA user_version = {len(MIGRATIONS)}')
    database.execute('COMMIT')


def _add_secret(database: sqlite3.Connection, name: str, secret: str) -> None:
    database.execute('INSERT INTO secrets (digest, id, name, created_s) VALUES (?, ?, ?, ?)',
                     (digest(secret), key_id(secret), name, time.time()))


def _earlier(first_s: float | None, second_s: float | None) -> float | None:
    return min((each for each in (first_s, second_s) if each is not None), default=None)
