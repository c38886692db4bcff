"""GET /v1/usage: what the key at hand may use, and what it has used."""

import datetime
import sqlite3
from dataclasses import asdict

import flask

from sandle import errors, protocol
from wrapper_access import record
from wrapper_keys import Key
from wrapper_usage import UsageBook


def add_usage(app: flask.Flask, book: UsageBook) -> None:
    """Adds the route."""

    def get_usage() -> flask.Response:
        """Of the days asked for."""
        days = flask.request.args.get('days', '30')
        if not days.isdecimal() or not 1 <= len(days) <= 5 or int(days) < 1:
            raise errors.InvalidRequestError('days must be a number from 1 to 99999.', param='days')
        key = record().key
        assert key is not None, 'the route needs a key'
        return flask.Response(_report(book, key, int(days)).model_dump_json(), mimetype='application/json')

    app.add_url_rule('/v1/usage', view_func=get_usage)


def _report(book: UsageBook, key: Key, days: int) -> protocol.UsageReport:
    """Returns what a key may use and has used, the latest day first. Raises InternalError."""
    since = (datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days - 1)).isoformat()
    try:
        rows = book.rows(key.name, since)
    except sqlite3.Error as error:
        raise errors.InternalError('The usage cannot be read at the moment.') from error
    return protocol.UsageReport(
        key=key.name, limits=protocol.UsageLimits(**asdict(key.limits)), tokens_today=book.tokens_today(key.name),
        data=[protocol.UsageDay(day=row.day, model=row.model, **asdict(row.usage)) for row in rows])
