"""A small application for tests of sandle.server. Its arguments are the limits: bytes of a body, and seconds to drain,
to receive a request and to send."""

import logging
import signal
import sys
import threading
import time
from collections.abc import Iterator

import flask

from sandle import app as http
from sandle import errors, log, server, sse

BIG = 8_000_000
stopped = threading.Event()


def echo() -> dict[str, object]:
    """Returns the JSON of the body."""
    return http.read_json()


def size() -> dict[str, int]:
    """Returns the size of the body."""
    return {'size': len(flask.request.get_data())}


def big() -> str:
    """Returns eight million characters."""
    return 'x' * BIG


def stream() -> flask.Response:
    """Streams `count` numbers, `delay` seconds apart, and a shutdown as an error event."""
    count, delay_s = int(flask.request.args['count']), float(flask.request.args['delay'])

    def body() -> Iterator[bytes]:
        for number in range(count):
            yield sse.event({'number': number})
            if stopped.wait(delay_s):
                yield sse.event(errors.ShuttingDownError('The server is shutting down.').body())
                return
        yield sse.DONE

    return flask.Response(body(), content_type=sse.CONTENT_TYPE)


def wait_for_client() -> str:
    """Waits until the client has gone, and logs that."""
    is_gone = http.client_disconnected()
    while not is_gone():
        time.sleep(0.01)  # between two looks
    logging.getLogger('test').info('the client has gone')
    return ''


def signal_here() -> str:
    """Sends SIGTERM to this thread: the main thread, which waits, is not woken by it."""
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    return ''


def main() -> None:
    """Serves until it is told to stop."""
    log.configure('INFO')
    lifecycle = http.Lifecycle()
    app = http.create_app('served', lifecycle)
    app.add_url_rule('/ready', 'ready', lambda: ({'status': 'test'}, 503 if lifecycle.is_draining else 200))
    for view in (echo, size):
        app.add_url_rule(f'/{view.__name__}', view_func=view, methods=['POST'])
    app.add_url_rule('/stream', view_func=stream)
    app.add_url_rule('/big', view_func=big)
    app.add_url_rule('/wait', view_func=wait_for_client)
    app.add_url_rule('/signal', view_func=signal_here)
    max_body_bytes, drain_timeout_s, receive_timeout_s, send_timeout_s = map(float, sys.argv[1:])
    options = server.ServerOptions('127.0.0.1', 0, int(max_body_bytes), receive_timeout_s, send_timeout_s,
                                   drain_timeout_s)
    server.serve(app, options, 16, lifecycle, stopped.set)


if __name__ == '__main__':
    main()
