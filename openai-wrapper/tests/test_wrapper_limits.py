"""Rates, debts, turns and days."""

import threading
from collections.abc import Callable

import pytest

from sandle import errors
from tests.end_to_end.scripted_backend import wait_for
from wrapper_keys import Key, Limits
from wrapper_limits import Limiter
from wrapper_usage import Usage

ONE = Usage(1, 0)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def limiter(clock: Callable[[], float] = Clock(), today: int = 0, max_waiting: int = 4,
            max_wait_s: float = 5.0) -> Limiter:
    return Limiter(lambda name: today, max_waiting, max_wait_s, clock)


def key(name: str = 'alice', **limits: int) -> Key:
    return Key(b'', 'id', name, limits=Limits(**limits))


def here() -> bool:
    """The client is still there."""
    return False


def test_no_limits_no_headers() -> None:
    door = limiter()
    for _ in range(1000):
        door.admit(key(), here)
    assert door.headers(key()) == {}


def test_requests_come_at_their_rate() -> None:
    clock = Clock()
    door, alice = limiter(clock), key(requests_per_minute=3)
    for left in ('2', '1', '0'):
        door.admit(alice, here).end(ONE)
        assert door.headers(alice)['x-ratelimit-remaining-requests'] == left
    with pytest.raises(errors.RateLimitError) as refused:
        door.admit(alice, here)
    assert refused.value.retry_after_s == 20 and '3 requests a minute' in refused.value.message
    assert door.headers(alice) == {'x-ratelimit-limit-requests': '3', 'x-ratelimit-remaining-requests': '0',
                                   'x-ratelimit-reset-requests': '60.000s'}
    door.admit(key('bob', requests_per_minute=3), here)
    clock.now_s += refused.value.retry_after_s
    door.admit(alice, here)
    with pytest.raises(errors.RateLimitError):
        door.admit(alice, here)


def test_tokens_are_taken_when_they_are_known_and_a_debt_is_paid_by_waiting() -> None:
    clock = Clock()
    door, alice = limiter(clock), key(tokens_per_minute=600)
    ticket = door.admit(alice, here)
    assert door.headers(alice)['x-ratelimit-remaining-tokens'] == '600'
    ticket.end(Usage(500, 300))
    ticket.end(Usage(500, 300))  # is counted once
    assert door.headers(alice)['x-ratelimit-remaining-tokens'] == '0'
    with pytest.raises(errors.RateLimitError) as refused:
        door.admit(alice, here)
    assert refused.value.retry_after_s == 21  # until 200 are paid, and one is there
    clock.now_s += 21
    door.admit(alice, here)


def test_a_changed_limit_is_in_force_at_once() -> None:
    door = limiter()
    door.admit(key(requests_per_minute=1), here)
    with pytest.raises(errors.RateLimitError):
        door.admit(key(requests_per_minute=1), here)
    door.admit(key(requests_per_minute=2), here)
    door.admit(key(), here)


def test_day_is_over_when_its_tokens_are() -> None:
    limiter(today=99).admit(key(tokens_per_day=100), here)
    with pytest.raises(errors.RateLimitError, match='tokens of today') as refused:
        limiter(today=100).admit(key(tokens_per_day=100), here)
    assert refused.value.retry_after_s is not None and 1 <= refused.value.retry_after_s <= 86400


def test_request_beyond_the_parallel_ones_waits_for_its_turn() -> None:
    door, alice = limiter(), key(parallel=2)
    first, _ = door.admit(alice, here), door.admit(alice, here)
    admitted = threading.Event()

    def wait() -> None:
        door.admit(alice, here)
        admitted.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    door.admit(key('bob', parallel=2), here)  # is not held up by alice
    assert not admitted.wait(0.3)
    first.end(ONE)
    assert admitted.wait(2.0)
    waiting.join()


def test_waiting_ends_with_patience_the_client_or_the_room() -> None:
    alice = key(parallel=1)
    door = limiter(max_wait_s=0.3, max_waiting=1)
    door.admit(alice, here)
    with pytest.raises(errors.RateLimitError, match='1 requests at once'):
        door.admit(alice, here)
    with pytest.raises(errors.ClientGoneError):
        door.admit(alice, lambda: True)
    door = limiter(max_wait_s=5.0, max_waiting=1)
    ticket = door.admit(alice, here)
    waiting = threading.Thread(target=door.admit, args=(alice, here))
    waiting.start()
    assert wait_for(lambda: door._waiting == 1)
    with pytest.raises(errors.QueueFullError):
        door.admit(alice, here)
    ticket.end(ONE)
    waiting.join(5.0)
    assert not waiting.is_alive()
