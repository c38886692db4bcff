"""Whose turn it is."""

from sandle.engine.waiting import WaitingLine
from tests.engine.stepping import sequence


def line(users: str) -> WaitingLine:
    """A line of sequences, each with its user's letter; '-' names none."""
    waiting = WaitingLine()
    for user in users:
        waiting.add(sequence('a', user=None if user == '-' else user))
    return waiting


def order(waiting: WaitingLine) -> str:
    """Whose sequences are taken, one after the other."""
    return ''.join(waiting.take().user or '-' for _ in range(len(waiting)))


def test_users_take_turns() -> None:
    assert order(line('aaabbc')) == 'abcaba'


def test_those_without_a_name_are_one_user() -> None:
    assert order(line('----b-')) == '-b----'


def test_a_users_sequences_keep_their_order() -> None:
    waiting = WaitingLine()
    items = [sequence('a', user='a') for _ in range(3)]
    for item in items:
        waiting.add(item)
    assert [waiting.take() for _ in items] == items


def test_who_comes_back_comes_last() -> None:
    waiting = line('abb')
    assert waiting.take().user == 'a'
    waiting.add(sequence('a', user='a'))
    assert order(waiting) == 'bab'


def test_who_has_left_is_out_of_the_line() -> None:
    waiting = line('aab')
    lost = sequence('a', user='c')
    waiting.add(lost)
    waiting.remove(lost)
    assert len(waiting) == 3
    assert order(waiting) == 'aba'
