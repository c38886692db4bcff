import dataclasses
import re

import click
import pytest
from click.testing import CliRunner

from sandle import options
from sandle.server import ServerOptions


@click.command(context_settings=options.CONTEXT_SETTINGS)
@options.server_options
def command(**values: object) -> None:
    """A component."""
    serving = values.pop('serving')
    assert isinstance(serving, ServerOptions)
    click.echo(repr(values | dataclasses.asdict(serving)))


def values_of(*arguments: str, **environment: str) -> dict[str, object]:
    result = CliRunner().invoke(command, arguments, env=environment)
    assert result.exit_code == 0, result.output
    value = eval(result.output)  # what the command above has printed
    assert isinstance(value, dict)
    return value


def test_defaults() -> None:
    assert values_of() == {'host': '127.0.0.1', 'port': 8000, 'log_level': 'INFO', 'log_format': 'text',
                           'max_body_bytes': 4194304, 'receive_timeout_s': 20.0, 'send_timeout_s': 60.0,
                           'drain_timeout_s': 30.0}


def test_environment_is_read_and_arguments_win() -> None:
    environment = {'SANDLE_HOST': '0.0.0.0', 'SANDLE_PORT': '1', 'SANDLE_LOG_LEVEL': 'debug',
                   'SANDLE_LOG_FORMAT': 'json', 'SANDLE_MAX_BODY_BYTES': '2', 'SANDLE_RECEIVE_TIMEOUT_S': '4',
                   'SANDLE_SEND_TIMEOUT_S': '5', 'SANDLE_DRAIN_TIMEOUT_S': '0.5'}
    assert values_of('-p', '3', **environment) == {'host': '0.0.0.0', 'port': 3, 'log_level': 'DEBUG',
                                                   'log_format': 'json', 'max_body_bytes': 2,
                                                   'receive_timeout_s': 4.0, 'send_timeout_s': 5.0,
                                                   'drain_timeout_s': 0.5}


@pytest.mark.parametrize(('arguments', 'name'), [
    (['--port', '65536'], '--port'), (['--port', '-1'], '--port'), (['--port', 'x'], '--port'),
    (['-l', 'LOUD'], '--log-level'), (['--log-format', 'xml'], '--log-format'),
    (['--max-body-bytes', '0'], '--max-body-bytes'),
    (['--drain-timeout-s', '-1'], '--drain-timeout-s'), (['--drain-timeout-s', 'nan'], '--drain-timeout-s'),
    (['--drain-timeout-s', 'inf'], '--drain-timeout-s')])
def test_a_bad_value_is_refused_by_name(arguments: list[str], name: str) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2 and name in result.output


def test_help_tells_defaults() -> None:
    text = CliRunner().invoke(command, ['-h']).output
    for option in ('--host', '-p, --port', '-l, --log-level', '--log-format', '--max-body-bytes',
                   '--receive-timeout-s', '--send-timeout-s', '--drain-timeout-s'):
        assert option in text
    assert len(re.findall(r'\[default:\s', text)) == 8
