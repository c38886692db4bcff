"""Logging set up alike in every component: one line an event, the request's id in every line of that request."""

import contextvars
import logging

request_id: contextvars.ContextVar[str] = contextvars.ContextVar('request_id', default='-')
FORMAT = '%(asctime)s %(levelname)s [%(request_id)s] %(name)s: %(message)s'
LINE_ENDS = str.maketrans({code: ascii(chr(code))[1:-1] for code in (*range(32), 127, 0x85, 0x2028, 0x2029)})


class OneLineFormatter(logging.Formatter):
    """Adds the request id, and keeps client text from forging lines; a traceback keeps its own lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.request_id = request_id.get()
        record.message = record.message.translate(LINE_ENDS)
        return super().formatMessage(record)


def configure(level: str) -> None:
    """Sends every log line to standard error. `level` is a name such as INFO."""
    handler = logging.StreamHandler()
    handler.setFormatter(OneLineFormatter(FORMAT))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in ('urllib3', 'waitress.queue', 'filelock', 'httpx', 'httpcore'):  # chatty at our levels
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
