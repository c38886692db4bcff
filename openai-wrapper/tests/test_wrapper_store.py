"""The key store: what is made of a key, and what is left of it after rotation, revocation and time."""

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.end_to_end.scripted_backend import wait_for
from wrapper_keys import Key, Keys, digest
from wrapper_store import FILE_NAME, KeyStore, StoreError


@pytest.fixture
def keys(tmp_path: Path) -> KeyStore:
    """An empty store in a folder that does not exist yet."""
    return KeyStore(tmp_path / 'state')


def found(keys: KeyStore, secret: str) -> Key | None:
    """Returns what the door makes of a secret."""
    return Keys({}, None, keys.good_keys).find(secret)


def test_secret_opens_what_its_key_was_given(keys: KeyStore) -> None:
    secret = keys.create('alice', models=['a', 'org/b'])
    key = found(keys, secret)
    assert key is not None and key.name == 'alice' and key.id == secret.split('-')[1]
    assert key.may_use('org/b') and not key.may_use('c')
    assert found(keys, secret + 'x') is None and found(keys, 'alice') is None
    other = found(keys, keys.create('bob'))
    assert other is not None and other.may_use('c')


def test_file_holds_no_secret_and_is_its_owners_alone(keys: KeyStore) -> None:
    secret = keys.create('alice')
    assert keys.path.stat().st_mode & 0o777 == 0o600 and keys.path.parent.stat().st_mode & 0o777 == 0o700
    stored = b''.join(path.read_bytes() for path in keys.path.parent.iterdir())
    assert secret.split('-', 2)[2].encode() not in stored and digest(secret) in stored


def test_rotation_keeps_the_old_secret_for_its_overlap(keys: KeyStore) -> None:
    first = keys.create('alice', models=['a'])
    second = keys.rotate('alice', overlap_s=60)
    assert found(keys, first) and found(keys, second)
    assert keys.entries()[0].ids == (first.split('-')[1], second.split('-')[1])
    third = keys.rotate('alice')
    assert found(keys, first) is None and found(keys, second) is None
    key = found(keys, third)
    assert key is not None and key.models == frozenset({'a'}) and keys.entries()[0].ids == (third.split('-')[1],)


def test_rotation_never_lengthens_a_life(keys: KeyStore) -> None:
    first = keys.create('alice')
    keys.rotate('alice')
    keys.rotate('alice', overlap_s=60)
    assert found(keys, first) is None


def test_revoked_key_is_closed_with_all_its_secrets_and_keeps_its_name(keys: KeyStore) -> None:
    secrets = [keys.create('alice'), keys.rotate('alice', overlap_s=60)]
    keys.revoke('alice')
    assert [found(keys, secret) for secret in secrets] == [None, None]
    assert keys.entries()[0].state(time.time()) == 'revoked'
    for change in (keys.rotate, keys.create):
        with pytest.raises(StoreError, match='alice'):
            change('alice')


def test_key_ends_by_itself(keys: KeyStore) -> None:
    secret = keys.create('alice', expires_s=time.time() + 0.3)
    door = Keys({}, None, keys.good_keys)
    assert door.find(secret)
    assert wait_for(lambda: door.find(secret) is None, 2.0)
    assert keys.entries()[0].state(time.time()) == 'expired'


@pytest.mark.parametrize('name', ['', ' ', 'a b', '-a', 'a\n', 'ä', 'x' * 65, "a'; DROP TABLE keys; --"])
def test_names_that_would_spoil_a_log_are_refused(keys: KeyStore, name: str) -> None:
    with pytest.raises(StoreError, match='no name'):
        keys.create(name)
    assert keys.entries() == []


def test_unknown_names_are_told(keys: KeyStore) -> None:
    for change in (keys.rotate, keys.revoke):
        with pytest.raises(StoreError, match='no key named nobody'):
            change('nobody')


def test_reading_makes_no_file(keys: KeyStore) -> None:
    assert keys.entries() == [] and keys.good_keys() == {}
    assert not keys.path.exists()


def test_changes_of_another_process_are_followed_and_trouble_locks_nobody_out(
        keys: KeyStore, caplog: pytest.LogCaptureFixture) -> None:
    door = Keys({}, None, keys.good_keys)
    door.watch(0.1)
    try:
        script = ('import sys; sys.path[:0] = sys.argv[1:3]\nimport pathlib, wrapper_store\n'
                  'print(wrapper_store.KeyStore(pathlib.Path(sys.argv[3])).create("alice"))')
        here = Path(__file__).resolve().parents[1]
        secret = subprocess.run([sys.executable, '-c', script, str(here), str(here.parent), str(keys.path.parent)],
                                check=True, capture_output=True, text=True).stdout.strip()
        assert wait_for(lambda: door.find(secret) is not None)
        content = keys.path.read_bytes()
        for name in (FILE_NAME, f'{FILE_NAME}-wal', f'{FILE_NAME}-shm'):
            (keys.path.parent / name).unlink(missing_ok=True)
        keys.path.write_bytes(b'no database at all, but long enough to be looked at as one' * 20)
        assert wait_for(lambda: 'key store cannot be read' in caplog.text)
        assert door.find(secret)
        keys.path.write_bytes(content)
        keys.revoke('alice')
        assert wait_for(lambda: door.find(secret) is None)
        assert caplog.text.count('cannot be read') == 1
    finally:
        door.stop()


def test_store_of_a_later_version_is_refused(keys: KeyStore) -> None:
    keys.create('alice')
    with sqlite3.connect(keys.path) as database:
        database.execute('PRAGMA user_version = 99')
    with pytest.raises(StoreError, match='later version'):
        keys.good_keys()
