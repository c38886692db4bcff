"""Reports of errors: only what is picked leaves the process, whatever an exception or a line of the log holds."""

import json
import logging
from collections.abc import Iterator

import flask
import pytest
import sentry_sdk

from sandle import app as http
from sandle import error_reports, log
from tests.end_to_end.receiver import Receiver, receive

SECRET = 'a private matter'


@pytest.fixture
def sentry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receive() as receiver:
        monkeypatch.setenv('SENTRY_DSN', receiver.url.replace('://', '://public@') + '/7')
        error_reports.start('test')
        yield receiver
        sentry_sdk.get_client().close()
        sentry_sdk.get_global_scope().set_client(None)


def sent(sentry: Receiver) -> str:
    sentry_sdk.flush(10)
    return b''.join(body for _, body in sentry.posts).decode()


def test_messages_of_exceptions_and_what_is_filled_in_are_left_out(sentry: Receiver) -> None:
    def fail(prompt: str) -> None:
        try:
            raise KeyError(prompt)
        except KeyError as error:
            raise ValueError(f'{prompt} is bad') from error

    try:
        fail(SECRET)
    except ValueError:
        logging.getLogger('sandle').exception('failed over %s', SECRET)
    logging.getLogger('sandle').error(log.Event('failed', prompt=SECRET))
    text = sent(sentry)
    assert SECRET not in text and text.count('"type":"event"') == 2
    assert '"KeyError"' in text and '"ValueError"' in text and '"failed over %s"' in text and '"fail"' in text


def test_of_a_request_that_fails_nothing_but_its_id_is_sent(sentry: Receiver) -> None:
    app = http.create_app('test', http.Lifecycle())

    def fail() -> str:
        body = flask.request.get_json()
        raise RuntimeError(f'cannot complete {body["prompt"]}')

    app.add_url_rule('/v1/completions', view_func=fail, methods=['POST'])
    response = app.test_client().post(
        f'/v1/completions?q={SECRET}', json={'prompt': SECRET},
        headers={'Authorization': f'Bearer {SECRET}', 'Cookie': f'a={SECRET}', 'x-request-id': 'mine'})
    assert response.status_code == 500
    text = sent(sentry)
    assert SECRET not in text and SECRET.replace(' ', '%20') not in text
    assert '"request_id":"mine"' in text and '"RuntimeError"' in text and '"fail"' in text


def test_what_is_no_error_is_not_sent(sentry: Receiver) -> None:
    logging.getLogger('sandle').info('all is well')
    logging.getLogger('sandle').warning('take care')
    logging.getLogger('opentelemetry.exporter').error('the collector is away')
    assert 'event' not in sent(sentry)


def test_a_key_among_extra_data_is_left_out(sentry: Receiver) -> None:
    logging.getLogger('sandle').error('failed', extra={'key': SECRET})
    sentry_sdk.get_isolation_scope().set_user({'id': SECRET})
    logging.getLogger('sandle').error('failed again')
    assert SECRET not in sent(sentry)


@pytest.mark.parametrize('value', [None, '', ' '])
def test_without_a_dsn_nothing_begins(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv('SENTRY_DSN', raising=False)
    if value is not None:
        monkeypatch.setenv('SENTRY_DSN', value)
    error_reports.start('test')
    assert not sentry_sdk.get_client().is_active()


def test_a_missing_sdk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SENTRY_DSN', 'http://public@127.0.0.1:9/7')
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(SystemExit, match='requirements-telemetry'):
        error_reports.start('test')


def test_every_picked_field_is_plain(sentry: Receiver) -> None:
    logging.getLogger('sandle').error('failed')
    events = [json.loads(line) for line in sent(sentry).splitlines() if '"logentry"' in line]
    assert [event.keys() - error_reports.PICKED for event in events] == [{'logentry', 'tags'}]
