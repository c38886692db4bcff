"""The command-line options that every component has. Each may also be given as `SANDLE_…` in the environment."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar('Command', bound=Callable[..., Any])
LOG_LEVELS = ('CRITICAL', 'ERROR', 'WARNING', 'INFO', 'DEBUG')
CONTEXT_SETTINGS = {'auto_envvar_prefix': 'SANDLE', 'show_default': True, 'help_option_names': ['-h', '--help'],
                    'max_content_width': 110}

_shared: list[Callable[[Command], Command]] = [
    click.option('--host', default='127.0.0.1', help='Address to listen on; 0.0.0.0 for every interface.'),
    click.option('-p', '--port', type=click.IntRange(0, 65535), default=8000,
                 help='Port to listen on; 0 lets the system choose, and the log says which.'),
    click.option('-l', '--log-level', type=click.Choice(LOG_LEVELS, case_sensitive=False), default='INFO',
                 help='The least severe level that is logged, to standard error.'),
    click.option('--max-body-bytes', type=click.IntRange(1), default=4 * 2 ** 20,
                 help='Largest request body in bytes; a larger one gets a 413.'),
    click.option('--drain-timeout-s', type=click.FloatRange(0), default=30.0,
                 help='Seconds that running requests have to finish after SIGTERM or Ctrl+C.'),
]


def server_options(command: Command) -> Command:
    """Adds --host, --port, --log-level, --max-body-bytes and --drain-timeout-s to a command."""
    for option in reversed(_shared):
        command = option(command)
    return command
