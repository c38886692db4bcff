"""Reports of errors to Sentry, when SENTRY_DSN is set: what the log tells at ERROR and above, without what users sent.

Nothing of a request is given to Sentry but its id, by which the log tells more. A report holds only what is picked
here: types and stacks of exceptions, but neither their messages nor local variables, which may quote a prompt or a key.
"""

import functools
import importlib.util
import logging
import os
from typing import TYPE_CHECKING, Any

from sandle.log import Event, request_id

if TYPE_CHECKING:
    from sentry_sdk.types import Event as Report
    from sentry_sdk.types import Hint

logger = logging.getLogger(__name__)

VARIABLE = 'SENTRY_DSN'
PICKED = frozenset({'event_id', 'timestamp', 'platform', 'level', 'logger', 'release', 'environment', 'server_name',
                    'sdk'})
PICKED_OF_EXCEPTION = ('type', 'module', 'mechanism', 'stacktrace', 'thread_id')


def start(component: str) -> None:
    """Begins to report, if SENTRY_DSN says where to; the SDK's other SENTRY_… variables count, too.

    Raises SystemExit for a bad DSN, or if the SDK is not installed.
    """
    dsn = os.environ.get(VARIABLE, '').strip()
    if not dsn:
        return
    if importlib.util.find_spec('sentry_sdk') is None:
        raise SystemExit(f'{VARIABLE} is set, but sentry-sdk is not installed: '
                         'pip install -r sandle/requirements-telemetry.txt')
    import sentry_sdk
    from sentry_sdk.integrations.atexit import AtexitIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration, ignore_logger
    from sentry_sdk.utils import BadDsn

    try:
        sentry_sdk.init(
            dsn, before_send=functools.partial(pick, component), include_local_variables=False,
            max_request_body_size='never', max_breadcrumbs=0, auto_session_tracking=False, default_integrations=False,
            auto_enabling_integrations=False,  # the one for flask would send what requests hold
            integrations=[LoggingIntegration(level=None, event_level=logging.ERROR),
                          AtexitIntegration(callback=lambda pending, timeout: None)])
    except BadDsn as error:
        raise SystemExit(f'{VARIABLE} is no DSN: {error}') from None
    ignore_logger('opentelemetry.*')  # a collector that is away would be an error every few seconds
    logger.info('errors are reported to Sentry at %s', dsn.rpartition('@')[2])


def pick(component: str, event: 'Report', hint: 'Hint') -> 'Report':
    """Returns what may be sent of a report."""
    given: dict[str, Any] = dict(event)
    picked = {name: value for name, value in given.items() if name in PICKED}
    picked['tags'] = {'component': component, 'request_id': request_id.get()}
    record: logging.LogRecord = hint['log_record']
    # As it stands in the source: what is filled into it may be a client's.
    picked['logentry'] = {'message': record.msg.what if isinstance(record.msg, Event) else str(record.msg)}
    exceptions = (given.get('exception') or {}).get('values', [])
    if exceptions:
        picked['exception'] = {'values': [{name: each[name] for name in PICKED_OF_EXCEPTION if name in each}
                                          for each in exceptions]}
    return picked  # type: ignore[return-value]  # all keys of a report are optional
