"""Rates, debts and days."""

from collections.abc import Callable

import pytest

from sandle import errors
from wrapper_keys import Key, Limits
from wrapper_limits import Limiter
from wrapper_usage import Usage


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def limiter(clock: Callable[[], float] = Clock(), today: int = 0) -> Limiter:
    return Limiter(lambda name: today, clock)


def key(name: str = 'alice', **limits: int) -> Key:
    return Key(b'', 'id', name, limits=Limits(**limits))


def test_no_limits_no_headers() -> None:
    door = limiter()
    for _ in range(1000):
        door.admit(key())
    assert door.headers(key()) == {}


def test_requests_come_at_their_rate() -> None:
    clock = Clock()
    door, alice = limiter(clock), key(requests_per_minute=3)
    for left in ('2', '1', '0'):
        door.admit(alice)
        assert door.headers(alice)['x-ratelimit-remaining-requests'] == left
    with pytest.raises(errors.RateLimitError) as refused:
        door.admit(alice)
    assert refused.value.retry_after_s == 20 and '3 requests a minute' in refused.value.message
    assert door.headers(alice) == {'x-ratelimit-limit-requests': '3', 'x-ratelimit-remaining-requests': '0',
                                   'x-ratelimit-reset-requests': '60.000s'}
    door.admit(key('bob', requests_per_minute=3))
    clock.now_s += refused.value.retry_after_s
    door.admit(alice)
    with pytest.raises(errors.RateLimitError):
        door.admit(alice)


def test_tokens_are_taken_when_they_are_known_and_a_debt_is_paid_by_waiting() -> None:
    clock = Clock()
    door, alice = limiter(clock), key(tokens_per_minute=600)
    door.admit(alice)
    assert door.headers(alice)['x-ratelimit-remaining-tokens'] == '600'
    door.settle(alice, Usage(500, 300))
    assert door.headers(alice)['x-ratelimit-remaining-tokens'] == '0'
    with pytest.raises(errors.RateLimitError) as refused:
        door.admit(alice)
    assert refused.value.retry_after_s == 21  # until 200 are paid, and one is there
    clock.now_s += 21
    door.admit(alice)


def test_a_changed_limit_is_in_force_at_once() -> None:
    door = limiter()
    door.admit(key(requests_per_minute=1))
    with pytest.raises(errors.RateLimitError):
        door.admit(key(requests_per_minute=1))
    door.admit(key(requests_per_minute=2))
    door.admit(key())


def test_day_is_over_when_its_tokens_are() -> None:
    limiter(today=99).admit(key(tokens_per_day=100))
    with pytest.raises(errors.RateLimitError, match='tokens of today') as refused:
        limiter(today=100).admit(key(tokens_per_day=100))
    assert refused.value.retry_after_s is not None and 1 <= refused.value.retry_after_s <= 86400
