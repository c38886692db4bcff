"""Faults in the bytes of a response: hanging, stalling, cutting, dying, garbling, splitting.

Stands between the application and the server as WSGI middleware, where the application's own good manners end.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from stub_faults import NO_FAULT, Fault

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FAULT_KEY = 'sandle.fault'  # where in the WSGI environment the request's Fault is left
POLL_S = 0.05
SPLIT_INTERVAL_S = 0.002
DEATH_STATUS = 137  # as of a process that was killed
GARBAGE = b'<!DOCTYPE html><html><body><h1>It works!</h1></body></html>'


class FaultMiddleware:
    """Applies the fault that the application has left in the environment to what it returns."""

    def __init__(self, application: 'WSGIApplication', is_stopping: Callable[[], bool]) -> None:
        self._application = application
        self._is_stopping = is_stopping

    def __call__(self, environ: 'WSGIEnvironment', start_response: 'StartResponse') -> Iterable[bytes]:
        started: list[Any] = []  # Any: a status, headers and a traceback, passed on untouched

        def note(*args: Any) -> Callable[[bytes], object]:
            started[:] = args
            return lambda data: None

        body = self._application(environ, note)
        fault: Fault = environ.get(FAULT_KEY, NO_FAULT)
        if fault is NO_FAULT:
            start_response(*started)
            return body
        return self._faulty(environ, start_response, started, body, fault)

    def _faulty(self, environ: 'WSGIEnvironment', start_response: 'StartResponse', started: list[Any],
                body: Iterable[bytes], fault: Fault) -> Iterator[bytes]:
        try:
            if fault.die:
                os._exit(DEATH_STATUS)
            if fault.hang:
                deque(body, maxlen=0)  # the pings of a stream whose engine is silent
                self._wait(environ)
                raise ConnectionAbortedError('a hang was asked for')
            if fault.garbage:
                start_response('200 OK', [('Content-Type', 'text/html')])
                yield GARBAGE
                return
            start_response(*started)
            is_stream = any(name.lower() == 'content-type' and value.startswith('text/event-stream')
                            for name, value in started[1])
            pieces = _split(self._events(environ, body if is_stream else _bytewise(body, fault), fault), fault.split)
            yield from (piece.replace(b'\n', b'\r\n') for piece in pieces) if fault.crlf and is_stream else pieces
        finally:
            if hasattr(body, 'close'):
                body.close()

    def _events(self, environ: 'WSGIEnvironment', body: Iterable[bytes], fault: Fault) -> Iterator[bytes]:
        """Yields a body's pieces, which are a stream's events, until one of the faults is due."""
        count = 0
        for piece in body:
            if count == fault.stall_after:
                self._wait(environ)
            if count in (fault.cut_after, fault.stall_after):
                raise ConnectionAbortedError('a cut was asked for')  # closes the connection without the last chunk
            if count == fault.die_after:
                time.sleep(0.1)  # for what was written to leave
                os._exit(DEATH_STATUS)
            if count == fault.garbage_after:
                yield b'data: {"choices": [{"text": \n\n'
            count += 1
            yield piece

    def _wait(self, environ: 'WSGIEnvironment') -> None:
        """Waits until the client has gone or the process ends."""
        is_gone = environ.get('waitress.client_disconnected', lambda: True)
        while not is_gone() and not self._is_stopping():
            time.sleep(POLL_S)


def _bytewise(body: Iterable[bytes], fault: Fault) -> Iterator[bytes]:
    """An unstreamed body comes whole, so faults in its middle count bytes."""
    if fault.cut_after is None and fault.stall_after is None and fault.die_after is None:
        yield from body
        return
    for piece in body:
        for start in range(len(piece)):
            yield piece[start:start + 1]


def _split(pieces: Iterator[bytes], size: int | None) -> Iterator[bytes]:
    if size is None:
        yield from pieces
        return
    for piece in pieces:
        for start in range(0, len(piece), size):
            yield piece[start:start + size]
            time.sleep(SPLIT_INTERVAL_S)
