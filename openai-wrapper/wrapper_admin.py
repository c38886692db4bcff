"""The keys that a wrapper starts with, and the `keys` commands, which change those of the store while it runs."""

import datetime
import json
import os
import pathlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple
from typing import Any

import click

from wrapper_keys import KEY_FILE_NAME, BadKeyError, Keys, Limits, generated_key, store
from wrapper_store import KeyStore, StoreError
from wrapper_usage import UsageBook

UNIT_S = {'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 7 * 86400}
DURATION = re.compile(r'(\d{1,9})([smhdw])')
AT_LEAST_ONE = click.IntRange(1, 10 ** 12)


class Duration(click.ParamType[float]):
    """A time span such as 90s, 30m, 12h, 7d or 4w; in seconds."""

    name = 'span'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See click."""
        if isinstance(value, float):
            return value
        found = DURATION.fullmatch(value)
        if found is None:
            self.fail(f'{value!r} is not a time span such as 30m, 12h, 7d or 4w.', param, ctx)
        return float(found[1]) * UNIT_S[found[2]]


class Moment(Duration):
    """A time span from now, or a day (2027-01-31: until it begins, in UTC); in seconds since 1970."""

    name = 'span or day'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See click."""
        try:
            day = datetime.datetime.strptime(value, '%Y-%m-%d').replace(tzinfo=datetime.UTC)
        except ValueError:
            return time.time() + super().convert(value, param, ctx)
        if day.timestamp() <= time.time():
            self.fail(f'{value} is over.', param, ctx)
        return day.timestamp()


def open_keys(auth_token: tuple[str, ...], auth_token_file: pathlib.Path | None,
              state_dir: pathlib.Path | None) -> Keys:
    """Returns the keys; generates one if there is none, and prints it when it is new. Raises ClickException.

    A key that was generated before stays good beside those of the key store, until its file is taken away.
    """
    if not auth_token and os.environ.get('SANDLE_AUTH_TOKEN', '-').strip() == '':
        raise click.ClickException('--auth-token (SANDLE_AUTH_TOKEN) is empty: give a key, or leave it unset.')
    try:
        keys = Keys(store(auth_token), auth_token_file, None if state_dir is None else KeyStore(state_dir).good_keys)
        is_kept = state_dir is not None and (state_dir / KEY_FILE_NAME).exists()
        if not len(keys) or is_kept and not auth_token and auth_token_file is None:
            key, is_new = generated_key(state_dir)
            keys.accept(key)
            kept = '' if state_dir is None else f' It is kept in {state_dir / KEY_FILE_NAME}.'
            click.echo(f'Generated API key: {key}{kept}' if is_new else f'Using the API key generated before.{kept}')
    except BadKeyError as error:
        raise click.ClickException(f'Bad API key: {error}.') from None
    except StoreError as error:
        raise click.ClickException(f'Bad key store: {error}.') from None
    except OSError as error:
        raise click.ClickException(f'Cannot use the file {error.filename}: {error.strerror}.') from None
    return keys


def state_dir_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The folder of the store, named as for the wrapper."""
    return click.option('--state-dir', required=True, envvar='SANDLE_STATE_DIR',
                        type=click.Path(file_okay=False, path_type=pathlib.Path),
                        help='Folder of the key store; the one that the wrapper is given. (SANDLE_STATE_DIR)')(function)


class Group(click.Group):
    """Says what the store cannot do in one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """See click."""
        try:
            return super().invoke(ctx)
        except StoreError as error:
            raise click.ClickException(f'{error}.') from None


@click.group(cls=Group)
def keys() -> None:
    """Make, list, change and end API keys. A wrapper that runs on the same --state-dir follows within seconds."""


@keys.command()
@click.option('--name', required=True, help='Name of the key; logs and usage speak of it by this.')
@click.option('--models', metavar='ID,ID…', default='',
              help='Models that it opens, separated by commas; the default is all.')
@click.option('--expires', 'expires_s', type=Moment(), help='When it ends: in 12h, 30d, 8w; or on a day, 2027-01-31.')
@click.option('--rpm', type=AT_LEAST_ONE, help='Requests a minute.')
@click.option('--tpm', type=AT_LEAST_ONE, help='Tokens a minute, of prompts and answers.')
@click.option('--parallel', type=AT_LEAST_ONE, help='Requests at once; more wait for their turn.')
@click.option('--daily-tokens', type=AT_LEAST_ONE, help='Tokens a day (UTC).')
@state_dir_option
def create(name: str, models: str, expires_s: float | None, rpm: int | None, tpm: int | None, parallel: int | None,
           daily_tokens: int | None, state_dir: pathlib.Path) -> None:
    """Make a key and print it: it is shown this once."""
    opened = [model.strip() for model in models.split(',') if model.strip()]
    click.echo(KeyStore(state_dir).create(name, expires_s, opened, Limits(rpm, tpm, parallel, daily_tokens)))


@keys.command()
@click.argument('name')
@click.option('--overlap', 'overlap_s', type=Duration(), default='0s', show_default=True,
              help='How long the old secret stays good beside the new one.')
@state_dir_option
def rotate(name: str, overlap_s: float, state_dir: pathlib.Path) -> None:
    """Give a key a new secret and print it: it is shown this once. Answers under way are not cut."""
    click.echo(KeyStore(state_dir).rotate(name, overlap_s))


@keys.command()
@click.argument('name')
@state_dir_option
def revoke(name: str, state_dir: pathlib.Path) -> None:
    """End a key for ever. Answers under way are not cut."""
    KeyStore(state_dir).revoke(name)
    click.echo(f'{name} is revoked.')


@keys.command('list')
@state_dir_option
def list_keys(state_dir: pathlib.Path) -> None:
    """List the keys, never their secrets: an id is only the part of a secret after sk-."""
    entries = KeyStore(state_dir).entries()
    rows: list[tuple[str, ...]] = [
        ('NAME', 'STATE', 'CREATED', 'EXPIRES', 'IDS', 'MODELS', 'RPM', 'TPM', 'PARALLEL', 'TOKENS/DAY')]
    rows += [(entry.name, entry.state(time.time()), _day(entry.created_s), _day(entry.expires_s),
              ' '.join(entry.ids) or '-', ','.join(entry.models) or 'all',
              *('-' if limit is None else str(limit) for limit in astuple(entry.limits))) for entry in entries]
    print_table(rows)


@keys.command('usage')
@click.option('--days', type=click.IntRange(1, 100_000), default=30, show_default=True, help='Days to look back.')
@click.option('--json', 'is_json', is_flag=True, help='One JSON object a line, for programs.')
@state_dir_option
def usage(days: int, is_json: bool, state_dir: pathlib.Path) -> None:
    """Tell what every key has used, by day (UTC) and model."""
    since = (datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days - 1)).isoformat()
    rows = UsageBook(state_dir).rows(since=since)
    if is_json:
        for row in rows:
            click.echo(json.dumps({'day': row.day, 'key': row.key, 'model': row.model, **asdict(row.usage)}))
        return
    print_table([('DAY', 'KEY', 'MODEL', 'REQUESTS', 'PROMPT TOKENS', 'COMPLETION TOKENS')] + [
        (row.day, row.key, row.model, str(row.usage.requests), str(row.usage.prompt_tokens),
         str(row.usage.completion_tokens)) for row in rows])


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Prints rows of which the first is the heading, in columns."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        click.echo('  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def _day(moment_s: float | None) -> str:
    return '-' if moment_s is None else datetime.datetime.fromtimestamp(moment_s, datetime.UTC).strftime('%Y-%m-%d')
