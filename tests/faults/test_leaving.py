"""Clients that leave: their place is free at once, and what was generated for them is accounted."""

import json
import socket
import time
from collections.abc import Callable

import pytest

from tests.end_to_end.rig import KEY, WRAPPER, Client, Server, request_bytes, wait_for
from tests.faults.conftest import Stack
from tests.faults.figures import Figures

PHASES = {'prefill': 'first-delay=30', 'decode': 'tokens=600 delay=0.02'}


def counts(stack: Stack) -> tuple[int, int]:
    """Returns how many requests the stub works on, and how many have been cancelled."""
    state = stack.direct.get('/faults').json()
    return state['running'], state['cancelled']


def used(client: Client) -> tuple[int, int, int]:
    """Returns what the key has used, as its holder is told: requests, and tokens of prompts and of completions."""
    days = client.get('/v1/usage').json()['data']
    requests, prompt, completion = (sum(day[name] for day in days)
                                    for name in ('requests', 'prompt_tokens', 'completion_tokens'))
    return requests, prompt, completion


@pytest.mark.fault('client leaves')
@pytest.mark.parametrize('is_stream', [True, False], ids=['streamed', 'unstreamed'])
@pytest.mark.parametrize('phase', PHASES)
def test_leaving(stack: Stack, figures: Figures, phase: str, is_stream: bool) -> None:
    wait_for(lambda: counts(stack)[0] == 0)
    cancelled, before = counts(stack)[1], used(stack.client)
    body = json.dumps({'model': 'stub', 'prompt': f'!fault {PHASES[phase]}', 'max_tokens': 600, 'stream': is_stream})
    with socket.create_connection(('127.0.0.1', stack.nginx.port), timeout=5) as sock:
        sock.sendall(request_bytes(body.encode()).replace(b'Connection: close\r\n', b''))
        wait_for(lambda: counts(stack)[0] == 1)
        time.sleep(0.3)  # for tokens to come
        assert counts(stack)[0] == 1
    what = f'in {phase}, {"" if is_stream else "un"}streamed'
    figures.below(f'its place is free, {what}', wait_for(lambda: counts(stack)[0] == 0),
                  0.5 if phase == 'decode' and is_stream else 1.0)
    assert counts(stack)[1] == cancelled + 1
    assert 'reason=client_disconnected' in stack.wrapper.output
    wait_for(lambda: used(stack.client)[0] == before[0] + 1)
    _, prompt, completion = (now - then for now, then in zip(used(stack.client), before))
    figures.at_least(f'prompt tokens accounted, {what}', prompt, 5, 'tokens')
    if phase == 'decode':
        figures.at_least(f'tokens accounted, {what}, after 0.3 s', completion, 5, 'tokens')


def waiting(client: Client) -> float:
    """Returns how many requests wait in the wrapper's queue."""
    return sum(float(line.rpartition(' ')[2]) for line in client.get('/metrics').text.splitlines()
               if line.startswith('sandle_wrapper_requests_waiting'))


@pytest.mark.fault('client leaves')
def test_leaving_the_queue(own: Callable[..., Server], client_of: Callable[..., Client], stack: Stack,
                           figures: Figures) -> None:
    wrapper = own(WRAPPER, '--backend', stack.stub.url, '-t', KEY, '--max-running', '1')
    client = client_of(wrapper)
    with client_of(wrapper).complete('!fault tokens=600 delay=0.05', max_tokens=600, stream=True):
        before = used(client)
        for is_stream, is_told in ((False, False), (True, False), (True, True)):
            body = json.dumps({'model': 'stub', 'prompt': 'Hello', 'stream': is_stream}).encode()
            with socket.create_connection(('127.0.0.1', wrapper.port), timeout=5) as sock:
                sock.sendall(request_bytes(body))
                wait_for(lambda: waiting(client) == 1)
                if is_told:
                    assert b'200 OK' in sock.recv(4096), 'a stream that waits for long is told its place'
            how = 'streamed and told its place' if is_told else 'streamed' if is_stream else 'unstreamed'
            figures.below(f'its place is free, in the queue, {how}', wait_for(lambda: waiting(client) == 0), 1.0)
        figures.exactly('requests accounted for those in the queue', used(client)[0] - before[0], 0)
