"""Which keys are good, what each may do, and by which name it may be spoken of. Keys are held as SHA-256 digests only.

Knows key files and the key store; knows nothing of HTTP. A key's id is the public part of `sk-<id>-<secret>`, or for
any other key the first eight hex digits of its digest. Keys of the store have a name and those of a file may have one;
the others' name is their id.
"""

import hashlib
import hmac
import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

logger = logging.getLogger(__name__)

KEY = re.compile(r'[!-~]+')  # visible ASCII: what an HTTP header carries unharmed
NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._@-]{0,63}')  # by which logs speak of a key
GENERATED_KEY = re.compile(r'sk-([A-Za-z0-9]{8})-[A-Za-z0-9_-]{43}')
KEY_FILE_NAME = 'generated-key'


@dataclass(frozen=True, slots=True)
class Limits:
    """What a key may use at most; None for no limit. Days are UTC's."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    parallel: int | None = None
    tokens_per_day: int | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """What is kept of a key. `models` is None for all of them, `expires_s` (since 1970) for one that never does."""

    digest: bytes
    id: str
    name: str
    models: frozenset[str] | None = None
    expires_s: float | None = None
    limits: Limits = Limits()

    def may_use(self, model_id: str) -> bool:
        """Whether it opens a model."""
        return self.models is None or model_id in self.models


KeysByDigest = Mapping[bytes, Key]


class BadKeyError(ValueError):
    """A key that cannot be one; the message never holds it."""


def digest(key: str) -> bytes:
    """Returns what is stored of a key. SHA-256 is enough for secrets of this length."""
    return hashlib.sha256(key.encode()).digest()


def key_id(key: str) -> str:
    """Returns the id by which a key appears in logs and as `user`."""
    generated = GENERATED_KEY.fullmatch(key)
    return generated[1] if generated else digest(key).hex()[:8]


def new_key() -> str:
    """Returns a new random key: an id of 8 characters and 256 bits of secret."""
    return f'sk-{secrets.token_hex(4)}-{secrets.token_urlsafe(32)}'


def store(keys: Iterable[str]) -> dict[bytes, Key]:
    """Returns what is kept of keys. Raises BadKeyError."""
    result = {}
    for key in keys:
        if not KEY.fullmatch(key):
            raise BadKeyError('a key must not be empty and must hold visible ASCII characters only, no spaces')
        result[digest(key)] = Key(digest(key), key_id(key), key_id(key))
    return result


def generated_key(state_dir: Path | None) -> tuple[str, bool]:
    """Returns the generated key and whether it is new.

    With a state folder it is kept there, in a file that only its owner can read, and found again. Raises OSError, and
    BadKeyError for a file that holds no key.
    """
    if state_dir is None:
        return new_key(), True
    path = state_dir / KEY_FILE_NAME
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'w', encoding='ascii') as file:
            key = new_key()
            file.write(f'{key}\n')
        return key, True
    except FileExistsError:
        key = path.read_text(encoding='ascii', errors='replace').strip()
        store([key])
        return key, False


def parse_key_file(content: bytes) -> dict[bytes, Key]:
    """Reads a key file: a key a line, or a name and a key; `#` begins a comment line, blank lines are ignored.

    Several keys may have one name. Raises BadKeyError.
    """
    result: dict[bytes, Key] = {}
    for number, line in enumerate(content.decode('utf-8-sig', 'replace').splitlines(), start=1):
        words = line.split()
        if not words:
            logger.warning('line %d of the key file is blank and ignored', number)
        elif not words[0].startswith('#'):
            *names, key = words
            if len(names) > 1 or not all(NAME.fullmatch(name) for name in names):
                raise BadKeyError(f'line {number} of the key file: it must hold a key, or a name and a key')
            try:
                [stored] = store([key]).values()
            except BadKeyError as error:
                raise BadKeyError(f'line {number} of the key file: {error}') from None
            result[stored.digest] = replace(stored, name=names[0]) if names else stored
    return result


class Keys:
    """The keys that open the door: given ones, those of a file, and those of a store; the latter two may change.

    `find` is for any thread; file and store are followed on a thread of its own.
    """

    def __init__(self, given: KeysByDigest, path: Path | None = None,
                 stored: Callable[[], KeysByDigest] | None = None) -> None:
        """Reads the file and, by `stored`, the store. Raises OSError, BadKeyError, and errors of the store."""
        self._given = dict(given)
        self._file = None if path is None else KeyFile(path)
        self._read_store = stored
        self._stored: KeysByDigest = {} if stored is None else stored()
        self._is_store_readable = True
        self._stopped = threading.Event()

    def __len__(self) -> int:
        return len(self._given) + len(self._stored) + (0 if self._file is None else len(self._file.keys))

    def accept(self, key: str) -> None:
        """Takes one more key, before the process serves. Raises BadKeyError."""
        self._given |= store([key])

    def find(self, token: str) -> Key | None:
        """Returns a good key, None for any other token."""
        if not KEY.fullmatch(token):
            return None
        wanted = digest(token)
        for keys in (self._given, {} if self._file is None else self._file.keys, self._stored):
            found = keys.get(wanted)
            if found is not None and hmac.compare_digest(found.digest, wanted):
                return found if found.expires_s is None or time.time() < found.expires_s else None
        return None

    def watch(self, interval_s: float) -> None:
        """Follows changes from now on, each within `interval_s`."""
        if self._file is not None or self._read_store is not None:
            threading.Thread(target=self._run, args=(interval_s / 2,), name='keys', daemon=True).start()

    def stop(self) -> None:
        """Ends the following."""
        self._stopped.set()

    def _run(self, interval_s: float) -> None:
        while not self._stopped.wait(interval_s):
            if self._file is not None:
                self._file.reload()
            if self._read_store is not None:
                self._reload_store(self._read_store)

    def _reload_store(self, read: Callable[[], KeysByDigest]) -> None:
        try:
            stored = read()
        except Exception as error:  # an edge: whatever is wrong with it, the last keys stay good
            if self._is_store_readable:
                logger.error('the key store cannot be read, its last keys stay good: %s', error)
            self._is_store_readable = False
            return
        self._is_store_readable = True
        if stored != self._stored:
            self._stored = stored
            logger.info('the key store has changed: %d keys', len(stored))


class KeyFile:
    """A file of keys that is read again when it has changed. `keys` may be read on any thread."""

    def __init__(self, path: Path) -> None:
        """Reads the file for the first time. Raises OSError and BadKeyError."""
        self._path = path
        self._content = path.read_bytes()
        self._emptied: bytes | None = None
        self._is_readable = True
        self.keys: KeysByDigest = parse_key_file(self._content)

    def reload(self) -> None:
        """Reads the file again; what is wrong with it is logged, and its last keys stay good."""
        try:
            content = self._path.read_bytes()
        except OSError as error:
            if self._is_readable:
                logger.error('the key file cannot be read, its last keys stay good: %s', error.strerror)
            self._is_readable = False
            return
        self._is_readable = True
        if content == self._content:
            return
        if not content.strip() and content != self._emptied:
            self._emptied = content  # an editor may be about to write: believed when it is still so the next time
            return
        self._content = content
        self._emptied = None
        try:
            self.keys = parse_key_file(content)
        except BadKeyError as error:
            logger.error('the changed key file is refused, its last keys stay good: %s', error)
            return
        logger.info('the key file has changed: %d keys', len(self.keys))
