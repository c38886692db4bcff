"""What was used is counted, written down, found again, and never lost to a full disk."""

import json
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wrapper_usage
from tests.end_to_end.scripted_backend import wait_for
from wrapper_usage import Usage, UsageBook, find_usage


@given(st.text(), st.integers(0, 10 ** 9), st.integers(0, 10 ** 9))
def test_usage_is_found_whatever_the_answer_says(text: str, prompt_tokens: int, completion_tokens: int) -> None:
    told = {'prompt_tokens': prompt_tokens, 'completion_tokens': completion_tokens, 'details': {'cached': 1}}
    for answer in ({'choices': [{'text': text + '"usage":{"prompt_tokens":7}'}], 'usage': told},
                   {'usage': told, 'choices': [{'text': '"usage": {"prompt_tokens": 8, ' + text}]}):
        assert find_usage(json.dumps(answer).encode()) == Usage(prompt_tokens, completion_tokens)


@pytest.mark.parametrize('answer', [
    b'', b'"usage"', b'{"usage": null}', b'{"usage": {}}', b'{"usage": [1]}', b'{"usage":',
    b'{"usage": {"prompt_tokens": "many"}}', b'{"usage": ' + b'[' * 100_000])
def test_answer_without_usage(answer: bytes) -> None:
    assert find_usage(answer) is None


def test_book_is_found_again_and_shared(tmp_path: Path) -> None:
    first, second = UsageBook(tmp_path / 'state'), UsageBook(tmp_path / 'state')
    first.add('alice', 'm', Usage(10, 5))
    second.add('alice', 'm', Usage(1, 2))
    second.add('bob', 'm', Usage(3, 0))
    first.write()
    second.write()
    first.write()
    assert (first.tokens_today('alice'), second.tokens_today('alice'), first.tokens_today('bob')) == (18, 18, 3)
    [row] = UsageBook(tmp_path / 'state').rows('alice')
    assert (row.key, row.model, row.day, row.usage) == ('alice', 'm', wrapper_usage.today(), Usage(11, 7, 2))
    assert (tmp_path / 'state' / wrapper_usage.FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_days_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = UsageBook(tmp_path)
    for day, tokens in (('2027-01-30', 1), ('2027-01-31', 2), ('2027-02-01', 4)):
        monkeypatch.setattr(wrapper_usage, 'today', lambda day=day: day)
        book.add('alice', 'm', Usage(tokens, 0))
        book.write()
    assert [(row.day, row.usage.tokens) for row in book.rows(since='2027-01-31')] == [
        ('2027-02-01', 4), ('2027-01-31', 2)]
    assert book.tokens_today('alice') == 4


def test_disk_that_takes_nothing_loses_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / wrapper_usage.FILE_NAME
    path.mkdir()  # no file can be opened here, not even by root
    book = UsageBook(tmp_path)
    for _ in range(3):
        book.add('alice', 'm', Usage(1, 1))
        book.write()
    assert not book.is_writable and caplog.text.count('cannot be written') == 1
    assert book.tokens_today('alice') == 6
    path.rmdir()
    book.write()
    assert UsageBook(tmp_path).rows()[0].usage == Usage(3, 3, 3)


def test_without_a_folder_it_counts_in_memory() -> None:
    book = UsageBook(None)
    book.add('alice', 'm', Usage(1, 1))
    book.write()
    assert book.tokens_today('alice') == 2 and book.rows()[0].usage == Usage(1, 1)


def test_nothing_is_lost_or_counted_twice_while_it_is_written(tmp_path: Path) -> None:
    book = UsageBook(tmp_path)

    def count() -> None:
        for _ in range(500):
            book.add('alice', 'm', Usage(1, 0))

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        book.write()
    book.write()
    assert UsageBook(tmp_path).rows()[0].usage == Usage(1500, 0, 1500)


def test_two_that_write_at_once_write_nothing_twice(tmp_path: Path) -> None:
    """As the thread that writes and a user who asks for their usage."""
    book = UsageBook(tmp_path)
    for _ in range(20):
        book.add('alice', 'm', Usage(1, 0))
        threads = [threading.Thread(target=book.write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert UsageBook(tmp_path).rows()[0].usage == Usage(20, 0, 20)


def test_written_by_itself_and_at_the_end(tmp_path: Path) -> None:
    book = UsageBook(tmp_path)
    book.start()
    book.add('alice', 'm', Usage(1, 0))
    assert wait_for(lambda: bool(list(UsageBook(tmp_path)._read(None, ''))), 4.0)
    book.add('alice', 'm', Usage(1, 0))
    book.stop()
    assert next(UsageBook(tmp_path)._read(None, '')).usage == Usage(2, 0, 2)
