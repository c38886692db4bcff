"""HTTP/1.1 as a backend speaks it: the request's bytes, and the response read from bytes as they come.

llhttp, by way of httptools, does the parsing, and is strict about framing. Knows HTTP; nothing of sockets or of what
is said.
"""

from collections.abc import Mapping

import httptools

MAX_HEAD_BYTES = 64 * 1024  # of a response, interim ones included; llhttp itself has no limit
INTERIM = range(100, 200)
SWITCHING_PROTOCOLS = 101


class NotHttpError(Exception):
    """What came is not an HTTP response to what was asked."""


def request_bytes(method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """Returns a request as it goes out. Raises ValueError for a line end where none may be."""
    lines = [f'{method} {target} HTTP/1.1', *(f'{name}: {value}' for name, value in headers.items())]
    if body is not None:
        lines.append(f'Content-Length: {len(body)}')
    head = '\r\n'.join(lines)
    if head.count('\n') != len(lines) - 1 or head.count('\r') != len(lines) - 1:
        raise ValueError('a line end in the head of a request')
    return b'%b\r\n\r\n%b' % (head.encode('latin-1'), body or b'')


class ResponseReader:
    """Reads the responses of one connection, one after the other. Not for several threads.

    Names of headers are in lower case; of several of one name the first counts.
    """

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """Expects the response to another request."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.has_head = False
        self.is_complete = False
        self._fed = 0
        self._body: list[bytes] = []
        self._is_interim = False
        self._is_reusable = False

    @property
    def is_reusable(self) -> bool:
        """Whether the connection may carry another request, now that the response is complete."""
        return self.is_complete and self._is_reusable

    @property
    def is_silent(self) -> bool:
        """Whether nothing has come yet."""
        return not self._fed

    def feed(self, data: bytes) -> bytes:
        """Takes what has come; returns what it holds of the body. Raises NotHttpError."""
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.is_complete:
                raise NotHttpError(str(error)) from error
            self._is_reusable = False  # something unasked after it
        if not self.has_head and self._fed > MAX_HEAD_BYTES:
            raise NotHttpError('the head is too large')
        body = b''.join(self._body)
        self._body.clear()
        return body

    def end(self) -> None:
        """Is told that the connection has ended, as some responses do."""
        framed = self.headers.keys() & {'content-length', 'transfer-encoding'}
        self.is_complete = self.is_complete or self.has_head and not framed

    def on_message_begin(self) -> None:
        """See httptools, as for the others."""
        if self.is_complete:
            raise NotHttpError('a response that was not asked for')

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:  # a trailer is none of it
            self.headers.setdefault(name.decode('latin-1').lower(), value.decode('latin-1'))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status == SWITCHING_PROTOCOLS:
            raise NotHttpError('another protocol')
        self._is_interim = self.status in INTERIM
        self.has_head = not self._is_interim
        self._is_reusable = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._is_interim:
            self.headers = {}
        else:
            self.is_complete = True
