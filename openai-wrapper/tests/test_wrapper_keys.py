"""Keys, key files and the generated key."""

import logging
import string
import threading
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import wrapper_keys
from tests.end_to_end.scripted_backend import wait_for
from wrapper_keys import BadKeyError, KeyFile, Keys, digest, generated_key, key_id, new_key, parse_key_file, store

SANDLE_TOKEN = 'q83vASNFZ4mrze8BI0VniQ=='  # as the first Sandle generated them


def test_find_knows_a_good_key_from_others() -> None:
    keys = Keys(store(['one', SANDLE_TOKEN]))
    found = keys.find('one')
    assert found is not None and found.name == found.id == key_id('one')
    assert keys.find(SANDLE_TOKEN) is not None
    for token in ('', ' ', 'One', 'one ', 'on', 'onee', 'ké', '\x00', 'one\n'):
        assert keys.find(token) is None


@pytest.mark.parametrize('key', ['', ' ', 'a b', 'ké', 'a\n', '\t', 'a\x00', '\ufeffa'])
def test_store_refuses_what_cannot_be_a_key_and_does_not_repeat_it(key: str) -> None:
    with pytest.raises(BadKeyError) as error:
        store([key])
    assert not key.strip() or key not in str(error.value)


@given(st.text(alphabet=string.ascii_letters + string.punctuation, min_size=1))
@example('sk-12345678-')
def test_key_id_does_not_hold_the_key(key: str) -> None:
    assert len(key_id(key)) == 8
    assert key_id(key) != key


def test_new_key_has_its_id_in_the_open() -> None:
    key = new_key()
    assert wrapper_keys.GENERATED_KEY.fullmatch(key)
    assert key_id(key) == key.split('-')[1]
    assert new_key() != key


def test_key_file_blank_line_is_no_key(caplog: pytest.LogCaptureFixture) -> None:
    """The original made the key "" of it, which let everyone in."""
    stored = parse_key_file(b'\xef\xbb\xbfone\r\n\r\n# a comment\n   \ntwo')
    assert {key.id for key in stored.values()} == {key_id('one'), key_id('two')}
    assert [record.getMessage() for record in caplog.records] == [
        'line 2 of the key file is blank and ignored', 'line 4 of the key file is blank and ignored']


def test_key_file_may_name_its_keys() -> None:
    names = {key.name for key in parse_key_file(b'alice secret-1\n  bob\tsecret-2 \nalice secret-3\nsecret-4').values()}
    assert names == {'alice', 'bob', key_id('secret-4')}
    for line in (b'two words too', b'\xc3\xa9lise secret', b'-x secret', b'name sec\xc3\xa9ret'):
        with pytest.raises(BadKeyError, match='line 2') as error:
            parse_key_file(b'good\n' + line)
        assert 'sec' not in str(error.value)


@given(st.binary(max_size=200))
@example(b'\xff\xfe')
def test_key_file_of_any_bytes_gives_good_keys_or_one_error(content: bytes) -> None:
    try:
        stored = parse_key_file(content)
    except BadKeyError as error:
        assert 'line ' in str(error)
    else:
        assert all(key.id for key in stored.values())


def test_key_file_is_followed_within_its_time(tmp_path: Path) -> None:
    path = tmp_path / 'keys'
    path.write_text('old\n')
    keys = Keys({}, path)
    keys.watch(0.2)
    try:
        path.write_text('new\n')
        assert wait_for(lambda: keys.find('new') is not None, 1.0)
        assert keys.find('old') is None
    finally:
        keys.stop()


def test_key_file_in_error_leaves_the_last_good_keys(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / 'keys'
    path.write_text('good\n')
    keys = Keys({}, path)
    keys.watch(0.04)
    try:
        path.write_text('better\nnot a key\n')
        assert wait_for(lambda: 'refused' in caplog.text)
        assert keys.find('good') and not keys.find('better') and 'not a key' not in caplog.text
        path.unlink()
        assert wait_for(lambda: 'cannot be read' in caplog.text)
        assert keys.find('good')
        path.write_text('better\n')
        assert wait_for(lambda: keys.find('better') is not None)
        assert caplog.text.count('cannot be read') == 1
    finally:
        keys.stop()


def test_key_file_emptied_for_a_moment_locks_nobody_out(tmp_path: Path) -> None:
    """An editor that truncates and then writes must not; an operator who empties the file must be obeyed."""
    path = tmp_path / 'keys'
    path.write_text('key\n')
    file = KeyFile(path)
    path.write_text('')
    file.reload()
    assert len(file.keys) == 1
    path.write_text('key\nother\n')
    file.reload()
    assert len(file.keys) == 2
    path.write_text('')
    file.reload()
    file.reload()
    assert not file.keys


def test_generated_key_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    state_dir = tmp_path / 'a' / 'state'
    key, is_new = generated_key(state_dir)
    path = state_dir / wrapper_keys.KEY_FILE_NAME
    assert is_new and path.read_text() == f'{key}\n' and path.stat().st_mode & 0o777 == 0o600
    assert generated_key(state_dir) == (key, False)


def test_generated_key_file_without_a_key_is_an_error(tmp_path: Path) -> None:
    (tmp_path / wrapper_keys.KEY_FILE_NAME).write_text('\n')
    with pytest.raises(BadKeyError):
        generated_key(tmp_path)


def test_keys_may_be_asked_for_while_the_file_changes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    path = tmp_path / 'keys'
    path.write_text('constant\n')
    file = KeyFile(path)
    missed = threading.Event()

    def look() -> None:
        for _ in range(2000):
            if digest('constant') not in file.keys:
                missed.set()

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(50):
        path.write_text(f'constant\nk{number}\n')
        file.reload()
    for thread in threads:
        thread.join()
    assert not missed.is_set()
