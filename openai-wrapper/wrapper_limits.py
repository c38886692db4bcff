"""How fast and how much a key may ask: requests and tokens a minute, tokens a day, requests at once.

Rates are token buckets that hold a minute's worth. What an answer will cost is not known when it begins, so a request
comes in while anything is left, and its cost is taken when it has ended: a bucket may be in debt. Knows keys and
clocks; nothing of HTTP but the headers that tell a client where it stands.
"""

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from sandle import errors
from wrapper_keys import Key
from wrapper_usage import Usage

MINUTE_S = 60.0
DAY_S = 86400.0
LOOK_S = 0.1  # how often a waiting request looks whether its client is still there


class Bucket:
    """So many units a minute, and a minute's worth at once. Not for several threads."""

    def __init__(self, per_minute: int, now_s: float) -> None:
        self.per_minute = per_minute
        self._level = float(per_minute)
        self._at_s = now_s

    def level(self, now_s: float) -> float:
        """Returns what is left; less than zero for a debt."""
        self._level = min(self.per_minute, self._level + (now_s - self._at_s) * self.per_minute / MINUTE_S)
        self._at_s = now_s
        return self._level

    def take(self, count: float, now_s: float) -> None:
        """Takes units, whether they are there or not."""
        self._level = self.level(now_s) - count

    def seconds_until(self, wanted: float, now_s: float) -> float:
        """Returns how long it takes until so many are left."""
        return max(0.0, (wanted - self.level(now_s)) * MINUTE_S / self.per_minute)

    def headers(self, unit: str, now_s: float) -> dict[str, str]:
        """Returns OpenAI's three headers on this bucket."""
        return {f'x-ratelimit-limit-{unit}': str(self.per_minute),
                f'x-ratelimit-remaining-{unit}': str(max(0, math.floor(self.level(now_s)))),
                f'x-ratelimit-reset-{unit}': f'{self.seconds_until(self.per_minute, now_s):.3f}s'}


@dataclass(slots=True)
class Account:
    """Where one key stands. Guarded by the limiter's lock."""

    requests: Bucket | None = None
    tokens: Bucket | None = None
    running: int = 0
    waiting: int = 0
    freed: threading.Condition = field(default_factory=threading.Condition)


class Limiter:
    """Lets requests in or refuses them, key by key. Used from any thread."""

    def __init__(self, tokens_today: Callable[[str], int], max_waiting: int, max_wait_s: float,
                 clock: Callable[[], float] = time.monotonic) -> None:
        """`max_waiting`: requests that may wait for their key's turn, all keys together, each for `max_wait_s`."""
        self._tokens_today = tokens_today
        self._max_waiting = max_waiting
        self._max_wait_s = max_wait_s
        self._clock = clock
        self._lock = threading.Lock()
        self._accounts: dict[str, Account] = defaultdict(lambda: Account(freed=threading.Condition(self._lock)))
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """Requests that wait for their key's turn."""
        return self._waiting

    def admit(self, key: Key, is_gone: Callable[[], bool]) -> 'Ticket':
        """Returns when the request may begin; a key with as many running as it may have waits for one to end.

        Raises RateLimitError, QueueFullError, ClientGoneError.
        """
        with self._lock:
            account = self._account(key)
            self._check_rates(key, account)
            if key.limits.parallel is not None and account.running >= key.limits.parallel:
                self._wait(account, key.limits.parallel, is_gone)
                self._check_rates(key, account)
            if account.requests is not None:
                account.requests.take(1, self._clock())
            account.running += 1
        return Ticket(self, key)

    def headers(self, key: Key) -> dict[str, str]:
        """Returns the headers that tell a client where its key stands; none for a key without rates."""
        with self._lock:
            account, now_s = self._account(key), self._clock()
            return ({} if account.requests is None else account.requests.headers('requests', now_s)) | (
                {} if account.tokens is None else account.tokens.headers('tokens', now_s))

    def end(self, key: Key, usage: Usage) -> None:
        """Takes what a request has cost, and lets the next one of its key in."""
        with self._lock:
            account = self._account(key)
            account.running -= 1
            if account.tokens is not None:
                account.tokens.take(usage.tokens, self._clock())
            account.freed.notify()

    def settle(self, key: Key, usage: Usage) -> None:
        """Takes what a request has cost."""
        with self._lock:
            account = self._account(key)
            if account.tokens is not None:
                account.tokens.take(usage.tokens, self._clock())

    def _account(self, key: Key) -> Account:
        account = self._accounts[key.name]
        account.requests = self._bucket(account.requests, key.limits.requests_per_minute)
        account.tokens = self._bucket(account.tokens, key.limits.tokens_per_minute)
        return account

    def _bucket(self, bucket: Bucket | None, per_minute: int | None) -> Bucket | None:
        """Returns the bucket, or another one where the operator has changed the limit."""
        if per_minute is None:
            return None
        return bucket if bucket is not None and bucket.per_minute == per_minute else Bucket(per_minute, self._clock())

    def _check_rates(self, key: Key, account: Account) -> None:
        now_s = self._clock()
        daily = key.limits.tokens_per_day
        if daily is not None and self._tokens_today(key.name) >= daily:
            raise errors.RateLimitError(f'This key has used its {daily} tokens of today (UTC).',
                                        retry_after_s=math.ceil(DAY_S - time.time() % DAY_S))
        for bucket, wanted, unit in ((account.requests, 1.0, 'requests'), (account.tokens, 1.0, 'tokens')):
            if bucket is not None and (wait_s := bucket.seconds_until(wanted, now_s)) > 0:
                raise errors.RateLimitError(f'This key may use {bucket.per_minute} {unit} a minute.',
                                            retry_after_s=math.ceil(wait_s))

    def _wait(self, account: Account, parallel: int, is_gone: Callable[[], bool]) -> None:
        if self._waiting >= self._max_waiting:
            raise errors.QueueFullError('Too many requests wait for their turn.', retry_after_s=1)
        end_s = time.monotonic() + self._max_wait_s
        self._waiting += 1
        account.waiting += 1
        try:
            while account.running >= parallel:
                if is_gone():
                    raise errors.ClientGoneError('The client has closed its connection.')
                if time.monotonic() >= end_s:
                    raise errors.RateLimitError(f'This key may run {parallel} requests at once.', retry_after_s=1)
                account.freed.wait(LOOK_S)
        finally:
            self._waiting -= 1
            account.waiting -= 1


class Ticket:
    """A request that has been let in."""

    def __init__(self, limiter: Limiter, key: Key) -> None:
        self._limiter = limiter
        self._key: Key | None = key

    def end(self, usage: Usage) -> None:
        """To be called once the request has ended, however. May be called twice."""
        key, self._key = self._key, None
        if key is not None:
            self._limiter.end(key, usage)
