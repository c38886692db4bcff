"""Logging set up alike in every component: one line an event, the request's id in every line of that request.

A line is text for people, or a JSON object for what gathers logs. Neither lets a client's text forge a line or a field.
"""

import contextvars
import json
import logging
import re
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType

request_id: contextvars.ContextVar[str] = contextvars.ContextVar('request_id', default='-')
TEXT = 'text'
JSON = 'json'
TEXT_LINE = '%(asctime)s %(levelname)s [%(request_id)s] %(name)s: %(message)s'
LINE_ENDS = str.maketrans({code: ascii(chr(code))[1:-1] for code in (*range(32), 127, 0x85, 0x2028, 0x2029)})
PLAIN = re.compile(r'[A-Za-z0-9._:/@%+-]+')  # what needs no quotation marks to be told from what stands around it
CHATTY = ('urllib3', 'waitress.queue', 'filelock', 'httpx', 'httpcore')

Value = str | int | float | None


class Event:
    """A message with fields: as text `what name=value …`, in JSON each under its own name."""

    def __init__(self, what: str, **fields: Value) -> None:
        self.what = what
        self.fields = fields

    def __str__(self) -> str:
        return ' '.join([self.what, *(f'{name}={_shown(value)}' for name, value in self.fields.items())])


class TextFormatter(logging.Formatter):
    """Adds the request id, and keeps a message within its line; a traceback keeps its own lines."""

    def __init__(self) -> None:
        super().__init__(TEXT_LINE)

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.request_id = request_id.get()
        record.message = record.message.translate(LINE_ENDS)
        return super().formatMessage(record)


class JsonFormatter(logging.Formatter):
    """An object a line: time, level, logger, request_id, message, an event's fields, and exception if there is one.

    What is not ASCII is escaped, so that nothing in it ends a line, whoever reads it.
    """

    def format(self, record: logging.LogRecord) -> str:
        current = request_id.get()
        event = record.msg if isinstance(record.msg, Event) else Event(record.getMessage())
        line = event.fields | {
            'time': datetime.fromtimestamp(record.created, UTC).strftime('%Y-%m-%dT%H:%M:%S.%fZ'),
            'level': record.levelname, 'logger': record.name, 'request_id': None if current == '-' else current,
            'message': event.what}
        if record.exc_info:
            line['exception'] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure(level: str, form: str = TEXT) -> None:
    """Sends every log line to standard error. `level` is a name such as INFO, `form` TEXT or JSON.

    Warnings, and what ends a thread or the process, become lines of the log, too.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == JSON else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    logging.captureWarnings(True)
    sys.excepthook = _process_failed
    threading.excepthook = _thread_failed


def _shown(value: Value) -> str:
    match value:
        case None:
            return '-'
        case float():
            return f'{value:.3f}'
        case str() if not PLAIN.fullmatch(value):
            return repr(value)
        case _:
            return str(value)


def _process_failed(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    else:
        logging.getLogger(__name__).critical('the process failed', exc_info=(kind, error, traceback))


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_value is not None and not isinstance(failure.exc_value, SystemExit):
        logging.getLogger(__name__).error('the thread %s failed', failure.thread and failure.thread.name,
                                          exc_info=(failure.exc_type, failure.exc_value, failure.exc_traceback))
