"""The command-line options that every component has. Each may also be given as `SANDLE_…` in the environment."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

from sandle import log
from sandle.server import ServerOptions

Command = TypeVar('Command', bound=Callable[..., Any])
LOG_LEVELS = ('CRITICAL', 'ERROR', 'WARNING', 'INFO', 'DEBUG')
CONTEXT_SETTINGS = {'auto_envvar_prefix': 'SANDLE', 'show_default': True, 'help_option_names': ['-h', '--help'],
                    'max_content_width': 110}


class Seconds(click.FloatRange):
    """A duration of at least `least` seconds. Refuses what no clock can wait for: nan and more than 30 years."""

    name = 'seconds'

    def __init__(self, least: float = 0.0) -> None:
        super().__init__(min=least, max=1e9)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Returns the number. Raises click.BadParameter."""
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):  # which is in every range, comparing with it being false
            self.fail(f'{value!r} is not a number of seconds.', param, ctx)
        return seconds

    def _describe_range(self) -> str:
        return f'x>={self.min:g}'


_log: list[Callable[[Command], Command]] = [
    click.option('-l', '--log-level', type=click.Choice(LOG_LEVELS, case_sensitive=False), default='INFO',
                 help='The least severe level that is logged, to standard error.'),
    click.option('--log-format', type=click.Choice((log.TEXT, log.JSON)), default=log.TEXT,
                 help='Lines of the log: text, or a JSON object each.'),
]
_serving: list[Callable[[Command], Command]] = [
    click.option('--host', default='127.0.0.1', help='Address to listen on; 0.0.0.0 for every interface.'),
    click.option('-p', '--port', type=click.IntRange(0, 65535), default=8000,
                 help='Port to listen on; 0 lets the system choose, and the log says which.'),
    click.option('--max-body-bytes', type=click.IntRange(1), default=4 * 2 ** 20,
                 help='Largest request body in bytes; a larger one gets a 413.'),
    click.option('--receive-timeout-s', type=Seconds(0.1), default=20.0,
                 help='Seconds that a request may take to arrive, and one more for each 1,000 bytes; then a 408.'),
    click.option('--send-timeout-s', type=Seconds(0.1), default=60.0,
                 help='Seconds after which a client that reads nothing of its answer is dropped.'),
    click.option('--drain-timeout-s', type=Seconds(), default=30.0,
                 help='Seconds that running requests have to finish after SIGTERM or Ctrl+C.'),
]


def server_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --log-level and --log-format to a command, and what a server needs, which it gets as `serving`."""
    names = [field.name for field in dataclasses.fields(ServerOptions)]

    @functools.wraps(command)
    def with_serving(*args: Any, **values: Any) -> Any:
        return command(*args, serving=ServerOptions(**{name: values.pop(name) for name in names}), **values)

    decorated: Callable[..., Any] = with_serving
    for option in reversed([*_serving, *_log]):
        decorated = option(decorated)
    return decorated
