"""How fast and how much a key may ask: requests and tokens a minute, tokens a day. How many at once is the queue's.

Rates are token buckets that hold a minute's worth. What an answer will cost is not known when it begins, so a request
comes in while anything is left, and its cost is taken when it has ended: a bucket may be in debt. Knows keys and
clocks; nothing of HTTP but the headers that tell a client where it stands.
"""

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from sandle import errors
from wrapper_keys import Key
from wrapper_usage import Usage

MINUTE_S = 60.0
DAY_S = 86400.0


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


class Limiter:
    """Lets requests in or refuses them, key by key, at once. Used from any thread."""

    def __init__(self, tokens_today: Callable[[str], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._tokens_today = tokens_today
        self._clock = clock
        self._lock = threading.Lock()
        self._accounts: defaultdict[str, Account] = defaultdict(Account)

    def admit(self, key: Key) -> None:
        """Lets a request in, and counts it. Raises RateLimitError."""
        with self._lock:
            account = self._account(key)
            self._check_tokens(key, account)
            if account.requests is not None:
                self._check(account.requests, 'requests')
                account.requests.take(1, self._clock())

    def check(self, key: Key) -> None:
        """Raises RateLimitError for a request that was let in, if its key has used up its tokens in the meantime."""
        with self._lock:
            self._check_tokens(key, self._account(key))

    def headers(self, key: Key) -> dict[str, str]:
        """Returns the headers that tell a client where its key stands; none for a key without rates."""
        with self._lock:
            account, now_s = self._account(key), self._clock()
            return ({} if account.requests is None else account.requests.headers('requests', now_s)) | (
                {} if account.tokens is None else account.tokens.headers('tokens', now_s))

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

    def _check_tokens(self, key: Key, account: Account) -> None:
        daily = key.limits.tokens_per_day
        if daily is not None and self._tokens_today(key.name) >= daily:
            raise errors.RateLimitError(f'This key has used its {daily} tokens of today (UTC).',
                                        retry_after_s=math.ceil(DAY_S - time.time() % DAY_S))
        if account.tokens is not None:
            self._check(account.tokens, 'tokens')

    def _check(self, bucket: Bucket, unit: str) -> None:
        if (wait_s := bucket.seconds_until(1.0, self._clock())) > 0:
            raise errors.RateLimitError(f'This key may use {bucket.per_minute} {unit} a minute.',
                                        retry_after_s=math.ceil(wait_s))
