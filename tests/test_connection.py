"""What a connection writes leaves at once where it can, and in order where it cannot."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from waitress.adjustments import Adjustments

from sandle.connection import Channel

HEADERS = [('Content-Type', 'text/plain')]


class Server:
    """What a channel asks of its listener."""

    def __init__(self, application: Callable[..., list[bytes]]) -> None:
        self.application = application
        self.adj = Adjustments()
        self.active_channels: dict[int, Channel] = {}
        self.effective_port = 80
        self.server_name = 'test'

    def add_task(self, channel: Channel) -> None:
        """The test serves."""

    def pull_trigger(self) -> None:
        """There is no loop to wake."""


class Sent:
    """Takes the place of a channel's `send`: takes so many bytes each time, None for an error."""

    def __init__(self, *takes: int | None) -> None:
        self._takes = list(takes)
        self.pieces: list[bytes] = []

    def __call__(self, data: bytes, do_close: bool = True) -> int:
        take = self._takes.pop(0) if self._takes else len(data)
        if take is None:
            raise OSError('no route')
        self.pieces.append(bytes(data[:take]))
        return min(take, len(data))

    @property
    def whole(self) -> bytes:
        """All that was taken."""
        return b''.join(self.pieces)


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def channel_with(sock: socket.socket, sent: Sent, application: Callable[..., list[bytes]]) -> Channel:
    channel = Channel(Server(application), sock, ('127.0.0.1', 1), Adjustments(), map={})
    channel.send = sent  # type: ignore[method-assign]  # asyncore's, which the socket's take the place of
    return channel


def serve(channel: Channel) -> None:
    """Lets a channel answer a request."""
    channel.received(b'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    channel.service()


def hello(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    start_response('200 OK', [*HEADERS, ('Content-Length', '5')])
    return [b'hello']


def test_head_and_body_leave_in_one_piece(sockets: tuple[socket.socket, socket.socket]) -> None:
    sent = Sent()
    serve(channel_with(sockets[0], sent, hello))
    assert len(sent.pieces) == 1
    assert sent.whole.startswith(b'HTTP/1.1 200 OK\r\n') and sent.whole.endswith(b'\r\n\r\nhello')


def test_a_stream_leaves_event_by_event(sockets: tuple[socket.socket, socket.socket]) -> None:
    def stream(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        start_response('200 OK', HEADERS)
        return [b'one', b'two']

    sent = Sent()
    serve(channel_with(sockets[0], sent, stream))
    assert [piece.rpartition(b'\r\n\r\n')[2] for piece in sent.pieces[:2]] == [b'3\r\none\r\n', b'3\r\ntwo\r\n']
    assert sent.pieces[2:] == [b'0\r\n\r\n']


@pytest.mark.parametrize('takes', [(3,), (0,), (0, 0, 0, 0), (3, 0, 1, 0)])
def test_what_does_not_leave_at_once_keeps_its_order(sockets: tuple[socket.socket, socket.socket],
                                                     takes: tuple[int, ...]) -> None:
    sent = Sent(*takes)
    channel = channel_with(sockets[0], sent, hello)
    for piece in (b'first ', b'second ', b'third'):
        assert channel.write_soon(piece) == len(piece)
    while channel.total_outbufs_len:
        channel.handle_write()  # as the loop does
    assert sent.whole == b'first second third'


def test_an_error_is_waitresss_to_meet(sockets: tuple[socket.socket, socket.socket]) -> None:
    channel = channel_with(sockets[0], Sent(None, None), hello)
    channel.write_soon(b'lost')
    assert channel.will_close
