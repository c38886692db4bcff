import contextvars
import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sandle import log


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before[0], before[1]


def formatted(message: str, *args: object) -> str:
    record = logging.LogRecord('a.logger', logging.INFO, __file__, 1, message, args, None)
    return log.OneLineFormatter(log.FORMAT).format(record)


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
    try:
        raise ValueError('bad')
    except ValueError as error:
        record = logging.LogRecord('a', logging.ERROR, __file__, 1, 'it failed', (), (ValueError, error, None))
    assert log.OneLineFormatter(log.FORMAT).format(record).splitlines()[1:] == ['ValueError: bad']


def test_the_request_id_is_in_the_line() -> None:
    def within_a_request() -> str:
        log.request_id.set('req-1')
        return formatted('x')

    assert contextvars.Context().run(within_a_request).endswith(' INFO [req-1] a.logger: x')
    assert contextvars.Context().run(formatted, 'x').endswith(' INFO [-] a.logger: x')


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
