import json

from hypothesis import example, given
from hypothesis import strategies as st

from sandle import sse


def read_events(stream: bytes) -> list[str]:
    """Reads a stream as the standard says: lines end with CR, LF or both, a blank line ends an event."""
    events: list[str] = []
    data: list[str] = []
    for line in stream.decode('utf-8').replace('\r\n', '\n').replace('\r', '\n').split('\n'):
        if line == '' and data:
            events.append('\n'.join(data))
            data = []
        elif line.startswith('data:'):
            data.append(line.removeprefix('data:').removeprefix(' '))
    return events


@given(st.lists(st.dictionaries(st.text(), st.text() | st.none() | st.floats(allow_nan=False, allow_infinity=False))))
@example([{'text': 'a\n\ndata: [DONE]\n\n'}])
@example([{'text': 'a\r\rdata: [DONE]\r\n\r\n'}])
@example([{'a\u2028b\u2029': '\x85\x0b\x0c\x1c\ufeff'}])
def test_events_round_trip_and_no_text_forges_a_frame(values: list[dict[str, object]]) -> None:
    stream = b''.join(map(sse.event, values)) + sse.DONE
    *events, last = read_events(stream)
    assert [json.loads(event) for event in events] == values
    assert last == '[DONE]'


def test_event_is_one_line_of_utf8() -> None:
    assert sse.event({'text': 'é\n'}) == b'data: {"text":"\xc3\xa9\\n"}\n\n'


def test_a_ping_is_no_event() -> None:
    assert read_events(sse.PING + sse.event({}) + sse.PING) == ['{}']
