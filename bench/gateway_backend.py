"""A backend that streams to a thousand clients from one thread, so that it is not what a gateway's figures measure.

Every completion is a stream of --tokens events, one every --interval-s; each event's text is the moment at which it was
sent, in seconds of the clock that all processes of a machine share (`time.monotonic`). Streams begin at a random part
of an interval, as those of real users do. Knows of HTTP only what gateways send it: one request at a time on a
connection.
"""

import asyncio
import json
import random
import time

import click

MODEL = 'stub'
LISTING = json.dumps({'object': 'list', 'data': [{
    'id': MODEL, 'object': 'model', 'created': 0, 'owned_by': 'bench', 'root': MODEL, 'description': '',
    'max_model_len': 4096, 'status': 'ready', 'capabilities': []}]}).encode()
STREAM_HEAD = b'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n'
JSON_HEAD = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n'
EVENT = (b'data: {"id":"cmpl-0123456789abcdef01234567","object":"text_completion","created":1700000000,"model":"stub",'
         b'"system_fingerprint":"fp_bench","choices":[{"text":" %017.6f","index":0,"logprobs":null,'
         b'"finish_reason":null}]}\n\n')
DONE = b'data: [DONE]\n\n'


class Connection(asyncio.Protocol):
    """One connection of a gateway."""

    def __init__(self, tokens: int, interval_s: float) -> None:
        self._tokens = tokens
        self._interval_s = interval_s
        self._received = b''
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        assert self._transport is not None
        self._received += data
        head, end, body = self._received.partition(b'\r\n\r\n')
        length = head.lower().partition(b'content-length:')[2].split(b'\r\n')[0]
        if not end or len(body) < int(length or 0):
            return
        self._received = b''
        if head.startswith(b'POST /v1/completions '):
            self._transport.write(STREAM_HEAD)
            loop = asyncio.get_running_loop()
            due_s = loop.time() + self._interval_s * random.random()
            self._timer = loop.call_at(due_s, self._send_event, self._tokens, due_s)
        else:
            body = LISTING if head.startswith(b'GET /v1/models ') else b'{}'
            self._transport.write(JSON_HEAD % len(body) + body)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        if self._timer is not None:
            self._timer.cancel()

    def _send_event(self, left: int, due_s: float) -> None:
        assert self._transport is not None
        self._write_chunk(EVENT % time.monotonic())
        if left > 1:
            due_s += self._interval_s
            self._timer = asyncio.get_running_loop().call_at(due_s, self._send_event, left - 1, due_s)
            return
        self._write_chunk(DONE)
        self._transport.write(b'0\r\n\r\n')

    def _write_chunk(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(b'%x\r\n%b\r\n' % (len(data), data))


async def serve(port: int, tokens: int, interval_s: float) -> None:
    """Serves until the process ends."""
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(tokens, interval_s), '127.0.0.1', port, backlog=4096)
    await server.serve_forever()


@click.command(help=__doc__)
@click.option('--port', type=int, required=True, help='Port of the loopback address.')
@click.option('--tokens', type=click.IntRange(1), required=True, help='Events of each stream.')
@click.option('--interval-s', type=float, required=True, help='Seconds between them.')
def main(port: int, tokens: int, interval_s: float) -> None:
    """Serves."""
    asyncio.run(serve(port, tokens, interval_s))


if __name__ == '__main__':
    main()
