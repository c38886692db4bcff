"""Lets requests in by their key's limits, and counts what they have used when they have ended, however they end."""

import datetime
import sqlite3
from collections.abc import Callable
from dataclasses import asdict

import flask

from sandle import app as http
from sandle import errors, protocol
from wrapper_access import Record, record
from wrapper_keys import Key
from wrapper_limits import Limiter, Ticket
from wrapper_usage import NOTHING, UsageBook


class Counter:
    """The limits and the book of usage, as the application needs them."""

    def __init__(self, limiter: Limiter, book: UsageBook) -> None:
        self._limiter = limiter
        self._book = book

    def counted(self, answer: Callable[[], flask.Response]) -> flask.Response:
        """Returns the answer to the request at hand once its key's limits let it in. Raises ApiError."""
        current = record()
        key = current.key
        assert key is not None, 'what is counted needs a key'
        try:
            ticket = self._limiter.admit(key, http.client_disconnected())
        finally:
            current.headers = self._limiter.headers(key)
        try:
            response = answer()
        except BaseException:
            ticket.end(NOTHING)
            raise
        response.call_on_close(lambda: self._end(ticket, key, current))  # also when the client leaves
        return response

    def usage_of(self, key: Key, days: int) -> protocol.UsageReport:
        """Returns what a key may use and has used, the latest day first. Raises InternalError."""
        since = (datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days - 1)).isoformat()
        try:
            rows = self._book.rows(key.name, since)
        except sqlite3.Error as error:
            raise errors.InternalError('The usage cannot be read at the moment.') from error
        return protocol.UsageReport(
            key=key.name, limits=protocol.UsageLimits(**asdict(key.limits)),
            tokens_today=self._book.tokens_today(key.name),
            data=[protocol.UsageDay(day=row.day, model=row.model, **asdict(row.usage)) for row in rows])

    def _end(self, ticket: Ticket, key: Key, current: Record) -> None:
        usage = current.cost()
        ticket.end(usage)
        if usage != NOTHING:
            self._book.add(key.name, current.model, usage)
