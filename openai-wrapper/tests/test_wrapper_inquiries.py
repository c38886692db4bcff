"""Requests whose clients have left are billed for what their backend says that they used."""

import json
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import pytest

from tests.end_to_end.scripted_backend import (Answer, Received, Upstream, chunk, completion, stream_head,
                                               wait_for)
from wrapper_inquiries import Inquiries
from wrapper_usage import Usage

if TYPE_CHECKING:
    from tests.conftest import Wrapper

MakeWrapper: TypeAlias = 'Callable[..., Wrapper]'


def leave(wrapper: 'Wrapper', upstream: Upstream) -> str:
    """Sends a completion and leaves while the backend works on it; returns the name by which it may be asked for."""
    upstream.on_completion(upstream.wait_until_client_leaves)
    has_left = threading.Event()
    threading.Timer(0.2, has_left.set).start()
    response = wrapper.client.post('/v1/completions', **completion(),
                                   environ_overrides={'waitress.client_disconnected': has_left.is_set})
    assert response.status_code == 499
    return upstream.completions()[-1].headers['x-sandle-usage']


def tell(upstream: Upstream, name: str, prompt_tokens: int, completion_tokens: int) -> None:
    """Has a backend know the usage of a request."""
    upstream.scripts[f'/internal/usage/{name}'] = Answer(json.dumps({
        'prompt_tokens': prompt_tokens, 'completion_tokens': completion_tokens,
        'total_tokens': prompt_tokens + completion_tokens}))


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives requests names that a test knows beforehand."""
    numbers = iter(range(100))
    monkeypatch.setattr(Inquiries, 'new_name', lambda self: f'n{next(numbers)}')


def billed(wrapper: 'Wrapper') -> list[Usage]:
    return [row.usage for row in wrapper.book.rows()]


def asked(upstream: Upstream, name: str) -> bool:
    return any(request.path == f'/internal/usage/{name}' for request in upstream.received)


def test_client_that_leaves_is_billed(make_wrapper: MakeWrapper, upstream: Upstream, names: None) -> None:
    wrapper = make_wrapper(upstream.url)
    tell(upstream, 'n0', 7, 30)
    assert leave(wrapper, upstream) == 'n0'
    assert wait_for(lambda: billed(wrapper) == [Usage(7, 30)])


@pytest.mark.parametrize('is_seen_by', ['watcher', 'server'])
def test_client_that_leaves_a_stream_after_comments_alone_is_billed(make_wrapper: MakeWrapper, upstream: Upstream,
                                                                    names: None, is_seen_by: str) -> None:
    def script(sock: socket.socket, _: Received) -> None:
        sock.sendall(stream_head() + chunk(b': ping\n\n'))
        upstream.wait_until_client_leaves(sock)

    upstream.on_completion(script)
    tell(upstream, 'n0', 7, 0)
    wrapper = make_wrapper(upstream.url)
    has_left = threading.Event()
    response = wrapper.client.post('/v1/completions', **completion(stream=True),
                                   environ_overrides={'waitress.client_disconnected': has_left.is_set})
    pieces = response.iter_encoded()
    assert next(pieces) == b': ping\n\n'
    if is_seen_by == 'watcher':
        has_left.set()
        assert list(pieces) == []
    response.close()
    assert wait_for(lambda: billed(wrapper) == [Usage(7, 0)])


def test_request_that_was_not_worked_on_costs_nothing(make_wrapper: MakeWrapper, upstream: Upstream,
                                                      names: None) -> None:
    wrapper = make_wrapper(upstream.url)
    tell(upstream, 'n0', 0, 0)
    tell(upstream, 'n1', 1, 1)
    for name in ('n0', 'n1'):
        leave(wrapper, upstream)
        assert wait_for(lambda: asked(upstream, name))
    assert wait_for(lambda: billed(wrapper) == [Usage(1, 1)])


@pytest.mark.parametrize('answer', [Answer('{}', 404), Answer('<html>'), Answer('{"prompt_tokens": -1}'),
                                    Answer('{"prompt_tokens": 1}' + ' ' * 9999)])
def test_backend_that_does_not_know_leaves_the_request_unbilled(make_wrapper: MakeWrapper, upstream: Upstream,
                                                                names: None, answer: Answer) -> None:
    wrapper = make_wrapper(upstream.url)
    upstream.scripts['/internal/usage/n0'] = answer
    tell(upstream, 'n1', 1, 1)
    for name in ('n0', 'n1'):
        leave(wrapper, upstream)
        assert wait_for(lambda: asked(upstream, name))
    assert wait_for(lambda: billed(wrapper) == [Usage(1, 1)])


def test_names_are_not_to_be_guessed(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    names = [leave(make_wrapper(upstream.url), upstream) for _ in range(2)]
    assert len({name.partition('-')[0] for name in names}) == 2 and all(len(name) > 16 for name in names)
