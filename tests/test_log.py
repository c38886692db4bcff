import contextvars
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sandle import log


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook, threading.excepthook
    yield
    root.handlers[:], root.level, sys.excepthook, threading.excepthook = before
    logging.captureWarnings(False)


def formatted(message: object, *args: object, formatter: logging.Formatter = log.TextFormatter()) -> str:
    return formatter.format(logging.LogRecord('a.logger', logging.INFO, __file__, 1, message, args, None))


def as_json(message: object, *args: object) -> dict[str, object]:
    """Returns the object that a line is; it must be one line whoever splits it."""
    line = formatted(message, *args, formatter=log.JsonFormatter())
    assert len(line.splitlines()) == 1 and line.isascii()
    found: dict[str, object] = json.loads(line)
    return found


def failure() -> logging.LogRecord:
    try:
        raise ValueError('bad\nINFO forged')
    except ValueError as error:
        return logging.LogRecord('a', logging.ERROR, __file__, 1, 'it failed', (), (ValueError, error, None))


@given(st.text())
@example('x\n2026-01-01 00:00:00,000 CRITICAL [-] sandle: forged')
@example('a\rb\x0bc\x0cd\x1ce\x85f\u2028g\u2029h\x1b[2Ji')
def test_no_text_forges_a_line(text: str) -> None:
    line = formatted('client said %s', text)
    assert len(line.splitlines()) == 1
    assert not any(ord(character) < 32 or ord(character) == 127 for character in line)


def test_line_ends_are_shown_escaped() -> None:
    assert formatted('%s', 'a\nb\u2028').endswith(r'a.logger: a\nb\u2028')


def test_a_traceback_keeps_its_lines() -> None:
    assert log.TextFormatter().format(failure()).splitlines()[1:] == ['ValueError: bad', 'INFO forged']


def test_a_traceback_is_one_field_in_json() -> None:
    line = json.loads(log.JsonFormatter().format(failure()))
    assert line['message'] == 'it failed' and line['exception'] == 'ValueError: bad\nINFO forged'


@given(st.text())
@example('"}\n{"level": "CRITICAL"}')
def test_no_text_forges_a_json_line(text: str) -> None:
    assert as_json('client said %s', text)['message'] == f'client said {text}'
    line = as_json(log.Event('request', path=text))
    assert line['path'] == text and line['message'] == 'request' and line['level'] == 'INFO'


@given(st.text())
@example("x' status='200")
@example('a b=c')
@example('')
def test_no_text_forges_a_field(text: str) -> None:
    line = formatted(log.Event('request', path=text, status=404))
    assert line.endswith(' status=404') and len(line.splitlines()) == 1
    shown = line.partition(' path=')[2].removesuffix(' status=404')
    assert log.PLAIN.fullmatch(shown) and shown == text or shown[0] == shown[-1] and shown[0] in '\'"'


def test_an_events_fields_keep_their_types_in_json() -> None:
    event = log.Event('request', status=200, seconds=0.125, key=None, path='/v1/models')
    line = as_json(event)
    assert {name: line[name] for name in event.fields} == event.fields
    assert set(line) == {'time', 'level', 'logger', 'request_id', 'message', *event.fields}
    assert datetime.fromisoformat(str(line['time'])).utcoffset() == timedelta(0) and str(line['time'])[-1] == 'Z'
    assert formatted(event).endswith('a.logger: request status=200 seconds=0.125 key=- path=/v1/models')


def test_a_field_takes_no_name_of_the_lines_own() -> None:
    assert as_json(log.Event('request', level='forged', time='forged', message='forged'))['level'] == 'INFO'


def test_the_request_id_is_in_the_line() -> None:
    def within_a_request() -> str:
        log.request_id.set('req-1')
        return formatted('x')

    assert contextvars.Context().run(within_a_request).endswith(' INFO [req-1] a.logger: x')
    assert contextvars.Context().run(formatted, 'x').endswith(' INFO [-] a.logger: x')
    assert contextvars.Context().run(as_json, 'x')['request_id'] is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL']))
def test_configure_sets_the_level_and_quiets_chatty_libraries(level: str) -> None:
    log.configure(level)
    assert logging.getLogger('sandle').getEffectiveLevel() == logging.getLevelName(level)
    assert logging.getLogger('urllib3').level == max(logging.WARNING, logging.getLevelName(level))


def test_configure_writes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure('INFO')
    logging.getLogger('sandle').info('hello')
    captured = capsys.readouterr()
    assert captured.out == '' and captured.err.endswith('sandle: hello\n')


@pytest.mark.filterwarnings('default')
@pytest.mark.parametrize('form', [log.TEXT, log.JSON])
def test_what_ends_a_thread_or_warns_is_logged(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    log.configure('INFO', form)
    thread = threading.Thread(target=lambda: 1 / 0, name='worker')
    thread.start()
    thread.join()
    warnings.warn('take care', UserWarning, stacklevel=1)
    text = capsys.readouterr().err
    if form == log.JSON:
        failed, warned = map(json.loads, text.splitlines())
        assert failed['message'] == 'the thread worker failed' and 'ZeroDivisionError' in failed['exception']
        assert failed['level'] == 'ERROR' and 'take care' in warned['message']
    else:
        assert 'ERROR [-] sandle.log: the thread worker failed\nTraceback' in text and 'take care' in text


def test_what_ends_the_process_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure('INFO', log.JSON)
    sys.excepthook(ValueError, ValueError('bad'), None)
    line = json.loads(capsys.readouterr().err)
    assert line['level'] == 'CRITICAL' and line['exception'] == 'ValueError: bad'
