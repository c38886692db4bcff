"""What requests have used, kept for a wrapper whose client has left before there was an answer.

A wrapper names a request by the value of `X-Sandle-Usage`, and asks by that name afterwards. (An answer tells its usage
itself, and a stream as it goes.) Knows names and numbers; nothing of who pays.
"""

import threading
from collections import OrderedDict

import flask

from sandle import errors, protocol
from sandle.app import USAGE_PATH
from sandle.engine.engine import Finished
from sandle.models import as_json

MAX_KEPT = 4096  # the oldest are forgotten: whoever wants to know asks at once
MAX_NAME_CHARACTERS = 64
WAIT_S = 2.0  # a request ends a moment after its client has left


class UsageMemory:
    """The usage of the requests that ended last, by name. Used from any thread."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Finished] = OrderedDict()
        self._added = threading.Condition()

    def keep(self, name: str, usage: Finished) -> None:
        """Keeps a request's usage, which is nothing if the request left before it was worked on."""
        if len(name) <= MAX_NAME_CHARACTERS:
            with self._added:
                self._kept[name] = Finished(0, 0) if usage.queue_s is None else usage
                if len(self._kept) > MAX_KEPT:
                    self._kept.popitem(last=False)
                self._added.notify_all()

    def find(self, name: str, timeout_s: float) -> Finished | None:
        """Returns a request's usage, for which it waits a while; None if there is none."""
        with self._added:
            self._added.wait_for(lambda: name in self._kept, timeout_s)
            return self._kept.get(name)


def add_routes(app: flask.Flask, memory: UsageMemory) -> None:
    """Adds GET /internal/usage/{name} to an application."""

    def get_usage(name: str) -> flask.Response:
        usage = memory.find(name, WAIT_S)
        if usage is None:
            raise errors.NotFoundError('No request of that name has ended.')
        return as_json(protocol.Usage(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens,
                                      total_tokens=usage.prompt_tokens + usage.completion_tokens))

    app.add_url_rule(f'{USAGE_PATH}<name>', view_func=get_usage)
